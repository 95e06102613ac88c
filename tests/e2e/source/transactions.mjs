// Prevents: a browser that hears of what was rolled back, an event swallowed because it looks like the one before it, ids with
// holes, and a write that fails, or arrives cut, because the row is large.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.mjs';
import { ascending } from '../lib/shapes.mjs';
import { series, steps } from './suite.mjs';

const ids = (client) => client.events.map(({ data }) => data.id);

export function inShop(database, shop) {
  const { begin } = database;
  // How many transactions the events say that they were made in; all the same where there are no numbers.
  const transactions = (client) => new Set(client.events.map(({ transaction_id: id }) => id)).size;

  test('what was rolled back, or failed, is never seen', async (t) => {
    const client = await shop.join(t, 1);
    await shop.db.query(`${begin}; INSERT INTO notes VALUES (301, 1, 'never'); UPDATE notes SET body = 'never'; ROLLBACK`);
    await assert.rejects(shop.db.query("INSERT INTO notes VALUES (302, 1, 'never'), (302, 1, 'twice')"));
    await shop.db.query("INSERT INTO notes VALUES (303, 1, 'kept')");
    await shop.relay.fence(client);
    assert.deepEqual(ids(client), [303]);
  });

  test('savepoints: what was rolled back to one is not seen, the rest is', async (t) => {
    const client = await shop.join(t, 1);
    await shop.db.query(`${begin}; INSERT INTO notes VALUES (311, 1, 'a'); SAVEPOINT s; INSERT INTO notes VALUES (312, 1, 'lost');
      ROLLBACK TO SAVEPOINT s; INSERT INTO notes VALUES (313, 1, 'b'); SAVEPOINT u; INSERT INTO notes VALUES (314, 1, 'c'); RELEASE SAVEPOINT u; COMMIT`);
    await shop.relay.fence(client);
    assert.deepEqual(ids(client), [311, 313, 314]);
    assert.equal(transactions(client), 1);
  });

  test('two identical updates in one transaction are two events', async (t) => {
    const client = await shop.join(t, 1);
    await shop.db.query("INSERT INTO notes VALUES (321, 1, 'a')");
    await shop.db.query(`${begin}; UPDATE notes SET body = 'b' WHERE id = 321; UPDATE notes SET body = 'b' WHERE id = 321; COMMIT`);
    await shop.relay.fence(client);
    const update = ['notes', 'update', { id: 321, owner: 1, body: 'b' }];
    assert.deepEqual(steps(client).slice(1), [update, update]);
    assert.equal(transactions(client), database.transactionId ? 2 : 1);
  });

  test('what one transaction changed comes in its order; ids have no gap, whoever they are for', async (t) => {
    const [client, boss] = await shop.joinAll(t, 1, 'operator');
    await shop.db.query(`${begin}; INSERT INTO notes (id, owner, body) ${series(1001, 1500, "i, i % 2, 'made'")};
      UPDATE notes SET body = 'changed' WHERE id BETWEEN 1001 AND 1250; DELETE FROM notes WHERE id BETWEEN 1251 AND 1500; COMMIT`);
    await shop.db.query(`${begin}; INSERT INTO notes VALUES (1501, 1, 'never'); ROLLBACK`);
    await shop.relay.fence(client, boss);
    const expected = [];
    for (let id = 1001; id <= 1500; id++) expected.push(`insert ${id}`);
    for (let id = 1001; id <= 1250; id++) expected.push(`update ${id}`);
    for (let id = 1251; id <= 1500; id++) expected.push(`delete ${id}`);
    assert.deepEqual(boss.events.map(({ type, data }) => `${type} ${data.id}`), expected);
    assert.deepEqual(client.events, boss.events.filter(({ data }) => data.owner === 1), 'the same ids for every receiver');
    const all = boss.named('changes').map(({ id }) => BigInt(id));
    all.forEach((id, i) => assert.equal(id, BigInt(boss.welcome.id) + BigInt(i) + 1n));
    ascending(boss.events);
  });

  test('a value of 5 MB arrives whole, on every transport', async (t) => {
    const clients = [await shop.join(t, 1), await shop.join(t, 1, { via: 'sse' })];
    const sizes = [7_999, 8_001, 65_536, 5_000_000];
    for (const [i, size] of sizes.entries()) await shop.db.query('INSERT INTO notes VALUES ($1, 1, $2)', [331 + i, `«${String(i).repeat(size - 2)}»`]);
    await shop.relay.fence(...clients);
    for (const client of clients) {
      assert.equal(client.events.length, sizes.length, client.state());
      for (const [i, { data, incomplete }] of client.events.entries()) {
        assert.equal(incomplete, undefined, `${sizes[i]} characters`);
        assert.equal(data.body.length, sizes[i]);
        assert.ok(/^«\d+»$/.test(data.body), `${sizes[i]} characters`);
      }
    }
  });

  test('after connected nothing is missed, and nothing older is delivered', async (t) => {
    await shop.db.query("INSERT INTO notes VALUES (341, 1, 'before')");
    await shop.relay.fence(await shop.join(t, 1));
    for (let round = 0; round < 10; round++) {
      const client = await shop.join(t, 1);
      await shop.db.query('UPDATE notes SET body = $1 WHERE id = 341', [`round ${round}`]);
      await client.count(1);
      assert.equal(client.events[0].data.body, `round ${round}`);
      assert.ok(BigInt(client.events[0].id) > BigInt(client.welcome.id));
    }
  });
}
