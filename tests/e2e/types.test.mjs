// Prevents: a value that reads differently in the browser than in the database: digits lost, times in the zone of whoever
// wrote them, binary in two spellings, a type that makes the application's own write fail.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';

const postgres = usePostgres();

// Column type, SQL literal, the JSON text expected in `data`.
const values = [
  ['boolean', 'true', 'true'],
  ['smallint', '-32768', '-32768'],
  ['integer', '2147483647', '2147483647'],
  ['bigint', '-9223372036854775808', '-9223372036854775808'],
  ['bigint', '9007199254740993', '9007199254740993'],
  ['numeric', '12345678901234567890123456789.012345678900', '12345678901234567890123456789.012345678900'],
  ['numeric(10,2)', '1.5', '1.50'],
  ['numeric', "'NaN'", '"NaN"'],
  ['real', '0.1', '0.1'],
  ['double precision', '0.1', '0.1'],
  ['double precision', '1e300', '1e+300'],
  ['double precision', '0.30000000000000004', '0.30000000000000004'],
  ['double precision', "'NaN'", '"NaN"'],
  ['double precision', "'-Infinity'", '"-Infinity"'],
  ['text', "E'quote \" back \\\\ slash \\n line \\t tab ä 😀 \\u0001'", '"quote \\" back \\\\ slash \\n line \\t tab ä 😀 \\u0001"'],
  ['text', "''", '""'],
  ['varchar(5)', "'abc'", '"abc"'],
  ['char(5)', "'abc'", '"abc  "'],
  ['uuid', "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'],
  ['bytea', "'\\x00ff10'", '"AP8Q"'],
  ['bytea', "''", '""'],
  ['json', `'{"b": 1, "a": [1.50, null, "x"]}'`, '{"b": 1, "a": [1.50, null, "x"]}'],
  ['jsonb', `'{"b":1.50,"a":{"c":null}}'`, '{"a": {"c": null}, "b": 1.50}'],
  ['jsonb', "'null'", 'null'],
  ['jsonb', "'\"text\"'", '"text"'],
  ['date', "'2024-02-29'", '"2024-02-29"'],
  ['time', "'23:59:59.5'", '"23:59:59.5"'],
  ['timestamp', "'2024-02-29 23:59:59.123456'", '"2024-02-29T23:59:59.123456"'],
  ['timestamptz', "'2024-07-01 12:00:00+02'", '"2024-07-01T10:00:00+00:00"'],
  ['timestamptz', "'2024-07-01 12:00:00.125-11:30'", '"2024-07-01T23:30:00.125+00:00"'],
  ['timestamptz', "'infinity'", '"infinity"'],
  ['interval', "'1 year 2 days 03:04:05.5'", '"P1Y2DT3H4M5.5S"'],
  ['inet', "'192.168.0.1/24'", '"192.168.0.1/24"'],
  ['cidr', "'10.0.0.0/8'", '"10.0.0.0/8"'],
  ['macaddr', "'08:00:2b:01:02:03'", '"08:00:2b:01:02:03"'],
  ['tsvector', "'a:1 fat:2 cat:3'", `"'a':1 'cat':3 'fat':2"`],
  ['int4range', "'[1,5)'", '"[1,5)"'],
  ['tstzrange', "'[2024-07-01 12:00+02,)'", '"[\\"2024-07-01 10:00:00+00\\",)"'],
  ['bit(3)', "B'101'", '"101"'],
  ['xml', "'<a>1</a>'", '"<a>1</a>"'],
  ['point', "'(1,2)'", '"(1,2)"'],
  ['mood', "'so so'", '"so so"'],
  ['positive', '7', '7'],
  ['stamp', "'2024-07-01 12:00:00+02'", '"2024-07-01T10:00:00+00:00"'],
  ['pair', "ROW(1, 'two')", '{"n":1,"s":"two"}'],
  ['pair', 'ROW(NULL, NULL)', '{"n":null,"s":null}'],
  ['integer[]', "'{1,NULL,3}'", '[1,null,3]'],
  ['integer[]', "'{}'", '[]'],
  ['integer[]', "'{{1,2},{3,4}}'", '[[1,2],[3,4]]'],
  ['text[]', `'{"a,b","quote \\"",NULL,"null"}'`, '["a,b","quote \\"",null,"null"]'],
  ['numeric[]', "'{1.50,2}'", '[1.50,2]'],
  ['timestamptz[]', "'{2024-07-01 12:00:00+02}'", '["2024-07-01T10:00:00+00:00"]'],
  ['bytea[]', "'{\"\\\\x00ff10\"}'", '["AP8Q"]'],
  ['jsonb[]', `ARRAY['{"a":1}'::jsonb]`, '[{"a": 1}]'],
  ['mood[]', "'{\"so so\",fine}'", '["so so","fine"]'],
  ['pair[]', "ARRAY[ROW(1, 'x')::pair]", '[{"n":1,"s":"x"}]'],
];

const types = `CREATE TYPE mood AS ENUM ('fine', 'so so'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
  CREATE DOMAIN stamp AS timestamptz; CREATE TYPE pair AS (n int, s text);`;
const table = `${types} CREATE TABLE all_types (id int PRIMARY KEY, ${values.map(([type], i) => `c${i} ${type}`).join(', ')})`;

// JSON without white space outside strings: how the database spaces json is not promised, digits and order are.
const tight = (text) => text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, '$1');

async function row(t, settings = '') {
  const db = await postgres.database(t, table);
  const relay = await startRelay(t, db, { tables: 'all_types', routing: { all_types: '*' } });
  const token = await db.user(1);
  const ws = await relay.ws(token);
  const writer = await db.connect();
  await writer.query(settings);
  await writer.query(`INSERT INTO all_types VALUES (1, ${values.map(([, literal]) => literal).join(', ')})`);
  await writer.query('INSERT INTO all_types (id) VALUES (2)');
  await relay.fence(ws);
  assert.equal(ws.events.length, 2);
  return ws;
}

// The text of each member of `data`, in order.
function members(text) {
  const start = text.indexOf('"data":', text.indexOf('"type"')) + 7;
  const found = [];
  let depth = 0;
  let inString = false;
  let from = start + 1;
  for (let i = start; i < text.length; i++) {
    const c = text[i];
    if (inString) {
      if (c === '\\') i++;
      else if (c === '"') inString = false;
      continue;
    }
    if (c === '"') inString = true;
    else if (c === '{' || c === '[') depth++;
    else if (c === '}' || c === ']') depth--;
    if ((c === ',' && depth === 1) || depth === 0) {
      found.push(text.slice(from, i));
      from = i + 1;
    }
    if (depth === 0) break;
  }
  return found.map((member) => [JSON.parse(member.slice(0, member.indexOf(':'))), member.slice(member.indexOf(':') + 1)]);
}

for (const [name, settings] of [
  ['as it is', ''],
  ['whatever the writer has set', `SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard';
    SET bytea_output = 'escape'; SET extra_float_digits = -5; SET xmlbinary = 'hex'; SET standard_conforming_strings = off`],
]) {
  test(`each type has one JSON form: ${name}`, async (t) => {
    const ws = await row(t, settings.replace("; SET standard_conforming_strings = off", ''));
    const [event, empty] = ws.events;
    assert.equal(event.incomplete, undefined, 'the row could not be built');
    const got = members(ws.texts[0]);
    assert.deepEqual(got.map(([column]) => column), ['id', ...values.map((_, i) => `c${i}`)], 'columns in table order');
    const wrong = values.map(([type, literal, json], i) => [type, literal, tight(json), tight(got[i + 1][1])])
      .filter(([, , wanted, is]) => wanted !== is).map(([type, literal, wanted, is]) => `${type} ${literal}: ${is}, expected ${wanted}`);
    assert.deepEqual(wrong, []);
    for (const [column, value] of Object.entries(empty.data)) assert.equal(value, column === 'id' ? 2 : null, column);
  });
}

test('generated and identity columns, defaults', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE made (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, double int GENERATED ALWAYS AS (n * 2) STORED,
    d text DEFAULT 'none', s serial)`);
  const relay = await startRelay(t, db, { tables: 'made', routing: { made: '*' } });
  const ws = await relay.ws(await db.user(1));
  await db.query('INSERT INTO made (n) VALUES (21); UPDATE made SET n = 4');
  await relay.fence(ws);
  assert.deepEqual(ws.events.map((event) => event.data), [{ id: 1, n: 21, double: 42, d: 'none', s: 1 }, { id: 1, n: 4, double: 8, d: 'none', s: 1 }]);
});

test('a table of 1000 columns', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE wide (${Array.from({ length: 1000 }, (_, i) => `c${i} int DEFAULT ${i}`).join(', ')})`);
  const relay = await startRelay(t, db, { tables: 'wide', routing: { wide: '*' } });
  const ws = await relay.ws(await db.user(1));
  await db.query('INSERT INTO wide DEFAULT VALUES');
  await relay.fence(ws);
  assert.equal(ws.events[0].incomplete, undefined);
  assert.deepEqual(Object.values(ws.events[0].data), Array.from({ length: 1000 }, (_, i) => i));
});

test('extensions and types whose owner made casts: no write fails, no code of the owner runs as us', async (t) => {
  const db = await postgres.database(t, `CREATE TYPE trap AS (n int); CREATE TYPE trap_enum AS ENUM ('a');
    CREATE TABLE ran (who text);
    CREATE FUNCTION spring(trap) RETURNS json LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ran VALUES ('composite'); RETURN '"sprung"'; END $$;
    CREATE FUNCTION spring(trap_enum) RETURNS json LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ran VALUES ('enum'); RETURN '"sprung"'; END $$;
    CREATE CAST (trap AS json) WITH FUNCTION spring(trap); CREATE CAST (trap_enum AS json) WITH FUNCTION spring(trap_enum);
    CREATE TABLE trapped (id int PRIMARY KEY, c trap, e trap_enum, es trap_enum[]);`);
  const relay = await startRelay(t, db, { tables: 'trapped', routing: { trapped: '*' } });
  const ws = await relay.ws(await db.user(1));
  await db.query(`INSERT INTO trapped VALUES (1, ROW(5), 'a', '{a}')`);
  await relay.fence(ws);
  assert.equal((await db.query('SELECT * FROM ran')).rowCount, 0);
  assert.deepEqual(ws.events[0].data, { id: 1, c: { n: 5 }, e: 'a', es: ['a'] });
});
