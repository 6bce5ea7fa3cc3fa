// Reads assertions from standard input, a line each, and prints whose they are.
const jwksURL = process.env.JWKS_URL;

// docs:assertion-node:begin
const crypto = require('node:crypto');

let keys = new Map();

// Who the gateway says the user is; an exception for what it did not say.
async function claimsOf(assertion) {
  const [head, body, signature] = assertion.split('.').map((part) => Buffer.from(part, 'base64url'));
  const { alg, kid, typ } = JSON.parse(head);
  if (alg !== 'ES256' || typ !== 'gatehouse-assertion+jwt') throw new Error('not an assertion');
  if (!keys.has(kid)) { // after a change of keys, or at the start
    const set = await (await fetch(jwksURL)).json();
    keys = new Map(set.keys.map((key) => [key.kid, crypto.createPublicKey({ key, format: 'jwk' })]));
  }
  const signed = Buffer.from(assertion.slice(0, assertion.lastIndexOf('.')));
  const key = { key: keys.get(kid), dsaEncoding: 'ieee-p1363' };
  if (!key.key || !crypto.verify('sha256', signed, key, signature)) throw new Error('not signed by the gateway');
  const claims = JSON.parse(body);
  if (claims.aud !== 'app' || claims.iss !== 'gatehouse') throw new Error('not for us');
  if (!(claims.exp > Date.now() / 1000)) throw new Error('expired');
  return claims;
}
// docs:assertion-node:end

(async () => {
  for await (const line of require('node:readline').createInterface({ input: process.stdin })) {
    try {
      const claims = await claimsOf(line.trim());
      console.log(claims.sub, claims.username, claims.groups.join(','));
    } catch (error) {
      console.log('refused:', error.message);
    }
  }
})();
