// Prevents: a renewal that changes who somebody is, a key that is believed after it was taken away, sessions that outlive
// the key that let them in, a subject that reads like something more than a user. The ends at exp are in hard/expiry.test.mjs.
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, usePostgres } from './lib/harness.mjs';
import { jwt, soon } from './lib/jwt.mjs';
import { startRelay } from './lib/relay.mjs';
import { Consumers } from './lib/service.mjs';
import { ended, rawSession } from './lib/sessions.mjs';
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

// SIGHUP, and the log up to what it must say.
async function hup(relay, pattern) {
  const from = relay.log.length;
  relay.process.kill('SIGHUP');
  await until(() => pattern.test(relay.log.slice(from)), () => `${pattern} in ${relay.log.slice(from)}`);
}

const withdrawn = (n) => new RegExp(`info {2}hub: ${n} sessions? ended whose key or token is no longer configured`);

// Each was told 401, then its websocket was closed with 4401, or its stream ended; it received no event.
async function wereEnded(clients) {
  for (const client of clients) {
    await until(() => (client.socket ? !client.open : client.failure), () => `the end of ${client.state()}`);
    assert.deepEqual(client.errors.map(({ code, message }) => [code, message]), [[401, 'Unauthorized']], client.state());
    assert.deepEqual([client.socket ? client.closed : 4401, client.events], [4401, []]);
  }
}

function scratch(t) {
  const folder = mkdtempSync(join(tmpdir(), 'esink-keys-'));
  t.defer(() => rmSync(folder, { recursive: true }));
  return (name) => join(folder, name);
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
  for (const text of ['', '{', '{"keys":[]}', '[]', '{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}', 'x'.repeat(2_000_000), JSON.stringify({ keys: Array(101).fill(mixed[0]) })]) {
    writeFileSync(path, text);
    await hup(relay, /error app: SIGHUP: tokens and keys stay as they were: JWT_JWKS_FILE/);
    await (await relay.ws(signed(a, 'a', text.length))).close();
  }
  rmSync(path);
  await hup(relay, /stay as they were: JWT_JWKS_FILE: cannot open/);
  write(...mixed.slice(3));
  await relay.fence(old);
  await hup(relay, withdrawn(1));
  await wereEnded([old]);
  await refused(relay, signed(a, 'a'), 'a key that was taken out');
  await (await relay.ws(signed(b, 'same'))).close();
});

test('SIGHUP says of a database\'s address that was replaced that it takes a restart, and not what it is', async (t) => {
  const db = await postgres.database(t), folder = mkdtempSync(join(tmpdir(), 'esink-url-')), file = join(folder, 'url');
  t.defer(() => rmSync(folder, { recursive: true }));
  writeFileSync(file, db.url);
  const relay = await startRelay(t, db, { env: { POSTGRES_DATABASE_URL: '', POSTGRES_DATABASE_URL_FILE: file, JWT_SECRET: secret, LOG_LEVEL: 'info' } });
  await hup(relay, /tokens and keys were read again/);
  assert.doesNotMatch(relay.log, /restart/);
  writeFileSync(file, db.url.replace('@', `:${relay.secret('another-password-4711')}@`));
  await hup(relay, /warn {2}app: SIGHUP: POSTGRES_DATABASE_URL was changed, which is read at the start alone: restart\n/);
});

test('SIGHUP: a consumer\'s poll that waits with a SECURITY_TOKEN that was replaced is told nothing', async (t) => {
  const at = scratch(t);
  const successor = 'operators-next-token-4712';
  writeFileSync(at('operator'), operator);
  const { db, relay } = await setUp(t, { SECURITY_TOKEN: '', SECURITY_TOKEN_FILE: at('operator'), JWT_SECRET: secret, LOG_LEVEL: 'info' });
  relay.secret(successor);
  const [old, young] = [new Consumers(relay, operator), new Consumers(relay, successor)];
  await old.register('a', { topics: ['notes'] });
  const waits = old.ask('POST', '/consumers/a/poll', { wait: 20 });
  await until(async () => (await relay.get('/ping')).status === 200 && Number((await old.get('a')).lag) === 0, 'the poll to be there');
  writeFileSync(at('operator'), successor);
  await hup(relay, withdrawn(0));
  await db.query("INSERT INTO notes VALUES (1, '7')");
  const answer = await waits;
  assert.deepEqual([answer.status, answer.json], [401, { code: 401, message: 'Unauthorized' }]);
  assert.deepEqual((await young.poll('a', { wait: 10 })).events.map(({ data }) => data.id), [1]);
});

for (const threads of ['1', '4']) {
  test(`SIGHUP, NETWORK_THREADS=${threads}: the sessions of a secret or a SECURITY_TOKEN that was replaced end, no other`, async (t) => {
    const at = scratch(t);
    const put = (name, text) => writeFileSync(at(name), text);
    const [second, successor] = ['another secret of thirty-two bytes or more', 'operators-next-token-4712'];
    put('jwt', secret);
    put('operator', operator);
    const { db, relay } = await setUp(t, { SECURITY_TOKEN: '', SECURITY_TOKEN_FILE: at('operator'), JWT_SECRET_FILE: at('jwt'), NETWORK_THREADS: threads, LOG_LEVEL: 'info' });
    for (const one of [second, successor]) relay.secret(one);
    const seven = token('7', soon(600));
    const ofTable = await db.user(7);
    const header = { via: 'header' };
    const open = (n, ...args) => Promise.all(Array.from({ length: n }, () => relay.ws(...args)));
    const jwts = [...await open(8, seven), ...await open(2, seven, { via: 'message' }), await relay.sse(seven), await relay.sse(seven)];
    const operators = [...await open(4, operator, header), await relay.sse(operator, header)];
    const others = [...await open(4, ofTable), await relay.sse(ofTable), await relay.ws('TEST')];
    const publish = (bearer) => relay.post('/publish', { table: 'notices', type: 'x', data: {}, userId: 'nobody' }, { headers: { authorization: `Bearer ${bearer}` } });
    await hup(relay, withdrawn(0));
    put('jwt', '');
    await hup(relay, /stay as they were: JWT_SECRET_FILE/);
    put('jwt', '-----BEGIN PUBLIC KEY-----');
    put('operator', successor); // all is read or nothing: it must not count yet
    await hup(relay, /stay as they were: JWT_SECRET: holds a PEM key/);
    assert.equal((await publish(operator)).status, 200);
    await relay.fence(...jwts, ...operators, ...others.slice(0, 5));
    put('operator', operator);
    put('jwt', second);
    await hup(relay, withdrawn(12));
    await db.query("INSERT INTO notes VALUES (1, '7')");
    await relay.fence(...operators, ...others.slice(0, 5));
    await wereEnded(jwts);
    await refused(relay, seven, 'a token that was believed before');
    const fresh = await relay.ws(jwt({ sub: '7', exp: soon(600) }, second));
    for (const client of operators) client.messages.length = 0;
    put('operator', successor);
    await hup(relay, withdrawn(5));
    await db.query("INSERT INTO notes VALUES (2, '7')");
    await relay.fence(...others.slice(0, 5), fresh);
    await wereEnded(operators);
    assert.deepEqual([(await publish(operator)).status, (await publish(successor)).status], [401, 200]);
    await refused(relay, operator, 'the token of the operator before');
    assert.deepEqual((await relay.ws(successor, header)).welcome.operator, true);
    for (const client of others.slice(0, 5)) assert.deepEqual(client.events.map(({ data }) => data.id), [1, 2]);
    assert.deepEqual(others[5].errors, []);
    assert.ok(others[5].open);
    await until(() => ended(relay, 'key-gone') === 17, () => `seventeen ends in ${relay.log}`);
  });

  test(`SIGHUP, NETWORK_THREADS=${threads}: the sessions of a public key that was replaced, or is in the set no more, end, also those that are replaying`, async (t) => {
    const at = scratch(t);
    const [a, b] = Array.from({ length: 2 }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
    const jwk = ({ publicKey }, kid) => ({ ...publicKey.export({ format: 'jwk' }), kid });
    const write = (...keys) => writeFileSync(at('keys'), JSON.stringify({ keys }));
    write(jwk(a, 'a'), jwk(b, 'b'));
    const { db, relay } = await setUp(t, { JWT_JWKS_FILE: at('keys'), JWT_ALGORITHM: 'ES256', NETWORK_THREADS: threads, LOG_LEVEL: 'info', SEND_BUFFER_BYTES: '16384' });
    const signed = (pair, kid) => jwt({ sub: 'anna', exp: soon(600) }, pair.privateKey, 'ES256', { alg: 'ES256', ...(kid ? { kid } : {}) });
    const first = await relay.ws(signed(a, 'a'));
    const after = first.position;
    await db.query("ALTER TABLE notes ADD text text; INSERT INTO notes SELECT i, 'anna', repeat('x', 4000) FROM generate_series(1, 4000) AS i");
    await relay.fence(first);
    first.messages.length = 0;
    const stays = [await relay.ws(signed(b, 'b')), await relay.ws(signed(b)), await relay.sse(signed(b, 'b'))];
    const goes = [first, await relay.ws(signed(a)), await relay.ws(signed(a, 'unknown')), await relay.sse(signed(a, 'a'))];
    const renewed = await relay.ws(signed(a, 'a'));
    renewed.say('auth', { token: signed(b, 'b') });
    renewed.say('subscribe', {});
    await until(() => renewed.named('subscribed').length > 0, 'the renewal');
    const halted = ['ws', 'sse'].map((kind) => {
      const session = rawSession(t, relay, kind, new URLSearchParams({ token: signed(a, 'a'), after }));
      session.socket.on('data', () => session.welcome && !session.going && session.stop());
      return session;
    });
    for (const session of halted) await session.connected();
    write(jwk(b, 'a')); // the other's kid, and another place
    await hup(relay, withdrawn(6));
    await db.query("INSERT INTO notes VALUES (0, 'anna')");
    await relay.fence(...stays, renewed);
    await wereEnded(goes);
    await until(() => ended(relay, 'key-gone') === 6, () => `six ends in ${relay.log}`);
    for (const session of halted) {
      session.going = true;
      session.go();
      await session.ended();
      assert.ok(session.count < 4000, `${session.count} events of a replay that was cut short`);
    }
    for (const client of [...stays, renewed]) assert.deepEqual(client.events.map(({ data }) => data.id), [0]);
    await refused(relay, signed(a, 'a'), 'a key that was taken out');
  });
}

test('SIGHUP: the sessions of a public key file that was replaced end', async (t) => {
  const at = scratch(t);
  const [a, b] = Array.from({ length: 2 }, () => generateKeyPairSync('rsa', { modulusLength: 2048 }));
  const write = (pair) => writeFileSync(at('key'), pair.publicKey.export({ type: 'spki', format: 'pem' }));
  write(a);
  const { relay } = await setUp(t, { JWT_PUBLIC_KEY_FILE: at('key'), JWT_ALGORITHM: 'RS256', LOG_LEVEL: 'info' });
  const signed = (pair) => jwt({ sub: 'anna', exp: soon(600) }, pair.privateKey, 'RS256');
  const clients = [await relay.ws(signed(a)), await relay.sse(signed(a))];
  writeFileSync(at('key'), `# the same key\n\n${a.publicKey.export({ type: 'spki', format: 'pem' })}`);
  await hup(relay, withdrawn(0));
  writeFileSync(at('key'), 'nothing of the kind');
  await hup(relay, /stay as they were: JWT_PUBLIC_KEY_FILE/);
  await relay.fence(...clients);
  write(b);
  await hup(relay, withdrawn(2));
  await wereEnded(clients);
  await until(() => !clients[1].open, 'the stream to be refused when it comes again');
  assert.equal(clients[1].closed, 401);
  await refused(relay, signed(a), 'a token that was believed before');
  await relay.fence(await relay.ws(signed(b)));
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
