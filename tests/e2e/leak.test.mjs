// Prevents: a row that reaches somebody whom no rule names, by a value that only looks like a user's id, by the place that it
// was written to, by what an update moved it from.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';

const postgres = usePostgres();
const operator = 'operators-own-token-4711';
const ids = (client) => client.events.map(({ data }) => data.id);
const steps = (client) => client.events.map(({ table, type, data }) => [table, type, data]);

// Users with ids of any text, each with its session.
async function people(t, db, relay, names) {
  const clients = {};
  for (const [i, name] of names.entries()) {
    await db.query('INSERT INTO people VALUES ($1, $2)', [name, `token-of-person-${i}`]);
    clients[name] = await relay.ws(`token-of-person-${i}`);
  }
  return clients;
}
const AUTH = { AUTH_TABLE: 'people', SECURITY_TOKEN: operator };

test('values that look like a user, a star or nothing: text of that very id, or nobody', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE people (id text, token text);
    CREATE TABLE rows (id int PRIMARY KEY, owner text, owners text[], amount numeric, ratio float8, flag bool, doc jsonb)`);
  const relay = await startRelay(t, db, { tables: 'rows', routing: { rows: ['owner', 'owners', 'amount', 'ratio', 'flag', 'doc'] }, env: AUTH });
  const names = ['1', '*', 'NULL', 'null', 'true', 't', '{1}', 'é'.normalize('NFC'), 'constructor', 'operator', 'TEST', '-1', 'all', '\\0'];
  const clients = await people(t, db, relay, names);
  const tester = await relay.ws('TEST');
  const owners = ['1', '*', '', null, ' 1', '1 ', '01', '1e0', '+1', '1.0', '１', '1\u200b', 'NULL', 'null', '{1}', '{*}', '"1"', '1,*', '\\0', '\\u0000', '1\u0001',
    'é'.normalize('NFD'), 'é'.normalize('NFC'), 'x'.repeat(200_000), '1'.repeat(100_000), 'Constructor', 'constructor', 'operator', 'TEST', '-1', 'all', '%', '.*', "' OR '1'='1"];
  const expected = Object.fromEntries(names.map((name) => [name, []]));
  const give = (name, id) => name !== null && expected[name]?.push(id);
  let id = 0;
  for (const owner of owners) {
    await db.query('INSERT INTO rows (id, owner) VALUES ($1, $2)', [++id, owner]);
    give(owner, id);
    await db.query('INSERT INTO rows (id, owners) VALUES ($1, $2)', [++id, [null, owner, '', owner]]);
    give(owner, id);
  }
  for (const [column, value, ...who] of [['owners', '{NULL,NULL}'], ['owners', '{}'], ['owners', '{"NULL"}', 'NULL'], ['owners', '{{1,NULL},{*,NULL}}', '1', '*'],
    ['owners', '[5:6]={1,1}', '1'], ['amount', '1', '1'], ['amount', '1.0'], ['amount', 'NaN'], ['ratio', '1', '1'], ['ratio', '1e0', '1'], ['ratio', '1.5'],
    ['flag', 'true', 't'], ['doc', '1', '1'], ['doc', '"1"'], ['doc', 'null', 'null'], ['doc', 'true', 'true'], ['doc', '"*"']]) {
    await db.query(`INSERT INTO rows (id, ${column}) VALUES ($1, $2)`, [++id, value]);
    for (const name of who) give(name, id);
  }
  await relay.fence(...Object.values(clients));
  for (const name of names) assert.deepEqual(ids(clients[name]), expected[name], `user ${JSON.stringify(name)}`);
  assert.ok(tester.events.every(({ table }) => table === 'esink_test'), tester.state());
  for (const userId of ['-1', 'TEST', 'null', 'operator', 'constructor', '__proto__', ' *', '']) {
    await relay.post('/publish', { securityToken: operator, userId, table: 'said', type: userId || 'nobody', data: { id: -1 } });
  }
  await relay.fence(...Object.values(clients));
  for (const name of names) assert.deepEqual(clients[name].events.filter(({ table }) => table === 'said').map(({ type }) => type),
    ['-1', 'TEST', 'null', 'operator', 'constructor'].includes(name) ? [name] : [], `published to ${name}`);
  assert.ok(tester.events.every(({ table }) => table === 'esink_test'), tester.state());
});

test('ids that a collation calls equal are two users', async (t) => {
  const db = await postgres.database(t, `CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE people (id text COLLATE anycase, token text COLLATE anycase); CREATE TABLE rows (id int PRIMARY KEY, owner text COLLATE anycase)`);
  const relay = await startRelay(t, db, { tables: 'rows', routing: { rows: 'owner' }, env: AUTH });
  const { anna, Anna } = await people(t, db, relay, ['anna', 'Anna']);
  const upper = relay.openWs('TOKEN-OF-PERSON-0');
  assert.equal(await upper.closing(), 4401, 'a token that only the collation calls equal');
  await db.query("INSERT INTO rows VALUES (1, 'anna'), (2, 'Anna'), (3, 'ANNA'), (4, 'ànna')");
  await db.query("UPDATE rows SET owner = 'Anna' WHERE id = 1"); // equal to the collation, another user to us
  await relay.fence(anna, Anna);
  assert.deepEqual(steps(anna), [['rows', 'insert', { id: 1, owner: 'anna' }], ['rows', 'delete', { id: 1 }]]);
  assert.deepEqual(steps(Anna), [['rows', 'insert', { id: 2, owner: 'Anna' }], ['rows', 'update', { id: 1, owner: 'Anna' }]]);
});

test('arrays of users, and a changed key: who leaves hears the old key alone, who enters hears no old row', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE docs (id int PRIMARY KEY, owner int, readers int[], body text, secret text);
    CREATE TABLE moving (id int, owner int, secret text) PARTITION BY LIST (id); CREATE TABLE moving_1 PARTITION OF moving FOR VALUES IN (1); CREATE TABLE moving_2 PARTITION OF moving DEFAULT`);
  const tokens = [await db.user(1), await db.user(2), await db.user(3), await db.user(4)];
  const relay = await startRelay(t, db, { tables: 'docs,moving', routing: { docs: ['owner', 'readers'], moving: 'owner' }, filters: 'docs.secret,moving.secret',
    env: { OLD_ROWS: '*', SECURITY_TOKEN: operator } });
  relay.secret('hunter2-arrays');
  const clients = [...await Promise.all(tokens.map((token) => relay.ws(token))), await relay.operator()];
  await db.query("INSERT INTO docs VALUES (1, 1, '{2,3}', 'first', 'hunter2-arrays')");
  await db.query("UPDATE docs SET id = 7, readers = '{3,4,NULL,4}', body = 'second'");
  await db.query("UPDATE docs SET id = 8");
  await db.query("INSERT INTO moving VALUES (1, 1, 'hunter2-arrays'); UPDATE moving SET id = 2, owner = 4");
  await relay.fence(...clients);
  const [one, two, three, four, boss] = clients.map((client) => client.events.map(({ table, type, data, old }) => [table, type, data, old]));
  const first = { id: 1, owner: 1, readers: [2, 3], body: 'first' };
  const second = { id: 7, owner: 1, readers: [3, 4, null, 4], body: 'second' };
  const third = { ...second, id: 8 };
  const both = [['docs', 'insert', first, undefined], ['docs', 'update', second, first], ['docs', 'update', third, second]];
  const left = [['moving', 'insert', { id: 1, owner: 1 }, undefined], ['moving', 'delete', { id: 1, owner: 1 }, undefined]];
  const came = ['moving', 'insert', { id: 2, owner: 4 }, undefined];
  assert.deepEqual(one, [...both, ...left]);
  assert.deepEqual(two, [both[0], ['docs', 'delete', { id: 1 }, undefined]]);
  assert.deepEqual(three, both);
  assert.deepEqual(four, [['docs', 'update', second, undefined], both[2], came]);
  assert.deepEqual(boss, [...both, ...left, came]);
});

test('written to a partition or a child itself: the same users, the same columns, whatever their order there', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE log (id int, owner int, secret text, body text) PARTITION BY RANGE (id);
    CREATE TABLE log_2 (gone text, secret text, body text, owner int, id int); ALTER TABLE log_2 DROP COLUMN gone; ALTER TABLE log ATTACH PARTITION log_2 FOR VALUES FROM (0) TO (100) ;
    CREATE TABLE log_3 (body text, id int, secret text, owner int) PARTITION BY LIST (owner); CREATE TABLE log_3_1 (owner int, secret text, body text, id int);
    ALTER TABLE log_3 ATTACH PARTITION log_3_1 FOR VALUES IN (1, 2); ALTER TABLE log ATTACH PARTITION log_3 FOR VALUES FROM (100) TO (200);
    CREATE TABLE base (id int, owner int, secret text, body text); CREATE TABLE kid (secret text, owner int, more text, id int, body text); ALTER TABLE kid INHERIT base`);
  const tokens = [await db.user(1), await db.user(2)];
  const relay = await startRelay(t, db, { tables: 'log,base', routing: { log: 'owner', base: 'owner' }, filters: 'log.secret,base.secret', env: { OLD_ROWS: '*' } });
  for (const value of ['hunter2-part', 'only-of-the-child']) relay.secret(value);
  const [one, two] = [await relay.ws(tokens[0]), await relay.sse(tokens[1])];
  const fields = '(id, owner, secret, body)';
  await db.query(`INSERT INTO log_2 ${fields} VALUES (1, 1, 'hunter2-part', 'a'); INSERT INTO log_3 ${fields} VALUES (100, 2, 'hunter2-part', 'b');
    INSERT INTO log_3_1 ${fields} VALUES (101, 1, 'hunter2-part', 'c'); INSERT INTO kid (id, owner, secret, body, more) VALUES (5, 2, 'hunter2-part', 'd', 'only-of-the-child')`);
  await db.query("UPDATE log_3_1 SET owner = 2, body = 'moved' WHERE id = 101; UPDATE kid SET owner = 1; DELETE FROM log_2; DELETE FROM ONLY base; TRUNCATE kid; TRUNCATE log_3_1");
  await relay.fence(one, two);
  assert.deepEqual(steps(one), [['log', 'insert', { id: 1, owner: 1, body: 'a' }], ['log', 'insert', { id: 101, owner: 1, body: 'c' }],
    ['log', 'delete', {}], ['base', 'update', { id: 5, owner: 1, body: 'd' }], ['log', 'delete', { id: 1, owner: 1, body: 'a' }]]);
  assert.deepEqual(steps(two), [['log', 'insert', { id: 100, owner: 2, body: 'b' }], ['base', 'insert', { id: 5, owner: 2, body: 'd' }],
    ['log', 'update', { id: 101, owner: 2, body: 'moved' }], ['base', 'delete', {}]]);
});

test('FILTERS that name a partition or a child: their rows are told as the parent\'s, and without that column', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE log (id int, owner int, secret text) PARTITION BY LIST (id); CREATE TABLE december PARTITION OF log DEFAULT;
    CREATE TABLE base (id int, owner int, secret text); CREATE SCHEMA far; CREATE TABLE far.kid (more text) INHERITS (base);
    CREATE TABLE pairs (id int, owner int, a text, b text); CREATE TABLE few () INHERITS (pairs)`);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'log,base,pairs', routing: { log: 'owner', base: 'owner', pairs: 'owner' },
    filters: 'december.secret,far.kid.secret,far.kid.more', env: { COLUMNS: 'few.id,few.a' } });
  relay.secret('hunter2-member');
  const ws = await relay.ws(token);
  await db.query(`INSERT INTO log VALUES (1, 1, 'hunter2-member'); INSERT INTO far.kid VALUES (2, 1, 'hunter2-member', 'hunter2-member');
    INSERT INTO base VALUES (3, 1, 'hunter2-member'); INSERT INTO few VALUES (4, 1, 'a', 'hunter2-member')`);
  await relay.fence(ws);
  assert.deepEqual(steps(ws), [['log', 'insert', { id: 1, owner: 1 }], ['base', 'insert', { id: 2, owner: 1 }], ['base', 'insert', { id: 3, owner: 1 }],
    ['pairs', 'insert', { id: 4, a: 'a' }]]);
  await db.query('ALTER TABLE base RENAME secret TO hidden');
  await relay.notReady();
  assert.match((await relay.get('/ready')).json.message, /FILTERS: far\.kid\.secret/);
  await db.query("INSERT INTO far.kid VALUES (5, 1, 'hunter2-member', 'hunter2-member')");
  await relay.fence(ws);
  assert.deepEqual(ws.events.at(-1).data, {});
});

test('TRUNCATE of a table, its partitions and children: everyone only where the rule is "*"', async (t) => {
  const db = await postgres.database(t, ['a', 'b'].map((name) => `CREATE TABLE ${name} (id int, owner int) PARTITION BY LIST (id); CREATE TABLE ${name}_1 PARTITION OF ${name} DEFAULT;`).join(''));
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'a,b', routing: { a: 'owner', b: '*' }, env: { SECURITY_TOKEN: operator } });
  const [ws, boss] = [await relay.ws(token), await relay.operator()];
  await db.query('INSERT INTO a VALUES (1, 1); TRUNCATE a_1; TRUNCATE a; TRUNCATE b_1; TRUNCATE b');
  await relay.fence(ws, boss);
  assert.deepEqual(new Set(ws.events.map(({ table, type }) => `${type} ${table}`)), new Set(['insert a', 'truncate b']));
  assert.ok(boss.events.some(({ table, type }) => type === 'truncate' && table === 'a'));
});

test('what esink does not know: row-level security does not route, and a generated column is a column of its own', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id int PRIMARY KEY, owner int, secret text, loud text GENERATED ALWAYS AS (upper(secret)) STORED);
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY; CREATE POLICY nobody ON notes USING (false) WITH CHECK (false)`);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'owner' }, filters: 'notes.secret' });
  const ws = await relay.ws(token);
  await db.query("INSERT INTO notes VALUES (1, 1, 'whisper')");
  await relay.fence(ws);
  assert.deepEqual(steps(ws), [['notes', 'insert', { id: 1, owner: 1, loud: 'WHISPER' }]]); // docs/OPERATIONS.md says so
  await relay.stop();
  await relay.start({ filters: 'notes.secret,notes.loud' });
  const again = await relay.ws(token, { after: '0' });
  await relay.fence(again);
  assert.deepEqual(steps(again), [['notes', 'insert', { id: 1, owner: 1 }]]);
});

test('a routing value is spelt as the user is called, however the writer\'s session spells it', async (t) => {
  const kinds = { bytea: "'7'", octets: "'7'", date: "'2024-02-01'", timestamp: "'2024-02-01'", box_of: "ROW('7')", point: "'(0.30000000000000004,1)'" };
  const names = Object.keys(kinds).map((kind) => `by_${kind}`);
  const db = await postgres.database(t, `CREATE TABLE people (id text, token text); CREATE DOMAIN octets AS bytea; CREATE TYPE box_of AS (value bytea);
    ${Object.keys(kinds).map((kind) => `CREATE TABLE by_${kind} (id int, owner ${kind})`).join(';')}`);
  const relay = await startRelay(t, db, { tables: names.join(), routing: Object.fromEntries(names.map((name) => [name, 'owner'])), env: AUTH });
  const right = ['\\x37', '2024-02-01', '2024-02-01 00:00:00', '("\\\\x37")', '(0.30000000000000004,1)'], wrong = ['7', '01/02/2024', '01/02/2024 00:00:00', '(7)', '(0.3,1)'];
  const users = await people(t, db, relay, [...right, ...wrong]);
  for (const odd of ['', "SET bytea_output = 'escape'; SET DateStyle = 'SQL, DMY'; SET extra_float_digits = 0"]) {
    const writer = await db.connect();
    await writer.query(`${odd}; ${Object.entries(kinds).map(([kind, value]) => `INSERT INTO by_${kind} VALUES (1, ${value})`).join(';')}`);
  }
  await relay.fence(...Object.values(users));
  assert.deepEqual(Object.fromEntries([...right, ...wrong].map((user) => [user, users[user].events.map(({ table }) => table)])), {
    ...Object.fromEntries(right.map((user, i) => [user, i ? [names[i + 1], names[i + 1]] : [names[0], names[1], names[0], names[1]]])),
    ...Object.fromEntries(wrong.map((user) => [user, []])),
  });
});
