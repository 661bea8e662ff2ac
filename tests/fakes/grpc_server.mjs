// gRPC servers for the tests of our client: one is Google's own (@grpc/grpc-js), with services on raw
// bytes; the others say what no good server would.
//
// usage: node grpc_server.mjs --dir DIR
//   Prints {"good","tls","odd","mute","deaf"}; tls with DIR/cert.pem and DIR/key.pem. `mute` accepts and says
//   nothing, `deaf` begins HTTP/2 and then hears nothing.
import fs from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { options, ready } from './lib.mjs';

const opt = options();
const same = (b) => b;
const method = (name, requestStream, responseStream) => ({
  path: `/sluice.Test/${name}`, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
});
const service = {
  echo: method('Echo', false, false), fail: method('Fail', false, false), slow: method('Slow', false, false),
  who: method('Who', false, false), drain: method('Drain', false, false),
  chat: method('Chat', true, true), swallow: method('Swallow', true, false), count: method('Count', false, true),
  early: method('Early', true, true),
};

function serverOn(credentials, settings) {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1, ...settings });
  let port;
  server.addService(service, {
    echo: (call, done) => done(null, call.request),
    fail: (call, done) => {
      const metadata = new grpc.Metadata();
      metadata.set('grpc-status-details-bin', Buffer.from([8, 5, 18, 2, 110, 111]));
      done({ code: Number(call.request.toString()), details: 'nö, "50%" of\nit', metadata });
    },
    slow: () => {},
    who: (call, done) => done(null, Buffer.from(JSON.stringify({
      ...call.metadata.getMap(), deadline: call.getDeadline() - Date.now(), host: call.getHost(),
    }))),
    drain: (call, done) => {
      done(null, Buffer.from('going'));
      server.drain(`127.0.0.1:${port}`, 3000);
    },
    chat: (call) => {
      call.on('data', (b) => {
        if (!call.write(b)) {
          call.pause();
          call.once('drain', () => call.resume());
        }
      });
      call.on('end', () => call.end());
    },
    swallow: (call, done) => {
      let n = 0, bytes = 0;
      call.on('data', (b) => { n++; bytes += b.length; });
      call.on('end', () => done(null, Buffer.from(JSON.stringify({ n, bytes }))));
    },
    count: (call) => {
      const [n, size] = JSON.parse(call.request.toString());
      let i = 0;
      const more = () => {
        while (i < n) {
          const b = Buffer.alloc(size, i & 255);
          i++;
          if (!call.write(b)) return call.once('drain', more);
        }
        call.end();
      };
      more();
    },
    // Takes three messages and ends the call, whatever else is on its way.
    early: (call) => {
      let n = 0;
      call.on('data', () => {
        if (++n === 3) call.emit('error', { code: grpc.status.ABORTED, details: 'three are enough' });
      });
    },
  });
  return new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (e, p) => (e ? reject(e) : resolve((port = p)))));
}

const ok = { ':status': 200, 'content-type': 'application/grpc' };
const trailers = (stream, fields) => stream.on('wantTrailers', () => stream.sendTrailers(fields));
const odd = {
  NoStatus: (s) => { s.respond(ok); s.end(); },
  Http503: (s) => { s.respond({ ':status': 503, 'content-type': 'text/html' }); s.end('<html>'); },
  NotGrpc: (s) => { s.respond({ ':status': 200, 'content-type': 'text/html' }); s.end('<html>'); },
  Compressed: (s) => { s.respond(ok); s.write(Buffer.from([1, 0, 0, 0, 1, 7])); },
  TooBig: (s) => { s.respond(ok); s.write(Buffer.from([0, 0x7f, 0, 0, 0, 7])); },
  Torn: (s) => {
    s.respond(ok, { waitForTrailers: true });
    trailers(s, { 'grpc-status': '0' });
    s.end(Buffer.from([0, 0, 0, 0, 9, 7]));
  },
  Split: async (s) => { // a message in ten pieces
    s.respond(ok, { waitForTrailers: true });
    trailers(s, { 'grpc-status': '0' });
    for (const byte of [0, 0, 0, 0, 5, 1, 2, 3, 4, 5]) {
      s.write(Buffer.from([byte]));
      await new Promise((r) => setImmediate(r));
    }
    s.end();
  },
  Twice: (s) => {
    s.respond(ok, { waitForTrailers: true });
    trailers(s, { 'grpc-status': '0' });
    s.end(Buffer.from([0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 1, 8]));
  },
  TrailersOnly: (s) => s.respond({ ...ok, 'grpc-status': '5', 'grpc-message': 'caf%C3%A9 %zz 100%' }, { endStream: true }),
  Strange: (s) => s.respond({ ...ok, 'grpc-status': '99' }, { endStream: true }),
  Refuse: (s) => s.close(http2.constants.NGHTTP2_REFUSED_STREAM),
  Calm: (s) => s.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM),
  Drop: (s) => s.session.destroy(),
  // Trailers while the client is still sending, then RST_STREAM.
  EarlyReset: (s) => {
    s.respond(ok, { waitForTrailers: true });
    s.once('data', () => s.end());
    s.on('wantTrailers', () => {
      s.sendTrailers({ 'grpc-status': '10', 'grpc-message': 'stream%20is%20finalized' });
      setTimeout(() => s.close(http2.constants.NGHTTP2_NO_ERROR), 20);
    });
  },
  // Draining: the call that runs may end, others must go elsewhere.
  Goaway: (s) => {
    s.session.goaway(http2.constants.NGHTTP2_NO_ERROR, s.id, Buffer.from('draining'));
    s.respond(ok, { waitForTrailers: true });
    trailers(s, { 'grpc-status': '0' });
    s.on('data', () => {});
    s.on('end', () => s.end(Buffer.from([0, 0, 0, 0, 1, 9])));
  },
};
const oddServer = http2.createServer({ settings: { maxConcurrentStreams: 3 } });
oddServer.on('sessionError', () => {});
oddServer.on('stream', (s, headers) => {
  s.on('error', () => {});
  const name = headers[':path'].split('/').at(-1);
  (odd[name] ?? ((t) => t.respond({ ...ok, 'grpc-status': '12' }, { endStream: true })))(s);
});
const listen = (server) => new Promise((r) => server.listen(0, '127.0.0.1', () => r(`http://127.0.0.1:${server.address().port}`)));
const sink = (greeting) => net.createServer((socket) => {
  socket.on('error', () => {});
  if (greeting) socket.write(greeting);
  socket.resume();
});

const good = `http://127.0.0.1:${await serverOn(grpc.ServerCredentials.createInsecure(), { 'grpc.max_concurrent_streams': 4 })}`;
const tls = fs.existsSync(`${opt.dir}/cert.pem`)
  ? `https://127.0.0.1:${await serverOn(grpc.ServerCredentials.createSsl(null, [{ cert_chain: fs.readFileSync(`${opt.dir}/cert.pem`), private_key: fs.readFileSync(`${opt.dir}/key.pem`) }], false), {})}`
  : undefined;
ready({
  good, tls, odd: await listen(oddServer), mute: await listen(sink()),
  deaf: await listen(sink(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]))),
});
