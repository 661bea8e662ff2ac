// Cloud Storage's JSON API, as strict as its documents are: preconditions by generation, resumable
// uploads in multiples of 256 KiB with 308 and Range, crc32c checked, listings in pages.
//
// Faults (operation: insert, start, chunk, status, get, meta, list, delete, permissions):
//   {kind: 'status', status, reason?}   answers so, having done nothing
//   {kind: 'drop'}                      closes the connection, having done nothing
//   {kind: 'lost'}                      does it, and closes the connection
//   {kind: 'partial', keep}             chunk: keeps that many bytes (of 256 KiB), and answers 308
//   {kind: 'partial-drop', keep}        chunk: the same, and closes the connection
//   {kind: 'gone'}                      chunk, status: the session is 410 from now on
//   {kind: 'corrupt'}                   get: one bit is another; insert, chunk: the answer's crc32c is
//   {kind: 'cut'}                       get: the connection ends in the middle
//   {kind: 'empty-page'}                list: a page without items, with a token
import { crc32c, isMain, md5, options, readAll, ready, sendJson, serve } from './lib.mjs';
import { newIdentityState, principalOf } from './gcp_sts.mjs';
import crypto from 'node:crypto';

const QUANTUM = 256 * 1024;

export function newGcsState(identity) {
  const state = {
    identity,
    buckets: new Map([['releases', new Map()]]),
    sessions: new Map(),
    generation: 1700000000000000n,
    // principal (as a pattern) -> permissions; the first that fits counts
    grants: [[/./, ['storage.objects.get', 'storage.objects.list', 'storage.objects.create', 'storage.objects.delete']]],
    pageSize: 1000,
    uploads: { simple: 0, resumable: 0 },
    log: [],
  };
  state.set = { set pageSize(n) { state.pageSize = n; }, set permissions(p) { state.grants = [[/./, p]]; } };
  state.shown = () => ({
    uploads: state.uploads,
    sessions: state.sessions.size,
    objects: [...state.buckets].map(([b, o]) => [b, [...o.keys()]]),
  });
  return state;
}

const REASONS = { 400: 'invalid', 401: 'authError', 403: 'forbidden', 404: 'notFound', 409: 'conflict',
  412: 'conditionNotMet', 429: 'rateLimitExceeded', 500: 'backendError', 503: 'backendError' };

function fail(res, code, message, reason = REASONS[code] ?? 'invalid') {
  sendJson(res, code, { error: { code, message, errors: [{ message, domain: 'global', reason }] } });
}

function resource(state, bucket, name, o) {
  return {
    kind: 'storage#object', id: `${bucket}/${name}/${o.generation}`, name, bucket,
    generation: String(o.generation), metageneration: '1', contentType: o.contentType,
    storageClass: 'STANDARD', size: String(o.body.length), md5Hash: md5(o.body), crc32c: o.crc32c,
    etag: Buffer.from(String(o.generation)).toString('base64'),
    timeCreated: o.created, updated: o.created, metadata: o.metadata,
    selfLink: `${state.base}/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`,
    mediaLink: `${state.base}/download/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}?alt=media`,
  };
}

// Null when the preconditions of the query hold, else the status.
function precondition(query, o) {
  const match = query.get('ifGenerationMatch'), not = query.get('ifGenerationNotMatch');
  const now = o ? String(o.generation) : '0';
  if (match !== null && !/^\d+$/.test(match)) return 400;
  if (match !== null && match !== now) return 412;
  if (not !== null && not === now) return 304;
  return null;
}

const PRECONDITION = 'At least one of the pre-conditions you specified did not hold.';

// Puts an object, or answers why not. Returns the resource, or null when answered.
function finish(state, res, bucket, name, body, meta, query) {
  const objects = state.buckets.get(bucket);
  if (!objects) return fail(res, 404, 'The specified bucket does not exist.'), null;
  const bad = precondition(query, objects.get(name));
  if (bad) return fail(res, bad, PRECONDITION), null;
  const sum = crc32c(body);
  if (meta.crc32c && meta.crc32c !== sum)
    return fail(res, 400, `Provided CRC32C "${meta.crc32c}" doesn't match calculated CRC32C "${sum}".`), null;
  if (meta.md5Hash && meta.md5Hash !== md5(body)) return fail(res, 400, "Provided MD5 doesn't match."), null;
  if (!name || Buffer.byteLength(name) > 1024 || /[\r\n]/.test(name) || name === '.' || name === '..')
    return fail(res, 400, `Invalid object name: "${name}"`), null;
  objects.set(name, {
    body, crc32c: sum, generation: ++state.generation, metadata: meta.metadata,
    contentType: meta.contentType ?? 'application/octet-stream', created: new Date().toISOString(),
  });
  return resource(state, bucket, name, objects.get(name));
}

function allowed(state, req, res, permission) {
  const who = principalOf(state.identity, req);
  if (!who) {
    fail(res, 401, 'Invalid Credentials');
    return false;
  }
  const grant = state.grants.find(([p]) => p.test(who.principal))?.[1] ?? [];
  if (!/auth\/(cloud-platform|devstorage\.(read_write|full_control))\b/.test(who.scope) || (permission && !grant.includes(permission))) {
    fail(res, 403, `${who.principal} does not have ${permission} access to the Google Cloud Storage object.`);
    return false;
  }
  return true;
}

// The two parts of a multipart/related body: metadata and content.
function splitRelated(type, body) {
  const boundary = /boundary="?([^";]+)"?/.exec(type)?.[1];
  if (!/^multipart\/related/.test(type) || !boundary) return null;
  const mark = Buffer.from(`--${boundary}`);
  const cuts = [];
  for (let at = body.indexOf(mark); at >= 0; at = body.indexOf(mark, at + 1)) cuts.push(at);
  if (cuts.length !== 3) return null;
  const part = (i) => {
    const all = body.subarray(cuts[i] + mark.length + 2, cuts[i + 1] - 2);
    const gap = all.indexOf('\r\n\r\n');
    return gap < 0 ? null : { head: all.subarray(0, gap).toString(), body: all.subarray(gap + 4) };
  };
  const [meta, content] = [part(0), part(1)];
  if (!meta || !content || !/content-type: *application\/json/i.test(meta.head)) return null;
  return { meta: JSON.parse(meta.body), type: /content-type: *(\S+)/i.exec(content.head)?.[1], body: content.body };
}

function played(res, fault) {
  if (fault?.kind === 'drop') res.destroy();
  else if (fault?.kind === 'status') fail(res, fault.status, 'made to fail', fault.reason);
  else return false;
  return true;
}

// The answer to an upload: given, spoilt or lost.
function answerPut(res, fault, done) {
  if (!done) return;
  if (fault?.kind === 'lost') return res.destroy();
  if (fault?.kind === 'corrupt') done.crc32c = 'AAAAAA==';
  sendJson(res, 200, done);
}

// A hash in the request's header counts as one in the metadata.
function headerHash(req, meta) {
  const sum = /crc32c=([A-Za-z0-9+/=]+)/.exec(req.headers['x-goog-hash'] ?? '')?.[1];
  return sum ? { ...meta, crc32c: sum } : meta;
}

function insert(state, req, res, bucket, query, body) {
  const fault = state.faults.take('insert');
  if (played(res, fault)) return;
  let name = query.get('name'), meta = {}, content = body;
  if (query.get('uploadType') === 'multipart') {
    const parts = splitRelated(req.headers['content-type'] ?? '', body);
    if (!parts) return fail(res, 400, 'Malformed multipart body.');
    meta = { ...parts.meta, contentType: parts.meta.contentType ?? parts.type };
    name = name ?? meta.name;
    content = Buffer.from(parts.body);
  } else meta = { contentType: req.headers['content-type'] };
  state.uploads.simple++;
  answerPut(res, fault, finish(state, res, bucket, name, content, headerHash(req, meta), query));
}

function start(state, req, res, bucket, query, body) {
  const fault = state.faults.take('start');
  if (played(res, fault)) return;
  const meta = body.length > 0 ? JSON.parse(body) : {};
  const name = query.get('name') ?? meta.name;
  const objects = state.buckets.get(bucket);
  if (!objects) return fail(res, 404, 'The specified bucket does not exist.');
  const bad = precondition(query, objects.get(name));
  if (bad) return fail(res, bad, PRECONDITION);
  const id = `planted-session-${crypto.randomBytes(24).toString('hex')}`;
  state.sessions.set(id, {
    bucket, name, query, body: Buffer.alloc(0), done: null, gone: false,
    meta: { contentType: req.headers['x-upload-content-type'], ...meta },
    expected: req.headers['x-upload-content-length'],
  });
  state.uploads.resumable++;
  if (fault?.kind === 'lost') return res.destroy();
  res.writeHead(200, {
    location: fault?.kind === 'elsewhere' ? 'https://attacker.example/upload'
      : `${state.base}/upload/storage/v1/b/${bucket}/o?uploadType=resumable&name=${encodeURIComponent(name)}&upload_id=${id}`,
    'content-length': 0,
  });
  res.end();
}

function incomplete(res, s) {
  const headers = { 'content-length': 0 };
  if (s.body.length > 0) headers.range = `bytes=0-${s.body.length - 1}`;
  res.writeHead(308, headers);
  res.end();
}

function status(state, res, s) {
  const fault = state.faults.take('status');
  if (played(res, fault)) return;
  if (fault?.kind === 'gone') s.gone = true;
  if (s.gone) return fail(res, 410, 'The upload session is gone.');
  if (s.done) return sendJson(res, 200, s.done);
  incomplete(res, s);
}

function chunk(state, req, res, s, body) {
  const range = req.headers['content-range'] ?? `bytes 0-${body.length - 1}/${body.length}`;
  if (/^bytes \*\/(\*|\d+)$/.test(range) && body.length === 0) {
    if (!(range === `bytes */${s.body.length}` && s.expected === undefined && !s.done)) return status(state, res, s);
  }
  const fault = state.faults.take('chunk');
  if (played(res, fault)) return;
  if (fault?.kind === 'gone') s.gone = true;
  if (s.gone) return fail(res, 410, 'The upload session is gone.');
  if (s.done) return sendJson(res, 200, s.done);
  const m = /^bytes (?:(\d+)-(\d+|\*)|\*)\/(\d+|\*)$/.exec(range);
  if (!m) return fail(res, 400, `Failed to parse Content-Range header: ${range}`);
  const first = Number(m[1] ?? s.body.length);
  const total = m[3] === '*' ? null : Number(m[3]);
  if (m[1] !== undefined && m[2] !== '*' && Number(m[2]) - first + 1 !== body.length)
    return fail(res, 400, 'Content-Range does not fit the body.');
  if (s.expected !== undefined && total !== null && Number(s.expected) !== total)
    return fail(res, 400, 'The total differs from X-Upload-Content-Length.');
  if (first > s.body.length)
    return fail(res, 400, `Invalid request. According to the Content-Range header, the upload offset is ${first} byte(s), which exceeds already uploaded size of ${s.body.length} byte(s).`);
  let fresh = body.subarray(s.body.length - first);
  // "bytes 0-*/*" is all there is, however much that will be.
  const last = total !== null ? first + body.length === total : m[2] === '*';
  if (!last && body.length % QUANTUM !== 0)
    return fail(res, 400, `Chunks must be a multiple of 262144 bytes, not ${body.length}.`);
  if (fault?.kind?.startsWith('partial')) {
    fresh = fresh.subarray(0, Math.floor(Math.min(fault.keep, fresh.length) / QUANTUM) * QUANTUM);
    s.body = Buffer.concat([s.body, fresh]);
    return fault.kind === 'partial' ? incomplete(res, s) : res.destroy();
  }
  s.body = Buffer.concat([s.body, fresh]);
  if (!last) return fault?.kind === 'lost' ? res.destroy() : incomplete(res, s);
  const done = finish(state, res, s.bucket, s.name, s.body, headerHash(req, s.meta), s.query);
  if (!done) return;
  s.done = { ...done };
  answerPut(res, fault, done);
}

function session(state, req, res, query, body) {
  const s = state.sessions.get(query.get('upload_id'));
  if (!s) return fail(res, 404, 'No such upload session.');
  if (req.method === 'PUT') return chunk(state, req, res, s, body);
  if (req.method !== 'DELETE') return fail(res, 405, 'PUT or DELETE');
  state.sessions.delete(query.get('upload_id'));
  res.writeHead(499, { 'content-length': 0 });
  res.end();
}

function getObject(state, req, res, bucket, name, query) {
  const media = query.get('alt') === 'media';
  const fault = state.faults.take(media ? 'get' : 'meta');
  if (played(res, fault)) return;
  const objects = state.buckets.get(bucket);
  const o = objects?.get(name);
  if (!objects) return fail(res, 404, 'The specified bucket does not exist.');
  if (!o || (query.get('generation') && query.get('generation') !== String(o.generation)))
    return fail(res, 404, `No such object: ${bucket}/${name}`);
  const bad = precondition(query, o);
  if (bad) return fail(res, bad, PRECONDITION);
  if (!media) return sendJson(res, 200, resource(state, bucket, name, o));
  let body = o.body;
  const range = /^bytes=(\d+)-(\d*)$/.exec(req.headers.range ?? '');
  if (range) body = body.subarray(Number(range[1]), range[2] ? Number(range[2]) + 1 : undefined);
  if (fault?.kind === 'corrupt' && body.length > 0) {
    body = Buffer.from(body);
    body[body.length >> 1] ^= 4;
  }
  res.writeHead(range ? 206 : 200, {
    'content-type': o.contentType, 'content-length': body.length,
    'x-goog-generation': String(o.generation), 'x-goog-metageneration': '1',
    'x-goog-stored-content-length': String(o.body.length), 'x-goog-stored-content-encoding': 'identity',
    'x-goog-hash': `crc32c=${o.crc32c},md5=${md5(o.body)}`,
    etag: Buffer.from(String(o.generation)).toString('base64'),
  });
  if (fault?.kind === 'cut') {
    res.write(body.subarray(0, body.length >> 1), () => res.destroy());
    return;
  }
  res.end(body);
}

function list(state, res, bucket, query) {
  const fault = state.faults.take('list');
  if (played(res, fault)) return;
  const objects = state.buckets.get(bucket);
  if (!objects) return fail(res, 404, 'The specified bucket does not exist.');
  const prefix = query.get('prefix') ?? '';
  const token = query.get('pageToken') ? Buffer.from(query.get('pageToken'), 'base64url').toString() : '';
  const most = Math.min(Number(query.get('maxResults') ?? 1000), 1000, state.pageSize);
  const pageToken = (after) => Buffer.from(`after:${after}`).toString('base64url');
  if (token && !token.startsWith('after:')) return fail(res, 400, 'Invalid page token.');
  if (fault?.kind === 'empty-page')
    return sendJson(res, 200, { kind: 'storage#objects', nextPageToken: pageToken(token.slice(6)) });
  const names = [...objects.keys()].filter((n) => n.startsWith(prefix)).map((n) => Buffer.from(n))
    .sort(Buffer.compare).filter((n) => !token || Buffer.compare(n, Buffer.from(token.slice(6))) > 0);
  const page = names.slice(0, most).map(String);
  sendJson(res, 200, {
    kind: 'storage#objects',
    ...(page.length > 0 ? { items: page.map((n) => resource(state, bucket, n, objects.get(n))) } : {}),
    ...(names.length > most ? { nextPageToken: pageToken(page.at(-1)) } : {}),
  });
}

function remove(state, res, bucket, name, query) {
  const fault = state.faults.take('delete');
  if (played(res, fault)) return;
  const objects = state.buckets.get(bucket);
  if (!objects?.has(name)) return fail(res, 404, `No such object: ${bucket}/${name}`);
  const bad = precondition(query, objects.get(name));
  if (bad) return fail(res, bad, PRECONDITION);
  objects.delete(name);
  if (fault?.kind === 'lost') return res.destroy();
  res.writeHead(204, { 'content-length': 0 });
  res.end();
}

function permissions(state, req, res, query) {
  if (played(res, state.faults.take('permissions'))) return;
  const who = principalOf(state.identity, req);
  const grant = state.grants.find(([p]) => p.test(who.principal))?.[1] ?? [];
  const held = query.getAll('permissions').filter((p) => grant.includes(p));
  sendJson(res, 200, { kind: 'storage#testIamPermissionsResponse', ...(held.length > 0 ? { permissions: held } : {}) });
}

export function gcsHandler(state) {
  return async (req, res, url) => {
    const query = url.searchParams;
    const upload = /^\/upload\/storage\/v1\/b\/([^/]+)\/o$/.exec(url.pathname);
    const body = await readAll(req);
    if (req.headers['content-encoding']) return fail(res, 400, 'unexpected Content-Encoding');
    if (state.faults.take('auth')) return fail(res, 401, 'Invalid Credentials');
    if (upload) {
      if (query.get('upload_id')) return session(state, req, res, query, body);
      if (req.method !== 'POST') return fail(res, 405, 'POST');
      if (!allowed(state, req, res, 'storage.objects.create')) return;
      if (query.get('uploadType') === 'resumable') return start(state, req, res, upload[1], query, body);
      return insert(state, req, res, upload[1], query, body);
    }
    const one = /^(?:\/download)?\/storage\/v1\/b\/([^/]+)\/o\/([^/]+)$/.exec(url.pathname);
    if (one) {
      const [bucket, name] = [one[1], decodeURIComponent(one[2])];
      if (req.method === 'GET')
        return allowed(state, req, res, 'storage.objects.get') && getObject(state, req, res, bucket, name, query);
      if (req.method === 'DELETE')
        return allowed(state, req, res, 'storage.objects.delete') && remove(state, res, bucket, name, query);
      return fail(res, 405, 'GET or DELETE');
    }
    const all = /^\/storage\/v1\/b\/([^/]+)\/(o|iam\/testPermissions)$/.exec(url.pathname);
    if (!all || req.method !== 'GET') return fail(res, 404, 'Not Found');
    if (all[2] === 'o') return allowed(state, req, res, 'storage.objects.list') && list(state, res, all[1], query);
    return allowed(state, req, res, null) && permissions(state, req, res, query);
  };
}

if (isMain(import.meta)) {
  const identity = newIdentityState();
  const state = newGcsState(identity);
  state.base = await serve(state, gcsHandler(state), options());
  ready({ gcs: state.base });
}
