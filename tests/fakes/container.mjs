// The agent of EKS Pod Identity: credentials for whoever has the pod's token.
import { sendJson } from './lib.mjs';
import { grant } from './sts.mjs';

export async function containerHandler(state, req, res) {
  const fault = state.faults.take('credentials');
  if (fault?.kind === 'internal') return sendJson(res, 500, {});
  // An answer that breaks off in the middle of a secret: nothing of it may be repeated anywhere.
  if (fault?.kind === 'broken') {
    res.writeHead(200, { 'content-type': 'application/json' });
    return res.end('{"AccessKeyId":"ASIA","SecretAccessKey":"PLANTED/broken');
  }
  if (req.url !== '/v1/credentials') return sendJson(res, 404, {});
  if (req.headers.authorization !== state.token) return sendJson(res, 401, { message: 'Unauthorized' });
  const c = grant(state.world, 'arn:aws:sts::123456789012:assumed-role/pod/eks-cluster', 3600);
  return sendJson(res, 200, {
    AccessKeyId: c.id, SecretAccessKey: c.secret, Token: c.token, AccountId: '123456789012', Expiration: c.expiration,
  });
}
