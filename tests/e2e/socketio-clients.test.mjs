// Prevents: browser code of the original esink that must be changed: a version of socket.io-client, a transport or the move from
// one to the other with which a message does not come, comes twice, in another order, or to another user.
import assert from 'node:assert/strict';
import { test } from './lib/harness.mjs';
import { jwt, soon } from './lib/jwt.mjs';
import { startRelay } from './lib/relay.mjs';
import { combinations, database, insert, modes, notes, rules, threaded } from './lib/socketio.mjs';
import { databaseOf } from './lib/databases.mjs';
import { until } from './lib/wait.mjs';

const securityToken = 'operators-own-token-4711';
const title = ({ version, mode }) => `${version} over ${mode}`;
const names = (client) => client.messages.filter(({ data }) => data.table !== 'fence').map(({ event }) => event);

for (const how of combinations) {
  threaded(`connected, then the table's message before changes, for insert, update and delete: ${title(how)}`, async (t, threads) => {
    const { db, token } = await database(t);
    const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads) } });
    const client = await relay.io(token, how);
    const { sessionId, journal, id, ...rest } = client.welcome;
    assert.deepEqual(rest, { userId: 1, code: 200, message: 'Successfully connected.', recovered: false });
    assert.match(journal, /^[0-9a-f]{16}$/);
    assert.match(id, /^\d+$/);
    assert.equal(sessionId, client.sid, "the client's own id is the session's");
    if (how.mode === 'upgrade') await client.upgraded();
    await db.query("INSERT INTO notes VALUES (1, 1, 'a — ü 😀')");
    await db.query("UPDATE notes SET body = 'b' WHERE id = 1");
    await db.query('DELETE FROM notes');
    await relay.fence(client);
    assert.deepEqual(client.events.map(({ table, type, data, source_type }) => [table, type, data, source_type]), [
      ['notes', 'insert', { id: 1, user_id: 1, body: 'a — ü 😀' }, 'database'],
      ['notes', 'update', { id: 1, user_id: 1, body: 'b' }, 'database'],
      ['notes', 'delete', { id: 1, user_id: 1, body: 'b' }, 'database']]);
    assert.deepEqual(client.named('notes'), client.events, 'both messages carry the same event');
    assert.deepEqual(names(client), ['connected', ...Array(3).fill(['notes', 'changes']).flat()]);
    assert.equal(client.transport, how.mode === 'polling' ? 'polling' : 'websocket');
    assert.deepEqual([client.disconnects, client.failures], [[], []]);
  });
}

for (const mode of modes) {
  threaded(`an event reaches exactly the users that the rules name, each session once: ${mode}`, async (t, threads) => {
    const { db, tokens } = await database(t, { sql: 'CREATE TABLE games (id int PRIMARY KEY, home int, guest int); CREATE TABLE news (id int PRIMARY KEY); CREATE TABLE secret (id int PRIMARY KEY);', users: 3 });
    const relay = await startRelay(t, db, { tables: 'games,news,secret', routing: { games: ['home', 'guest'], news: '*' }, env: { NETWORK_THREADS: String(threads), SECURITY_TOKEN: securityToken } });
    const sessions = await Promise.all([0, 0, 1, 1, 2, 2].map((n, i) => relay.io(tokens[n], { mode, version: i % 2 ? 'newest' : '4.7.2' })));
    const plain = await relay.ws(tokens[0]);
    const boss = await relay.io(securityToken, { mode });
    assert.deepEqual([boss.welcome.userId, boss.welcome.operator], [null, true]);
    await db.query('INSERT INTO games VALUES (1, 1, 2), (2, 2, 2), (3, 1, 1), (4, 9, NULL)');
    await db.query('UPDATE games SET guest = 3 WHERE id = 1'); // taken from 2, given to 3
    await db.query('INSERT INTO news VALUES (7); INSERT INTO secret VALUES (8)');
    await relay.fence(...sessions, plain, boss);
    const seen = (client) => client.events.map(({ table, type, data }) => `${type} ${table} ${data.id}`);
    const expected = [
      ['insert games 1', 'insert games 3', 'update games 1', 'insert news 7'],
      ['insert games 1', 'insert games 2', 'delete games 1', 'insert news 7'],
      ['update games 1', 'insert news 7']];
    sessions.forEach((client, i) => assert.deepEqual(seen(client), expected[i >> 1], `user ${(i >> 1) + 1}`));
    assert.deepEqual(sessions[2].events[2].data, { id: 1 }, 'the former user sees the key alone');
    assert.deepEqual(plain.events, sessions[0].events, 'as on the other transports');
    assert.deepEqual(seen(boss), ['insert games 1', 'insert games 2', 'insert games 3', 'insert games 4', 'update games 1', 'insert news 7', 'insert secret 8']);
    for (const client of [...sessions, boss]) {
      const tables = client.messages.filter(({ event }) => ['games', 'news', 'secret'].includes(event)).map(({ data }) => data);
      assert.deepEqual(tables, client.events);
    }
  });

  threaded(`a missing or bad token: error 401, "io server disconnect", and the client does not come back: ${mode}`, async (t, threads) => {
    const { db } = await database(t, { sql: "INSERT INTO auth VALUES (2, '[object Object]'), (3, '7'), (4, 'true'), (5, '[\"7\"]')" });
    const relay = await startRelay(t, db, { env: { NETWORK_THREADS: String(threads) } });
    const cases = [undefined, 'nobody-has-this-token', '', 7, true, {}, ['7'], null].map((token) => ({ token }));
    for (const auth of [...cases, {}, { Token: '7' }]) {
      const client = relay.openIo(undefined, { mode, auth, reconnection: true });
      await client.closing();
      assert.deepEqual(client.disconnects, ['io server disconnect'], JSON.stringify(auth));
      assert.deepEqual(client.messages.map(({ event, data }) => [event, data]), [['error', { code: 401, message: 'Unauthorized' }]], JSON.stringify(auth));
      assert.equal(client.socket.active, false, 'it will not reconnect');
    }
    const witness = await relay.io('7', { mode });
    assert.equal(witness.welcome.userId, 3);
  });

  threaded(`the TEST token: samples and nothing else, no word to others: ${mode}`, async (t, threads) => {
    const { db, token } = await database(t);
    const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads) } });
    const [tester, user] = await Promise.all([relay.io('TEST', { mode }), relay.io(token, { mode })]);
    assert.equal(tester.welcome.userId, '-1');
    await tester.count(1);
    await insert(db, 1, 3);
    await relay.fence(user);
    await tester.count(2);
    assert.ok(tester.events.every(({ table, id }) => table === 'esink_test' && id === '0'), tester.state());
    assert.deepEqual(tester.named('esink_test'), tester.events);
    assert.equal(tester.named('fence').length, 0);
    assert.ok(user.events.every(({ table }) => table === 'notes'));
  });

  threaded(`a session that is taken away later is told 401 and goes: ${mode}`, async (t, threads) => {
    const { db, token } = await database(t, { users: 2 });
    const secret = 'a-secret-for-tokens-of-32-characters';
    const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads), AUTH_RECHECK: '1s', JWT_SECRET: secret } });
    const ours = await relay.io(token, { mode, reconnection: true });
    const other = await relay.io(db.tokens.get(2), { mode });
    const renewed = await relay.io(jwt({ sub: '1', exp: soon(3) }, secret), { mode });
    renewed.say('auth', { token: jwt({ sub: '1', exp: soon(600) }, secret) });
    const expires = await relay.io(jwt({ sub: '1', exp: soon(-27) }, secret), { mode, reconnection: true }); // in its leeway for three seconds more
    await db.query('DELETE FROM auth WHERE id = 1');
    for (const client of [ours, expires]) {
      await client.closing();
      assert.deepEqual(client.disconnects, ['io server disconnect']);
      assert.equal(client.errors.length, 1, client.state());
      assert.equal(client.errors[0].code, 401);
      assert.equal(client.socket.active, false);
    }
    renewed.say('auth', { token: jwt({ sub: '2', exp: soon(600) }, secret) });
    await until(() => renewed.errors.length > 0, () => renewed.state());
    assert.equal(renewed.errors[0].code, 401, 'renewal is for the same user only');
    await relay.fence(other);
    assert.deepEqual(other.errors, []);
  });
}

// Tables whose names are messages of ours, or events that the library keeps for itself and refuses to receive.
const reserved = ['connected', 'error', 'changes', 'subscribed', 'position', 'connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'];
const allowed = ['message', 'ping', 'open', 'close', 'data', 'event', 'auth', 'subscribe', 'toString', '__proto__', '42', 'a"b\\c', 'naïve 表'];

for (const mode of modes) {
  threaded(`what is named like a message of the protocol comes as changes only: ${mode}`, async (t, threads) => {
    const sql = reserved.map((name) => `CREATE TABLE "${name}" (id int PRIMARY KEY);`).join('');
    const { db, token } = await database(t, { sql });
    const relay = await startRelay(t, db, { tables: reserved.join(','), routing: Object.fromEntries(reserved.map((name) => [name, '*'])), env: { NETWORK_THREADS: String(threads), SECURITY_TOKEN: securityToken } });
    const clients = [await relay.io(token, { mode }), await relay.io(token, { mode, version: '4.7.2' })];
    for (const name of reserved) await db.query(`INSERT INTO "${name}" VALUES (1)`);
    for (const table of [...reserved, ...allowed]) {
      const answer = await relay.post('/publish', { securityToken, userId: '*', table, type: 'x', data: { of: table } });
      assert.equal(answer.status, 200, answer.text);
    }
    await relay.fence(...clients);
    for (const client of clients) {
      assert.deepEqual(client.events.map(({ table }) => table), [...reserved, ...reserved, ...allowed]);
      assert.deepEqual(names(client), ['connected', ...Array(reserved.length * 2).fill('changes'), ...allowed.flatMap((name) => [name, 'changes'])]);
      assert.deepEqual([client.open, client.disconnects], [true, []]);
    }
  });
}

test('a database that is away: a new session waits, then error 503, and the transport closes so that it comes back', { timeout: 120_000 }, async (t) => {
  const server = databaseOf('postgres');
  t.defer(() => server.stop());
  const db = await server.database(t, notes);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { LIVE_TIMEOUT: '500ms' } });
  relay.secret(token);
  const back = await server.away(db);
  await relay.notReady();
  const clients = modes.map((mode) => relay.openIo(token, { mode, reconnection: true }));
  for (const client of clients) {
    await until(() => client.errors.length > 0 && client.disconnects.length > 0, () => `error 503; ${client.state()}`);
    assert.equal(client.errors[0].code, 503);
    assert.ok(!client.disconnects.includes('io server disconnect') && !client.wasToldToGo, client.state());
  }
  await back();
  for (const client of clients) await until(() => client.welcome, () => `connected once the database is back; ${client.state()}`, 30_000);
});

test('PostgreSQL: exact numbers, a user id that is text, old rows, transaction ids, as on a websocket', { timeout: 90_000 }, async (t) => {
  const server = databaseOf('postgres');
  t.defer(() => server.stop());
  const db = await server.database(t, `CREATE TABLE people (id text, token text); INSERT INTO people VALUES ('anna', 'token-of-anna-anna');
    CREATE TABLE bills (id bigint PRIMARY KEY, owner text, total numeric, secret text);`);
  const relay = await startRelay(t, db, { tables: 'bills', routing: { bills: 'owner' }, filters: 'bills.secret', env: { AUTH_TABLE: 'people', OLD_ROWS: 'bills' } });
  relay.secret('hunter2-in-the-row');
  const clients = await Promise.all(modes.map((mode) => relay.io('token-of-anna-anna', { mode })));
  const ws = await relay.ws('token-of-anna-anna');
  await db.query("INSERT INTO bills VALUES (1, 'anna', 12345678901234567890.10, 'hunter2-in-the-row'); UPDATE bills SET total = 1.50");
  await relay.fence(...clients, ws);
  assert.equal(ws.events.length, 2);
  assert.ok(ws.events[1].old && ws.events[1].transaction_id);
  for (const client of clients) {
    assert.equal(client.welcome.userId, 'anna');
    assert.deepEqual(client.events, ws.events);
  }
});

