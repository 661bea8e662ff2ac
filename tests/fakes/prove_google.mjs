// Google's own clients against the fakes: what passes here is near enough to Google for them.
//
// usage: node prove_google.mjs DIR ADDRESSES-JSON      DIR: google.mjs's credential files
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import path from 'node:path';
import { IdempotencyStrategy, Storage } from '@google-cloud/storage';
import { GoogleAuth, Impersonated } from 'google-auth-library';

const [dir, line] = process.argv.slice(2);
const at = JSON.parse(line);
const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
const file = (name) => path.join(dir, name);
const tell = async (base, what, body) => {
  const r = await fetch(`${base}/_fake/${what}`, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) });
  assert.equal(r.status, 200);
  return r.json();
};
// The client sends no token when it begins a session at an address of ours, whatever it is told; so the
// session is begun by another of its functions, which does.
const inSession = async (name, more) => {
  const f = bucket.file(name);
  const [uri] = await f.createResumableUpload();
  await f.save(body, { resumable: true, uri, validation: 'crc32c', ...more });
};
let proven = 0;
const prove = async (name, fn) => {
  await fn();
  proven++;
  console.error(`  ok ${name}`);
};

// Not key.json: the library sends a key's assertions to Google's own address, whatever the file says.
for (const name of ['direct.json', 'federated.json', 'url.json'])
  await prove(`google-auth-library with ${name}`, async () => {
    const token = await new GoogleAuth({ keyFile: file(name), scopes: SCOPE }).getAccessToken();
    assert.match(token, /^ya29\./);
  });
await prove('google-auth-library with aws.json', async () => {
  process.env.AWS_ACCESS_KEY_ID = 'AKIDFEDERATED';
  process.env.AWS_SECRET_ACCESS_KEY = 'federated-aws-secret';
  process.env.AWS_REGION = 'eu-west-1';
  const token = await new GoogleAuth({ keyFile: file('aws.json'), scopes: SCOPE }).getAccessToken();
  assert.match(token, /^ya29\./);
  process.env.AWS_SECRET_ACCESS_KEY = 'wrong';
  await assert.rejects(new GoogleAuth({ keyFile: file('aws.json'), scopes: SCOPE }).getAccessToken(), /SignatureDoesNotMatch/);
});
await prove('google-auth-library is refused for another service account', async () => {
  await assert.rejects(new GoogleAuth({ keyFile: file('stranger.json'), scopes: SCOPE }).getAccessToken());
});
await prove('google-auth-library with the metadata server', async () => {
  process.env.GCE_METADATA_HOST = at.metadata.replace('http://', '');
  process.env.METADATA_SERVER_DETECTION = 'assume-present';
  const auth = new GoogleAuth({ scopes: SCOPE });
  assert.match(await auth.getAccessToken(), /^ya29\./);
  const id = await (await auth.getIdTokenClient('sts.amazonaws.com')).idTokenProvider.fetchIdToken('sts.amazonaws.com');
  assert.equal(JSON.parse(Buffer.from(id.split('.')[1], 'base64url')).aud, 'sts.amazonaws.com');
});
await prove('google-auth-library fetches an ID token by impersonation', async () => {
  const sourceClient = await new GoogleAuth({ keyFile: file('direct.json'), scopes: SCOPE }).getClient();
  const acting = new Impersonated({ sourceClient, targetPrincipal: 'writer@sluice-test.iam.gserviceaccount.com',
    targetScopes: [SCOPE], endpoint: at.iam });
  assert.match(await acting.fetchIdToken('sts.amazonaws.com'), /^eyJ/);
});

const storage = new Storage({ apiEndpoint: at.gcs, useAuthWithCustomEndpoint: true, projectId: 'sluice-test',
  keyFilename: file('federated.json'), retryOptions: { idempotencyStrategy: IdempotencyStrategy.RetryAlways } });
const bucket = storage.bucket('releases');
const body = crypto.randomBytes(5 * 262144 + 77);
const same = async (name, want) => {
  const [got] = await bucket.file(name).download({ validation: 'crc32c' });
  assert.ok(got.equals(want));
};
await prove('@google-cloud/storage: one request', async () => {
  await bucket.file('v/ä b+c').save(body, { resumable: false, validation: 'crc32c' });
  await same('v/ä b+c', body);
});
await prove('@google-cloud/storage: a session in one piece, and in chunks', async () => {
  await inSession('v/one');
  await same('v/one', body);
  await inSession('v/chunks', { chunkSize: 262144 });
  await same('v/chunks', body);
});
await prove('@google-cloud/storage: chunks through faults', async () => {
  await tell(at.gcs, 'faults', [{ op: 'chunk', kind: 'status', status: 503, skip: 1 },
    { op: 'chunk', kind: 'partial', keep: 262144 }]);
  await inSession('v/faults', { chunkSize: 2 * 262144 });
  await same('v/faults', body);
});
await prove('@google-cloud/storage: preconditions', async () => {
  const f = bucket.file('v/cond');
  await f.save('a', { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } });
  await assert.rejects(bucket.file('v/cond').save('b', { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } }),
    (e) => e.code === 412);
  const [meta] = await f.getMetadata();
  await bucket.file('v/cond').save('c', { resumable: false, preconditionOpts: { ifGenerationMatch: meta.generation } });
  await same('v/cond', Buffer.from('c'));
});
await prove('@google-cloud/storage: pages, removal', async () => {
  await tell(at.gcs, 'set', { pageSize: 2 });
  const [files] = await bucket.getFiles({ prefix: 'v/' });
  assert.deepEqual(files.map((f) => f.name), ['v/chunks', 'v/cond', 'v/faults', 'v/one', 'v/ä b+c']);
  await tell(at.gcs, 'set', { pageSize: 1000 });
  await bucket.file('v/one').delete();
  assert.deepEqual(await bucket.file('v/one').exists(), [false]);
  await assert.rejects(bucket.file('v/one').download(), (e) => e.code === 404);
});
await prove('@google-cloud/storage: damage is noticed', async () => {
  await tell(at.gcs, 'faults', { op: 'get', kind: 'corrupt' });
  await assert.rejects(bucket.file('v/cond').download({ validation: 'crc32c' }));
});
console.error(`${proven} proofs`);
