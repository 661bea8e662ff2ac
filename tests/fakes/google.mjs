// Google on this machine: token services, metadata server and Cloud Storage, which know each other's
// tokens. Writes credential files of every kind that refer to it.
//
// usage: node google.mjs --dir DIR [--cert FILE --key FILE]
//   Prints {"sts","oauth","iam","metadata","gcs"}. DIR receives token.jwt and federated.json,
//   impersonating.json, direct.json, aws.json, url.json, key.json, person.json.
import fs from 'node:fs';
import path from 'node:path';
import { options, readAll, ready, sendJson, serve } from './lib.mjs';
import { newIdentityState, stsHandler, subjectToken } from './gcp_sts.mjs';
import { iamHandler } from './iamcredentials.mjs';
import { metadataHandler } from './metadata.mjs';
import { gcsHandler, newGcsState } from './gcs.mjs';

const opt = options();
const tls = opt.cert ? { cert: opt.cert, key: opt.key } : undefined;
const identity = newIdentityState();
identity.set = {
  set skew(n) { identity.skew = n; },
  set lifetime(n) { identity.lifetime = n; },
  set revoke(_) { identity.tokens.clear(); },
};
identity.shown = () => ({ targetSigned: identity.targetSigned, tokens: identity.tokens.size });
const gcs = newGcsState(identity);

const part = (state) => Object.assign(Object.create(state), { log: state.log });
identity.base = await serve(identity, stsHandler(identity), { tls });
const iam = await serve(part(identity), iamHandler(identity), { tls });
const metadata = await serve(part(identity), metadataHandler(identity), {});
gcs.base = await serve(gcs, gcsHandler(gcs), { tls });
// A neighbour that hands out subject tokens, as JSON and as text.
const neighbour = await serve({ log: identity.log }, async (req, res) => {
  await readAll(req);
  if (req.headers['x-neighbour'] !== 'yes') return sendJson(res, 403, {});
  sendJson(res, 200, { value: subjectToken(identity) });
}, {});

const file = (name, content) =>
  fs.writeFileSync(path.join(opt.dir, name), typeof content === 'string' ? content : JSON.stringify(content, null, 2), { mode: 0o600 });
file('token.jwt', subjectToken(identity) + '\n');
const external = {
  type: 'external_account', audience: identity.provider, universe_domain: 'googleapis.com',
  subject_token_type: 'urn:ietf:params:oauth:token-type:jwt', token_url: `${identity.base}/v1/token`,
  credential_source: { file: path.join(opt.dir, 'token.jwt') },
};
const impersonation = {
  service_account_impersonation_url: `${iam}/v1/projects/-/serviceAccounts/writer@sluice-test.iam.gserviceaccount.com:generateAccessToken`,
};
file('direct.json', external);
file('federated.json', { ...external, ...impersonation });
file('stranger.json', { ...external,
  service_account_impersonation_url: impersonation.service_account_impersonation_url.replace('writer@', 'other@') });
file('url.json', { ...external, credential_source: { url: neighbour, headers: { 'X-Neighbour': 'yes' },
  format: { type: 'json', subject_token_field_name: 'value' } } });
file('aws.json', { ...external, ...impersonation,
  subject_token_type: 'urn:ietf:params:aws:token-type:aws4_request',
  credential_source: { environment_id: 'aws1',
    regional_cred_verification_url: 'https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15' } });
file('key.json', { type: 'service_account', project_id: 'sluice-test', private_key_id: 'planted-key-id',
  private_key: identity.keyKeys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  client_email: identity.keyEmail, client_id: '1', token_uri: `${identity.base}/token` });
file('impersonating.json', { type: 'impersonated_service_account', ...impersonation, delegates: [],
  source_credentials: { type: 'service_account', private_key_id: 'planted-key-id',
    private_key: identity.keyKeys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    client_email: identity.keyEmail, token_uri: `${identity.base}/token` } });
file('person.json', { type: 'authorized_user', client_id: 'x', client_secret: 'planted-client-secret', refresh_token: 'planted-refresh-token' });
ready({ sts: identity.base, iam, metadata, gcs: gcs.base });
