// Google's IAM Service Account Credentials API: acting for a service account.
import { readAll, sendJson } from './lib.mjs';
import { dateHeader, giveToken, idToken, principalOf } from './gcp_sts.mjs';

const error = (res, state, code, status, message) =>
  sendJson(res, code, { error: { code, status, message } }, dateHeader(state));

export function iamHandler(state) {
  state.actAs ??= { 'writer@sluice-test.iam.gserviceaccount.com': [/./] };
  return async (req, res, url) => {
    const body = await readAll(req);
    const fault = state.faults.take('iam');
    if (fault?.kind === 'drop') return res.destroy();
    if (fault?.status) return error(res, state, fault.status, 'UNAVAILABLE', 'made to fail');
    const m = /^\/v1\/projects\/-\/serviceAccounts\/([^/:]+):(generateAccessToken|generateIdToken)$/
      .exec(decodeURIComponent(url.pathname));
    if (req.method !== 'POST' || !m) return error(res, state, 404, 'NOT_FOUND', 'no such method');
    const [, email, verb] = m;
    const who = principalOf(state, req);
    if (!who) return error(res, state, 401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.');
    if (!/auth\/(cloud-platform|iam)\b/.test(who.scope))
      return error(res, state, 403, 'PERMISSION_DENIED', 'Request had insufficient authentication scopes.');
    if (!state.actAs[email]?.some((p) => p.test(who.principal)))
      return error(res, state, 403, 'PERMISSION_DENIED',
        "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).");
    const ask = JSON.parse(body);
    if (verb === 'generateIdToken') {
      if (typeof ask.audience !== 'string') return error(res, state, 400, 'INVALID_ARGUMENT', 'audience');
      return sendJson(res, 200, { token: idToken(state, email, ask.audience) }, dateHeader(state));
    }
    if (!Array.isArray(ask.scope) || ask.scope.length === 0)
      return error(res, state, 400, 'INVALID_ARGUMENT', 'Scope required.');
    const seconds = Number(/^(\d+)s$/.exec(ask.lifetime ?? '3600s')?.[1] ?? NaN);
    if (!(seconds > 0 && seconds <= 3600))
      return error(res, state, 400, 'INVALID_ARGUMENT', 'lifetime must be at most 3600s');
    const life = Math.min(seconds, state.lifetime);
    return sendJson(res, 200, {
      accessToken: giveToken(state, email, ask.scope.join(' '), life),
      expireTime: new Date((Math.floor(Date.now() / 1000) + state.skew + life) * 1000).toISOString(),
    }, dateHeader(state));
  };
}
