// AWS's Security Token Service: AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity.
import crypto from 'node:crypto';

import { checkJwt, readAll } from './lib.mjs';
import { check, Refused } from './aws_sigv4.mjs';

const XMLNS = 'https://sts.amazonaws.com/doc/2011-06-15/';
const ACCOUNT = '123456789012';
const fail = (status, code, message) => {
  throw new Refused(status, code, message);
};

// roles: {arn: {trusts: [arn, ...], externalId, web: {publicKey, aud, sub, iss}}}
function role(world, arn) {
  const r = world.roles[arn];
  if (!r) fail(403, 'AccessDenied', `Not authorized to perform sts:AssumeRole on ${arn}`);
  return r;
}

export function grant(world, arn, seconds, deny) {
  const id = 'ASIA' + crypto.randomBytes(8).toString('hex').toUpperCase();
  const key = {
    secret: 'PLANTED/key+' + crypto.randomBytes(15).toString('base64'),
    token: 'PLANTED/token+' + crypto.randomBytes(60).toString('base64'),
    arn, deny, expires: world.now() + 1000 * (world.set.sessionSeconds ?? seconds),
  };
  world.keys.set(id, key);
  return { id, ...key, expiration: new Date(key.expires).toISOString().replace(/\.\d+Z/, 'Z') };
}

const credentials = (c) => `<Credentials><AccessKeyId>${c.id}</AccessKeyId><SecretAccessKey>${c.secret}` +
  `</SecretAccessKey><SessionToken>${c.token}</SessionToken><Expiration>${c.expiration}</Expiration></Credentials>`;

function assumed(arn, session) {
  if (!/^[\w+=,.@-]{2,64}$/.test(session ?? '')) fail(400, 'ValidationError', 'roleSessionName');
  return `arn:aws:sts::${ACCOUNT}:assumed-role/${arn.split('/').pop()}/${session}`;
}

function seconds(form) {
  const n = Number(form.get('DurationSeconds') ?? 3600);
  if (!(n >= 900 && n <= 43200)) fail(400, 'ValidationError', 'durationSeconds');
  return n;
}

const actions = {
  AssumeRole(world, form, caller) {
    const arn = form.get('RoleArn');
    const r = role(world, arn);
    if (!(r.trusts ?? []).includes(caller.arn)) fail(403, 'AccessDenied', `User: ${caller.arn} is not authorized to perform: sts:AssumeRole on resource: ${arn}`);
    if (r.externalId && form.get('ExternalId') !== r.externalId) fail(403, 'AccessDenied', 'the external id is another');
    const who = assumed(arn, form.get('RoleSessionName'));
    return credentials(grant(world, who, seconds(form), r.deny)) +
      `<AssumedRoleUser><AssumedRoleId>AROA:x</AssumedRoleId><Arn>${who}</Arn></AssumedRoleUser>`;
  },
  AssumeRoleWithWebIdentity(world, form) {
    const arn = form.get('RoleArn');
    const web = role(world, arn).web ?? fail(403, 'AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity');
    let claims;
    try {
      claims = checkJwt(form.get('WebIdentityToken'), web.publicKey);
    } catch {
      fail(400, 'InvalidIdentityToken', 'The web identity token that was passed could not be validated');
    }
    if (claims.exp * 1000 <= world.now()) fail(400, 'ExpiredTokenException', 'Token expired');
    if (claims.aud !== web.aud || claims.sub !== web.sub) fail(403, 'AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity');
    const who = assumed(arn, form.get('RoleSessionName'));
    return credentials(grant(world, who, seconds(form), role(world, arn).deny)) +
      `<SubjectFromWebIdentityToken>${claims.sub}</SubjectFromWebIdentityToken>`;
  },
  GetCallerIdentity: (world, form, caller) =>
    `<Arn>${caller.arn}</Arn><UserId>AIDA</UserId><Account>${ACCOUNT}</Account>`,
};

export async function stsHandler(state, req, res) {
  const { world } = state;
  const body = await readAll(req);
  const form = new URLSearchParams(body.toString());
  const action = form.get('Action');
  let status = 200;
  let xml;
  try {
    const fault = state.faults.take(action);
    state.log.push({ op: action });
    if (fault?.kind === 'reset') return res.destroy();
    if (fault?.kind === 'internal') fail(500, 'InternalFailure', 'The request processing has failed.');
    if (fault?.kind === 'throttle') fail(400, 'Throttling', 'Rate exceeded');
    if (!actions[action] || form.get('Version') !== '2011-06-15') fail(400, 'InvalidAction', `Could not find operation ${action}`);
    const caller = action === 'AssumeRoleWithWebIdentity' ? null
      : check(req, req.url, body, world, { service: 'sts', region: state.region }).key;
    if (fault?.kind === 'slow') await new Promise((r) => setTimeout(r, fault.ms));
    xml = `<${action}Response xmlns="${XMLNS}"><${action}Result>${actions[action](world, form, caller)}</${action}Result></${action}Response>`;
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    status = e.status;
    xml = `<ErrorResponse xmlns="${XMLNS}"><Error><Type>Sender</Type><Code>${e.code}</Code><Message>${e.message.replace(/[<&]/g, ' ')}</Message></Error></ErrorResponse>`;
  }
  res.writeHead(status, { 'content-type': 'text/xml', 'content-length': Buffer.byteLength(xml), date: new Date(world.now()).toUTCString() });
  res.end(xml);
}
