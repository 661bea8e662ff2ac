// The metadata server of a machine at Google.
import { readAll, sendJson } from './lib.mjs';
import { giveToken, idToken } from './gcp_sts.mjs';

const EMAIL = 'machine@sluice-test.iam.gserviceaccount.com';

export function metadataHandler(state) {
  const flavor = { 'metadata-flavor': 'Google', server: 'Metadata Server for VM' };
  const text = (res, body) => {
    res.writeHead(200, { 'content-type': 'application/text', ...flavor });
    res.end(body);
  };
  return async (req, res, url) => {
    await readAll(req);
    const fault = state.faults.take('metadata');
    if (fault?.kind === 'impostor') return sendJson(res, 200, { access_token: 'impostor', expires_in: 3600 });
    if (fault?.status) return sendJson(res, fault.status, { error: 'made to fail' }, flavor);
    if (req.headers['metadata-flavor'] !== 'Google' || req.headers['x-forwarded-for'])
      return sendJson(res, 403, { error: 'forbidden' }, flavor);
    const base = '/computeMetadata/v1/instance/service-accounts/default/';
    switch (req.method === 'GET' && url.pathname) {
      case base + 'token':
        return sendJson(res, 200, {
          access_token: giveToken(state, EMAIL, 'https://www.googleapis.com/auth/cloud-platform'),
          expires_in: state.lifetime, token_type: 'Bearer',
        }, flavor);
      case base + 'email':
        return text(res, EMAIL);
      case base + 'identity':
        if (!url.searchParams.get('audience')) return sendJson(res, 400, { error: 'no audience' }, flavor);
        return text(res, idToken(state, EMAIL, url.searchParams.get('audience')));
      case '/':
      case '/computeMetadata/v1/instance':
        return text(res, 'computeMetadata/');
      default:
        return sendJson(res, 404, { error: 'not found' }, flavor);
    }
  };
}
