// Prevents: a value that SQLite's dynamic typing lets into any column, and that makes the write fail, the relay end or the JSON
// invalid, or comes out as another value: BLOBs, infinities, integers beyond 2^53, text with a NUL, text that is no UTF-8, rows
// near SQLite's limit, tables of a thousand columns, names with quotes; and a journal that grows for ever or loses its newest
// row, and with it the next id.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { test } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { sqliteDatabase } from './lib/sqlite.mjs';
import { until } from './lib/wait.mjs';

const tooLong = Buffer.from('\x1besink: too long').toString('base64');
const env = { SECURITY_TOKEN: 'operators-own-token-4711' };

// The last event after a write.
async function told(relay, client, db, sql) {
  await db.query(sql);
  await relay.fence(client);
  return client.events.filter((event) => event.table !== 'fence').at(-1);
}

const values = [
  ['NULL', null], ['0', 0], ['-9223372036854775808', '-9223372036854775808'], ['9223372036854775807', '9223372036854775807'],
  ['1.0', '1.0'], ['0.1', '0.1'], ['0.1 + 0.2', '0.30000000000000004'], ['-0.0', '-0.0'], ['1e300', '1e+300'], ['5e-324', '5e-324'],
  ['1.7976931348623157e308', '1.7976931348623157e+308'], ['9e999', 'Infinity'], ['-9e999', '-Infinity'], ['9e999 - 9e999', null],
  ["x''", ''], ["x'00'", 'AA=='], ["x'0001'", 'AAE='], ["x'ff00ff10'", '/wD/EA=='], ["''", ''], ["'a' || char(0) || 'b'", 'a\0b'],
  ["CAST(x'41ff42' AS TEXT)", 'A\ufffdB'], ["CAST(x'eda080' AS TEXT)", /^\ufffd+$/], ["CAST(x'c0af' AS TEXT)", /^\ufffd+$/],
  ["'\"\\' || char(10) || char(1)", '"\\\n\x01'], ["'ünï ✓ 𝄞'", 'ünï ✓ 𝄞'], ["char(8232)", '\u2028'],
];

test('any value in any column, whatever its declared type', async (t) => {
  const db = await sqliteDatabase(t, 'CREATE TABLE v (id INTEGER PRIMARY KEY, plain, i INT, r REAL, s TEXT, b BLOB, n NUMERIC, d DATETIME, j JSON, ok BOOLEAN)');
  const relay = await startRelay(t, db, { tables: 'v', routing: { v: ['plain', 's'] }, env });
  const boss = await relay.operator();
  for (const [i, [sql, expected]] of values.entries()) {
    const columns = ['plain', 'i', 'r', 's', 'b', 'n', 'd', 'j', 'ok'];
    const event = await told(relay, boss, db, `INSERT INTO v (id, ${columns}) VALUES (${i}, ${columns.map(() => sql)}); UPDATE v SET plain = plain WHERE id = ${i}`);
    assert.equal(event.data.id, i);
    assert.equal(event.incomplete, undefined);
    if (expected instanceof RegExp) assert.match(event.data.plain, expected);
    else if (typeof event.data.plain === 'number') assert.equal(event.data.plain, Number(expected), sql);
    else assert.equal(event.data.plain, expected, sql);
  }
});

test('JSON and BOOLEAN columns are what they say when the value is', async (t) => {
  const db = await sqliteDatabase(t, 'CREATE TABLE v (id INTEGER PRIMARY KEY, j JSON, ok BOOLEAN)');
  const relay = await startRelay(t, db, { tables: 'v', env });
  const boss = await relay.operator();
  const cases = [['\'{"a": [1, null, "x"]}\'', { a: [1, null, 'x'] }], ["'[1,2]'", [1, 2]], ["'\"s\"'", 's'], ["'not'", 'not'], ["'1, \"x\": 2'", '1, "x": 2'],
    ["'1],\"x\":[2'", '1],"x":[2'], ["'{\"a\":\"' || char(1) || '\"}'", '{"a":"\x01"}'], ["'{a:1}'", '{a:1}'], ["CAST(x'22ff22' AS TEXT)", '"\ufffd"'], ["''", ''], ['NULL', null], ['7', 7],
    [`'${'['.repeat(5000)}'`, '['.repeat(5000)]];
  for (const [i, [sql, expected]] of cases.entries()) {
    const event = await told(relay, boss, db, `INSERT INTO v VALUES (${i}, ${sql}, ${i % 3})`);
    assert.deepEqual(event.data, { id: i, j: expected, ok: [false, true, 2][i % 3] }, sql.slice(0, 60));
  }
});

test('names with quotes, generated columns, STRICT and WITHOUT ROWID tables', async (t) => {
  const odd = `a"b'c@table@]\`é`;
  const db = await sqliteDatabase(t, `CREATE TABLE "${odd.replace(/"/g, '""')}" ("x""y" TEXT, "select" INT, "it's" TEXT GENERATED ALWAYS AS ("x""y" || '!') STORED,
    virt AS ("select" + 1), PRIMARY KEY ("select")) STRICT, WITHOUT ROWID`.replace('virt AS', 'virt INT AS').replace('"select" INT,', '"select" INTEGER,'));
  const relay = await startRelay(t, db, { tables: `"${odd.replace(/"/g, '""')}"`, env });
  const boss = await relay.operator();
  const event = await told(relay, boss, db, `INSERT INTO "${odd.replace(/"/g, '""')}" ("x""y", "select") VALUES ('v', 1)`);
  assert.equal(event.table, odd);
  assert.deepEqual(event.data, { 'x"y': 'v', select: 1, "it's": 'v!', virt: 2 });
});

test('a thousand columns, with the old row; two thousand: the key alone', async (t) => {
  const columns = (n) => Array.from({ length: n }, (_, i) => `c${i}`).join(', ');
  const db = await sqliteDatabase(t, `CREATE TABLE wide (id INTEGER PRIMARY KEY, ${columns(900)}); CREATE TABLE wider (id INTEGER PRIMARY KEY, ${columns(1999)})`);
  const relay = await startRelay(t, db, { tables: 'wide,wider', env: { ...env, OLD_ROWS: '*' } });
  const boss = await relay.operator();
  let event = await told(relay, boss, db, 'INSERT INTO wide (id, c899) VALUES (1, 5); UPDATE wide SET c899 = 6');
  assert.deepEqual([Object.keys(event.data).length, event.data.c899, event.old.c899], [901, 6, 5]);
  event = await told(relay, boss, db, 'INSERT INTO wider (id, c1998) VALUES (1, 5)');
  assert.deepEqual([event.data, event.incomplete], [{ id: 1 }, true]);
});

test('a row that SQLite takes and that is too long beside another one: the write succeeds, the key is told', { timeout: 120_000 }, async (t) => {
  const db = await sqliteDatabase(t, 'CREATE TABLE big (id INTEGER PRIMARY KEY, owner INT, body BLOB)');
  const token = await db.user(7);
  const relay = await startRelay(t, db, { tables: 'big', routing: { big: 'owner' }, env: { ...env, OLD_ROWS: 'big' } });
  const client = await relay.ws(token);
  await db.query('INSERT INTO big VALUES (1, 7, zeroblob(1000))');
  // A BLOB of zeros costs neither memory nor disk until it is written; half of the limit twice is over it.
  await db.query('BEGIN; UPDATE big SET body = zeroblob(999999000)');
  const { rows } = await db.query('SELECT kind, v1, v2, v3 FROM esink_event ORDER BY id DESC LIMIT 1');
  assert.deepEqual(rows, [{ kind: 1, v1: 1, v2: 7, v3: { base64: tooLong } }]);
  await db.query('ROLLBACK');
  await db.query('DELETE FROM big');
  await relay.fence(client);
  assert.deepEqual(client.events.map((event) => event.type), ['insert', 'delete']);
});

test('a key of which a part is too long to be told: none of it is, for the rest might pass for another row\'s key', async (t) => {
  const db = await sqliteDatabase(t, 'CREATE TABLE docs (tenant INT, name TEXT, owner INT, PRIMARY KEY (tenant, name))');
  const relay = await startRelay(t, db, { tables: 'docs', routing: { docs: ['tenant', 'owner'] }, env });
  const [boss, user] = [await relay.operator(), await relay.ws(await db.user(5))];
  const long = "replace(hex(zeroblob(60000)), '0', 'z')";
  await db.query(`INSERT INTO docs VALUES (5, 'a', 1); UPDATE docs SET name = ${long}; UPDATE docs SET tenant = 6; UPDATE docs SET name = 'b', tenant = 5`);
  await relay.fence(boss, user);
  const told = (client) => client.events.filter(({ table }) => table === 'docs').map(({ type, data, incomplete }) => [type, data, !!incomplete]);
  const first = ['insert', { tenant: 5, name: 'a', owner: 1 }, false];
  assert.deepEqual(told(boss), [first, ['update', {}, true], ['update', {}, true], ['update', { tenant: 5, name: 'b' }, true]]);
  assert.deepEqual(told(user), [first, ['update', {}, true], ['delete', {}, true], ['update', { tenant: 5, name: 'b' }, true]]);
});

// What https://sqlite.org/security.html recommends.
const limits = { LENGTH: 1_000_000, SQL_LENGTH: 100_000, COLUMN: 100, EXPR_DEPTH: 10, COMPOUND_SELECT: 3, VDBE_OP: 25_000, FUNCTION_ARG: 8,
  ATTACHED: 0, LIKE_PATTERN_LENGTH: 50, VARIABLE_NUMBER: 10, TRIGGER_DEPTH: 10 };

for (const old of ['', 'docs']) {
  test(`an application that lowers its limits ${old ? 'and OLD_ROWS' : ''}: no write fails, the key of what is too long is told`, async (t) => {
    const columns = Array.from({ length: 40 }, (_, i) => `c${i} ${['TEXT', 'INT', 'JSON', 'REAL', ''][i % 5]}`);
    const db = await sqliteDatabase(t, `CREATE TABLE docs (id INTEGER PRIMARY KEY, owner TEXT, ${columns}, body TEXT)`);
    const relay = await startRelay(t, db, { tables: 'docs', routing: { docs: 'owner' }, env: { ...env, OLD_ROWS: old } });
    const [boss, application] = [await relay.operator(), db.connect()];
    await application.limit(limits);
    const write = async (sql, ...more) => {
      await application.query(sql, more);
      await relay.fence(boss);
      return boss.events.filter((event) => event.table === 'docs').at(-1);
    };
    let event = await write("INSERT INTO docs (id, owner, c0, c3) VALUES (1, '7', 'text', 1.5)");
    assert.deepEqual([event.data.owner, event.data.c0, event.data.c3, event.incomplete], ['7', 'text', 1.5, undefined]);
    for (const bytes of [600_000, 999_000, 999_900]) {
      event = await write(`UPDATE docs SET body = hex(zeroblob(${bytes / 2 - 200}))`);
      assert.deepEqual([event.data, event.incomplete], [{ id: 1 }, true]);
    }
    for (const column of ['c0', 'c1', 'c2', 'c3', 'c4', 'owner']) {
      event = await write(`UPDATE docs SET body = NULL, ${column} = replace(hex(zeroblob(300000)), '0', 'z')`);
      assert.deepEqual([event.data, event.incomplete], [{ id: 1 }, true]);
      await write(`UPDATE docs SET ${column} = NULL`);
    }
    // Each of them short, together as long as the limit lets them be.
    await write(`UPDATE docs SET ${columns.map((column, i) => `${column.split(' ')[0]} = replace(hex(zeroblob(${i < 20 ? 12_000 : 4000})), '0', 'z')`)}`);
    await write('UPDATE docs SET c0 = c0, body = hex(zeroblob(100000))');
    await write('DELETE FROM docs');
    assert.deepEqual(boss.events.filter((one) => one.table === 'docs').map((one) => one.type),
      ['insert', ...Array.from({ length: 17 }, () => 'update'), 'delete']);
    const { rows } = await db.query('SELECT max(id) AS n FROM esink_event');
    assert.ok(rows[0].n >= 19);
  });
}

test('a long value, limits as they are: it is told whole', async (t) => {
  const db = await sqliteDatabase(t, 'CREATE TABLE docs (id INTEGER PRIMARY KEY, a TEXT, b BLOB, c JSON)');
  const relay = await startRelay(t, db, { tables: 'docs', env: { ...env, OLD_ROWS: '*' } });
  const boss = await relay.operator();
  const event = await told(relay, boss, db, "INSERT INTO docs VALUES (1, 'x', x'01', '[1]'); UPDATE docs SET a = hex(zeroblob(1500000)), b = zeroblob(3000000)");
  assert.deepEqual([event.data.a.length, event.data.b.length, event.data.c, event.old.a, event.incomplete], [3_000_000, 4_000_000, [1], 'x', undefined]);
});

test('pruning goes by when a row was written, not by the timestamp that a publisher gave it', async (t) => {
  const db = await sqliteDatabase(t, 'CREATE TABLE v (id INTEGER PRIMARY KEY)');
  const relay = await startRelay(t, db, { tables: 'v', env });
  const boss = await relay.operator();
  await db.query('INSERT INTO v VALUES (1)');
  await relay.post('/publish', { table: 'news', type: 'old', data: {}, userId: '*', timestamp: 1000, securityToken: env.SECURITY_TOKEN });
  await db.query('INSERT INTO v VALUES (2)');
  await relay.fence(boss);
  assert.deepEqual(boss.events.map((event) => event.type), ['insert', 'old', 'insert']);
  assert.equal(boss.events[1].timestamp, 1000);
  await relay.stop();
  await relay.start(); // which prunes first of all
  const again = await relay.operator({ after: `${boss.welcome.journal}:0` });
  assert.equal(again.welcome.recovered, true);
  await until(() => again.events.length >= 3, 'the replay');
  assert.deepEqual(again.events[1], boss.events[1]);
});

test('a big transaction, older than RETENTION when it commits, is told whole, at once, before it is pruned', async (t) => {
  const db = await sqliteDatabase(t, 'CREATE TABLE v (id INTEGER PRIMARY KEY)');
  const relay = await startRelay(t, db, { tables: 'v', env: { ...env, RETENTION: '1s' } });
  const boss = await relay.operator();
  await db.query('BEGIN');
  await db.query('INSERT INTO v WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000) SELECT i FROM n');
  await setTimeout(2500);
  await db.query('COMMIT');
  // All of it, with no other commit behind it.
  await until(() => boss.events.length === 25_000, () => `${boss.events.length} of 25000 events; ${relay.log}`, 20_000);
  assert.ok(!relay.log.includes('does not go on'), relay.log);
});

test('pruning: the journal reaches back RETENTION, its newest row stays, ids go on, a lost position is told', async (t) => {
  const db = await sqliteDatabase(t, 'CREATE TABLE v (id INTEGER PRIMARY KEY, body TEXT)');
  const relay = await startRelay(t, db, { tables: 'v', env: { ...env, RETENTION: '1s' } });
  const boss = await relay.operator();
  await db.query("INSERT INTO v WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i, 'some text' FROM n");
  const rows = async () => (await db.query('SELECT count(*) AS n, max(id) AS newest FROM esink_event')).rows[0];
  await until(async () => (await rows()).n === 1, 'all but the newest to go', 30_000);
  assert.deepEqual(await rows(), { n: 1, newest: 5000 });
  await relay.stop();
  await relay.start();
  const again = await relay.operator({ after: `${boss.welcome.journal}:10` });
  assert.deepEqual([again.welcome.recovered, again.welcome.id, again.welcome.journal], [false, '5000', boss.welcome.journal]);
  await relay.fence(again);
  assert.equal(again.named('changes')[0].id, '5001');
});

test('the triggers are the ones that were looked at', async (t) => {
  const db = await sqliteDatabase(t, `CREATE TABLE plain (id INTEGER PRIMARY KEY, owner INT, note TEXT, secret TEXT);
    CREATE TABLE "Odd ""Table""" ("a'b" INT, "c\\d" TEXT, PRIMARY KEY ("c\\d", "a'b")) WITHOUT ROWID`);
  await startRelay(t, db, { tables: 'plain,"Odd ""Table"""', routing: { plain: ['owner', 'note'] }, filters: 'plain.secret', env: { OLD_ROWS: 'plain' }, fence: false });
  for (const [table, file] of [['plain', 'plain.sql'], ['Odd "Table"', 'odd-table.sql']]) {
    const { rows } = await db.query("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = $1 ORDER BY name", [table]);
    const text = rows.map(({ sql }) => `${sql};\n`).join('');
    const golden = new URL(`../golden/sqlite/${file}`, import.meta.url);
    if (process.env.ESINK_GOLDEN === 'write') {
      mkdirSync(new URL('.', golden), { recursive: true });
      writeFileSync(golden, text);
    }
    assert.ok(existsSync(golden) && text === readFileSync(golden, 'utf8'), `${table}: look at the difference; ESINK_GOLDEN=write takes the new text`);
  }
});
