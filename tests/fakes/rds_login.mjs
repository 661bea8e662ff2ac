// Prints the token of AWS's own rds-signer.
//
// usage: node rds_login.mjs HOST PORT USER LINE      LINE: file of what aws.mjs printed
import fs from 'node:fs';
import { Signer } from '@aws-sdk/rds-signer';

const [hostname, port, username, line] = process.argv.slice(2);
const { keyId, secret } = JSON.parse(fs.readFileSync(line));
const signer = new Signer({
  hostname, port: Number(port), username, region: 'eu-west-1', credentials: { accessKeyId: keyId, secretAccessKey: secret },
});
process.stdout.write(await signer.getAuthToken());
