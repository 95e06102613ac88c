// Prevents: an API that is open because nobody set a token, or that tells a stranger what the right body would be before
// asking who he is, or that breaks over a body.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { secureHeaders } from './lib/shapes.mjs';

const postgres = usePostgres();
const securityToken = 'operators-own-token-4711';
const good = { data: { a: 1 }, type: 'x', table: 'mail', userId: '1', securityToken };
const { data, type, table, userId } = good;

test('403 without SECURITY_TOKEN, whatever is sent', async (t) => {
  const relay = await startRelay(t, await postgres.database(t));
  for (const body of [good, {}, '', 'not json', { securityToken: '' }, { securityToken: null }]) {
    const answer = await relay.post('/publish', body);
    assert.equal(answer.status, 403, JSON.stringify(body));
    assert.equal(answer.json.code, 403);
    secureHeaders(answer);
  }
});

test('every error of the contract, in its order', async (t) => {
  const db = await postgres.database(t);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { env: { SECURITY_TOKEN: securityToken } });
  const ws = await relay.ws(token);
  const wrong = relay.secret('a-wrong-security-token');
  const cases = [
    // no token: 400 names it, before any other field is looked at
    [{}, 400, 'securityToken'], [{ data, type, table, userId }, 400, 'securityToken'], [{ ...good, securityToken: '' }, 400, 'securityToken'],
    [{ ...good, securityToken: null }, 400, 'securityToken'],
    // a wrong one: 401, before any other field is looked at
    [{ ...good, securityToken: wrong }, 401], [{ securityToken: wrong }, 401], [{ ...good, securityToken: `${securityToken} ` }, 401],
    [{ ...good, securityToken: securityToken.slice(0, -1) }, 401], [{ ...good, securityToken: 7 }, 401], [{ ...good, securityToken: { a: 1 } }, 401],
    // the fields
    [{ ...good, data: undefined }, 400, 'data'], [{ ...good, data: 'text' }, 400, 'data'], [{ ...good, data: [1] }, 400, 'data'],
    [{ ...good, data: null }, 400, 'data'], [{ ...good, data: 7 }, 400, 'data'],
    [{ ...good, type: undefined }, 400, 'type'], [{ ...good, type: '' }, 400, 'type'], [{ ...good, type: 'x'.repeat(65) }, 400, 'type'],
    [{ ...good, type: 5 }, 400, 'type'],
    [{ ...good, table: undefined }, 400, 'table'], [{ ...good, table: '' }, 400, 'table'], [{ ...good, table: 't'.repeat(65) }, 400, 'table'],
    [{ ...good, table: {} }, 400, 'table'],
    [{ ...good, userId: undefined }, 400, 'userId'], [{ ...good, userId: null }, 400, 'userId'], [{ ...good, userId: {} }, 400, 'userId'],
    [{ ...good, userId: ['1'] }, 400, 'userId'], [{ ...good, userId: true }, 400, 'userId'], [{ ...good, userId: '' }, 400, 'userId'],
    [{ ...good, timestamp: 'now' }, 400, 'timestamp'], [{ ...good, timestamp: -1 }, 400, 'timestamp'],
    [{ ...good, source: 5 }, 400, 'source'], [{ ...good, version: 'one' }, 400, 'version'],
    // misspelt ones: they were passed over, and an event went out with another time, or to all and not to the one that was meant
    [{ ...good, userId: undefined, user_id: '1' }, 400, 'userId'], [{ ...good, userId: '*', userid: '1' }, 400, 'userId'],
    [{ ...good, time_stamp: 5 }, 400, 'timestamp'], [{ ...good, Source: 'mine' }, 400, 'source'],
    [{ ...good, userId: undefined, user: '*' }, 400, 'userId'], [{ ...good, userId: undefined, broadcast: true, audience: ['*'] }, 400, 'userId'],
  ];
  for (const [body, status, key] of cases) {
    const answer = await relay.post('/publish', body);
    const what = JSON.stringify(body);
    assert.equal(answer.status, status, `${what}: ${answer.text}`);
    assert.equal(answer.json.code, status, what);
    assert.equal(typeof answer.json.message, 'string');
    if (status === 400) {
      assert.equal(answer.json.type, 'ValidationError', what);
      assert.equal(answer.json.key, key, what);
    }
    assert.ok(!answer.text.includes(securityToken), 'the answer echoes the token');
    assert.ok(!answer.text.includes(wrong), 'the answer echoes a token');
    secureHeaders(answer);
  }
  await relay.fence(ws);
  assert.deepEqual(ws.events, [], 'no refused event was stored');
});

test('bodies that are no JSON object', async (t) => {
  const relay = await startRelay(t, await postgres.database(t), { env: { SECURITY_TOKEN: securityToken } });
  const headers = { authorization: `Bearer ${securityToken}` };
  const deep = '['.repeat(50_000) + ']'.repeat(50_000);
  const bodies = ['', '{', 'null', '7', '"text"', '[]', '{"a":1}{"b":2}', '\u0000', '{"data":\u0001}', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
    deep.slice(0, 99_000), '{"a":'.repeat(15_000), "{'a':1}", '{"a":NaN}', `{"securityToken":"${securityToken}","data":{"a":"\ud800"}}`];
  for (const body of bodies) {
    const answer = await relay.post('/publish', body, { headers });
    assert.equal(answer.status, 400, `${String(body).slice(0, 40)}: ${answer.text}`);
    assert.equal(answer.json.code, 400);
  }
  // Was: The text is not valid JSON, near line 1, column 0.
  for (const options of [{ headers }, {}]) {
    const { json } = await relay.post('/publish', '', options);
    assert.deepEqual(json, { code: 400, type: 'ValidationError', key: 'body', message: 'The body is empty: it must be a JSON object' });
  }
  assert.equal((await relay.post('/publish', '{', {})).status, 400, 'nor without any token');
  assert.equal((await relay.post('/publish', { ...good, securityToken: undefined }, { headers })).status, 200);
});

test('413 above 100 kB, and none below', async (t) => {
  const relay = await startRelay(t, await postgres.database(t), { env: { SECURITY_TOKEN: securityToken } });
  const sized = (bytes) => {
    const empty = JSON.stringify({ ...good, data: { a: '' } });
    return JSON.stringify({ ...good, data: { a: 'x'.repeat(bytes - empty.length) } });
  };
  assert.equal((await relay.post('/publish', sized(99_999))).status, 200);
  for (const bytes of [110_000, 2_000_000]) {
    const answer = await relay.post('/publish', sized(bytes)).catch((error) => error);
    // With 2 MB on its way the connection may be reset before the answer was read.
    if (answer instanceof Error) assert.match(answer.code, /ECONNRESET|EPIPE/);
    else assert.equal(answer.status, 413, `${bytes}: ${answer.text}`);
  }
  const small = await startRelay(t, await postgres.database(t), { env: { SECURITY_TOKEN: securityToken, MAX_BODY_BYTES: '1kB' } });
  const refused = await small.post('/publish', sized(1_200));
  assert.deepEqual([refused.status, refused.json], [413, { code: 413, message: 'The body has 1200 bytes, at most 1000 are allowed: MAX_BODY_BYTES' }]);
  const polling = await small.post('/socket.io/?EIO=4&transport=polling', 'x'.repeat(2_000_000)).catch((error) => error);
  if (!(polling instanceof Error)) assert.match(polling.json.message, /has 2000000 bytes, at most 1000000 are allowed: SOCKETIO_MAX_PAYLOAD/);
  assert.equal((await small.post('/publish', sized(900))).status, 200);
});

test('503 while the database is away', async (t) => {
  const db = await postgres.database(t);
  const relay = await startRelay(t, db, { env: { SECURITY_TOKEN: securityToken, PUBLISH_TIMEOUT: '1s' } });
  await postgres.halt('fast');
  try {
    await relay.notReady();
    const answer = await relay.post('/publish', good);
    assert.equal(answer.status, 503);
    assert.equal(answer.json.code, 503);
    assert.equal((await relay.get('/ping')).text, 'pong');
  } finally {
    await postgres.resume();
  }
  await relay.ready();
  assert.equal((await relay.post('/publish', good)).status, 200);
});

test('the security token is not taken from the query', async (t) => {
  const relay = await startRelay(t, await postgres.database(t), { env: { SECURITY_TOKEN: securityToken } });
  const { securityToken: _, ...body } = good;
  const answer = await relay.post(`/publish?securityToken=${securityToken}&token=${securityToken}`, body);
  assert.equal(answer.status, 400);
  assert.equal(answer.json.key, 'securityToken');
  const ws = relay.openWs(securityToken);
  assert.equal(await ws.closing(), 4401);
  assert.equal((await relay.get(`/stream?token=${securityToken}`)).status, 401);
});
