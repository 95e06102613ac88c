// Prevents: a subscription over Socket.IO that shows more than the rules or the wish, less than the wish, or that is forgotten on
// the way from polling to the websocket.
import assert from 'node:assert/strict';
import { startRelay } from './lib/relay.mjs';
import { database, modes, threaded, versions } from './lib/socketio.mjs';
import { until } from './lib/wait.mjs';

const schema = 'CREATE TABLE orders (id int PRIMARY KEY, user_id int); CREATE TABLE order_lines (id int PRIMARY KEY, user_id int); CREATE TABLE secret_orders (id int PRIMARY KEY);';

async function setUp(t, threads) {
  const { db, token } = await database(t, { sql: schema });
  const relay = await startRelay(t, db, { tables: 'orders,order_lines,secret_orders', routing: { orders: 'user_id', order_lines: 'user_id' }, env: { NETWORK_THREADS: String(threads), MAX_MESSAGES_PER_SECOND: '1000' } });
  return { db, token, relay };
}

async function everything(db) {
  await db.query('INSERT INTO orders VALUES (1, 1); INSERT INTO order_lines VALUES (2, 1); INSERT INTO secret_orders VALUES (3)');
  await db.query('UPDATE order_lines SET id = 4; DELETE FROM order_lines');
}

const short = (client) => client.events.map(({ table, type }) => `${type} ${table}`);
const all = ['insert orders', 'insert order_lines', 'update order_lines', 'delete order_lines'];

for (const mode of modes) {
  // The session ended with a sentence about {"event":NAME,"data":{..}}, which the author never wrote, and came back each second.
  threaded(`what is emitted is not one object: error 400 about what was written, and the session goes on: ${mode}`, async (t, threads) => {
    const { db, token, relay } = await setUp(t, threads);
    const client = await relay.io(token, { mode, reconnection: true, more: { topics: ['order_lines', 'fence'] } });
    const cases = [['subscribe', 'orders'], ['subscribe', ['orders']], ['subscribe', 7], ['unsubscribe', 'orders'], ['auth', token], ['event', 'x'], ['ready', 'mail'], [7, {}]];
    for (const [i, args] of cases.entries()) {
      client.say(...args);
      await until(() => client.errors.length > i, () => `an answer to ${JSON.stringify(args)}; ${client.state()}`);
      assert.equal(client.errors[i].code, 400);
      assert.match(client.errors[i].message, /emit\('subscribe', \{topics: \['orders'\]\}\)/);
    }
    await everything(db);
    await relay.fence(client);
    assert.deepEqual(short(client), all.slice(1));
    assert.deepEqual(client.disconnects, []);
  });

  threaded(`subscribe, unsubscribe, and topics and types in auth or the query: ${mode}`, async (t, threads) => {
    const { db, token, relay } = await setUp(t, threads);
    const plain = await relay.io(token, { mode });
    const inAuth = await relay.io(token, { mode, more: { topics: ['order', 'fence'], types: ['insert'] } });
    const inQuery = await relay.io(token, { mode, query: { topics: 'orders$|fence', types: 'insert' } });
    const authWins = await relay.io(token, { mode, query: { topics: 'nothing' }, more: { topics: ['order_lines', 'fence'] } });
    const byMessage = await relay.io(token, { mode });
    if (mode === 'upgrade') for (const client of [plain, inAuth, inQuery, authWins]) await client.upgraded();
    byMessage.say('subscribe', { topics: ['.*_lines', 'fence'], types: ['insert', 'delete'] });
    await until(() => byMessage.named('subscribed').length, () => byMessage.state());
    assert.deepEqual(byMessage.named('subscribed')[0], { topics: ['.*_lines', 'fence'], types: ['insert', 'delete'] });
    await everything(db);
    await relay.fence(plain, inAuth, inQuery, authWins, byMessage);
    assert.deepEqual(short(plain), all);
    assert.deepEqual(short(inAuth), ['insert orders', 'insert order_lines']);
    assert.deepEqual(short(inQuery), ['insert orders']);
    assert.deepEqual(short(authWins), all.slice(1));
    assert.deepEqual(short(byMessage), ['insert order_lines', 'delete order_lines']);
    assert.deepEqual(byMessage.named('order_lines'), byMessage.events, "a table's own message follows the subscription");
    byMessage.say('unsubscribe', {});
    await until(() => byMessage.named('subscribed').length === 2, () => byMessage.state());
    await db.query('INSERT INTO orders VALUES (9, 1)');
    await byMessage.event(({ table }) => table === 'orders', 'everything again');
  });

  threaded(`a subscription that is refused changes nothing: ${mode}`, async (t, threads) => {
    const { db, token, relay } = await setUp(t, threads);
    const client = await relay.io(token, { mode, more: { topics: ['order_lines', 'fence'] } });
    const bad = [{ topics: ['('] }, { topics: ['(a+)+$'] }, { topics: [7] }, { topics: {} }, { types: [{}] }, { topic: ['orders'] }, { topics: ['orders'], where: {} }, { topics: ['x'.repeat(5000)] }];
    for (const [i, body] of bad.entries()) {
      client.say('subscribe', body);
      await until(() => client.errors.length > i, () => `an answer to ${JSON.stringify(body).slice(0, 80)}; ${client.state()}`);
      assert.equal(client.errors[i].code, 400);
    }
    await everything(db);
    await relay.fence(client);
    assert.deepEqual(short(client), all.slice(1));
    assert.deepEqual(client.disconnects, []);
  });

  // The transport was closed, and the library came back with the same pattern each second, for ever.
  threaded(`bad topics in auth: connect_error 400, never a session that receives everything, and nobody comes back by itself: ${mode}`, async (t, threads) => {
    const { db, token, relay } = await setUp(t, threads);
    const witness = await relay.io(token, { mode });
    for (const version of versions) {
      for (const more of [{ topics: ['('] }, { topics: [7] }, { topics: {} }, { topics: 7 }, { types: [null] }, { topics: ['orders', {}] }, { after: 'no position' }, { after: {} }, { after: [] }, { topic: 'orders' }, { Types: ['insert'] }]) {
        const client = relay.openIo(token, { mode, more, version, reconnection: true });
        await until(() => client.failures.length, () => `a connect_error; ${client.state()}`);
        assert.match(client.failures[0], /topics|types|pattern|position/, JSON.stringify(more));
        assert.deepEqual(client.refusals[0].data, { code: 400 }, JSON.stringify(more));
        assert.equal(client.socket.active, false, `it will not reconnect: ${JSON.stringify(more)}; ${client.state()}`);
        assert.equal(client.socket.connected, false);
        assert.deepEqual([client.messages, client.disconnects], [[], []], JSON.stringify(more));
        await until(() => client.socket.io.engine.readyState === 'closed', 'the end of its connection');
      }
    }
    // It may still say it better, with the same object.
    const client = relay.openIo(token, { mode, more: { topics: ['('] } });
    await client.closing();
    client.socket.auth = { token, topics: ['fence'] };
    client.socket.connect();
    await until(() => client.welcome, () => client.state());
    await everything(db);
    await relay.fence(witness);
    assert.deepEqual(short(witness), all);
  });
}

threaded('a subscription outlives the upgrade', async (t, threads) => {
  const { db, token, relay } = await setUp(t, threads);
  const clients = [];
  for (let i = 0; i < 10; i++) {
    const client = relay.openIo(token, { mode: 'upgrade', more: i % 2 ? { topics: ['orders$', 'fence'] } : {} });
    client.socket.on('connected', () => { if (i % 2 === 0) client.say('subscribe', { topics: ['orders$', 'fence'] }); });
    clients.push(client);
  }
  for (const [i, client] of clients.entries()) {
    await client.upgraded();
    if (i % 2 === 0) await until(() => client.named('subscribed').length, () => client.state());
  }
  await everything(db);
  await relay.fence(...clients);
  for (const client of clients) assert.deepEqual(short(client), ['insert orders']);
});
