// Amazon S3, strictly: signatures, clocks, checksums, conditions, the rules of multipart uploads,
// versions, pages. In memory. Faults by the operation's name:
//   slow-down, internal      refused with 503 or 500, nothing done
//   reset                    the connection is cut before anything is done
//   lost                     carried out, then the connection is cut
//   unsure                   carried out, then 500
//   error-200, done-error-200  CompleteMultipartUpload: 200 with <Error>, not or yet carried out
//   conflict                 409 ConditionalRequestConflict, nothing done
//   expired                  ExpiredToken, with the token in the answer as S3 has it
//   stranger                 404 of a proxy that is none of S3's
//   cut, damage              GetObject: half of the body; one byte changed
import crypto from 'node:crypto';

import { readAll } from './lib.mjs';
import { check, decode, encode, Refused, sha256, splitTarget } from './aws_sigv4.mjs';

const PART_LEAST = 5 << 20;
const escape = (s) => String(s).replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`);
const md5 = (b) => crypto.createHash('md5').update(b).digest('hex');
const base64sha = (b) => Buffer.from(sha256(b), 'hex').toString('base64');
const tag = (name, value) => `<${name}>${escape(value)}</${name}>`;
const fail = (status, code, message = code, more) => {
  throw new Refused(status, code, message, more);
};

const CRC32 = (() => {
  const t = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    t[i] = c >>> 0;
  }
  return t;
})();
function crc32(bytes) {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = CRC32[(c ^ bytes[i]) & 255] ^ (c >>> 8);
  const out = Buffer.alloc(4);
  out.writeUInt32BE((c ^ 0xffffffff) >>> 0);
  return out.toString('base64');
}

export function s3State(world, { bucket = 'bucket', region = 'eu-west-1', pageSize = 1000 } = {}) {
  const state = { world, bucket, region, pageSize, objects: new Map(), uploads: new Map(), versions: 0 };
  // What a test may change: {pageSize, skewSeconds, deny, ignoreConditions, plainChecksums}
  state.set = world.set;
  state.shown = () => ({
    uploads: state.uploads.size,
    objects: [...state.objects].map(([key, list]) => ({
      key, versions: list.map((v) => ({ id: v.version, bytes: v.parts ? size(v) : 0, marker: !v.parts })),
    })),
  });
  return state;
}

// An object is a list of parts, joined when it is read; a delete marker has none.
const size = (o) => o.parts.reduce((n, p) => n + p.length, 0);
const newest = (s, key) => s.objects.get(key)?.at(-1);
const live = (s, key) => (newest(s, key)?.parts ? newest(s, key) : null);

function checkConditions(s, req, key) {
  if (s.world.set.ignoreConditions) return;
  const now = live(s, key);
  if (req.headers['if-none-match'] !== undefined) {
    if (req.headers['if-none-match'] !== '*') fail(501, 'NotImplemented');
    if (now) fail(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
  }
  const match = req.headers['if-match'];
  if (match !== undefined) {
    if (!now) fail(404, 'NoSuchKey', 'The specified key does not exist.');
    if (match.replaceAll('"', '') !== now.etag.replaceAll('"', ''))
      fail(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
  }
}

function checkBody(req, body) {
  const said = req.headers['x-amz-checksum-sha256'];
  if (said !== undefined && said !== base64sha(body))
    fail(400, 'BadDigest', 'The SHA256 you specified did not match the calculated checksum.');
  const crc = req.headers['x-amz-checksum-crc32'];
  if (crc !== undefined && crc !== crc32(body))
    fail(400, 'BadDigest', 'The CRC32 you specified did not match the calculated checksum.');
  const sum = req.headers['content-md5'];
  if (sum !== undefined && Buffer.from(sum, 'base64').toString('hex') !== md5(body))
    fail(400, 'BadDigest', 'The Content-MD5 you specified did not match what we received.');
  return said ? { 'x-amz-checksum-sha256': said, 'x-amz-checksum-type': 'FULL_OBJECT' }
    : crc ? { 'x-amz-checksum-crc32': crc, 'x-amz-checksum-type': 'FULL_OBJECT' } : {};
}

const metaOf = (req) => Object.fromEntries(Object.entries(req.headers)
  .filter(([k]) => k.startsWith('x-amz-meta-') || k === 'content-type'));

function store(s, key, object) {
  const version = `v${String(++s.versions).padStart(5, '0')}.${crypto.randomBytes(12).toString('base64url')}`;
  const list = s.objects.get(key) ?? [];
  list.push({ ...object, version, at: new Date(s.world.now()) });
  s.objects.set(key, list);
  return list.at(-1);
}

const operations = {
  PutObject(s, { req, key, body }) {
    checkConditions(s, req, key);
    const checksum = checkBody(req, body);
    const o = store(s, key, { parts: [body], etag: `"${md5(body)}"`, meta: metaOf(req), checksum });
    return { headers: { etag: o.etag, 'x-amz-version-id': o.version, ...checksum } };
  },
  GetObject(s, { req, key }) {
    const o = live(s, key);
    if (!o) fail(404, 'NoSuchKey', 'The specified key does not exist.', { Key: key });
    return { headers: objectHeaders(s, req, o), body: o.parts.length === 1 ? o.parts[0] : Buffer.concat(o.parts) };
  },
  HeadObject(s, { req, key }) {
    const o = live(s, key);
    if (!o) fail(404, 'NoSuchKey');
    return { headers: { ...objectHeaders(s, req, o), 'content-length': size(o) } };
  },
  DeleteObject(s, { key }) {
    if (!s.objects.has(key)) return { status: 204 };
    const o = store(s, key, { parts: null });
    return { status: 204, headers: { 'x-amz-delete-marker': 'true', 'x-amz-version-id': o.version } };
  },
  ListObjectsV2(s, { query }) {
    const url = query.get('encoding-type') === 'url';
    const name = (k) => (url ? encode(k, false).replaceAll('%20', '+') : k);
    const prefix = query.get('prefix') ?? '';
    const token = query.get('continuation-token');
    const after = token ? decode(Buffer.from(token, 'base64').toString()) : '';
    const limit = Math.min(Number(query.get('max-keys') ?? 1000), s.world.set.pageSize ?? s.pageSize);
    const keys = [...s.objects.keys()].filter((k) => live(s, k) && k.startsWith(prefix))
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .filter((k) => Buffer.compare(Buffer.from(k), Buffer.from(after)) > 0);
    const page = keys.slice(0, limit);
    const more = keys.length > limit;
    const next = more ? Buffer.from(encode(page.at(-1))).toString('base64') : '';
    return {
      xml: `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${tag('Name', s.bucket)}` +
        tag('Prefix', name(prefix)) + tag('KeyCount', page.length) + tag('MaxKeys', limit) +
        (url ? tag('EncodingType', 'url') : '') + tag('IsTruncated', more) +
        (more ? tag('NextContinuationToken', next) : '') +
        page.map((k) => `<Contents>${tag('Key', name(k))}${tag('LastModified', live(s, k).at.toISOString())}` +
          `${tag('ETag', live(s, k).etag)}${tag('Size', size(live(s, k)))}` +
          '<StorageClass>STANDARD</StorageClass></Contents>').join('') + '</ListBucketResult>',
    };
  },
  ListObjectVersions(s) {
    const all = [...s.objects].flatMap(([k, list]) => list.map((v, i) =>
      `<${v.parts ? 'Version' : 'DeleteMarker'}>${tag('Key', k)}${tag('VersionId', v.version)}` +
      `${tag('IsLatest', i + 1 === list.length)}${tag('LastModified', v.at.toISOString())}` +
      (v.parts ? tag('ETag', v.etag) + tag('Size', size(v)) : '') +
      `</${v.parts ? 'Version' : 'DeleteMarker'}>`));
    return { xml: `<ListVersionsResult>${tag('Name', s.bucket)}${tag('IsTruncated', false)}${all.join('')}</ListVersionsResult>` };
  },
  CreateMultipartUpload(s, { req, key }) {
    const id = crypto.randomBytes(30).toString('base64') + '=='; // with + and /, as S3's may have
    s.uploads.set(id, { key, parts: new Map(), meta: metaOf(req), sums: req.headers['x-amz-checksum-algorithm'] });
    return {
      xml: `<InitiateMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
        `${tag('Bucket', s.bucket)}${tag('Key', key)}${tag('UploadId', id)}</InitiateMultipartUploadResult>`,
    };
  },
  UploadPart(s, { req, key, query, body }) {
    const u = upload(s, key, query);
    const n = Number(query.get('partNumber'));
    if (!(n >= 1 && n <= 10000)) fail(400, 'InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive');
    if (u.sums === 'SHA256' && req.headers['x-amz-checksum-sha256'] === undefined)
      fail(400, 'InvalidRequest', 'Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: null');
    const checksum = checkBody(req, body);
    u.parts.set(n, { body, etag: `"${md5(body)}"`, sum: checksum['x-amz-checksum-sha256'] });
    return { headers: { etag: u.parts.get(n).etag, ...checksum } };
  },
  CompleteMultipartUpload(s, { req, key, query, body }) {
    const u = upload(s, key, query);
    const listed = [...body.toString().matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, p]) => ({
      n: Number(/<PartNumber>(\d+)</.exec(p)?.[1]),
      etag: /<ETag>(.*?)<\/ETag>/.exec(p)?.[1].replaceAll('&quot;', '"').replaceAll('&#34;', '"'),
      sum: /<ChecksumSHA256>(.*?)</.exec(p)?.[1],
    }));
    if (listed.length === 0) fail(400, 'MalformedXML');
    if (listed.some((p, i) => i > 0 && p.n <= listed[i - 1].n))
      fail(400, 'InvalidPartOrder', 'The list of parts was not in ascending order.');
    listed.forEach((p, i) => {
      const have = u.parts.get(p.n);
      if (!have || have.etag.replaceAll('"', '') !== p.etag?.replaceAll('"', ''))
        fail(400, 'InvalidPart', 'One or more of the specified parts could not be found.');
      if (u.sums === 'SHA256' && p.sum !== have.sum) fail(400, 'InvalidPart', 'checksum');
      if (i + 1 < listed.length && have.body.length < PART_LEAST) fail(400, 'EntityTooSmall');
    });
    checkConditions(s, req, key);
    const parts = listed.map((p) => u.parts.get(p.n));
    const etag = `"${md5(Buffer.concat(parts.map((p) => Buffer.from(p.etag.slice(1, -1), 'hex'))))}-${parts.length}"`;
    const sum = u.sums === 'SHA256'
      ? { 'x-amz-checksum-sha256': `${base64sha(Buffer.concat(parts.map((p) => Buffer.from(p.sum, 'base64'))))}-${parts.length}`,
        'x-amz-checksum-type': 'COMPOSITE' } : {};
    const o = store(s, key, { parts: parts.map((p) => p.body), etag, meta: u.meta, checksum: sum });
    s.uploads.delete(query.get('uploadId'));
    return {
      headers: { 'x-amz-version-id': o.version },
      // Blanks behind the declaration, as S3 sends them while it works.
      blanks: true,
      xml: `<CompleteMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
        `${tag('Location', 'somewhere')}${tag('Bucket', s.bucket)}${tag('Key', key)}${tag('ETag', etag)}</CompleteMultipartUploadResult>`,
    };
  },
  AbortMultipartUpload(s, { key, query }) {
    upload(s, key, query);
    s.uploads.delete(query.get('uploadId'));
    return { status: 204 };
  },
};

function upload(s, key, query) {
  const u = s.uploads.get(query.get('uploadId'));
  if (!u || u.key !== key) fail(404, 'NoSuchUpload', 'The specified upload does not exist.');
  return u;
}

function objectHeaders(s, req, o) {
  const sums = req.headers['x-amz-checksum-mode'] === 'ENABLED' ? o.checksum : {};
  return { etag: o.etag, 'x-amz-version-id': o.version, 'last-modified': o.at.toUTCString(), ...o.meta, ...sums };
}

function nameOf(method, key, query) {
  if (key === '')
    return query.has('versions') ? 'ListObjectVersions' : method === 'GET' ? 'ListObjectsV2' : null;
  if (query.has('uploads')) return 'CreateMultipartUpload';
  if (query.has('uploadId'))
    return { PUT: 'UploadPart', POST: 'CompleteMultipartUpload', DELETE: 'AbortMultipartUpload' }[method];
  return { PUT: 'PutObject', GET: 'GetObject', HEAD: 'HeadObject', DELETE: 'DeleteObject' }[method];
}

// The bucket stands in the host's name, or first in the path.
function place(req, path) {
  const host = (req.headers.host ?? '').split(':')[0];
  const m = /^(.+)\.s3\.localhost$/.exec(host);
  if (m) return { bucket: m[1], key: decode(path.slice(1)) };
  const at = path.indexOf('/', 1);
  return at < 0 ? { bucket: decode(path.slice(1)), key: '' }
    : { bucket: decode(path.slice(1, at)), key: decode(path.slice(at + 1)) };
}

function sendError(req, res, e, headers) {
  const more = Object.entries(e.more).map(([k, v]) => tag(k, v)).join('');
  const body = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n<Error>${tag('Code', e.code)}` +
    `${tag('Message', e.message)}${more}${tag('RequestId', crypto.randomBytes(8).toString('hex'))}</Error>`);
  res.writeHead(e.status, { ...headers, 'content-type': 'application/xml', 'content-length': req.method === 'HEAD' ? 0 : body.length });
  res.end(req.method === 'HEAD' ? undefined : body);
}

function sendAnswer(req, res, answer, headers, fault) {
  let body = answer.xml !== undefined
    ? Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${answer.blanks ? '  \n  ' : ''}${answer.xml}`)
    : answer.body ?? Buffer.alloc(0);
  const length = answer.headers?.['content-length'] ?? body.length;
  if (fault?.kind === 'damage') {
    body = Buffer.from(body);
    body[body.length >> 1] ^= 1;
  }
  res.writeHead(answer.status ?? 200, { ...headers, ...answer.headers, 'content-length': length });
  if (fault?.kind === 'cut') return res.write(body.subarray(0, body.length >> 1), () => res.destroy());
  res.end(req.method === 'HEAD' ? undefined : body);
}

const BEFORE = {
  'slow-down': () => fail(503, 'SlowDown', 'Please reduce your request rate.'),
  internal: () => fail(500, 'InternalError', 'We encountered an internal error. Please try again.'),
  conflict: () => fail(409, 'ConditionalRequestConflict', 'The conditional request cannot succeed due to a conflicting operation.'),
  'error-200': () => fail(200, 'InternalError', 'We encountered an internal error. Please try again.'),
};

export async function s3Handler(s, req, res) {
  const world = s.world;
  const { path, query: pairs } = splitTarget(req.url);
  const query = new Map(pairs);
  const headers = {
    'x-amz-request-id': crypto.randomBytes(8).toString('hex'), server: 'AmazonS3',
    date: new Date(world.now()).toUTCString(),
  };
  const body = await readAll(req);
  const entry = { method: req.method, path };
  try {
    const { bucket, key } = place(req, path);
    const { key: who } = check(req, req.url, body, world, { service: 's3', region: s.region, s3: true });
    const op = nameOf(req.method, key, query);
    Object.assign(entry, { op, key });
    s.log.push(entry);
    if (bucket !== s.bucket) fail(404, 'NoSuchBucket', 'The specified bucket does not exist', { BucketName: bucket });
    if (!op) fail(501, 'NotImplemented');
    if ((world.set.deny ?? []).includes(op) || (who.deny ?? []).includes(op))
      fail(403, 'AccessDenied', `User is not authorized to perform: s3:${op}`);
    const fault = s.faults.take(op);
    if (fault?.kind === 'reset') return res.destroy();
    if (fault?.kind === 'expired') fail(400, 'ExpiredToken', 'The provided token has expired.', { 'Token-0': who.token ?? '' });
    if (fault?.kind === 'stranger') {
      res.writeHead(404, { 'content-type': 'text/html' });
      return res.end('<html><body>Not here</body></html>');
    }
    BEFORE[fault?.kind]?.();
    const answer = operations[op](s, { req, key, query, body });
    if (fault?.kind === 'lost') return res.destroy();
    if (fault?.kind === 'unsure') BEFORE.internal();
    if (fault?.kind === 'done-error-200') BEFORE['error-200']();
    entry.status = answer.status ?? 200;
    sendAnswer(req, res, answer, headers, fault);
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    Object.assign(entry, { status: e.status, code: e.code });
    if (!s.log.includes(entry)) s.log.push(entry);
    if (req.method === 'HEAD' && e.more.Region) headers['x-amz-bucket-region'] = e.more.Region;
    sendError(req, res, e, headers);
  }
}
