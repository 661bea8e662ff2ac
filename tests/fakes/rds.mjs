// RDS as far as a login with a token goes: TLS, a password in plain text in it, checked as a presigned
// request of the service rds-db; then everything goes to a PostgreSQL that trusts its own socket.
import net from 'node:net';
import tls from 'node:tls';

import { check, Refused } from './aws_sigv4.mjs';

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;

// Reads messages: first without a type (`typed` false), then with one. take() is a promise of the next.
class Reader {
  constructor(socket) {
    this.socket = socket;
    this.held = Buffer.alloc(0);
  }
  async bytes(n) {
    while (this.held.length < n) {
      const more = this.socket.read();
      if (more) this.held = Buffer.concat([this.held, more]);
      else await new Promise((resolve, reject) => {
        this.socket.once('readable', resolve);
        this.socket.once('end', () => reject(new Error('ended')));
        this.socket.once('error', reject);
      });
    }
    const out = this.held.subarray(0, n);
    this.held = this.held.subarray(n);
    return out;
  }
  async message(typed) {
    const type = typed ? await this.bytes(1) : Buffer.alloc(0);
    const length = await this.bytes(4);
    return Buffer.concat([type, length, await this.bytes(length.readUInt32BE() - 4)]);
  }
}

const refusal = (text) => {
  const body = Buffer.from(`SFATAL\0VFATAL\0C28000\0M${text}\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};

function checkToken(world, token, authority, user) {
  const at = token.indexOf('/?');
  if (at < 0 || token.slice(0, at) !== authority) throw new Refused(403, 'Other', 'the token is for another host');
  const target = token.slice(at);
  const query = new URLSearchParams(target.slice(2));
  if (query.get('Action') !== 'connect' || query.get('DBUser') !== user || Number(query.get('X-Amz-Expires')) > 900)
    throw new Refused(403, 'Other', 'the token is for something else');
  check({ method: 'GET', headers: { host: authority } }, target, Buffer.alloc(0), world, { service: 'rds-db', region: 'eu-west-1' });
}

async function serveOne(raw, state) {
  let reader = new Reader(raw);
  let socket = raw;
  let start;
  for (;;) {
    start = await reader.message(false);
    const code = start.readUInt32BE(4);
    if (code === GSS_REQUEST) raw.write('N');
    else if (code === SSL_REQUEST) {
      raw.write('S');
      raw.pause();
      raw.removeAllListeners('readable');
      socket = new tls.TLSSocket(raw, { isServer: true, secureContext: state.context });
      reader = new Reader(socket);
    } else break;
  }
  socket.on('error', () => {});
  const words = start.subarray(8).toString().split('\0');
  const user = words[words.indexOf('user') + 1];
  if (socket === raw) return socket.end(refusal('no pg_hba.conf entry, no encryption'));
  socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])); // AuthenticationCleartextPassword
  const password = (await reader.message(true)).subarray(5, -1).toString();
  try {
    checkToken(state.world, password, `${state.host}:${state.port()}`, user);
    state.log.push({ op: 'login', ok: true });
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    state.log.push({ op: 'login', ok: false, why: e.message });
    return socket.end(refusal(`PAM authentication failed for user "${user}"`));
  }
  const server = net.connect(state.socketPath);
  server.write(start);
  server.write(reader.held);
  socket.removeAllListeners('readable');
  socket.pipe(server).pipe(socket);
  server.on('error', (e) => {
    if (process.env.SLUICE_FAKE_TRACE) console.error(e);
    socket.destroy();
  });
  socket.on('close', () => server.destroy());
}

// Resolves to the port. socketPath: of the real server.
export function startRds(world, socketPath, { cert, key }, host = 'localhost') {
  const state = { world, socketPath, host, log: [], context: tls.createSecureContext({ cert, key }) };
  const server = net.createServer((raw) => {
    raw.on('error', () => {});
    serveOne(raw, state).catch((e) => {
      if (process.env.SLUICE_FAKE_TRACE) console.error(e);
      raw.destroy();
    });
  });
  state.port = () => server.address().port;
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(state)));
}
