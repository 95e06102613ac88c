// Prevents: a value that reads differently in the browser than in the database: digits lost, binary in two spellings, NULL as a
// text, a quote that ends a string, and a value that makes the application's own write fail. docs/TYPES.md, by row; what only
// one database has is tested in its own files.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.mjs';
import { shareRelay, operator } from './suite.mjs';

// What, its column's type, an SQL literal, the JSON text in `data`. A function takes the database.
const cases = [
  ['a small integer', 'int', '-2147483648', '-2147483648'],
  ['an integer beyond 2^53', 'bigint', '9007199254740993', '9007199254740993'],
  ['the smallest integer', 'bigint', '-9223372036854775808', '-9223372036854775808'],
  ['a decimal', 'decimal(10,2)', '12345678.25', '12345678.25'],
  ['a decimal of many digits', 'decimal(40,10)', '12345678901234567890.0123456789', (db) => db.exact && '12345678901234567890.0123456789'],
  ['a real', 'double precision', '0.1', '0.1'],
  ['a real that needs 17 digits', 'double precision', '0.30000000000000004', '0.30000000000000004'],
  ['a large real', 'double precision', '1e300', '1e+300'],
  ['true', 'boolean', 'true', 'true'],
  ['false', 'boolean', 'false', 'false'],
  ['text', 'text', "'it''s \"quoted\" \\ ä 😀'", JSON.stringify('it\'s "quoted" \\ ä 😀')],
  ['an empty text', 'text', "''", '""'],
  ['text that looks like a number', 'text', "'007'", '"007"'],
  ['text that looks like JSON', 'text', `'{"a":1}'`, JSON.stringify('{"a":1}')],
  ['a bounded text', 'varchar(20)', "'abc'", '"abc"'],
  ['binary', (db) => db.binary.type, (db) => db.binary.of('00ff10'), '"AP8Q"'],
  ['no bytes', (db) => db.binary.type, (db) => db.binary.of(''), '""'],
  ['JSON', (db) => db.json.type, `'{"a": [1, null, "x"], "b": {"c": true}}'`, '{"a":[1,null,"x"],"b":{"c":true}}'],
  ['a JSON null', (db) => db.json.type, "'null'", 'null'],
  ['JSON text', (db) => db.json.type, `'"text"'`, '"text"'],
  ['a day', 'date', "'2024-02-29'", '"2024-02-29"'],
  ['a time of day', (db) => db.time ?? 'time', "'23:59:59.5'", '"23:59:59.5"'],
];

const of = (database, value) => (typeof value === 'function' ? value(database) : value);

// The text of a member of `data`, less white space outside strings: how the database spaces JSON is not promised.
function member(text, name) {
  const tight = text.slice(text.indexOf('"data":')).replace(/("(?:[^"\\]|\\.)*")|\s+/g, '$1');
  const from = tight.indexOf(`"${name}":`) + name.length + 3;
  for (let end = from + 1; ; end++) {
    try {
      if (/[,}\]]/.test(tight[end])) return (JSON.parse(tight.slice(from, end)), tight.slice(from, end));
    } catch {
      // a longer one
    }
    assert.ok(end < tight.length, `${name} in ${text}`);
  }
}

export function apart(database) {
  const all = cases.map((one) => one.map((part) => of(database, part))).filter(([, , , json]) => json);
  const shared = shareRelay(database, {
    schema: `CREATE TABLE kinds (id int PRIMARY KEY, ${all.map(([, type], i) => `c${i} ${type}`).join(', ')});
      CREATE TABLE free (id int PRIMARY KEY, body text)`,
    tables: 'kinds,free',
    routing: { kinds: '*', free: '*' },
    env: { SECURITY_TOKEN: operator, OLD_ROWS: 'kinds' },
  });

  test('each kind of value has one JSON form, in new rows, old rows and deleted ones', async (t) => {
    const client = await shared.join(t, 1);
    await shared.db.query(`INSERT INTO kinds VALUES (1, ${all.map(([, , literal]) => literal).join(', ')})`);
    await shared.db.query('UPDATE kinds SET id = 2');
    await shared.db.query('DELETE FROM kinds');
    await shared.relay.fence(client);
    assert.deepEqual(client.events.map(({ incomplete }) => incomplete), [undefined, undefined, undefined]);
    assert.deepEqual(Object.keys(client.events[0].data), ['id', ...all.map((_, i) => `c${i}`)], 'columns in table order');
    const wrong = all.map(([what, , , json], i) => [what, json, ...client.texts.map((text) => member(text, `c${i}`))])
      .filter(([, json, ...got]) => got.some((one) => one !== json));
    assert.deepEqual(wrong, []);
    const { id, ...old } = client.events[1].old;
    const { id: other, ...same } = client.events[0].data;
    assert.deepEqual([id, other, old], [1, 1, same]);
  });

  test('NULL is null in every kind of column', async (t) => {
    const client = await shared.join(t, 1);
    await shared.db.query('INSERT INTO kinds (id) VALUES (3)');
    await shared.relay.fence(client);
    for (const [name, value] of Object.entries(client.events[0].data)) assert.equal(value, name === 'id' ? 3 : null, name);
  });

  test('every character that a text can hold: control characters, quotes, both ends of Unicode', async (t) => {
    const client = await shared.join(t, 1);
    const texts = [Array.from({ length: 159 }, (_, i) => String.fromCodePoint(i + 1)).join(''), '\u2028\u2029\ufeff\uffff\u{10ffff}👩‍👩‍👧‍👦', '</script>&amp;', '\\u0000\\', '"}]'];
    for (const [i, text] of texts.entries()) await shared.db.query('INSERT INTO free VALUES ($1, $2)', [i, text]);
    await shared.relay.fence(client);
    assert.deepEqual(client.events.map(({ data }) => data.body), texts);
  });
}
