// Prevents: a row that reaches somebody else's browser or not its own, a user who hears of one row twice, a table without a rule
// that somebody hears of.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.mjs';
import { ascending, shapes } from '../lib/shapes.mjs';
import { steps } from './suite.mjs';

export function inShop(database, shop) {
  test('insert, update and delete reach their user, on every transport alike, and nobody else', async (t) => {
    const clients = [await shop.join(t, 1), await shop.join(t, 1, { via: 'sse' })];
    const others = [await shop.join(t, 2), await shop.join(t, 2, { via: 'sse' })];
    await shop.db.query("INSERT INTO notes VALUES (1, 1, 'new')");
    await shop.db.query("UPDATE notes SET body = 'read' WHERE id = 1");
    await shop.db.query('DELETE FROM notes WHERE id = 1');
    await shop.relay.fence(...clients, ...others);
    assert.deepEqual(shapes(clients[0]), [
      { table: 'notes', type: 'insert', data: { id: 1, owner: 1, body: 'new' } },
      { table: 'notes', type: 'update', data: { id: 1, owner: 1, body: 'read' } },
      { table: 'notes', type: 'delete', data: { id: 1, owner: 1, body: 'read' } },
    ]);
    assert.deepEqual(clients[0].events, clients[1].events, 'the same events, ids and times on every transport');
    ascending(clients[0].events);
    for (const { id, timestamp, table, type, data, ...rest } of clients[0].events) {
      assert.match(id, /^[1-9][0-9]*$/);
      assert.ok(Number.isInteger(timestamp) && Math.abs(timestamp - Date.now()) < 600_000, `timestamp ${timestamp}`);
      if (database.transactionId) assert.match(rest.transaction_id, /^[0-9]+$/);
      delete rest[database.transactionId ? 'transaction_id' : ''];
      assert.deepEqual(rest, { source: database.source, source_type: 'database', version: 1 });
    }
    for (const client of others) assert.deepEqual(client.events, []);
  });

  test('a list of columns: every distinct user once', async (t) => {
    const clients = await shop.joinAll(t, 1, 2, 3);
    await shop.db.query("INSERT INTO games VALUES (10, 1, 2, NULL), (11, 1, 1, '1'), (12, 3, NULL, '2'), (13, NULL, NULL, NULL)");
    await shop.relay.fence(...clients);
    assert.deepEqual(clients.map((client) => client.events.map(({ data }) => data.id)), [[10, 11], [10, 12], [12]]);
  });

  test('"*" reaches every session, but not TEST; no rule reaches the operator alone', async (t) => {
    const clients = [await shop.join(t, 1), await shop.join(t, 2, { via: 'sse' }), await shop.join(t, 'operator')];
    const tester = await shop.relay.ws('TEST');
    t.defer(() => tester.close());
    await shop.db.query("INSERT INTO news VALUES (20, 'for all'); INSERT INTO quiet VALUES (21, 1)");
    await shop.relay.fence(...clients);
    assert.deepEqual([clients[2].welcome.userId, clients[2].welcome.operator, clients[0].welcome.operator], [null, true, undefined]);
    const all = ['news', 'insert', { id: 20, headline: 'for all' }];
    assert.deepEqual(clients.map(steps), [[all], [all], [all, ['quiet', 'insert', { id: 21, owner: 1 }]]]);
    assert.ok(tester.events.every(({ table }) => table === 'esink_test'));
  });

  test('a column is compared as text, byte for byte; its value * is the name of a user', async (t) => {
    const clients = await shop.joinAll(t, 1, 11);
    await shop.db.query(`INSERT INTO games VALUES (30, NULL, NULL, '*'), (31, NULL, NULL, '1 '), (32, NULL, NULL, ' 1'), (33, NULL, NULL, '01'),
      (34, NULL, NULL, '1.0'), (35, NULL, NULL, ''), (36, NULL, NULL, '1')`);
    await shop.relay.fence(...clients);
    assert.deepEqual(clients.map((client) => client.events.map(({ data }) => data.id)), [[36], []]);
  });

  test('a row arrives in time after a second in which there was nothing to do', async (t) => {
    const client = await shop.join(t, 1);
    const quietSince = Date.now();
    await new Promise((resolve) => { setTimeout(resolve, 1200); }); // the idle second is what is tested
    const start = Date.now();
    await shop.db.query("INSERT INTO notes VALUES (50, 1, 'after a rest')");
    await client.count(1);
    // Where the database wakes us the poll interval is a minute: see suite.mjs.
    assert.ok(Date.now() - start < 2000, `took ${Date.now() - start} ms after ${start - quietSince} ms of rest`);
  });
}
