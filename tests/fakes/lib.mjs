// What the fakes share: a server that tells where it listens, faults that are asked for, a log of what
// was asked, and the checksums and signatures that the services check. Node 18, no packages.
//
// A fake prints one line when it is ready: its addresses as a JSON object. When its standard input is a
// pipe it ends with it, so that it never outlives the test.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';

// Options from the command line: --name value, or --name alone.
export function options(argv = process.argv.slice(2)) {
  const out = {};
  for (let i = 0; i < argv.length; i++) {
    if (!argv[i].startsWith('--')) throw new Error(`unexpected argument ${argv[i]}`);
    const last = i + 1 === argv.length || argv[i + 1].startsWith('--');
    out[argv[i].slice(2)] = last ? true : argv[++i];
  }
  return out;
}

export async function readAll(req) {
  const parts = [];
  for await (const part of req) parts.push(part);
  return Buffer.concat(parts);
}

export function sendJson(res, status, value, headers = {}) {
  const body = Buffer.from(JSON.stringify(value));
  res.writeHead(status, {
    'content-type': 'application/json; charset=UTF-8',
    'content-length': body.length,
    ...headers,
  });
  res.end(body);
}

// Faults are asked for by name of operation: {op, kind, times, skip, ...}. The first that fits and has
// not been used up is played; `skip` calls pass before it.
export class Faults {
  constructor() {
    this.list = [];
    this.played = [];
  }
  add(faults) {
    for (const f of [].concat(faults)) this.list.push({ times: 1, skip: 0, ...f });
  }
  take(op) {
    for (const f of this.list) {
      if (f.op !== op && f.op !== '*') continue;
      if (f.skip > 0) {
        f.skip--;
        continue;
      }
      if (f.times <= 0) continue;
      f.times--;
      this.played.push({ op, kind: f.kind });
      return f;
    }
    return null;
  }
  left() {
    return this.list.filter((f) => f.times > 0).length;
  }
}

// Serves handler(req, res, url) on this machine; resolves to the address. tls: {cert, key} files.
// Behind /_fake/ are the test's own questions:
//   POST /_fake/faults   add faults          GET /_fake/log    what was asked, and faults played
//   POST /_fake/clear    no faults any more  GET /_fake/state  what the fake wants known
//   POST /_fake/set      change the state
export function serve(state, handler, { tls, port = 0 } = {}) {
  state.faults ??= new Faults();
  state.log ??= [];
  const answer = async (req, res) => {
    const url = new URL(req.url, 'http://fake');
    try {
      if (url.pathname.startsWith('/_fake/')) return await control(state, req, res, url);
      state.log.push({ method: req.method, url: req.url });
      await handler(req, res, url);
    } catch (e) {
      if (process.env.SLUICE_FAKE_TRACE) console.error(e);
      if (!res.headersSent) sendJson(res, 500, { error: { code: 500, message: String(e) } });
      else res.destroy();
    }
  };
  const server = tls
    ? https.createServer({ cert: fs.readFileSync(tls.cert), key: fs.readFileSync(tls.key) }, answer)
    : http.createServer(answer);
  server.keepAliveTimeout = 60000;
  return new Promise((resolve) =>
    server.listen(Number(port), '127.0.0.1', () =>
      resolve(`${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`)));
}

async function control(state, req, res, url) {
  const body = await readAll(req);
  switch (`${req.method} ${url.pathname}`) {
    case 'POST /_fake/faults':
      state.faults.add(JSON.parse(body));
      return sendJson(res, 200, {});
    case 'POST /_fake/clear':
      state.faults.list = [];
      return sendJson(res, 200, {});
    case 'POST /_fake/set':
      Object.assign(state.set ?? state, JSON.parse(body));
      return sendJson(res, 200, {});
    case 'GET /_fake/log':
      return sendJson(res, 200, {
        log: state.log, played: state.faults.played, left: state.faults.left(),
      });
    case 'GET /_fake/state':
      return sendJson(res, 200, state.shown?.() ?? {});
    default:
      return sendJson(res, 404, {});
  }
}

export function ready(addresses) {
  process.stdout.write(JSON.stringify(addresses) + '\n');
  if (!fs.fstatSync(0).isFIFO()) return;
  process.stdin.on('end', () => process.exit(0));
  process.stdin.on('error', () => process.exit(0));
  process.stdin.resume();
}

// Was this module started as a program?
export function isMain(meta) {
  return process.argv[1] && fs.realpathSync(process.argv[1]) === new URL(meta.url).pathname;
}

const CRC32C = (() => {
  const t = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    t[i] = c >>> 0;
  }
  return t;
})();

// Base64 of the big-endian CRC-32C, as Google writes it.
export function crc32c(bytes) {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = CRC32C[(c ^ bytes[i]) & 255] ^ (c >>> 8);
  const out = Buffer.alloc(4);
  out.writeUInt32BE((c ^ 0xffffffff) >>> 0);
  return out.toString('base64');
}

export const md5 = (bytes) => crypto.createHash('md5').update(bytes).digest('base64');

export function signJwt(claims, privateKey, kid) {
  const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  const head = `${part({ alg: 'RS256', typ: 'JWT', kid })}.${part(claims)}`;
  return `${head}.${crypto.sign('sha256', Buffer.from(head), privateKey).toString('base64url')}`;
}

// The claims of a JWT whose RS256 signature is right; throws otherwise.
export function checkJwt(jwt, publicKey) {
  const [head, claims, signature, more] = jwt.split('.');
  if (more !== undefined || !signature) throw new Error('no JWT');
  if (JSON.parse(Buffer.from(head, 'base64url')).alg !== 'RS256') throw new Error('not RS256');
  if (!crypto.verify('sha256', Buffer.from(`${head}.${claims}`), publicKey,
    Buffer.from(signature, 'base64url')))
    throw new Error('signature does not verify');
  return JSON.parse(Buffer.from(claims, 'base64url'));
}
