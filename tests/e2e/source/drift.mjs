// Prevents: a leak, a write that fails, or a table that nobody hears of any more, when the application changes its tables under
// a running relay.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';
import { operator } from './suite.mjs';

const schema = 'CREATE TABLE users (id int PRIMARY KEY, owner int, name text, secret text)';
const rules = { tables: 'users', routing: { users: 'owner' }, filters: 'users.secret', env: { SECURITY_TOKEN: operator } };

export function apart(database) {
  async function watch(t) {
    const db = await database.database(t, schema);
    const relay = await startRelay(t, db, rules);
    relay.secret('hunter2-moving');
    let boss = await relay.operator(), n = 100;
    // After the triggers of a table that had none.
    const again = async () => {
      await relay.sentAway(boss);
      boss = await relay.operator();
      return boss;
    };
    // Rows until one is told as it should be.
    const until_told = (columns, values, accept, what) => until(async () => {
      await db.query(`INSERT INTO users (id, owner, ${columns}) VALUES (${++n}, 1, ${values})`);
      await relay.fence(boss);
      return accept(boss.events.at(-1));
    }, () => `${what}; ${boss.state()}; ${relay.log}`);
    return { db, relay, boss, again, told: until_told };
  }

  test('a column that was added is told once it was looked at', async (t) => {
    const { db, told } = await watch(t);
    await db.query('ALTER TABLE users ADD COLUMN city text');
    await told('city, secret', "'here', 'hunter2-moving'", ({ data }) => data.city === 'here' && !('secret' in data), 'the new column');
  });

  test('a column that was renamed is told under its new name', async (t) => {
    const { db, told } = await watch(t);
    await db.query('ALTER TABLE users RENAME COLUMN name TO title');
    await told('title', "'Dr'", ({ data, incomplete }) => data.title === 'Dr' && !incomplete, 'the new name');
  });

  test('a withheld column under a new name: the key alone, incomplete, and /ready says so; mended when it has its name again', async (t) => {
    const { db, relay, boss, told } = await watch(t);
    await db.query("ALTER TABLE users RENAME COLUMN secret TO open; INSERT INTO users (id, owner, open) VALUES (1, 1, 'hunter2-moving')");
    await relay.notReady();
    assert.match((await relay.get('/ready')).json.message, /users\.secret/);
    await db.query("INSERT INTO users (id, owner, open) VALUES (2, 1, 'hunter2-moving')");
    await relay.fence(boss);
    assert.deepEqual([boss.events.at(-1).data, boss.events.at(-1).incomplete], [{ id: 2 }, true]);
    await db.query('ALTER TABLE users RENAME COLUMN open TO secret');
    await relay.ready();
    await told('name, secret', "'back', 'hunter2-moving'", ({ data }) => data.name === 'back' && !('secret' in data), 'whole rows again');
  });

  test('a column that was dropped: the rest is told', async (t) => {
    const { db, told } = await watch(t);
    await db.query('ALTER TABLE users ADD COLUMN spare text');
    await told('spare', "'x'", ({ data }) => data.spare === 'x', 'the new column');
    const dropped = db.query('ALTER TABLE users DROP COLUMN spare');
    if (!database.dropsColumns) {
      await assert.rejects(dropped, /trigger/);
      await told('spare', "'y'", ({ data }) => data.spare === 'y', 'as before');
      return;
    }
    await dropped;
    await told('name', "'left'", ({ data, incomplete }) => data.name === 'left' && !('spare' in data) && !incomplete, 'whole rows without it');
  });

  test('a table that was dropped: /ready says so; made anew, with other columns, it is watched, by the same rules', async (t) => {
    const { db, relay, again, told } = await watch(t);
    await db.query('DROP TABLE users');
    await relay.notReady();
    assert.match((await relay.get('/ready')).json.message, /users/);
    await db.query('CREATE TABLE users (secret text, city text, owner int, id int PRIMARY KEY)');
    await again();
    await told('city, secret', "'there', 'hunter2-moving'", ({ data }) => data.city === 'there' && !('secret' in data), 'the new table');
    await relay.ready();
  });

  test('another table under the name: told by the same rules, the former one no more', async (t) => {
    const { db, relay, again, told } = await watch(t);
    await db.query('ALTER TABLE users RENAME TO former; CREATE TABLE users (id int PRIMARY KEY, owner int, zip text, secret text)');
    const boss = await again();
    await told('zip, secret', "'1234', 'hunter2-moving'", ({ data }) => data.zip === '1234' && !('secret' in data), 'the new table');
    const { length } = boss.events;
    await db.query("INSERT INTO former VALUES (1, 1, 'a', 'hunter2-moving')");
    await relay.fence(boss);
    assert.equal(boss.events.length, length);
  });
}
