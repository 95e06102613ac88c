// Prevents: a message to one user that another one reads, or a data value (`*`, `constructor`) that is taken for a command.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';

const postgres = usePostgres();
const securityToken = 'operators-own-token-4711';
const message = { data: { text: 'hello' }, type: 'greeting', table: 'mail', securityToken };

async function setUp(t, ids = ['1', '2', 'constructor', '*']) {
  const db = await postgres.database(t, `CREATE TABLE people (id text, token text); CREATE TABLE rows (id int PRIMARY KEY, owner text)`);
  for (const id of ids) await db.query('INSERT INTO people VALUES ($1, $2)', [id, `the-token-of-${id}`]);
  const relay = await startRelay(t, db, {
    tables: 'rows', routing: { rows: 'owner' }, env: { AUTH_TABLE: 'people', SECURITY_TOKEN: securityToken, NETWORK_THREADS: '3' },
  });
  const clients = {};
  for (const id of ids) clients[id] = await relay.ws(`the-token-of-${id}`);
  return { db, relay, clients };
}

const expected = (id) => ({ id, table: 'mail', type: 'greeting', data: { text: 'hello' }, source: 'API', source_type: 'api', version: 1 });
const without = ({ timestamp, transaction_id, ...event }) => event;

test('to one user, on all of its sessions, which sentTo names', async (t) => {
  const { relay, clients } = await setUp(t);
  const second = await relay.sse('the-token-of-1');
  const answer = await relay.post('/publish', { ...message, userId: '1' });
  assert.equal(answer.status, 200, answer.text);
  const { id, sentTo, ...rest } = answer.json;
  assert.deepEqual(rest, { code: 200, message: 'Message queued for publishing' });
  assert.deepEqual([...sentTo].sort(), [clients[1].welcome.sessionId, second.welcome.sessionId].sort());
  await relay.fence(...Object.values(clients), second);
  for (const client of [clients[1], second]) assert.deepEqual(client.events.map(without), [expected(id)]);
  for (const other of ['2', 'constructor', '*']) assert.deepEqual(clients[other].events, [], other);
});

test('the operator sees what is published, also by the Authorization header', async (t) => {
  const { relay, clients } = await setUp(t);
  const boss = await relay.operator();
  const { securityToken: _, ...body } = message;
  const answer = await relay.post('/publish', { ...body, userId: 2 }, { headers: { authorization: `Bearer ${securityToken}` } });
  assert.equal(answer.status, 200, answer.text);
  await relay.fence(boss, clients[2]);
  assert.deepEqual(clients[2].events.map(without), [expected(answer.json.id)]);
  assert.deepEqual(boss.events.map(without), [expected(answer.json.id)]);
});

test('to "*": everyone but TEST', async (t) => {
  const { relay, clients } = await setUp(t);
  const tester = await relay.ws('TEST');
  const answer = await relay.post('/publish', { ...message, userId: '*' });
  assert.equal(answer.status, 200, answer.text);
  await relay.fence(...Object.values(clients));
  for (const client of Object.values(clients)) assert.deepEqual(client.events.map(without), [expected(answer.json.id)]);
  const ids = answer.json.sentTo;
  for (const client of Object.values(clients)) assert.ok(ids.includes(client.welcome.sessionId));
  assert.ok(!ids.includes(tester.welcome.sessionId));
  assert.ok(tester.events.every((event) => event.table === 'esink_test'));
});

test('to a user called constructor, and to nobody who is there', async (t) => {
  const { relay, clients } = await setUp(t);
  const answer = await relay.post('/publish', { ...message, userId: 'constructor' });
  assert.deepEqual(answer.json.sentTo, [clients.constructor.welcome.sessionId]);
  const nobody = await relay.post('/publish', { ...message, userId: '__proto__' });
  assert.equal(nobody.status, 200);
  assert.deepEqual(nobody.json.sentTo, []);
  assert.ok(BigInt(nobody.json.id) > BigInt(answer.json.id));
  await relay.fence(...Object.values(clients));
  assert.equal(clients.constructor.events.length, 1);
  for (const other of ['1', '2', '*']) assert.deepEqual(clients[other].events, [], other);
});

test('a row whose routing column holds * reaches nobody but a user so called', async (t) => {
  const { db, relay, clients } = await setUp(t);
  await db.query("INSERT INTO rows VALUES (1, '*'), (2, 'constructor')");
  await relay.fence(...Object.values(clients));
  assert.deepEqual(clients['*'].events.map((event) => event.data), [{ id: 1, owner: '*' }]);
  assert.deepEqual(clients.constructor.events.map((event) => event.data), [{ id: 2, owner: 'constructor' }]);
  assert.deepEqual(clients[1].events, []);
  assert.deepEqual(clients[2].events, []);
});

test('source, timestamp, version and the numbers of data arrive as they were given', async (t) => {
  const { relay, clients } = await setUp(t);
  const body = `{"securityToken":"${securityToken}","userId":1,"table":"mail","type":"x","source":"billing","timestamp":1700000000123,"version":3,`
    + '"data":{"n":12345678901234567890.10,"e":1e300,"i":9007199254740993,"zero":-0.0,"u":"\\u00e4\\ud83d\\ude00","deep":{"a":[1,{"b":null}]}}}';
  const answer = await relay.post('/publish', body);
  assert.equal(answer.status, 200, answer.text);
  await relay.fence(clients[1]);
  const [event] = clients[1].events;
  assert.deepEqual([event.source, event.timestamp, event.version, event.source_type], ['billing', 1700000000123, 3, 'api']);
  const text = clients[1].texts[0];
  for (const digits of ['12345678901234567890.10', '1e300', '9007199254740993']) assert.ok(text.includes(digits), `${digits} in ${text}`);
  assert.equal(event.data.u, 'ä😀');
  assert.deepEqual(event.data.deep, { a: [1, { b: null }] });
});

test('FILTERS apply to published events by table', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE users (id int PRIMARY KEY, name text, password text, more text)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'users', filters: 'users.password,public.users.more', env: { SECURITY_TOKEN: securityToken } });
  const ws = await relay.ws(token);
  relay.secret('hunter2-published');
  for (const table of ['users', 'Users', 'USERS', 'public.users', 'Public.Users']) {
    const answer = await relay.post('/publish', { securityToken, userId: 1, table, type: 'x', data: { name: 'Anna', password: 'hunter2-published', more: 'hunter2-published', n: 1 } });
    assert.equal(answer.status, 200, answer.text);
  }
  await relay.fence(ws);
  for (const event of ws.events) assert.deepEqual(event.data, { name: 'Anna', n: 1 }, event.table);
  assert.equal(ws.events.length, 5);
});

test('a client may publish to its own sessions where ALLOW_REPUBLISHING says so, and not otherwise', async (t) => {
  const db = await postgres.database(t);
  const tokens = [await db.user(1), await db.user(2)];
  const relay = await startRelay(t, db, { env: { ALLOW_REPUBLISHING: 'yes' } });
  const [ws, other] = [await relay.ws(tokens[0]), await relay.ws(tokens[1])];
  const sse = await relay.sse(tokens[0]);
  ws.say('event', { table: 'cursor', type: 'moved', data: { x: 1 } });
  await sse.count(1);
  await relay.fence(ws, sse, other);
  for (const client of [ws, sse]) {
    assert.deepEqual(client.events.map(({ table, type, data, source_type }) => ({ table, type, data, source_type })),
      [{ table: 'cursor', type: 'moved', data: { x: 1 }, source_type: 'websocket' }]);
  }
  assert.deepEqual(other.events, []);
  ws.say('event', { table: '', type: 'moved', data: { x: 1 }, securityToken: 'not-to-be-echoed', token: 'nor-this-one-here' });
  relay.secret('not-to-be-echoed');
  relay.secret('nor-this-one-here');
  await relay.fence(ws);
  const [error] = ws.errors;
  assert.deepEqual(error, {
    code: 400, type: 'ValidationError', key: 'table', message: 'Invalid parameters given',
    originalBody: { table: '', type: 'moved', data: { x: 1 } },
  });
  await relay.stop();
  await relay.start({ env: { ALLOW_REPUBLISHING: 'no' } });
  const again = await relay.ws(tokens[0]);
  again.say('event', { table: 'cursor', type: 'moved', data: { x: 1 } });
  await relay.fence(again);
  assert.deepEqual(again.events, []);
  assert.equal(again.errors.length, 1);
});
