// Prevents: a documented blind spot that is none, or a change that everybody believes to be seen and is not: the table `sight`
// of lib/databases.mjs, row by row.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.mjs';
import { sightOf } from '../lib/databases.mjs';
import { operator, shareRelay } from './suite.mjs';

export function apart(database) {
  const rows = sightOf(database);
  const shared = shareRelay(database, {
    schema: `CREATE TABLE everyones (id int PRIMARY KEY); ${rows.map(({ schema }) => schema).join(';')}`,
    tables: ['everyones', ...rows.flatMap(({ tables }) => tables)].join(','),
    routing: { everyones: '*' },
    env: { SECURITY_TOKEN: operator },
  });

  for (const { what, first, sql, told } of rows) {
    test(`${what}: ${told.join(', ') || 'not seen'}`, async (t) => {
      await shared.db.query(first);
      await shared.relay.fence(await shared.join(t, 'operator'));
      const boss = await shared.join(t, 'operator');
      await shared.db.query(sql);
      await shared.relay.fence(boss);
      // The order of a cascade and of what caused it is the database's.
      assert.deepEqual(boss.events.map(({ type, data }) => `${type} ${data.id ?? ''}`.trim()).sort(), [...told].sort());
    });
  }

  test('TRUNCATE reaches everyone where the rule is "*", and so do the deletes of a database that has none', async (t) => {
    const { sql, told } = rows.find(({ what }) => what === 'TRUNCATE');
    const user = await shared.join(t, 1);
    await shared.db.query('INSERT INTO everyones VALUES (1), (2)');
    await shared.db.query('INSERT INTO emptied VALUES (1), (2)');
    await shared.db.query(sql);
    await shared.db.query(sql.replace('emptied', 'everyones'));
    await shared.relay.fence(user);
    assert.deepEqual(user.events.map(({ table, type }) => [table, type]),
      ['insert', 'insert', ...told.map((one) => one.split(' ')[0])].map((type) => ['everyones', type]));
  });
}
