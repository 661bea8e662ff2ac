// Google's Security Token Service and its OAuth token address, as strict as the documents are: RFC 8693
// exchange of a JWT (signature, issuer, audience, times) or of a signed AWS request (SigV4 recomputed),
// and RFC 7523 assertions of service-account keys.
import crypto from 'node:crypto';
import { checkJwt, isMain, options, readAll, ready, sendJson, serve, signJwt } from './lib.mjs';

const PROVIDER =
  /^\/\/iam\.googleapis\.com\/projects\/\d+\/locations\/global\/workloadIdentityPools\/[a-z0-9-]+\/providers\/[a-z0-9-]+$/;

export function newIdentityState() {
  // One pair for all who sign: making it is most of the time that starting takes.
  const pair = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    tokens: new Map(), // access token -> {principal, scope, expires}
    issuer: 'https://oidc.eks.eu-west-1.amazonaws.com/id/FAKE',
    provider: '//iam.googleapis.com/projects/123456/locations/global/workloadIdentityPools/aws/providers/eks',
    issuerKeys: pair, // of the issuer of subject tokens
    keyKeys: pair, // of the service account with a key
    idKeys: pair, // that sign Google's ID tokens
    keyEmail: 'key@sluice-test.iam.gserviceaccount.com',
    awsKeys: { AKIDFEDERATED: { secret: 'federated-aws-secret', arn: 'arn:aws:sts::123456789012:assumed-role/pod/s' } },
    lifetime: 3600, // seconds, of tokens given
    skew: 0, // seconds that Google's clock is ahead of this machine's
    log: [],
  };
}

const nowOf = (state) => Math.floor(Date.now() / 1000) + state.skew;

export function giveToken(state, principal, scope, lifetime = state.lifetime) {
  const token = `ya29.planted-${crypto.randomBytes(60).toString('base64url')}`;
  state.tokens.set(token, { principal, scope, expires: nowOf(state) + lifetime });
  return token;
}

// Who a Bearer token is, or null.
export function principalOf(state, req) {
  const m = /^Bearer (\S+)$/.exec(req.headers.authorization ?? '');
  const t = m && state.tokens.get(m[1]);
  return t && t.expires > nowOf(state) ? t : null;
}

export const dateHeader = (state) => ({ date: new Date(nowOf(state) * 1000).toUTCString() });

class Refusal extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}
const refuse = (code, text) => {
  throw new Refusal(code, text);
};

function checkSubjectJwt(state, form) {
  let c;
  try {
    c = checkJwt(form.get('subject_token'), state.issuerKeys.publicKey);
  } catch (e) {
    refuse('invalid_grant', `The subject token ${form.get('subject_token')} is bad: ${e.message}`);
  }
  const now = nowOf(state);
  const wanted = [state.provider, `https:${state.provider}`];
  if (c.iss !== state.issuer) refuse('invalid_grant', 'The issuer in ID Token does not match the expected one.');
  if (![].concat(c.aud).some((a) => wanted.includes(a)))
    refuse('invalid_grant', `The audience in ID Token [${c.aud}] does not match the expected audience.`);
  if (!(c.exp > now)) refuse('invalid_grant', 'ID Token is stale to sign-in.');
  if (!(c.iat <= now + 60 && c.iat > now - 86400)) refuse('invalid_grant', 'iat is out of range');
  return `principal:${state.provider}/subject/${c.sub}`;
}

const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();
const sha = (text) => crypto.createHash('sha256').update(text).digest('hex');

// AWS would answer GetCallerIdentity only to a right signature; so the signature is computed anew.
function checkAws(state, form) {
  const r = JSON.parse(decodeURIComponent(form.get('subject_token')));
  const url = new URL(r.url);
  const h = Object.fromEntries(r.headers.map(({ key, value }) => [key.toLowerCase(), value]));
  if (r.method !== 'POST' || url.protocol !== 'https:' || !/^sts\.[a-z0-9-]+\.amazonaws\.com$/.test(url.host))
    refuse('invalid_request', 'not a request to AWS STS');
  if (url.searchParams.get('Action') !== 'GetCallerIdentity') refuse('invalid_request', 'another Action');
  if (h.host !== url.host) refuse('invalid_request', 'host differs');
  if (h['x-goog-cloud-target-resource'] !== form.get('audience'))
    refuse('invalid_grant', 'x-goog-cloud-target-resource is not the audience');
  const m = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([a-z0-9-]+)\/sts\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/
    .exec(h.authorization ?? '');
  if (!m) refuse('invalid_grant', 'no Authorization of SigV4');
  const [, id, day, region, names, signature] = m;
  const who = state.awsKeys[id];
  if (!who) refuse('invalid_grant', 'unknown access key');
  for (const must of ['host', 'x-amz-date'])
    if (!names.split(';').includes(must)) refuse('invalid_grant', `${must} is not signed`);
  state.targetSigned = names.split(';').includes('x-goog-cloud-target-resource');
  const d = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(h['x-amz-date']);
  const at = d && Date.UTC(d[1], d[2] - 1, d[3], d[4], d[5], d[6]) / 1000;
  if (!d || Math.abs(at - nowOf(state)) > 900) refuse('invalid_grant', 'Signature expired');
  const query = [...url.searchParams].map(([k, v]) => `${encodeURIComponent(k)}=${encodeURIComponent(v)}`).sort().join('&');
  const canonical = ['POST', url.pathname, query,
    ...names.split(';').map((n) => `${n}:${h[n].trim()}`), '', names, sha('')].join('\n');
  const text = ['AWS4-HMAC-SHA256', h['x-amz-date'], `${day}/${region}/sts/aws4_request`, sha(canonical)].join('\n');
  const key = ['aws4_request'].reduce(hmac, hmac(hmac(hmac(`AWS4${who.secret}`, day), region), 'sts'));
  if (hmac(key, text).toString('hex') !== signature) refuse('invalid_grant', 'SignatureDoesNotMatch');
  if ((who.token ?? undefined) !== h['x-amz-security-token']) refuse('invalid_grant', 'session token differs');
  return `principalSet:${state.provider}/attribute.aws_role/${who.arn}`;
}

function exchange(state, req, form) {
  const want = (name, value) => {
    if (form.get(name) !== value) refuse('invalid_request', `${name} must be ${value}`);
  };
  if (req.headers.authorization) refuse('invalid_request', 'Authorization is not allowed');
  want('grant_type', 'urn:ietf:params:oauth:grant-type:token-exchange');
  want('requested_token_type', 'urn:ietf:params:oauth:token-type:access_token');
  if (!PROVIDER.test(form.get('audience') ?? '')) refuse('invalid_request', 'Invalid value for "audience".');
  want('audience', state.provider);
  if (!form.get('scope')) refuse('invalid_scope', 'scope is missing');
  if (!form.get('subject_token')) refuse('invalid_request', 'subject_token is missing');
  switch (form.get('subject_token_type')) {
    case 'urn:ietf:params:oauth:token-type:jwt':
    case 'urn:ietf:params:oauth:token-type:id_token':
      return checkSubjectJwt(state, form);
    case 'urn:ietf:params:aws:token-type:aws4_request':
      return checkAws(state, form);
    default:
      return refuse('invalid_request', 'Invalid subject_token_type');
  }
}

// The assertion of a service-account key: RFC 7523.
function assertion(state, form, base) {
  if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
    refuse('unsupported_grant_type', 'grant_type');
  let c;
  try {
    c = checkJwt(form.get('assertion') ?? '', state.keyKeys.publicKey);
  } catch (e) {
    refuse('invalid_grant', `Invalid JWT Signature: ${e.message}`);
  }
  const now = nowOf(state);
  if (c.iss !== state.keyEmail || c.aud !== `${base}/token`) refuse('invalid_grant', 'Invalid iss or aud');
  if (!(c.iat <= now + 300 && c.exp > now - 300 && c.exp - c.iat <= 3600))
    refuse('invalid_grant', 'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.');
  return c;
}

export function stsHandler(state) {
  return async (req, res, url) => {
    const body = (await readAll(req)).toString();
    const fault = state.faults.take(url.pathname === '/token' ? 'oauth' : 'sts');
    if (fault?.kind === 'drop') return res.destroy();
    if (fault?.status)
      return sendJson(res, fault.status, { error: 'server_error', error_description: 'made to fail' }, dateHeader(state));
    try {
      if (req.method !== 'POST' || !['/v1/token', '/token'].includes(url.pathname))
        return sendJson(res, 404, { error: 'not_found' });
      if (!(req.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded'))
        refuse('invalid_request', 'the body must be a form');
      const form = new URLSearchParams(body);
      if (url.pathname === '/v1/token') {
        const principal = exchange(state, req, form);
        return sendJson(res, 200, {
          access_token: giveToken(state, principal, form.get('scope')),
          issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          token_type: 'Bearer', expires_in: state.lifetime,
        }, dateHeader(state));
      }
      const c = assertion(state, form, state.base);
      if (c.target_audience)
        return sendJson(res, 200, { id_token: idToken(state, c.iss, c.target_audience) }, dateHeader(state));
      return sendJson(res, 200, {
        access_token: giveToken(state, c.iss, c.scope), token_type: 'Bearer', expires_in: state.lifetime,
      }, dateHeader(state));
    } catch (e) {
      if (!(e instanceof Refusal)) throw e;
      return sendJson(res, 400, { error: e.code, error_description: e.message }, dateHeader(state));
    }
  };
}

export function idToken(state, email, audience) {
  const now = nowOf(state);
  return signJwt({
    iss: 'https://accounts.google.com', aud: audience, azp: '1234567890', sub: '1234567890',
    email, email_verified: true, iat: now, exp: now + 3600,
  }, state.idKeys.privateKey, 'google');
}

// A token as EKS projects it into a pod.
export function subjectToken(state, over = {}) {
  const now = nowOf(state);
  return signJwt({
    iss: state.issuer, aud: [`https:${state.provider}`], sub: 'system:serviceaccount:sluice:writer',
    iat: now, exp: now + 3600, ...over,
  }, state.issuerKeys.privateKey, 'eks');
}

if (isMain(import.meta)) {
  const state = newIdentityState();
  state.base = await serve(state, stsHandler(state), options());
  ready({ sts: state.base });
}
