// AWS's own clients against the fakes: what passes here is near enough to AWS for them.
//
// usage: node prove_aws.mjs DIR LINE      DIR: where aws.mjs put its tokens; LINE: file of what it printed
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, DeleteObjectCommand,
  GetObjectCommand, HeadObjectCommand, ListObjectVersionsCommand, ListObjectsV2Command, PutObjectCommand, S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { AssumeRoleCommand, AssumeRoleWithWebIdentityCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';

const [dir, line] = process.argv.slice(2);
const at = JSON.parse(fs.readFileSync(line));
const region = 'eu-west-1';
const role = (name) => `arn:aws:iam::123456789012:role/${name}`;
const keys = { accessKeyId: at.keyId, secretAccessKey: at.secret };
const client = (more = {}) => new S3Client({
  endpoint: at.s3, region, forcePathStyle: true, credentials: keys, maxAttempts: 3, ...more,
});
const tell = (base, what, body) => fetch(`${base}/_fake/${what}`, { method: 'POST', body: JSON.stringify(body) });
const s3 = client();
const Bucket = 'bucket';
const text = async (r) => Buffer.from(await r.Body.transformToByteArray()).toString();
const refused = (promise, name) => assert.rejects(promise, (e) => {
  assert.equal(e.name, name);
  return true;
});
let proven = 0;
const prove = async (name, fn) => {
  await fn();
  proven++;
  console.error(`  ok ${name}`);
};

await prove('put and get, with names that are hard to sign', async () => {
  for (const Key of ['sdk/plain', 'sdk/a b', 'sdk/a+b=c&d', "sdk/(x)*!'~", 'sdk/éሴ', 'sdk//double', 'sdk/100%', 'sdk/?#']) {
    const put = await s3.send(new PutObjectCommand({ Bucket, Key, Body: Key, Metadata: { mark: 'x' } }));
    assert.ok(put.ETag && put.VersionId);
    const got = await s3.send(new GetObjectCommand({ Bucket, Key }));
    assert.equal(await text(got), Key);
    assert.equal(got.Metadata.mark, 'x');
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key }));
    assert.equal(head.ETag, put.ETag);
  }
});
await prove('SHA-256 checksums, checked both ways', async () => {
  await s3.send(new PutObjectCommand({ Bucket, Key: 'sdk/sum', Body: 'abc', ChecksumAlgorithm: 'SHA256' }));
  const got = await s3.send(new GetObjectCommand({ Bucket, Key: 'sdk/sum', ChecksumMode: 'ENABLED' }));
  assert.equal(got.ChecksumSHA256, 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=');
  assert.equal(await text(got), 'abc');
  await refused(s3.send(new PutObjectCommand({ Bucket, Key: 'sdk/sum', Body: 'abd', ChecksumSHA256: got.ChecksumSHA256 })), 'BadDigest');
  await tell(at.s3, 'faults', { op: 'GetObject', kind: 'damage' });
  const damaged = await s3.send(new GetObjectCommand({ Bucket, Key: 'sdk/sum', ChecksumMode: 'ENABLED' }));
  await assert.rejects(text(damaged), /[Cc]hecksum/);
});
await prove('conditions', async () => {
  const Key = 'sdk/once';
  const first = await s3.send(new PutObjectCommand({ Bucket, Key, Body: '1', IfNoneMatch: '*' }));
  await refused(s3.send(new PutObjectCommand({ Bucket, Key, Body: '2', IfNoneMatch: '*' })), 'PreconditionFailed');
  const second = await s3.send(new PutObjectCommand({ Bucket, Key, Body: '2', IfMatch: first.ETag }));
  await refused(s3.send(new PutObjectCommand({ Bucket, Key, Body: '3', IfMatch: first.ETag })), 'PreconditionFailed');
  assert.notEqual(first.ETag, second.ETag);
  await refused(s3.send(new PutObjectCommand({ Bucket, Key: 'sdk/none', Body: '3', IfMatch: first.ETag })), 'NoSuchKey');
});
await prove('lists in pages, encoded', async () => {
  const seen = [];
  let ContinuationToken;
  do {
    const page = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'sdk/', MaxKeys: 3, ContinuationToken, EncodingType: 'url' }));
    seen.push(...page.Contents.map((c) => decodeURIComponent(c.Key.replaceAll('+', ' '))));
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken);
  assert.deepEqual(seen, [...seen].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  assert.ok(seen.includes('sdk/a b') && seen.includes('sdk/a+b=c&d') && seen.includes('sdk/éሴ') && seen.length === 10);
});
await prove('versions and delete markers', async () => {
  await s3.send(new DeleteObjectCommand({ Bucket, Key: 'sdk/once' }));
  await refused(s3.send(new GetObjectCommand({ Bucket, Key: 'sdk/once' })), 'NoSuchKey');
  const all = await s3.send(new ListObjectVersionsCommand({ Bucket }));
  assert.equal(all.Versions.filter((v) => v.Key === 'sdk/once').length, 2);
  assert.equal(all.DeleteMarkers.filter((v) => v.Key === 'sdk/once').length, 1);
});
await prove('uploads in parts, and their rules', async () => {
  const Key = 'sdk/parts';
  const big = Buffer.alloc(5 << 20, 'a');
  const begin = () => s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm: 'SHA256' }));
  const part = async (UploadId, PartNumber, Body) => {
    const r = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ChecksumAlgorithm: 'SHA256' }));
    return { PartNumber, ETag: r.ETag, ChecksumSHA256: r.ChecksumSHA256 };
  };
  const complete = (UploadId, Parts, more) => s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more }));
  const { UploadId } = await begin();
  const parts = [await part(UploadId, 1, big), await part(UploadId, 2, Buffer.from('end'))];
  await refused(complete(UploadId, [parts[1], parts[0]]), 'InvalidPartOrder');
  await refused(complete(UploadId, [{ ...parts[0], ETag: '"0"' }]), 'InvalidPart');
  const done = await complete(UploadId, parts, { IfNoneMatch: '*' });
  assert.match(done.ETag, /-2"$/);
  const got = await s3.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
  assert.equal((await text(got)).length, big.length + 3);
  const small = (await begin()).UploadId;
  const two = [await part(small, 1, Buffer.from('a')), await part(small, 2, Buffer.from('b'))];
  await refused(complete(small, two), 'EntityTooSmall');
  await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: small }));
  await refused(complete(small, two), 'NoSuchUpload');
});
await prove('SlowDown and lost answers are repeated', async () => {
  await tell(at.s3, 'faults', [{ op: 'PutObject', kind: 'slow-down' }, { op: 'PutObject', kind: 'lost' }]);
  await s3.send(new PutObjectCommand({ Bucket, Key: 'sdk/slow', Body: '1' }));
  assert.equal(await text(await s3.send(new GetObjectCommand({ Bucket, Key: 'sdk/slow' }))), '1');
});
await prove('a wrong clock is noticed and taken account of', async () => {
  await tell(at.s3, 'set', { skewSeconds: 3600 });
  await client().send(new PutObjectCommand({ Bucket, Key: 'sdk/late', Body: '1' }));
  await tell(at.s3, 'set', { skewSeconds: 0 });
});
await prove('wrong secrets, keys and regions are refused', async () => {
  const put = new PutObjectCommand({ Bucket, Key: 'sdk/x', Body: '1' });
  await refused(client({ credentials: { ...keys, secretAccessKey: 'no' } }).send(put), 'SignatureDoesNotMatch');
  await refused(client({ credentials: { accessKeyId: 'AKIANO', secretAccessKey: 'no' } }).send(put), 'InvalidAccessKeyId');
  await refused(client({ region: 'us-east-1' }).send(put), 'AuthorizationHeaderMalformed');
});

const sts = (more = {}) => new STSClient({ endpoint: at.sts, region, credentials: keys, ...more });
await prove('client-sts: who, roles, web identity', async () => {
  assert.equal((await sts().send(new GetCallerIdentityCommand({}))).Arn, 'arn:aws:iam::123456789012:user/tester');
  const r = await sts().send(new AssumeRoleCommand({ RoleArn: role('releases'), RoleSessionName: 'sdk', ExternalId: 'agreed' }));
  const c = r.Credentials;
  const session = { accessKeyId: c.AccessKeyId, secretAccessKey: c.SecretAccessKey, sessionToken: c.SessionToken };
  assert.match((await sts({ credentials: session }).send(new GetCallerIdentityCommand({}))).Arn, /assumed-role\/releases\/sdk$/);
  await client({ credentials: session }).send(new PutObjectCommand({ Bucket, Key: 'sdk/session', Body: '1' }));
  await refused(client({ credentials: { ...session, sessionToken: 'other' } })
    .send(new PutObjectCommand({ Bucket, Key: 'sdk/session', Body: '1' })), 'InvalidToken');
  await refused(sts().send(new AssumeRoleCommand({ RoleArn: role('releases'), RoleSessionName: 'sdk' })), 'AccessDenied');
  const token = fs.readFileSync(path.join(dir, 'web-token'), 'utf8').trim();
  const w = await sts().send(new AssumeRoleWithWebIdentityCommand({ RoleArn: role('web'), RoleSessionName: 'sdk', WebIdentityToken: token }));
  assert.ok(w.Credentials.SessionToken && w.Credentials.Expiration > new Date());
  await refused(sts().send(new AssumeRoleWithWebIdentityCommand({ RoleArn: role('web'), RoleSessionName: 'sdk', WebIdentityToken: token.slice(0, -8) + 'AAAAAAAA' })), 'InvalidIdentityTokenException');
});
for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
Object.assign(process.env, { AWS_CONFIG_FILE: '/nowhere', AWS_SHARED_CREDENTIALS_FILE: '/nowhere' });
const whoami = async () => (await new STSClient({ endpoint: at.sts, region }).send(new GetCallerIdentityCommand({}))).Arn;
await prove('the chain of AWS takes credentials from the metadata service', async () => {
  process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT = at.imds;
  assert.match(await whoami(), /assumed-role\/instance-role\//);
});
await prove('and from the pod\'s agent', async () => {
  process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI = at.container;
  process.env.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = path.join(dir, 'pod-token');
  assert.match(await whoami(), /assumed-role\/pod\//);
});
console.error(`${proven} proofs`);
