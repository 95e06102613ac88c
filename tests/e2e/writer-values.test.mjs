// Prevents: a write that fails because its value is one that JSON, jsonb or an array refuses, and an event that is lost, goes
// to nobody or to somebody else, or breaks a client, because of such a value.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { ascending } from './lib/shapes.mjs';

const postgres = usePostgres();

// A table's relay and both kinds of client of user 1.
async function watch(t, sql, options) {
  const db = await postgres.database(t, sql);
  const token = await db.user(1);
  const relay = await startRelay(t, db, options);
  return { db, relay, ws: await relay.ws(token), sse: await relay.sse(token) };
}

test('json with \\u0000, lone surrogates, numbers beyond every type, a thousand levels: written, told as it is, both clients go on', async (t) => {
  const { db, relay, ws, sse } = await watch(t, 'CREATE TABLE docs (id int PRIMARY KEY, user_id int, j json, b jsonb)',
    { tables: 'docs', routing: { docs: 'user_id' }, env: { OLD_ROWS: 'docs' } });
  const deep = '['.repeat(1000) + ']'.repeat(1000);
  const values = ['{"a":"\\u0000"}', '{"\\u0000":1}', '1e400000', '-1e-400000', '{"a":[1e400000,"\\ud800"]}', '"\\udc00\\ud800"', deep, '{"a":1,"a":2}', ' \n [ 1 ,\t2 ] '];
  for (const [i, value] of values.entries()) await db.query('INSERT INTO docs VALUES ($1, 1, $2::json)', [i, value]);
  // jsonb takes numbers as far as numeric goes; what it refuses is the application's own error.
  await db.query(`INSERT INTO docs VALUES (100, 1, NULL, ('{"n":' || repeat('9', 100000) || '}')::jsonb), (101, 1, NULL, '1e131071'), (102, 1, NULL, '1e-16383')`);
  await assert.rejects(db.query("INSERT INTO docs VALUES (103, 1, NULL, '\"\\u0000\"')"), /unsupported Unicode escape/);
  await db.query("UPDATE docs SET j = '\"\\u0000\"' WHERE id = 2; DELETE FROM docs");
  await relay.fence(ws, sse);
  for (const client of [ws, sse]) {
    ascending(client.events);
    const { texts } = client;
    for (const [i, value] of values.entries()) {
      if (client === ws) assert.ok(texts[i].includes(`"j":${value}`), texts[i].slice(0, 300));
      assert.equal(client.events[i].incomplete, undefined);
    }
    assert.deepEqual(client.events[8].data.j, [1, 2]);
    assert.ok(texts[9].includes('9'.repeat(100000)));
    assert.equal(client.events[10].data.b, Number('1e131071'));
    assert.deepEqual([client.events[12].data.j, client.events[12].old.j, client.events[12].type], ['\u0000', Infinity, 'update']);
    assert.equal(client.events.length, values.length + 3 + 1 + values.length + 3);
  }
});

test('1600 columns, as many as PostgreSQL has: whole, updated, deleted', async (t) => {
  const long = 'x'.repeat(55);
  const columns = Array.from({ length: 1598 }, (_, i) => `"${long}${i}" ${['int', 'bool', 'smallint'][i % 3]}`);
  const { db, relay, ws, sse } = await watch(t, `CREATE TABLE wide (id int PRIMARY KEY, user_id int, ${columns.join(', ')})`,
    { tables: 'wide', routing: { wide: 'user_id' }, env: { OLD_ROWS: 'wide' } });
  await db.query(`INSERT INTO wide SELECT 1, 1, ${columns.map((_, i) => ['7', 'true', '8'][i % 3]).join(', ')}`);
  await db.query(`UPDATE wide SET "${long}0" = 5; DELETE FROM wide`);
  await relay.fence(ws, sse);
  for (const client of [ws, sse]) {
    assert.deepEqual(client.events.map(({ type, incomplete, data }) => [type, incomplete, Object.keys(data).length, data[`${long}0`]]),
      [['insert', undefined, 1600, 7], ['update', undefined, 1600, 5], ['delete', undefined, 1600, 5]]);
    assert.equal(client.events[1].old[`${long}0`], 7);
    assert.equal(client.events[1].data[`${long}1597`], true);
  }
});

test('arrays that name users: of two dimensions beside another column, padded, with bounds, with nulls, under array_nulls=off', async (t) => {
  const { db, relay, ws } = await watch(t, `CREATE TYPE who AS ENUM ('1', '2', 'NULL');
    CREATE TABLE teams (id int PRIMARY KEY, owner int, viewers int[], codes char(5)[], names text[], kinds who[], flags bool[])`,
  { tables: 'teams', routing: { teams: ['owner', 'viewers', 'codes', 'names', 'kinds', 'flags'] } });
  const nobody = await relay.ws(await db.user(9));
  await db.query("ALTER TABLE auth ALTER id TYPE text; INSERT INTO auth VALUES ('NULL', 'token-of-somebody-else')");
  const nulls = await relay.ws('token-of-somebody-else');
  const rows = [ // what is in the columns, and whether user 1 is
    ["9, '{{3,1},{4,5}}', NULL, NULL, NULL, NULL", true],
    ["9, NULL, '{1}', NULL, NULL, NULL", true],
    ["9, NULL, '{{7,8},{1,2}}', '{{a},{b}}', NULL, NULL", true],
    ["9, '[5:6]={1,2}', NULL, NULL, NULL, NULL", true],
    ["9, NULL, NULL, ARRAY[NULL, '2'], ARRAY[NULL, '2']::who[], '{t}'", false],
    ["9, NULL, NULL, NULL, ARRAY['1', NULL]::who[], NULL", true],
    ["9, '{}', '{}', '{}', '{}', '{}'", false],
  ];
  await db.query('SET array_nulls = off');
  for (const [i, [values]] of rows.entries()) await db.query(`INSERT INTO teams VALUES (${i}, ${values})`);
  await relay.fence(ws, nobody, nulls);
  assert.deepEqual(nobody.events.map(({ data, incomplete }) => [data.id, incomplete]), rows.map((_, i) => [i, undefined]));
  assert.deepEqual(ws.events.map(({ data }) => data.id), rows.flatMap(([, seen], i) => (seen ? [i] : [])));
  assert.deepEqual(nulls.events, [], 'a null element is nobody, not a user called NULL');
  assert.deepEqual(nobody.events[4].data.kinds, [null, '2']);
});

test('arrays of composites, in several dimensions too', async (t) => {
  const { db, relay, ws } = await watch(t, `CREATE TYPE pair AS (n int, t text); CREATE TABLE boxes (id int, ps pair[], bs bytea[])`,
    { tables: 'boxes', routing: { boxes: '*' } });
  await db.query(`INSERT INTO boxes VALUES (1, ARRAY[ROW(1,'a'), NULL, ROW(2,NULL)]::pair[], '{"\\\\x00", NULL}'),
    (2, ARRAY[[ROW(1,'a')::pair, ROW(2,'b')::pair], [ROW(3,'c')::pair, NULL]], '{{"\\\\x00"},{"\\\\xff"}}'), (3, '{}', '{}'), (4, NULL, NULL),
    (5, '[3:4]={"(1,x)","(2,y)"}', NULL)`);
  await relay.fence(ws);
  assert.deepEqual(ws.events.map(({ data, incomplete }) => [data.ps, data.bs, incomplete]), [
    [[{ n: 1, t: 'a' }, null, { n: 2, t: null }], ['AA==', null], undefined],
    [[{ n: 1, t: 'a' }, { n: 2, t: 'b' }, { n: 3, t: 'c' }, null], ['AA==', '/w=='], undefined],
    [[], [], undefined],
    [null, null, undefined],
    [[{ n: 1, t: 'x' }, { n: 2, t: 'y' }], null, undefined],
  ]);
});

test('tables of esink itself and of the system are no tables to watch', async (t) => {
  const { db } = await watch(t, 'CREATE TABLE notes (id int)', { tables: 'notes' });
  for (const name of ['esink.event_0', 'esink.meta', 'pg_catalog.pg_class', 'information_schema.sql_features']) {
    const { code, log } = await runToEnd(t, { db, env: { TABLE_NAMES: name } });
    assert.equal(code, 3, log);
    assert.match(log, new RegExp(`TABLE_NAMES: "${name}" .*cannot be watched`));
  }
});
