// AWS as far as sluice sees it, in one program with one set of keys: S3, STS, the instance's metadata,
// the pod's agent. --dir DIR: where it puts what its users need (tokens, files of keys). --cert, --key:
// S3 and STS speak TLS too, and with --postgres SOCKET so does RDS, in front of that server. --bucket,
// --region.
//
// Every secret that it gives out contains "PLANTED": a test looks for that where none may be.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

import { containerHandler } from './container.mjs';
import { imdsHandler } from './imds.mjs';
import { isMain, options, ready, serve, signJwt } from './lib.mjs';
import { startRds } from './rds.mjs';
import { s3Handler, s3State } from './s3.mjs';
import { stsHandler } from './sts.mjs';

export const KEY_ID = 'AKIAFAKE000000000001';
export const SECRET = 'PLANTED/secret+key=of/the/user/000000000';
const USER = 'arn:aws:iam::123456789012:user/tester';
export const ROLE = (name) => `arn:aws:iam::123456789012:role/${name}`;

export async function startAws({ dir, bucket = 'bucket', region = 'eu-west-1', tls, postgres }) {
  const issuer = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  const set = {};
  const world = {
    set,
    now: () => Date.now() + 1000 * (set.skewSeconds ?? 0),
    keys: new Map([[KEY_ID, { secret: SECRET, arn: USER }]]),
    roles: {
      [ROLE('releases')]: {
        trusts: [USER, 'arn:aws:sts::123456789012:assumed-role/pod/eks-cluster'], externalId: 'agreed',
      },
      [ROLE('reader')]: { trusts: [USER], deny: ['PutObject', 'DeleteObject', 'CreateMultipartUpload'] },
      [ROLE('web')]: {
        web: { publicKey: issuer.publicKey, aud: 'sts.amazonaws.com', sub: 'system:serviceaccount:default:sluice' },
      },
    },
  };
  const jwt = signJwt({
    iss: 'https://oidc.eks.example', aud: 'sts.amazonaws.com', sub: 'system:serviceaccount:default:sluice',
    iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 86400,
  }, issuer.privateKey, 'one');
  const podToken = 'PLANTED-pod-token-' + crypto.randomBytes(9).toString('hex');
  if (dir) {
    fs.writeFileSync(path.join(dir, 'web-token'), jwt + '\n', { mode: 0o600 });
    fs.writeFileSync(path.join(dir, 'pod-token'), podToken, { mode: 0o600 });
  }
  const s3 = s3State(world, { bucket, region });
  const sts = { world, region, set };
  const imds = { world, role: 'instance-role' };
  const container = { world, token: podToken };
  const addresses = {
    s3: await serve(s3, (req, res) => s3Handler(s3, req, res)),
    sts: await serve(sts, (req, res) => stsHandler(sts, req, res)),
    imds: await serve(imds, (req, res) => imdsHandler(imds, req, res)),
    container: (await serve(container, (req, res) => containerHandler(container, req, res))) + '/v1/credentials',
  };
  if (tls) {
    addresses.s3tls = await serve(s3, (req, res) => s3Handler(s3, req, res), { tls });
    addresses.ststls = await serve(sts, (req, res) => stsHandler(sts, req, res), { tls });
  }
  if (postgres) {
    const rds = await startRds(world, postgres, { cert: fs.readFileSync(tls.cert), key: fs.readFileSync(tls.key) });
    addresses.rdsPort = rds.port();
  }
  return { addresses, world, s3, sts, imds, container };
}

if (isMain(import.meta)) {
  const o = options();
  const { addresses } = await startAws({
    dir: o.dir, bucket: o.bucket, region: o.region, tls: o.cert ? { cert: o.cert, key: o.key } : undefined,
    postgres: o.postgres,
  });
  ready({ ...addresses, keyId: KEY_ID, secret: SECRET });
}
