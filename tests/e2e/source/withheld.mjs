// Prevents: a column that was to stay in the database and leaves it: in a row, in the row before it, in a key, from the token
// table, or later, read back from a journal that is older than the rule.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { steps } from './suite.mjs';

export function inShop(database, shop) {
  test('FILTERS: the column leaves in no event, nor in the row before an update', async (t) => {
    const [user, boss] = await shop.joinAll(t, 201, 'operator');
    shop.relay.secret('hunter2-first');
    shop.relay.secret('hunter2-second');
    await shop.db.query("INSERT INTO users VALUES (201, 'Anna', 'hunter2-first')");
    await shop.db.query("UPDATE users SET name = 'Ann', password = 'hunter2-second' WHERE id = 201");
    await shop.db.query('DELETE FROM users WHERE id = 201');
    await shop.relay.fence(user, boss);
    for (const client of [user, boss]) {
      assert.deepEqual(client.events.filter(({ table }) => table === 'users').map(({ type, data, old }) => [type, data, old]), [
        ['insert', { id: 201, name: 'Anna' }, undefined], ['update', { id: 201, name: 'Ann' }, { id: 201, name: 'Anna' }],
        ['delete', { id: 201, name: 'Ann' }, undefined],
      ]);
    }
  });

  test('COLUMNS: of that table only these columns leave it', async (t) => {
    const client = await shop.join(t, 1);
    shop.relay.secret('hunter2-third');
    await shop.db.query("INSERT INTO brief VALUES (210, 1, 'seen', 'hunter2-third'); UPDATE brief SET shown = 'more' WHERE id = 210");
    await shop.relay.fence(client);
    assert.deepEqual(steps(client), [['brief', 'insert', { id: 210, shown: 'seen' }], ['brief', 'update', { id: 210, shown: 'more' }]]);
  });

  test('OLD_ROWS names tables: an update of another one carries no old row', async (t) => {
    const client = await shop.join(t, 1);
    await shop.db.query("INSERT INTO notes VALUES (220, 1, 'a'); UPDATE notes SET body = 'b' WHERE id = 220");
    await shop.relay.fence(client);
    assert.deepEqual(client.events.map((event) => 'old' in event), [false, false]);
  });
}

export function apart(database) {
  test('the token column leaves the database in no event, without a word in FILTERS', async (t) => {
    const db = await database.database(t);
    const token = await db.user(1);
    const relay = await startRelay(t, db, { tables: 'auth', routing: { auth: 'id' }, env: { OLD_ROWS: '*' } });
    const client = await relay.ws(token);
    relay.secret('another-token-of-1');
    await db.query("UPDATE auth SET token = 'another-token-of-1' WHERE id = 1");
    await relay.fence(client);
    assert.deepEqual(client.events.map(({ table, type, data, old }) => [table, type, data, old]), [['auth', 'update', { id: 1 }, { id: 1 }]]);
  });

  test('FILTERS that grew, a rule that went: the journal of before is told by the rules of today', async (t) => {
    const db = await database.database(t, 'CREATE TABLE users (id int PRIMARY KEY, name text, secret text); CREATE TABLE mail (id int, owner int)');
    const relay = await startRelay(t, db, { tables: 'users,mail', routing: { users: 'id', mail: 'owner' } });
    const token = await db.user(1);
    const first = await relay.ws(token);
    const { position } = first;
    await db.query("INSERT INTO users VALUES (1, 'Anna', 'told-before'); INSERT INTO mail VALUES (2, 1)");
    await relay.fence(first);
    assert.equal(first.events.length, 2);
    await relay.stop();
    await relay.start({ filters: 'users.secret', routing: { users: 'id' } });
    const again = await relay.ws(token, { after: position });
    assert.equal(again.welcome.recovered, true);
    await relay.fence(again);
    assert.deepEqual(steps(again), [['users', 'insert', { id: 1, name: 'Anna' }]]);
  });
}
