// Prevents: a forged, expired or borrowed JSON Web Token that is believed, and a session that outlives its token.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, usePostgres } from './lib/harness.mjs';
import { jwt, soon } from './lib/jwt.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();
const secret = 'a secret of thirty-two bytes or more';
const pem = (key) => key.export({ type: key.type === 'public' ? 'spki' : 'pkcs8', format: 'pem' });

function keyFile(t, key) {
  const folder = mkdtempSync(join(tmpdir(), 'esink-key-'));
  t.defer(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'public.pem');
  writeFileSync(path, pem(key));
  return path;
}

async function refused(relay, token, what) {
  const client = relay.openWs(token);
  await client.closing();
  assert.equal(client.welcome, undefined, `${what} was let in`);
  assert.equal(client.closed, 4401, what);
  assert.deepEqual([client.errors[0]?.code, client.errors[0]?.message], [401, 'Unauthorized'], what);
  assert.equal((await relay.get(`/stream?token=${encodeURIComponent(token)}`)).status, 401, what);
}

const start = async (t, env, sql) => {
  const db = await postgres.database(t, sql ?? 'CREATE TABLE notes (id int PRIMARY KEY, user_id text)');
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' }, env });
  relay.secret(secret);
  return { db, relay };
};

test('HS256: the claims name the user, on every transport', async (t) => {
  const { db, relay } = await start(t, { JWT_SECRET: secret });
  const token = jwt({ sub: 'anna', exp: soon(300) }, secret);
  const clients = [await relay.ws(token), await relay.ws(token, { via: 'header' }), await relay.ws(token, { via: 'message' }), await relay.sse(token)];
  for (const client of clients) assert.equal(client.welcome.userId, 'anna');
  await db.query("INSERT INTO notes VALUES (1, 'anna'), (2, 'ben')");
  await relay.fence(...clients);
  for (const client of clients) assert.deepEqual(client.events.map((event) => event.data.id), [1]);
});

test('a numeric subject is the user whose id reads the same', async (t) => {
  const { db, relay } = await start(t, { JWT_SECRET: secret });
  const ws = await relay.ws(jwt({ sub: 42, exp: soon(300) }, secret));
  assert.equal(String(ws.welcome.userId), '42');
  await db.query("INSERT INTO notes VALUES (1, '42')");
  await relay.fence(ws);
  assert.equal(ws.events.length, 1);
});

for (const [algorithm, make] of [
  ['RS256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ['RS512', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ['ES256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ['ES384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
]) {
  test(`${algorithm} with a public key from a file; other keys, other algorithms and HMAC with the public key are refused`, async (t) => {
    const { publicKey, privateKey } = make();
    const stranger = make().privateKey;
    const { relay } = await start(t, { JWT_PUBLIC_KEY_FILE: keyFile(t, publicKey), JWT_ALGORITHM: algorithm });
    const claims = { sub: 'anna', exp: soon(300) };
    const client = await relay.ws(jwt(claims, privateKey, algorithm));
    assert.equal(client.welcome.userId, 'anna');
    const hash = algorithm.slice(2);
    const other = `${algorithm.slice(0, 2)}${hash === '256' ? '384' : '256'}`;
    for (const text of [pem(publicKey), pem(publicKey).trim(), pem(publicKey).replaceAll('\n', '')]) {
      await refused(relay, jwt(claims, text, 'HS256'), 'HS256 with the public key as secret');
      await refused(relay, jwt(claims, text, 'HS256', { alg: algorithm, typ: 'JWT' }), 'the same under the right name');
    }
    await refused(relay, jwt(claims, stranger, algorithm), 'a key of somebody else');
    if (algorithm.startsWith('RS')) await refused(relay, jwt(claims, privateKey, other), `${other} instead of ${algorithm}`);
    await refused(relay, jwt(claims, '', 'none'), 'alg none');
    await refused(relay, jwt(claims, '', 'none', { alg: algorithm }), 'no signature');
  });
}

test('what a token must not be', async (t) => {
  const { relay } = await start(t, { JWT_SECRET: secret, JWT_ISSUER: 'https://login.example', JWT_AUDIENCE: 'esink' });
  const good = { sub: 'anna', exp: soon(300), iss: 'https://login.example', aud: 'esink' };
  await relay.ws(jwt(good, secret));
  await relay.ws(jwt({ ...good, aud: ['other', 'esink'] }, secret));
  await relay.ws(jwt({ ...good, exp: soon(-5) }, secret)).catch(() => assert.fail('30 s of leeway'));
  const [head, body, signature] = jwt(good, secret).split('.');
  const changed = Buffer.from(JSON.stringify({ ...good, sub: 'ben' })).toString('base64url');
  const bad = {
    expired: jwt({ ...good, exp: soon(-60) }, secret),
    'without exp': jwt({ ...good, exp: undefined }, secret),
    'exp as text': jwt({ ...good, exp: String(soon(300)) }, secret),
    'not yet valid': jwt({ ...good, nbf: soon(300) }, secret),
    'another issuer': jwt({ ...good, iss: 'https://evil.example' }, secret),
    'no issuer': jwt({ ...good, iss: undefined }, secret),
    'another audience': jwt({ ...good, aud: 'other' }, secret),
    'no audience': jwt({ ...good, aud: undefined }, secret),
    'no subject': jwt({ ...good, sub: undefined }, secret),
    'an empty subject': jwt({ ...good, sub: '' }, secret),
    'a subject that is null': jwt({ ...good, sub: null }, secret),
    'a subject that is an object': jwt({ ...good, sub: { id: 'anna' } }, secret),
    'a subject that is a list': jwt({ ...good, sub: ['anna'] }, secret),
    'another secret': jwt(good, `${secret}!`),
    'an empty secret': jwt(good, ''),
    'alg none': jwt(good, '', 'none'),
    'alg None': jwt(good, '', 'none', { alg: 'None' }),
    HS512: jwt(good, secret, 'HS512'),
    'another header': jwt(good, secret, 'HS256', { alg: 'HS512', typ: 'JWT' }),
    'no signature': `${head}.${body}.`,
    'a cut signature': `${head}.${body}.${signature.slice(0, -4)}`,
    'a changed body': `${head}.${changed}.${signature}`,
    'a changed head': `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`,
    'three empty parts': '..',
    junk: 'a.b.c',
    'claims that are no object': jwt('[]', secret),
  };
  for (const [what, token] of Object.entries(bad)) await refused(relay, token, what);
});

test('the log says at the debug level why a token was refused, and nothing of what it says', async (t) => {
  const { relay } = await start(t, { JWT_SECRET: secret, JWT_ISSUER: 'shop', JWT_AUDIENCE: 'relay', LOG_LEVEL: 'debug' });
  const good = { sub: 'anna', iss: 'shop', aud: 'relay', exp: soon(60) };
  const cases = [[jwt({ ...good, exp: undefined }, secret), 'no exp'], [jwt({ ...good, exp: soon(-60) }, secret), 'past its exp'],
    [jwt({ ...good, nbf: soon(60) }, secret), 'nbf'], [jwt({ ...good, iss: 'mallory' }, secret), 'JWT_ISSUER'],
    [jwt({ ...good, aud: 'mallory' }, secret), 'JWT_AUDIENCE'], [jwt({ ...good, sub: undefined }, secret), 'claim sub'],
    [jwt(good, `${secret}!`), 'signature'], [jwt(good, secret, 'HS512'), 'JWT_ALGORITHM, HS256'], ['mallory.b.c', 'base64url']];
  for (const [token, why] of cases) {
    const before = relay.log.length;
    await refused(relay, token, why);
    await until(() => relay.log.slice(before).includes('ended: unauthorized (sse'), why);
    const lines = relay.log.slice(before).split('\n').filter((line) => line.includes('JSON Web Token'));
    assert.equal(lines.length, 2, `${why}: ${lines}`);
    for (const line of lines) assert.ok(line.includes(why) && !/anna|mallory/.test(line), `${why}: ${line}`);
  }
});

test('a token with two dots is never looked up in the table when a key is set; others are', async (t) => {
  const { db, relay } = await start(t, { JWT_SECRET: secret });
  await db.query("INSERT INTO auth VALUES (7, 'looks.like.jwt'), (8, 'plain-table-token')");
  await refused(relay, 'looks.like.jwt', 'a table token with two dots');
  assert.equal((await relay.ws('plain-table-token')).welcome.userId, 8);
});

test('a session ends at its exp, unless it was renewed', async (t) => {
  const { relay } = await start(t, { JWT_SECRET: secret });
  // 30 s of leeway: a token that expired 27 s ago is good for 3 s more.
  const brief = () => jwt({ sub: 'anna', exp: soon(-27) }, secret);
  const [ends, renewed, sse] = [await relay.ws(brief()), await relay.ws(brief()), await relay.sse(brief())];
  renewed.say('auth', { token: jwt({ sub: 'anna', exp: soon(300) }, secret) });
  assert.equal(await ends.closing(), 4401);
  await until(() => !sse.open, () => `the stream to end: ${sse.state()}`);
  await relay.fence(renewed);
  assert.ok(renewed.open);
});

test('renewal by a token of somebody else, or a bad one, is refused', async (t) => {
  const { relay } = await start(t, { JWT_SECRET: secret });
  for (const token of [jwt({ sub: 'ben', exp: soon(300) }, secret), jwt({ sub: 'anna', exp: soon(300) }, 'wrong secret')]) {
    const ws = await relay.ws(jwt({ sub: 'anna', exp: soon(300) }, secret));
    relay.secret(token);
    ws.say('auth', { token });
    await until(() => ws.errors.length > 0, 'the refusal');
    assert.equal(ws.errors[0].code, 401);
  }
});

test('another claim may hold the user', async (t) => {
  const { relay } = await start(t, { JWT_SECRET: secret, JWT_USER_CLAIM: 'uid' });
  assert.equal((await relay.ws(jwt({ sub: 'x', uid: 'anna', exp: soon(300) }, secret))).welcome.userId, 'anna');
  await refused(relay, jwt({ sub: 'x', exp: soon(300) }, secret), 'without the claim');
});

test('a JWK set; SIGHUP reads it again', async (t) => {
  const [old, young] = [generateKeyPairSync('ec', { namedCurve: 'P-256' }), generateKeyPairSync('ec', { namedCurve: 'P-256' })];
  const jwks = (...pairs) => JSON.stringify({ keys: pairs.map(({ publicKey }, i) => ({ ...publicKey.export({ format: 'jwk' }), kid: `k${i}`, use: 'sig', alg: 'ES256' })) });
  const path = keyFile(t, old.publicKey);
  writeFileSync(path, jwks(old));
  const { relay } = await start(t, { JWT_JWKS_FILE: path, JWT_ALGORITHM: 'ES256' });
  const claims = { sub: 'anna', exp: soon(300) };
  await relay.ws(jwt(claims, old.privateKey, 'ES256'));
  await refused(relay, jwt(claims, young.privateKey, 'ES256'), 'a key that is not in the set yet');
  writeFileSync(path, jwks(young));
  relay.process.kill('SIGHUP');
  await until(async () => {
    const client = relay.openWs(jwt(claims, young.privateKey, 'ES256'));
    await until(() => client.welcome || !client.open, 'an answer');
    return client.welcome;
  }, 'the new key to be believed');
  await refused(relay, jwt({ ...claims, jti: 'another' }, old.privateKey, 'ES256'), 'a key that was taken out');
});

test('TEST: a user of its own that sees samples and nothing else, off in production', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id text)');
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' }, env: { SECURITY_TOKEN: 'operators-own-token-4711' } });
  const other = await relay.ws(await db.user(1));
  const tester = await relay.ws('TEST');
  assert.equal(tester.welcome.userId, '-1');
  await until(() => tester.events.length >= 1, 'a sample at once', 4500);
  await db.query("INSERT INTO notes VALUES (1, '-1')");
  for (const userId of ['-1', -1, '*']) {
    const answer = await relay.post('/publish', { securityToken: 'operators-own-token-4711', userId, table: 't', type: 'x', data: {} });
    assert.ok(!answer.json.sentTo?.includes(tester.welcome.sessionId), String(userId));
  }
  await relay.fence(other);
  await until(() => tester.events.length >= 2, 'another sample after five seconds');
  assert.ok(tester.named('changes').every((event) => event.table === 'esink_test' && event.id === '0'), tester.state());
  await relay.stop();
  await relay.start({ env: { NODE_ENV: 'production' } });
  await refused(relay, 'TEST', 'TEST in production');
  await relay.stop();
  await relay.start({ env: { NODE_ENV: 'production', ALLOW_TEST_TOKEN: 'on' } });
  await relay.ws('TEST');
});

test('the operator: sees all, is told so, and only by header or message', async (t) => {
  const operator = 'operators-own-token-4711';
  const { db, relay } = await start(t, { SECURITY_TOKEN: operator });
  const byHeader = await relay.operator();
  const byMessage = await relay.ws(operator, { via: 'message' });
  const bySse = await relay.sse(operator, { via: 'header' });
  await db.query("INSERT INTO notes VALUES (1, 'anna'), (2, NULL)");
  await relay.fence(byHeader, byMessage, bySse);
  for (const client of [byHeader, byMessage, bySse]) {
    assert.deepEqual([client.welcome.userId, client.welcome.operator], [null, true]);
    assert.deepEqual(client.events.map((event) => event.data.id), [1, 2]);
  }
  await refused(relay, operator, 'the operator by a query');
});

test('two users called -1 and the TEST kind are apart', async (t) => {
  const { db, relay } = await start(t, {});
  await db.query("INSERT INTO auth VALUES (-1, 'token-of-minus-one')");
  const real = await relay.ws('token-of-minus-one');
  const tester = await relay.ws('TEST');
  await db.query("INSERT INTO notes VALUES (1, '-1')");
  await relay.fence(real);
  assert.deepEqual(real.events.map((event) => event.data.id), [1]);
  assert.ok(tester.events.every((event) => event.table === 'esink_test'));
});
