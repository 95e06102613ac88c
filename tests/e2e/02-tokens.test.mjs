// Prevents: a stranger who is let in by a token that is missing or no string, and a user who is shut out over the way that the
// token was presented. What is looked up in the token table is in source/tokens.mjs.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();

async function refused(client) {
  await client.closing();
  assert.equal(client.welcome, undefined, `let in: ${client.state()}`);
  assert.equal(client.errors.length, 1, client.state());
  assert.equal(client.errors[0].code, 401);
  assert.equal(client.errors[0].message, 'Unauthorized');
  assert.equal(client.closed, 4401);
}

test('a good token is accepted in the query, the header and a first message', async (t) => {
  const db = await postgres.database(t);
  const token = await db.user(7);
  const relay = await startRelay(t, db);
  const seen = new Set();
  for (const via of ['query', 'header', 'message']) {
    const { welcome } = await relay.ws(token, { via });
    assert.equal(welcome.userId, 7, via);
    assert.equal(welcome.code, 200);
    assert.equal(welcome.message, 'Successfully connected.');
    assert.match(welcome.journal, /^[0-9a-f]{16}$/);
    assert.match(welcome.id, /^[0-9]+$/);
    assert.equal(typeof welcome.recovered, 'boolean');
    assert.equal(typeof welcome.sessionId, 'string');
    assert.equal(welcome.operator, undefined);
    seen.add(welcome.sessionId);
  }
  for (const via of ['query', 'header']) {
    const { welcome } = await relay.sse(token, { via });
    assert.equal(welcome.userId, 7, via);
    seen.add(welcome.sessionId);
  }
  assert.equal(seen.size, 5, 'every session has an id of its own');
});

test('a missing token: 401 on a stream, and on a websocket when no auth message comes in time', async (t) => {
  const db = await postgres.database(t);
  const relay = await startRelay(t, db, { env: { AUTH_TIMEOUT: '300ms' } });
  assert.equal((await relay.get('/stream')).status, 401);
  await refused(relay.openWs(undefined));
});

test('a token that is no string is refused', async (t) => {
  const db = await postgres.database(t, `INSERT INTO auth VALUES (1, '[object Object]'), (2, 'true'), (3, '7'), (4, 'null'), (5, '{}')`);
  const relay = await startRelay(t, db);
  for (const token of [{}, { toString: 'x' }, [], ['7'], true, 7, null]) await refused(relay.openWs(token, { via: 'message' }));
});

test('userId is a number for 16 and 32-bit integers, otherwise a string', async (t) => {
  const cases = [['smallint', '7', 7], ['integer', '-5', -5], ['bigint', '9007199254740993', '9007199254740993'], ['text', 'anna', 'anna'],
    ['text', '7', '7'], ['uuid', '8a7c1e0e-3f64-4e52-9d3c-3f8f6f2b1a00', '8a7c1e0e-3f64-4e52-9d3c-3f8f6f2b1a00'], ['numeric', '1.50', '1.50']];
  const tables = cases.map(([type], i) => `CREATE TABLE people_${i} ("User" ${type}, "Key" text);`).join('');
  const db = await postgres.database(t, tables);
  for (const [i, [type, value, shown]] of cases.entries()) {
    await db.query(`INSERT INTO people_${i} VALUES ('${value}', 'token-of-the-user')`);
    const relay = await startRelay(t, db, { env: { AUTH_TABLE: `people_${i}`, AUTH_COLUMN: 'Key', AUTH_USER_COLUMN: 'User' } });
    const { welcome } = await relay.ws('token-of-the-user');
    assert.deepEqual(welcome.userId, shown, type);
    await relay.close();
  }
});

test('auth again renews for the same user only', async (t) => {
  const db = await postgres.database(t);
  const one = await db.user(1);
  const two = await db.user(2);
  await db.query("INSERT INTO auth VALUES (1, 'second-token-of-1')");
  const relay = await startRelay(t, db);
  const ws = await relay.ws(one);
  relay.secret('second-token-of-1');
  ws.say('auth', { token: 'second-token-of-1' });
  await relay.fence(ws);
  assert.deepEqual(ws.errors, []);
  ws.say('auth', { token: two });
  await until(() => ws.errors.length > 0 || !ws.open, () => `an answer to a token of somebody else: ${ws.state()}`);
  assert.equal(ws.errors[0].code, 401);
});
