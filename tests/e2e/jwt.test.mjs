// Prevents: a renewal that changes who somebody is, a key that is believed after it was taken away, a subject that reads like
// something more than a user. The ends at exp are in hard/expiry.test.mjs.
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, usePostgres } from './lib/harness.mjs';
import { jwt, soon } from './lib/jwt.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();
const secret = 'a secret of thirty-two bytes or more';
const operator = 'operators-own-token-4711';
const token = (sub, exp, more = {}) => jwt({ sub, exp, ...more }, secret);

async function setUp(t, env = { JWT_SECRET: secret }) {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id text)');
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' }, env: { SECURITY_TOKEN: operator, ...env } });
  relay.secret(secret);
  return { db, relay };
}

async function refused(relay, bad, what) {
  const client = relay.openWs(bad, { via: 'message' });
  await client.closing();
  assert.deepEqual([client.welcome, client.closed, client.errors[0]?.code, client.errors[0]?.message], [undefined, 4401, 401, 'Unauthorized'], what);
}

test('a renewal by anybody else, or by nothing good, ends the session, which receives nothing more', async (t) => {
  const { db, relay } = await setUp(t);
  const ofTable = await db.user(8);
  const bad = { 'another user': token('ben', soon(600)), 'another user of the table': ofTable, 'the operator': operator, TEST: 'TEST', 'a bad signature': jwt({ sub: 'anna', exp: soon(600) }, 'wrong'),
    expired: token('anna', soon(-60)), 'alg none': jwt({ sub: 'anna', exp: soon(600) }, '', 'none'), nothing: '', 'a token of nobody': 'nobody-has-this-token' };
  const witness = await relay.ws(token('ben', soon(600)));
  for (const [what, renewal] of Object.entries(bad)) {
    const ws = await relay.ws(token('anna', soon(600)));
    if (renewal.length > 8) relay.secret(renewal);
    ws.say('auth', { token: renewal });
    await db.query("INSERT INTO notes SELECT coalesce(max(id), 0) + 1, 'ben' FROM notes");
    assert.equal(await ws.closing(), 4401, what);
    assert.deepEqual([ws.errors[0]?.code, ws.events], [401, []], what);
  }
  await relay.fence(witness);
  assert.equal(witness.events.length, Object.keys(bad).length);
});

test('SIGHUP: a broken key file keeps the old keys and says so; a key that is gone opens no session', async (t) => {
  const pairs = Array.from({ length: 3 }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const okp = generateKeyPairSync('ed25519');
  const folder = mkdtempSync(join(tmpdir(), 'esink-jwks-'));
  t.defer(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'jwks.json');
  const jwk = (key, more) => ({ ...key.export({ format: 'jwk' }), ...more });
  const write = (...keys) => writeFileSync(path, JSON.stringify({ keys }));
  const [a, b, c] = pairs;
  const mixed = [jwk(a.publicKey, { kid: 'a', alg: 'ES256', use: 'sig' }), jwk(rsa.publicKey, { kid: 'a', alg: 'RS256' }), jwk(okp.publicKey, { kid: 'a' }), jwk(b.publicKey, { kid: 'same' }),
    jwk(c.publicKey, { kid: 'same' }), jwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey, { kid: 'enc', use: 'enc' }), { kty: 'oct', kid: 'a', k: Buffer.from(secret).toString('base64url'), alg: 'HS256' }];
  write(...mixed);
  const { relay } = await setUp(t, { JWT_JWKS_FILE: path, JWT_ALGORITHM: 'ES256', LOG_LEVEL: 'info' });
  const signed = (pair, kid, jti) => jwt({ sub: 'anna', exp: soon(600), jti }, pair.privateKey, 'ES256', { alg: 'ES256', ...(kid ? { kid } : {}) });
  for (const [pair, kid] of [[a, 'a'], [a], [b, 'same'], [c, 'same'], [b], [c, 'unknown']]) await (await relay.ws(signed(pair, kid))).close();
  const der = createPublicKey(a.privateKey).export({ type: 'spki', format: 'der' });
  for (const [what, bad] of Object.entries({
    'the kid of another key': signed(b, 'a'), 'the other way': signed(a, 'same'),
    'HS256 by the set itself': jwt({ sub: 'anna', exp: soon(600) }, secret, 'HS256', { alg: 'HS256', kid: 'a' }), 'the same under the right name': jwt({ sub: 'anna', exp: soon(600) }, secret, 'HS256', { alg: 'ES256', kid: 'a' }),
    'HMAC with the key in DER': jwt({ sub: 'anna', exp: soon(600) }, der, 'HS256', { alg: 'ES256', kid: 'a' }), 'HMAC with its JWK': jwt({ sub: 'anna', exp: soon(600) }, JSON.stringify(mixed[0]), 'HS256'),
    RS256: jwt({ sub: 'anna', exp: soon(600) }, rsa.privateKey, 'RS256', { alg: 'RS256', kid: 'a' }), 'a key in the head': jwt({ sub: 'anna', exp: soon(600) }, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, 'ES256', { alg: 'ES256', jwk: mixed[0] }),
    'a kid that is a path': jwt({ sub: 'anna', exp: soon(600) }, '', 'HS256', { alg: 'ES256', kid: '/dev/null' }), 'crit': jwt({ sub: 'anna', exp: soon(600) }, a.privateKey, 'ES256', { alg: 'ES256', crit: ['exp'] }),
  })) await refused(relay, bad, what);
  const old = await relay.ws(signed(a, 'a'));
  const hup = async (pattern) => {
    const from = relay.log.length;
    relay.process.kill('SIGHUP');
    await until(() => pattern.test(relay.log.slice(from)), () => `${pattern} in ${relay.log.slice(from)}`);
  };
  for (const text of ['', '{', '{"keys":[]}', '[]', '{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}', 'x'.repeat(2_000_000), JSON.stringify({ keys: Array(101).fill(mixed[0]) })]) {
    writeFileSync(path, text);
    await hup(/error app: SIGHUP: tokens and keys stay as they were: JWT_JWKS_FILE/);
    await (await relay.ws(signed(a, 'a', text.length))).close();
  }
  rmSync(path);
  await hup(/stay as they were: JWT_JWKS_FILE: cannot open/);
  write(...mixed.slice(3));
  await hup(/info {2}app: SIGHUP: tokens and keys read again/);
  await refused(relay, signed(a, 'a'), 'a key that was taken out');
  await (await relay.ws(signed(b, 'same'))).close();
  // What is open goes on to its exp: docs/OPERATIONS.md says how to end it sooner.
  await relay.fence(old);
});

test('subjects that read like more than a user see their own rows and no other', async (t) => {
  const { db, relay } = await setUp(t);
  const subjects = ['*', '-1', ' ', '\t', 'null', 'TEST', operator, '{anna,ben}', 'anna,ben', "anna' OR '1'='1", 'Anna', 'anna ', 'ﬀ', 'u'.repeat(4000), '__proto__'];
  const clients = await Promise.all(subjects.map((sub) => relay.ws(jwt({ sub, exp: soon(600) }, secret), { via: 'header' })));
  relay.secrets.delete(operator); // here it is a user's name, which may be shown
  for (const [i, sub] of ['anna', 'ben', ...subjects].entries()) await db.query('INSERT INTO notes VALUES ($1, $2)', [i, sub]);
  await relay.fence(...clients);
  for (const [i, client] of clients.entries()) {
    assert.deepEqual(client.events.map((event) => event.data.id), [i + 2], subjects[i].slice(0, 40));
    assert.deepEqual([client.welcome.userId, client.welcome.operator], [subjects[i], undefined]);
  }
});

test('tokens of other forms: too long, padded, not canonical, with more than three parts', async (t) => {
  const { relay } = await setUp(t);
  const good = token('anna', soon(600));
  await (await relay.ws(good)).close();
  await (await relay.ws(token('anna', soon(600), { pad: 'x'.repeat(5000) }), { via: 'header' })).close();
  const [head, body, signature] = good.split('.');
  const next = (text) => { // another last character that stands for the same bytes
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    return text.slice(0, -1) + alphabet[alphabet.indexOf(text.at(-1)) ^ 1];
  };
  const bad = { 'over 8 kB': token('anna', soon(600), { pad: 'x'.repeat(7000) }), '60 kB': token('anna', soon(600), { pad: 'x'.repeat(45_000) }), deep: jwt(`{"sub":"anna","exp":${soon(600)},"x":${'['.repeat(3000)}${']'.repeat(3000)}}`, secret),
    padded: `${head}.${body}.${signature}=`, 'padded in the middle': `${head}==.${body}.${signature}`, 'bits left over': `${head}.${body}.${next(signature)}`, 'the other alphabet': `${head}.${body}.${signature.slice(0, -2)}+/`,
    'a line feed': `${good}\n`, 'a space': `${head}. ${body}.${signature}`, 'an empty part more': `${good}.`, 'exp twice': jwt(`{"sub":"anna","exp":${soon(600)},"exp":${soon(600)}}`, secret),
    'exp 1e400': jwt('{"sub":"anna","exp":1e400}', secret), 'exp in ms below zero': jwt(`{"sub":"anna","exp":-${Date.now()}}`, secret), 'a sub with NUL': jwt({ sub: 'anna\0', exp: soon(600) }, secret), 'a lone surrogate': jwt(`{"sub":"\\ud800","exp":${soon(600)}}`, secret),
    'exp as true': jwt({ sub: 'anna', exp: true }, secret), 'nbf as text': jwt({ sub: 'anna', exp: soon(600), nbf: '0' }, secret), 'a byte order mark': jwt(`\ufeff{"sub":"anna","exp":${soon(600)}}`, secret) };
  for (const [what, one] of Object.entries(bad)) await refused(relay, one, what);
});
