// The instance's metadata service, version 2 only: a session first, then the role and its credentials.
import crypto from 'node:crypto';

import { sendJson } from './lib.mjs';
import { grant } from './sts.mjs';

const ROLES = '/latest/meta-data/iam/security-credentials/';

export async function imdsHandler(state, req, res) {
  const { world } = state;
  state.sessions ??= new Set();
  const fault = state.faults.take(req.method === 'PUT' ? 'token' : req.url);
  const say = (status, text) => {
    res.writeHead(status, { 'content-type': 'text/plain', 'content-length': text.length });
    res.end(text);
  };
  if (fault?.kind === 'internal') return say(500, 'error');
  if (fault?.kind === 'forget') state.sessions.clear();
  if (req.method === 'PUT' && req.url === '/latest/api/token') {
    const ttl = Number(req.headers['x-aws-ec2-metadata-token-ttl-seconds']);
    if (req.headers['x-forwarded-for'] || !(ttl >= 1 && ttl <= 21600)) return say(400, 'Bad Request');
    const token = 'PLANTED' + crypto.randomBytes(20).toString('base64');
    state.sessions.add(token);
    return say(200, token);
  }
  if (!state.sessions.has(req.headers['x-aws-ec2-metadata-token'])) return say(401, 'Unauthorized');
  if (!state.role) return say(404, 'Not Found');
  if (req.url === ROLES) return say(200, state.role);
  if (req.url !== ROLES + state.role) return say(404, 'Not Found');
  const c = grant(world, `arn:aws:sts::123456789012:assumed-role/${state.role}/i-0123456789abcdef0`, 21600);
  return sendJson(res, 200, {
    Code: 'Success', Type: 'AWS-HMAC', AccessKeyId: c.id, SecretAccessKey: c.secret, Token: c.token,
    Expiration: c.expiration, LastUpdated: new Date(world.now()).toISOString(),
  });
}
