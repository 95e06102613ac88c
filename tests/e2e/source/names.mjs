// Prevents: a table or column whose name ends a quotation in our SQL, or that a template takes for its own, and keys of more
// columns than one, or of none, that are told wrongly.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.mjs';
import { operator, shareRelay, steps } from './suite.mjs';

const quoted = (name) => `"${name.replaceAll('"', '""')}"`;
const anyTable = 'O\'Brien "the" ä😀 @table@';
const anyColumns = ['a"b', "a'b", 'ä 😀', 'back\\slash', '@row:NEW@', '@values@', '$esink$', '$1', 'select', 'UPPER', 'new', '%I', 'x'.repeat(60), 'a.b', 'line\nbreak', ');--'];

const messages = ['connected', 'changes', 'error', 'subscribed', 'position', 'esink_test'];

export function apart(database) {
  const spell = database.spell ?? ((name) => name);
  const table = spell(anyTable);
  const columns = anyColumns.map(spell);
  const shared = shareRelay(database, {
    schema: `CREATE TABLE ${quoted(table)} (id int, ${columns.map((name) => `${quoted(name)} int`).join(', ')}, ${quoted('the "owner"')} int,
        PRIMARY KEY (${quoted('a"b')}, ${quoted("a'b")}));
      CREATE TABLE "Order" (id int PRIMARY KEY);
      CREATE TABLE many (${Array.from({ length: 500 }, (_, i) => `c${i} int DEFAULT ${i}`).join(', ')});
      ${messages.map((name) => `CREATE TABLE ${name} (id int)`).join(';')}`,
    tables: `${quoted(table)},Order,many,${messages}`,
    routing: { [quoted(table)]: 'the "owner"' },
    filters: `${quoted(table)}.${quoted('$1')}`,
    env: { SECURITY_TOKEN: operator, OLD_ROWS: quoted(table) },
  });

  test('quotes, spaces, templates and Unicode in the names of tables, columns, keys, rules and filters', async (t) => {
    const [user, other, boss] = await shared.joinAll(t, 1, 2, 'operator');
    const numbers = columns.map((_, i) => i + 1);
    await shared.db.query(`INSERT INTO ${quoted(table)} VALUES (0, ${numbers.join(', ')}, 1)`);
    await shared.db.query(`UPDATE ${quoted(table)} SET ${quoted('the "owner"')} = 2, ${quoted('a"b')} = 100`);
    await shared.db.query('INSERT INTO "Order" VALUES (7)');
    await shared.relay.fence(user, other, boss);
    const row = [['id', 0], ...columns.map((name, i) => [name, i + 1]), ['the "owner"', 1]].filter(([name]) => name !== '$1');
    const moved = row.map(([name, value]) => [name, name === 'a"b' ? 100 : name === 'the "owner"' ? 2 : value]);
    assert.deepEqual(user.events.map(({ table: name, type, data }) => [name, type, Object.entries(data)]),
      [[table, 'insert', row], [table, 'delete', [['a"b', 1], ["a'b", 2]]]]);
    assert.deepEqual(other.events.map(({ type, data, old }) => [type, Object.entries(data), old]), [['update', moved, undefined]]);
    assert.deepEqual(Object.entries(boss.events[1].old), row);
    assert.deepEqual(steps(boss)[2], ['Order', 'insert', { id: 7 }]);
  });

  test('a table of 500 columns; tables that are called like our messages', async (t) => {
    const boss = await shared.join(t, 'operator');
    await shared.db.query('INSERT INTO many (c0) VALUES (0)');
    for (const name of messages) await shared.db.query(`INSERT INTO ${name} VALUES (1)`);
    await shared.relay.fence(boss);
    assert.equal(boss.events[0].incomplete, undefined);
    assert.deepEqual(Object.values(boss.events[0].data), Array.from({ length: 500 }, (_, i) => i));
    assert.deepEqual(boss.events.map((event) => event.table), ['many', ...messages]);
    assert.deepEqual([boss.named('connected').length, boss.named('error').length], [1, 0]);
  });
}

export function inShop(database, shop) {
  test('rows without a key, the same row twice', async (t) => {
    const client = await shop.join(t, 501);
    await shop.db.query('INSERT INTO keyless VALUES (1, 501), (1, 501); UPDATE keyless SET n = 2 WHERE owner = 501; DELETE FROM keyless WHERE owner = 501');
    await shop.relay.fence(client);
    const twice = (type, n) => Array(2).fill(['keyless', type, { n, owner: 501 }]);
    assert.deepEqual(steps(client), [...twice('insert', 1), ...twice('update', 2), ...twice('delete', 2)]);
  });
}
