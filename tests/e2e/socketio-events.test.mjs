// Prevents: an application that speaks through its sockets and is not heard, or is heard by others; a bad event that ends the
// session, or that is answered with a secret in it.
import assert from 'node:assert/strict';
import { startRelay } from './lib/relay.mjs';
import { ended } from './lib/sessions.mjs';
import { database, modes, notes, threaded } from './lib/socketio.mjs';
import { until } from './lib/wait.mjs';

const securityToken = 'operators-own-token-4711';
const brief = (event) => [event.table, event.type, event.data, event.source, event.source_type];

async function setUp(t, threads, env = {}) {
  const { db, tokens } = await database(t, { users: 2, sql: `${notes} CREATE TABLE users (id int PRIMARY KEY, password text);` });
  const relay = await startRelay(t, db, { tables: 'users', filters: 'users.password',
    env: { NETWORK_THREADS: String(threads), SECURITY_TOKEN: securityToken, ALLOW_REPUBLISHING: 'true', MAX_MESSAGES_PER_SECOND: '1000', ...env } });
  return { db, tokens, relay };
}

for (const mode of modes) {
  // What a page for trying it out does: a listener for one table and one for all, one button that fires by the API, one by the socket.
  threaded(`fired by the API and by the socket, heard by table and in general: ${mode}`, async (t, threads) => {
    const { tokens, relay } = await setUp(t, threads);
    const page = await relay.io(tokens[0], { mode });
    const second = await relay.io(tokens[0], { mode, version: '4.7.2' });
    const ws = await relay.ws(tokens[0]);
    const other = await relay.io(tokens[1], { mode });
    const boss = await relay.io(securityToken, { mode });
    // Who is changing over has it a moment later than the answer tells.
    if (mode === 'upgrade') for (const client of [page, second, other, boss]) await client.upgraded();
    await relay.fence(page, second, ws, other, boss);
    const heard = { table: [], general: [] };
    page.socket.on('cart', (event) => heard.table.push(event));
    page.socket.on('changes', (event) => heard.general.push(event));
    const answer = await relay.post('/publish', { securityToken, userId: 1, table: 'cart', type: 'by-api', data: { n: 1 } });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual([...answer.json.sentTo].sort(), [page, second, ws, boss].map(({ welcome }) => welcome.sessionId).sort());
    await until(() => heard.general.length === 1, () => page.state());
    page.say('event', { table: 'cart', type: 'by-socket', data: { n: 2 }, source: 'page', timestamp: 1700000000123, version: 3 });
    await until(() => heard.general.length === 2, () => page.state());
    page.say('event', { table: 'wish', type: 'by-socket', data: { n: 3 }, userId: 2 });
    await page.count(3);
    await relay.fence(page, second, ws, other, boss);
    const wanted = [['cart', 'by-api', { n: 1 }, 'API', 'api'], ['cart', 'by-socket', { n: 2 }, 'page', 'socketio'], ['wish', 'by-socket', { n: 3 }, 'API', 'socketio']];
    for (const client of [page, second, ws, boss]) assert.deepEqual(client.events.map(brief), wanted);
    assert.deepEqual([page.events[1].timestamp, page.events[1].version], [1700000000123, 3]);
    assert.deepEqual(other.events, [], 'own sessions only, whatever the event says');
    assert.deepEqual(heard.table.map(brief), wanted.slice(0, 2));
    assert.deepEqual(heard.general.filter(({ table }) => table !== 'fence').map(brief), wanted);
    assert.deepEqual(page.errors, []);
  });

  threaded(`bad events: error 400 with what was sent less the secrets, and the session goes on: ${mode}`, async (t, threads) => {
    const { tokens, relay } = await setUp(t, threads);
    const page = await relay.io(tokens[0], { mode });
    const data = { x: 1 };
    const cases = [[{ table: '', type: 'moved', data }, 'table'], [{ type: 'moved', data }, 'table'], [{ table: 'cart', data }, 'type'], [{ table: 'cart', type: 5, data }, 'type'],
      [{ table: 't'.repeat(65), type: 'moved', data }, 'table'], [{ table: 'cart', type: 'x'.repeat(65), data }, 'type'], [{ table: 'cart', type: 'moved' }, 'data'],
      [{ table: 'cart', type: 'moved', data: 'text' }, 'data'], [{ table: 'cart', type: 'moved', data: [1] }, 'data'], [{ table: 'cart', type: 'moved', data, timestamp: 'now' }, 'timestamp'],
      [{ table: 'cart', type: 'moved', data, source: 5 }, 'source'], [{ table: 'cart', type: 'moved', data, version: 'one' }, 'version'], [{}, 'table']];
    const secrets = { securityToken: relay.secret('not-to-be-echoed'), token: relay.secret('nor-this-one-here') };
    for (const [i, [body, key]] of cases.entries()) {
      page.say('event', { ...body, ...secrets });
      await until(() => page.errors.length > i, () => `an answer to ${JSON.stringify(body)}; ${page.state()}`);
      const { key: told, ...error } = page.errors[i];
      assert.deepEqual(error, { code: 400, type: 'ValidationError', message: 'Invalid parameters given', originalBody: body }, JSON.stringify(body));
      if (Object.keys(body).length) assert.equal(told, key, JSON.stringify(body));
    }
    page.say('event', { table: 'cart', type: 'moved', data });
    await page.count(1);
    await relay.fence(page);
    assert.equal(page.errors.length, cases.length);
    assert.equal(page.events.length, 1, 'none of the bad ones was taken');
    assert.deepEqual(page.disconnects, []);
  });

  threaded(`not allowed: without ALLOW_REPUBLISHING, from TEST, from the operator: ${mode}`, async (t, threads) => {
    const { tokens, relay } = await setUp(t, threads, { ALLOW_REPUBLISHING: 'no' });
    const page = await relay.io(tokens[0], { mode });
    const good = { table: 'cart', type: 'moved', data: { x: 1 } };
    page.say('event', good);
    await until(() => page.errors.length, () => page.state());
    assert.equal(page.errors[0].code, 403);
    await relay.stop();
    await relay.start({ env: { ...relay.options.env, ALLOW_REPUBLISHING: 'yes' } });
    const tester = await relay.io('TEST', { mode });
    const boss = await relay.io(securityToken, { mode });
    const user = await relay.io(tokens[0], { mode });
    for (const client of [tester, boss]) {
      client.say('event', good);
      await until(() => client.errors.length, () => client.state());
      assert.ok([400, 403].includes(client.errors[0].code), client.state());
      assert.ok(client.open);
    }
    await relay.fence(user, boss);
    assert.deepEqual([user.events, boss.events], [[], []]);
  });

  threaded(`what a client may say otherwise: unknown names, no data, several arguments, an acknowledgement asked for, binary: ${mode}`, async (t, threads) => {
    const { tokens, relay } = await setUp(t, threads);
    const page = await relay.io(tokens[0], { mode });
    page.say('hello', { x: 1 });
    await until(() => page.errors.length === 1, () => page.state());
    assert.equal(page.errors[0].code, 400);
    page.say('event', { table: 'cart', type: 'binary', data: { bytes: Buffer.from('abc') } });
    await until(() => page.errors.length === 2, () => page.state());
    assert.equal(page.errors[1].code, 400, 'events are JSON');
    page.say('event', { table: 'cart', type: 'acknowledged', data: {} }, () => {});
    await page.count(1);
    page.say('unsubscribe');
    await until(() => page.named('subscribed').length === 1, () => page.state());
    page.socket.volatile.emit('event', { table: 'cart', type: 'volatile', data: {} });
    page.say('event', { table: 'cart', type: 'last', data: { u: 'ä \u2028 😀', deep: { a: [1, null, 1e300] } } });
    await page.event(({ type }) => type === 'last');
    assert.deepEqual(page.events.at(-1).data, { u: 'ä \u2028 😀', deep: { a: [1, null, 1e300] } });
    assert.equal(page.errors.length, 2);
    assert.deepEqual(page.disconnects, []);
  });

  threaded(`FILTERS apply to what clients send, digits stay as they are: ${mode}`, async (t, threads) => {
    const { tokens, relay } = await setUp(t, threads);
    const [page, ws] = [await relay.io(tokens[0], { mode }), await relay.ws(tokens[0])];
    relay.secret('hunter2-from-the-socket');
    page.say('event', { table: 'users', type: 'x', data: { id: 1, password: 'hunter2-from-the-socket', n: 0.1 } });
    await page.count(1);
    await relay.post('/publish', `{"securityToken":"${securityToken}","userId":1,"table":"exact","type":"x","data":{"n":12345678901234567890.10}}`);
    await ws.count(2);
    await relay.fence(page, ws);
    assert.deepEqual(page.events[0].data, { id: 1, n: 0.1 });
    assert.ok(ws.texts[1].includes('12345678901234567890.10'));
  });

  threaded(`too many messages in a second: error 429, the transport closes, the client comes back: ${mode}`, async (t, threads) => {
    const { tokens, relay } = await setUp(t, threads, { MAX_MESSAGES_PER_SECOND: '5' });
    const other = await relay.io(tokens[1], { mode });
    const noisy = await relay.io(tokens[0], { mode, reconnection: true });
    if (mode === 'upgrade') await noisy.upgraded();
    for (let i = 0; i < 50; i++) noisy.say('event', { table: 'cart', type: 'x', data: { i } });
    await until(() => noisy.disconnects.length > 0, () => noisy.state());
    assert.notEqual(noisy.disconnects[0], 'io server disconnect', 'or it would not come back');
    await until(() => ended(relay, 'too-many') === 1, () => relay.log);
    await until(() => noisy.welcomes.length >= 2, () => `the client to come back; ${noisy.state()}`);
    assert.deepEqual(noisy.errors.filter(({ code }) => code !== 429), []);
    await relay.fence(other);
    assert.deepEqual([other.events, other.errors], [[], []]);
  });
}
