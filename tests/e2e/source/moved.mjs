// Prevents: a row handed to another user that goes on showing its new content to the old one, or stays in the old one's
// browser for ever.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.mjs';

const view = ({ id, type, data, old }) => ({ id, type, data, ...(old ? { old } : {}) });
const brief = ({ type, data, old }) => [type, data, ...(old ? [old] : [])];

export function inShop(database, shop) {
  test('moved: one id; update for the new user, delete with the key for the old, the whole for the operator', async (t) => {
    const [before, after, neither, boss] = await shop.joinAll(t, 1, 2, 3, 'operator');
    const stream = await shop.join(t, 1, { via: 'sse' });
    await shop.db.query("INSERT INTO games VALUES (105, 1, NULL, 'x')");
    await shop.db.query("UPDATE games SET home = 2, referee = 'y' WHERE id = 105");
    await shop.relay.fence(before, after, neither, boss, stream);
    const { id } = boss.events[1];
    const row = { id: 105, home: 2, guest: null, referee: 'y' };
    assert.deepEqual(before.events.slice(1).map(view), [{ id, type: 'delete', data: { id: 105 } }]);
    assert.deepEqual(after.events.map(view), [{ id, type: 'update', data: row }], 'without the previous row, which was not its own');
    assert.deepEqual(neither.events, []);
    assert.deepEqual(boss.events.slice(1).map(view), [{ id, type: 'update', data: row, old: { id: 105, home: 1, guest: null, referee: 'x' } }]);
    assert.deepEqual(stream.events, before.events, 'streams show the same');
  });

  test('who sees the row before and after sees the update, with the old row', async (t) => {
    const [one, two, three] = await shop.joinAll(t, 1, 2, 3);
    await shop.db.query('INSERT INTO games VALUES (110, 1, 2, NULL)');
    await shop.db.query('UPDATE games SET guest = 3 WHERE id = 110');
    await shop.relay.fence(one, two, three);
    const row = { id: 110, home: 1, guest: 3, referee: null };
    assert.deepEqual(one.events.slice(1).map(brief), [['update', row, { ...row, guest: 2 }]]);
    assert.deepEqual(two.events.slice(1).map(brief), [['delete', { id: 110 }]]);
    assert.deepEqual(three.events.map(brief), [['update', row]]);
  });

  test('a swap of two routing columns is an update for both', async (t) => {
    const clients = await shop.joinAll(t, 1, 2);
    await shop.db.query('INSERT INTO games VALUES (115, 1, 2, NULL)');
    await shop.db.query('UPDATE games SET home = 2, guest = 1 WHERE id = 115');
    await shop.relay.fence(...clients);
    for (const client of clients) assert.deepEqual(client.events.map(({ type }) => type), ['insert', 'update']);
  });

  test('the old key is the key of before, less FILTERS, and {} where there is none', async (t) => {
    const [before, after] = await shop.joinAll(t, 1, 2);
    await shop.db.query('INSERT INTO notes VALUES (120, 1, NULL); INSERT INTO pairs VALUES (7, 8, 1); INSERT INTO keyless VALUES (9, 1)');
    await shop.db.query(`UPDATE notes SET id = 121, owner = 2 WHERE id = 120; UPDATE pairs SET a = 70, owner = 2 WHERE a = 7;
      UPDATE keyless SET owner = 2 WHERE n = 9`);
    await shop.relay.fence(before, after);
    assert.deepEqual(before.events.slice(3).map(({ table, type, data }) => [table, type, data]),
      [['notes', 'delete', { id: 120 }], ['pairs', 'delete', { a: 7 }], ['keyless', 'delete', {}]]);
    assert.deepEqual(after.events.map(({ table, type, data }) => [table, type, data]),
      [['notes', 'update', { id: 121, owner: 2, body: null }], ['pairs', 'update', { a: 70, owner: 2 }], ['keyless', 'update', { n: 9, owner: 2 }]]);
  });

  test('to and from nobody', async (t) => {
    const [one, boss] = await shop.joinAll(t, 1, 'operator');
    await shop.db.query('INSERT INTO notes VALUES (130, NULL, NULL)');
    await shop.db.query('UPDATE notes SET owner = 1 WHERE id = 130');
    await shop.db.query('UPDATE notes SET owner = NULL WHERE id = 130');
    await shop.relay.fence(one, boss);
    assert.deepEqual(one.events.map(brief), [['update', { id: 130, owner: 1, body: null }], ['delete', { id: 130 }]]);
    assert.equal(boss.events.length, 3);
  });

  test('types of a subscription are those that the session sees', async (t) => {
    const deletes = await shop.join(t, 1, { query: { types: 'delete' } });
    const updates = await shop.join(t, 1, { query: { types: 'update' } });
    await shop.db.query('INSERT INTO notes VALUES (140, 1, NULL)');
    await shop.db.query('UPDATE notes SET owner = 2 WHERE id = 140');
    await deletes.count(1);
    assert.deepEqual(deletes.events.map(brief), [['delete', { id: 140 }]]);
    await shop.db.query('INSERT INTO notes VALUES (141, 1, NULL)');
    await shop.db.query('UPDATE notes SET id = 142 WHERE id = 141');
    await updates.count(1);
    assert.deepEqual(updates.events.map(brief), [['update', { id: 142, owner: 1, body: null }]]);
  });
}
