// Checks AWS Signature Version 4 as the services do: from what arrived, not from what was meant. Written
// from AWS's documents, apart from the client that it is to judge.
import crypto from 'node:crypto';

// A body's digest is asked for twice, by the signature and by the checksum.
const digests = new WeakMap();
export function sha256(bytes) {
  const held = typeof bytes === 'object' ? digests.get(bytes) : undefined;
  if (held) return held;
  const digest = crypto.createHash('sha256').update(bytes).digest('hex');
  if (typeof bytes === 'object') digests.set(bytes, digest);
  return digest;
}
const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();

// What AWS calls UriEncode.
export function encode(text, slash = true) {
  let out = '';
  for (const byte of Buffer.from(text)) {
    const c = String.fromCharCode(byte);
    if (/[A-Za-z0-9\-._~]/.test(c) || (c === '/' && !slash)) out += c;
    else out += '%' + byte.toString(16).toUpperCase().padStart(2, '0');
  }
  return out;
}

// Bytes of a percent-encoded text, as latin1 so that nothing is lost; then UTF-8.
export function decode(text) {
  const plain = text.replace(/%([0-9A-Fa-f]{2})/g, (_, h) => String.fromCharCode(parseInt(h, 16)));
  return Buffer.from(plain, 'latin1').toString('utf8');
}

export function splitTarget(target) {
  const at = target.indexOf('?');
  const path = at < 0 ? target : target.slice(0, at);
  const query = at < 0 || at === target.length - 1 ? [] : target.slice(at + 1).split('&').map((p) => {
    const eq = p.indexOf('=');
    return eq < 0 ? [decode(p), ''] : [decode(p.slice(0, eq)), decode(p.slice(eq + 1))];
  });
  return { path, query };
}

const canonicalQuery = (pairs) => pairs
  .map(([k, v]) => [encode(k), encode(v)])
  .sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0))
  .map(([k, v]) => `${k}=${v}`).join('&');

function canonicalPath(path, s3) {
  if (s3) return encode(decode(path), false);
  const parts = [];
  for (const p of path.split('/').slice(1)) {
    if (p === '..') parts.pop();
    else if (p !== '' && p !== '.') parts.push(p);
  }
  const end = path.length > 1 && path.endsWith('/') && parts.length ? '/' : '';
  return encode('/' + parts.join('/') + end, false);
}

function signature({ method, path, query, headers, names, payload, date, scope, secret, s3 }) {
  const [day, region, service] = scope.split('/');
  const canonical = [method, canonicalPath(path, s3), canonicalQuery(query),
    ...names.map((n) => `${n}:${(headers[n] ?? '').trim().replace(/\s+/g, ' ')}`), '',
    names.join(';'), payload].join('\n');
  const text = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n');
  let key = hmac('AWS4' + secret, day);
  for (const part of [region, service, 'aws4_request']) key = hmac(key, part);
  return hmac(key, text).toString('hex');
}

export const amzTime = (text) => {
  const m = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text ?? '');
  return m ? Date.UTC(m[1], m[2] - 1, m[3], m[4], m[5], m[6]) : NaN;
};

export class Refused extends Error {
  constructor(status, code, message, more = {}) {
    super(message);
    Object.assign(this, { status, code, more });
  }
}
const refuse = (status, code, message, more) => {
  throw new Refused(status, code, message, more);
};

function parts(req, query) {
  const headers = req.headers;
  const given = Object.fromEntries(query);
  if (given['X-Amz-Algorithm']) {
    return {
      presigned: true,
      credential: given['X-Amz-Credential'],
      names: given['X-Amz-SignedHeaders'].split(';'),
      signature: given['X-Amz-Signature'],
      date: given['X-Amz-Date'],
      token: given['X-Amz-Security-Token'],
      seconds: Number(given['X-Amz-Expires']),
      query: query.filter(([k]) => k !== 'X-Amz-Signature'),
    };
  }
  const m = /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/
    .exec(headers.authorization ?? '');
  if (!m) refuse(403, 'AccessDenied', 'Access Denied (no signature)');
  return {
    credential: m[1], names: m[2].split(';'), signature: m[3], date: headers['x-amz-date'],
    token: headers['x-amz-security-token'], query,
  };
}

// Throws Refused, or gives {id, key}: whose key it is. world: {keys: Map(id -> {secret, token, expires}),
// now()}. `service` and `region` are what the scope must name.
export function check(req, target, body, world, { service, region, s3 }) {
  const { path, query } = splitTarget(target);
  const p = parts(req, query);
  const [id, ...scope] = p.credential.split('/');
  const [day, inRegion, forService, end] = scope;
  const key = world.keys.get(id);

  if (!key) refuse(403, 'InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.');
  if (end !== 'aws4_request' || forService !== service)
    refuse(400, 'AuthorizationHeaderMalformed', `Credential should be scoped to service ${service}`);
  if (inRegion !== region)
    refuse(400, 'AuthorizationHeaderMalformed',
      `The authorization header is malformed; the region '${inRegion}' is wrong; expecting '${region}'`,
      { Region: region });
  const at = amzTime(p.date);
  if (!(day === p.date?.slice(0, 8)) || Number.isNaN(at))
    refuse(403, 'AccessDenied', 'The date is missing or does not fit its scope');
  if (p.presigned ? world.now() > at + p.seconds * 1000 || at > world.now() + 900e3
    : Math.abs(world.now() - at) > (s3 ? 900e3 : 300e3))
    refuse(403, s3 ? 'RequestTimeTooSkewed' : 'SignatureDoesNotMatch', s3
      ? 'The difference between the request time and the current time is too large.'
      : 'Signature expired');
  if (!p.names.includes('host')) refuse(403, 'AccessDenied', 'host must be signed');
  for (const name of Object.keys(req.headers))
    if (name.startsWith('x-amz-') && !p.names.includes(name))
      refuse(403, 'AccessDenied', `There were headers present in the request which were not signed: ${name}`);
  const payload = p.presigned && s3 ? 'UNSIGNED-PAYLOAD'
    : req.headers['x-amz-content-sha256'] ?? sha256(body);
  if (s3 && !p.presigned && !req.headers['x-amz-content-sha256'])
    refuse(400, 'MissingSecurityHeader', 'x-amz-content-sha256 is missing');
  const right = signature({
    method: req.method, path, query: p.query, headers: req.headers, names: p.names, payload,
    date: p.date, scope: scope.join('/'), secret: key.secret, s3,
  });
  if (right !== p.signature)
    refuse(403, 'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.');
  if (/^[0-9a-f]{64}$/.test(payload) && payload !== sha256(body))
    refuse(400, 'XAmzContentSHA256Mismatch', "The provided 'x-amz-content-sha256' header does not match what was computed.");
  if ((key.token ?? '') !== (p.token ?? ''))
    refuse(400, s3 ? 'InvalidToken' : 'InvalidClientTokenId', 'The provided token is malformed or otherwise invalid.');
  if (key.expires && key.expires <= world.now())
    refuse(400, 'ExpiredToken', 'The provided token has expired.', { 'Token-0': key.token });
  return { id, key };
}
