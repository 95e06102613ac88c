// Prevents: what only MySQL can do wrong: a value whose text depends on the writer's session, a write that fails over a value or
// a size, an engine's or trigger's oddity, a relay that holds the lock of another one for ever, an account that lacks a right.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after } from 'node:test';
import { storeOf } from './lib/consumers.mjs';
import { databaseOf } from './lib/databases.mjs';
import { test } from './lib/harness.mjs';
import { MySql } from './lib/mysql.mjs';
import { Proxy } from './lib/proxy.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { patience, until } from './lib/wait.mjs';
import { operator, series } from './source/suite.mjs';

const database = databaseOf('mysql');
after(() => database.stop());
const env = { SECURITY_TOKEN: operator };

async function watch(t, schema, rules) {
  const db = await database.database(t, schema);
  const relay = await startRelay(t, db, { ...rules, env: { ...env, ...rules.env } });
  return { db, relay, boss: await relay.operator() };
}
const rows = (client, table) => client.events.filter((event) => event.table === table);

// Column type, literal, JSON text in `data`.
const kinds = [
  ['bigint unsigned', '18446744073709551615', '18446744073709551615'], ['decimal(65,30)', "'-12345678901234567890123456789012345.123456789012345678901234567890'", '-12345678901234567890123456789012345.123456789012345678901234567890'],
  ['int(8) unsigned zerofill', '42', '42'], ['decimal(8,2) unsigned zerofill', '7.5', '7.50'], ['tinyint', '-128', '-128'], ['tinyint(1)', '5', '5'], ['mediumint', '-8388608', '-8388608'],
  ['bit(1)', "b'1'", '1'], ['bit(64)', "b'1111111111111111111111111111111111111111111111111111111111111111'", '18446744073709551615'], ['year', '2155', '2155'],
  ['float', '0.1', '0.1'], ['float', '16777217', '16777216'], ['float', '3.4028234663852886e38', '3.4028235e+38'], ['double', '1.7976931348623157e308', '1.7976931348623157e+308'], ['double', '-0.5', '-0.5'],
  ['double', '1', '1'], ['time(6)', "'-838:59:58.999000'", '"-838:59:58.999"'], ['time', "'00:00:00'", '"00:00:00"'], ['date', "'1000-01-01'", '"1000-01-01"'],
  ['datetime(6)', "'9999-12-31 23:59:59.000001'", '"9999-12-31T23:59:59.000001"'], ['datetime', "'2024-02-29 12:00:00'", '"2024-02-29T12:00:00"'],
  // The session is at +05:30, the server's default as well.
  ['timestamp(6) NULL', "'2024-02-29 12:00:00.250000'", '"2024-02-29T06:30:00.25+00:00"'], ['timestamp NULL', "'1970-01-01 05:30:01'", '"1970-01-01T00:00:01+00:00"'],
  ["enum('a','b,c','ö')", "'b,c'", '"b,c"'], ["enum('a','b,c','ö')", "'ö'", '"ö"'], ["set('x','y')", "'x,y'", '"x,y"'], ["set('x','y')", "''", '""'],
  ['char(5)', "'ab'", '"ab"'], ['varchar(20) CHARACTER SET latin1', "'é€'", '"é€"'], ['varchar(20) CHARACTER SET cp1251', "'жук'", '"жук"'], ['varchar(20) CHARACTER SET sjis', "'日本'", '"日本"'],
  ['varchar(20) CHARACTER SET utf16', "'ü😀'", '"ü😀"'], ['text CHARACTER SET utf8mb3', "'日'", '"日"'], ['longtext', "'a,b:1:c'", '"a,b:1:c"'],
  ['binary(4)', "x'61'", '"YQAAAA=="'], ['varbinary(4)', "x'ff00'", '"/wA="'], ['tinyblob', "x''", '""'], ['uuid', "'123e4567-e89b-12d3-a456-426655440000'", '"123e4567-e89b-12d3-a456-426655440000"'],
  ['inet6', "'::1'", '"::1"'], ['point', 'ST_GeomFromText(\'POINT(1 2.5)\')', '{"type":"Point","coordinates":[1,2.5]}'],
  ['geometry', "ST_GeomFromText('POLYGON((0 0,0 1,1 1,0 0))')", '{"type":"Polygon","coordinates":[[[0,0],[0,1],[1,1],[0,0]]]}'],
  ['json', '\'{"n": 12345678901234567890.10, "s": "a\\u00e4"}\'', '{"n":12345678901234567890.10,"s":"a\\u00e4"}'], ['json', "'[]'", '[]'],
  ['int AS (1 + 1) VIRTUAL', undefined, '2'], ['int AS (1 + 2) STORED', undefined, '3'],
];

const strictly = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,PAD_CHAR_TO_FULL_LENGTH';

test('every type has one JSON form, whatever the writer\'s session says', async (t) => {
  const { db, boss } = await watch(t, `CREATE TABLE kinds (id int PRIMARY KEY, ${kinds.map(([type], i) => `c${i} ${type}`).join(', ')})`, { tables: 'kinds', env: { OLD_ROWS: '*' } });
  const given = kinds.flatMap(([, literal], i) => (literal === undefined ? [] : [[`c${i}`, literal]]));
  const insert = (id) => `INSERT INTO kinds (id, ${given.map(([name]) => name).join(', ')}) VALUES (${id}, ${given.map(([, literal]) => literal).join(', ')})`;
  await db.query(insert(1));
  const session = await db.connect();
  await session.query(`SET SESSION sql_mode = '${strictly}', character_set_results = latin1, character_set_connection = utf8mb4, collation_connection = utf8mb4_bin, div_precision_increment = 0, lc_time_names = 'de_DE'`);
  await session.query(insert(2));
  await session.query("SET SESSION time_zone = '-11:00'");
  await session.query('UPDATE kinds SET id = 3 WHERE id = 2');
  const n = await db.fence();
  await boss.passed(n);
  const texts = boss.texts.filter((text) => text.includes('"kinds"'));
  assert.equal(texts.length, 3);
  const expected = `,${kinds.map(([, , json], i) => `"c${i}":${json}`).join(',')}}`;
  for (const [i, id] of [1, 2, 3].entries()) {
    const at = texts[i].indexOf(`"data":{"id":${id},`) + `"data":{"id":${id}`.length;
    assert.equal(texts[i].slice(at, at + expected.length), expected);
    assert.equal(JSON.parse(texts[i]).data.incomplete, undefined);
  }
  assert.ok(texts[2].includes(`"old":{"id":2${expected}`), 'the old row likewise');
});

// Its server refuses to compare them, which says nothing of the database's health: that they were looked up again and again kept a
// session from ever being asked whether the token that let it in is still there.
for (const charset of ['ascii', 'latin1']) {
  test(`a token with characters that the column's character set lacks (${charset}) is nobody's`, async (t) => {
    const db = await database.database(t, `CREATE TABLE people (id int, token varchar(40) CHARACTER SET ${charset}); INSERT INTO people VALUES (7, 'good-token')`);
    const relay = await startRelay(t, db, { env: { ...env, AUTH_TABLE: 'people', AUTH_RECHECK: '1s' } });
    const stranger = relay.openWs('good-tok\u3042n', { via: 'message' });
    assert.equal(await stranger.closing(), 4401);
    const [client, stays] = [await relay.ws('good-token'), await relay.ws('good-token')];
    client.say('auth', { token: 'good-tok\u3042n' });
    assert.equal(await client.closing(), 4401);
    await relay.fence(stays);
    assert.ok(!relay.log.includes('token look-up'), relay.log);
  });
}

// The connection of look-ups keeps the code of its last error, and one that is not answered has none.
test('a look-up that is not answered, after one of a token that the column cannot hold, is no verdict: the session is admitted when the network is back', async (t) => {
  const db = await database.database(t, "CREATE TABLE people (id int, token varchar(40) CHARACTER SET latin1); INSERT INTO people VALUES (7, 'gültig')");
  const proxy = await new Proxy(db.server.port).start(t);
  const relay = await startRelay(t, db, { env: { ...env, AUTH_TABLE: 'people', LIVE_TIMEOUT: '60s', MYSQL_PORT: String(proxy.port) } });
  assert.equal(await relay.openWs('good-tok\u3042n', { via: 'message' }).closing(), 4401);
  proxy.hush();
  const client = relay.openWs('gültig', { via: 'message' });
  await until(() => /token look-up: /.test(relay.log) || !client.open, () => `the look-up to be given up; ${client.state()}`, 60_000);
  proxy.heal({ forget: true });
  await until(() => client.welcome || !client.open, () => client.state(), 60_000);
  assert.equal(client.welcome?.userId, 7, client.state());
});

// A rename keeps a column's place, but an ALTER TABLE may move it as well; and a part of the key is withheld like any other.
for (const [what, alters] of [
  ['is moved with it', ['CHANGE secret old_secret varchar(20) FIRST, ADD secret varchar(20)']],
  ['is moved with it, and another takes its name later', ['CHANGE secret old_secret varchar(20) AFTER note', 'ADD secret varchar(20)']],
  ['is a part of the key', ['CHANGE secret old_secret varchar(20)']],
]) {
  test(`a withheld column that is renamed stays withheld when it ${what}`, async (t) => {
    const { db, relay, boss } = await watch(t, `CREATE TABLE kept (id int, secret varchar(20), note text, PRIMARY KEY (id${what.endsWith('key') ? ', secret' : ''}))`,
      { tables: 'kept', routing: { kept: '*' }, filters: 'kept.secret', env: { OLD_ROWS: '*' } });
    await db.query(`INSERT INTO kept (id, secret, note) VALUES (1, '${relay.secret('withheld-before')}', 'a')`);
    await boss.passed(await db.fence());
    for (const alter of alters) {
      const looked = relay.log.split('triggers were made').length;
      await db.query(`ALTER TABLE kept ${alter}`);
      await until(() => relay.log.split('triggers were made').length > looked, () => `triggers to be made anew: ${relay.log}`);
    }
    await db.query(`UPDATE kept SET note = 'b'`);
    await db.query(`INSERT INTO kept (id, old_secret) VALUES (2, '${relay.secret('withheld-after')}')`);
    await boss.passed(await db.fence());
    assert.deepEqual(rows(boss, 'kept').map(({ type, data }) => [type, data.id]), [['insert', 1], ['update', 1], ['insert', 2]]);
    assert.ok(!boss.texts.some((text) => text.includes('withheld-')), boss.texts.join('\n'));
    assert.match((await relay.get('/ready')).json.message, /FILTERS/);
  });
}

test('no value makes a write fail: invalid JSON, zero dates, bytes that are no text, a row beyond max_allowed_packet', async (t) => {
  const { db, boss } = await watch(t, `CREATE TABLE odd (id int PRIMARY KEY, owner text, j json, d datetime, ts timestamp NULL, s varchar(20) CHARACTER SET latin1, a longblob, b longblob)`,
    { tables: 'odd', routing: { odd: 'owner' } });
  const user = await startUser(t, boss.relay, db);
  const session = await db.connect();
  await session.query("SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', check_constraint_checks = 0");
  for (const [id, json] of ['{"a":', '1,"x":2', '[1]]', '{"a":\u0001}', '01', 'nul', ''].entries()) await session.query('INSERT INTO odd (id, j) VALUES ($1, $2)', [id, json]);
  await session.query("INSERT INTO odd (id, d, ts) VALUES (20, '0000-00-00', 0), (21, '2024-00-00', NULL)");
  await session.query("INSERT INTO odd (id, s) VALUES (22, x'8190')");
  await session.query(`INSERT INTO odd (id, owner, a, b) VALUES (23, '1', REPEAT('a', 40000000), REPEAT('b', 40000000))`);
  await session.query(`INSERT INTO odd (id, owner) VALUES (24, REPEAT('1', 60000))`);
  const n = await db.fence();
  await boss.passed(n);
  await user.passed(n);
  const by = new Map(rows(boss, 'odd').map((event) => [event.data.id, event]));
  assert.equal(by.size, 12);
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6].map((id) => by.get(id).data.j), ['{"a":', '1,"x":2', '[1]]', '{"a":\u0001}', '01', 'nul', '']);
  assert.deepEqual([by.get(20).data.d, by.get(20).data.ts, by.get(21).data.d], ['0000-00-00T00:00:00', null, '2024-00-00T00:00:00']);
  assert.equal(by.get(22).incomplete, undefined);
  assert.deepEqual([by.get(23).data, by.get(23).incomplete], [{ id: 23 }, true]);
  assert.deepEqual(rows(user, 'odd').map(({ data }) => data), [{ id: 23 }], 'and for whom it was is still known');
});

test('users who are together more than max_allowed_packet make no write fail: the operator is told the key', async (t) => {
  const { db, boss } = await watch(t, 'CREATE TABLE odd (id int PRIMARY KEY, owner text, helper text)', { tables: 'odd', routing: { odd: ['owner', 'helper'] } });
  await db.query('SET GLOBAL max_allowed_packet = 65536');
  const session = await db.connect().finally(() => db.query('SET GLOBAL max_allowed_packet = 67108864'));
  await session.query("INSERT INTO odd VALUES (1, REPEAT('1', 40000), REPEAT('2', 40000))");
  await session.query('UPDATE odd SET helper = 3');
  await session.query('DELETE FROM odd');
  await boss.passed(await db.fence());
  assert.deepEqual(rows(boss, 'odd').map(({ type, data, incomplete }) => [type, data.id, data.helper, incomplete]), [['insert', 1, undefined, true], ['update', 1, undefined, true], ['delete', 1, '3', undefined]]);
});

async function startUser(t, relay, db, id = 1) {
  return relay.ws(await db.user(id));
}

// The outbox that has room for keys alone, or takes no longer ones, says so with the server's own numbers; on a real disk: tests/faults/run disk-full.
test('a disk that is full while a trigger writes fails the write, as without the trigger: no row is told by its key because only that had room', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE notes (id int PRIMARY KEY, owner int, body text)', { tables: 'notes', routing: { notes: 'owner' } });
  const full = (errno) => db.query(`CREATE OR REPLACE TRIGGER no_room BEFORE INSERT ON esink_pubsub FOR EACH ROW
    IF LENGTH(NEW.data) > 100 THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = ${errno}, MESSAGE_TEXT = 'no room'; END IF`);
  const long = 'x'.repeat(200);
  await db.query(`INSERT INTO notes VALUES (1, 7, '${long}')`);
  for (const errno of [3, 20, 1021, 1026, 1030, 1114]) {
    await full(errno);
    for (const sql of [`INSERT INTO notes VALUES (2, 7, '${long}')`, 'UPDATE notes SET owner = 8', 'DELETE FROM notes']) {
      await assert.rejects(db.query(sql), { errno, message: /no room/ }, `${errno}: ${sql}`);
    }
    await db.query("INSERT INTO notes VALUES (3, 7, 'short'); DELETE FROM notes WHERE id = 3");
  }
  for (const [i, errno] of [1406, 1037].entries()) { // what esink alone is to blame for
    await full(errno);
    await db.query(`INSERT INTO notes VALUES (${4 + i}, 7, '${long}')`);
  }
  await relay.fence(boss);
  assert.deepEqual(rows(boss, 'notes').filter(({ data }) => data.id !== 3).map(({ type, data, incomplete }) => [type, data.id, incomplete]), [['insert', 1, undefined], ['insert', 4, true], ['insert', 5, true]]);
  assert.ok(rows(boss, 'notes').filter(({ data }) => data.id === 3).every(({ incomplete }) => !incomplete));
});

test('a JSON array as routing column holds several users', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE rooms (id int PRIMARY KEY, members json)', { tables: 'rooms', routing: { rooms: 'members' } });
  const users = [await startUser(t, relay, db, 1), await startUser(t, relay, db, 2)];
  await db.query(`INSERT INTO rooms VALUES (1, '[1, "2"]'), (2, '["2"]'), (3, '{"1": 1}'), (4, '[[1], {"a": "2"}]'), (5, '"1"'), (6, '["\\u0031"]')`);
  await db.query(`UPDATE rooms SET members = '[1]' WHERE id = 1`);
  await relay.fence(boss, ...users);
  assert.deepEqual(users.map((user) => rows(user, 'rooms').map(({ type, data }) => [type, data.id])), [
    [['insert', 1], ['insert', 5], ['insert', 6], ['update', 1]], [['insert', 1], ['insert', 2], ['delete', 1]]]);
});

test('@esink_actor, ON DUPLICATE KEY UPDATE, REPLACE, and every isolation level', async (t) => {
  const { db, boss } = await watch(t, 'CREATE TABLE things (id int PRIMARY KEY, n int)', { tables: 'things' });
  await db.query("SET @esink_actor = '7'; INSERT INTO things VALUES (1, 1); SET @esink_actor = NULL");
  await db.query('INSERT INTO things VALUES (1, 2) ON DUPLICATE KEY UPDATE n = 3');
  await db.query('REPLACE INTO things VALUES (1, 4)');
  for (const level of ['READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']) await db.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${level}; UPDATE things SET n = n + 1`);
  const n = await db.fence();
  await boss.passed(n);
  assert.deepEqual(rows(boss, 'things').map(({ type, data, actor }) => [type, data.n, actor]), [['insert', 1, '7'], ['update', 3, undefined], ['delete', 3, undefined],
    ['insert', 4, undefined], ...[5, 6, 7, 8].map((value) => ['update', value, undefined])]);
});

test('a writer needs no right on our tables; triggers of the application stay and come after ours', async (t) => {
  const db = await database.database(t, `CREATE TABLE orders (id int PRIMARY KEY, n int); CREATE TABLE audit (id int);
    CREATE TRIGGER theirs AFTER INSERT ON orders FOR EACH ROW INSERT INTO audit VALUES (NEW.id)`);
  const relay = await startRelay(t, db, { tables: 'orders,audit', env });
  const boss = await relay.operator();
  await db.query(`CREATE USER IF NOT EXISTS writer IDENTIFIED BY 'w'; GRANT SELECT, INSERT, UPDATE, DELETE ON ${db.name}.orders TO writer`);
  const writer = await db.connect('writer', 'w');
  await writer.query('INSERT INTO orders VALUES (1, 1)');
  await writer.query('UPDATE orders SET n = 2');
  await assert.rejects(writer.query('SELECT * FROM esink_pubsub'), /denied/);
  await assert.rejects(writer.query("CALL esink_emit('a', 'b', '{}', NULL)"), /denied/);
  const n = await db.fence();
  await boss.passed(n);
  assert.deepEqual(boss.events.filter(({ table }) => table !== 'fence').map(({ table, type }) => `${table} ${type}`), ['orders insert', 'audit insert', 'orders update']);
  assert.deepEqual((await db.query('SELECT id FROM audit')).rows, [{ id: 1 }]);
});

test('LOCK TABLES: writes of a watched table go on, whatever of ours has used the outbox', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, owner int)', { tables: 'orders', routing: { orders: 'owner' } });
  const writer = await db.connect();
  const before = [
    async () => {},
    () => writer.query('INSERT INTO orders (owner) VALUES (7), (8)'),
    () => writer.query("CALL esink_emit('mail', 'sent', '{}', NULL)"),
    async () => assert.equal((await relay.post('/publish', { securityToken: operator, userId: '*', table: 'mail', type: 'sent', data: {} })).status, 200),
  ];
  let count = 0;
  for (let round = 0; round < 20; round++) {
    await before[round % before.length]();
    await writer.query('LOCK TABLES orders WRITE');
    for (const sql of ['INSERT INTO orders (owner) VALUES (7)', 'UPDATE orders SET owner = owner + 1 ORDER BY id DESC LIMIT 1', 'DELETE FROM orders ORDER BY id DESC LIMIT 1']) {
      await writer.query(sql);
      count++;
    }
    await writer.query('UNLOCK TABLES');
    if (round % before.length === 1) count += 2;
  }
  // Two looks at once, by somebody else: put right soon.
  await writer.query('SELECT COUNT(*) FROM esink_pubsub AS a, esink_pubsub AS b');
  await until(async () => {
    await writer.query('LOCK TABLES orders WRITE');
    try {
      await writer.query('INSERT INTO orders (owner) VALUES (10)');
      count++;
      return true;
    } catch (error) {
      assert.equal(error.code, 'ER_CANT_UPDATE_USED_TABLE_IN_SF_OR_TRG');
      return false;
    } finally {
      await writer.query('UNLOCK TABLES');
    }
  }, 'a write of a session that locks');
  await relay.fence(boss);
  assert.strictEqual(rows(boss, 'orders').length, count);
});

test('the mover dies: the other relay takes over, and tells everything', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE things (id int PRIMARY KEY)', { tables: 'things' });
  const second = await startRelay(t, db, { tables: 'things', env });
  const other = await second.operator();
  await db.query('INSERT INTO things VALUES (1)');
  await relay.fence(boss, other);
  await relay.kill();
  const start = Date.now();
  await db.query('INSERT INTO things VALUES (2)');
  await second.fence(other);
  assert.ok(Date.now() - start < 2000, `took ${Date.now() - start} ms`);
  assert.deepEqual(rows(other, 'things').map(({ data }) => data.id), [1, 2]);
});

test('the mover dies right after a move that only it has told, and nothing is written any more: the other relay tells it', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE things (id int PRIMARY KEY)', { tables: 'things', env: { ...env, POLL_INTERVAL_MS: '20' } });
  const second = await startRelay(t, db, { tables: 'things', env: { ...env, POLL_INTERVAL_MS: '2000' } });
  const other = await second.operator();
  await relay.fence(boss, other);
  // The other one looks more and more rarely in a quiet time, in the end every two seconds.
  const quiet = Date.now() + 5000;
  await until(() => Date.now() > quiet, 'a quiet time');
  await db.query('INSERT INTO things VALUES (1)');
  await until(() => rows(boss, 'things').length > 0, () => `the row; ${boss.state()}`);
  await relay.kill();
  await until(() => rows(other, 'things').length > 0, () => `the row from the other relay; ${other.state()}`);
  await db.query('INSERT INTO things VALUES (2)');
  await second.fence(other);
  assert.deepEqual(rows(other, 'things').map(({ data }) => data.id), [1, 2]);
  assert.doesNotMatch(second.log, /capture is away/);
});

test('a long open transaction delays nobody, and is told in full when it commits', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE things (id int PRIMARY KEY)', { tables: 'things' });
  const long = await db.connect();
  await long.query('BEGIN');
  await long.query('INSERT INTO things VALUES (1)');
  const end = Date.now() + 5000; // longer than what is looked at most often
  for (let id = 2; Date.now() < end; id++) {
    await db.query(`INSERT INTO things VALUES (${id})`);
    await relay.fence(boss);
  }
  await long.query('COMMIT');
  await until(() => rows(boss, 'things').some(({ data }) => data.id === 1), () => `the late row; ${boss.state()}`);
});

test('rows between those of open transactions are moved without waiting for these, whatever share of the outbox they are', async (t) => {
  const db = await database.database(t, 'CREATE TABLE things (id int PRIMARY KEY)');
  const relay = await startRelay(t, db, { tables: 'things', env });
  const boss = await relay.operator();
  const open = await Promise.all(Array.from({ length: 4 }, () => db.connect()));
  let id = 0;
  const want = [];
  for (const session of open) await session.query('BEGIN');
  for (const together of [1, 1, 2, 1, 40, 3, 1, 1]) {
    const ids = Array.from({ length: together }, () => ++id);
    await db.query(`INSERT INTO things VALUES ${ids.map((one) => `(${one})`).join(', ')}`);
    want.push(...ids);
    await open[id % open.length].query(`INSERT INTO things VALUES (${++id})`);
  }
  const begun = Date.now();
  await relay.fence(boss);
  assert.ok(Date.now() - begun < 1500 * patience, `it took ${Date.now() - begun} ms`);
  assert.deepEqual(rows(boss, 'things').map(({ data }) => data.id), want);
  await open[0].query('ROLLBACK');
  for (const session of open.slice(1)) await session.query('COMMIT');
  await relay.fence(boss);
});

test('rows of all lengths, also beyond what is packed with others, are told whole, and read again are the same', async (t) => {
  const db = await database.database(t, 'CREATE TABLE things (id int PRIMARY KEY, body longtext)');
  const relay = await startRelay(t, db, { tables: 'things', env });
  const boss = await relay.operator();
  const { position } = boss;
  await db.query("INSERT INTO things VALUES (1, 'short'), (2, REPEAT('a', 70000)), (3, ''), (4, NULL), (5, REPEAT('e', 500000)), (6, REPEAT('f', 65500))");
  await db.query(`INSERT INTO things ${series(7, 306, "i, REPEAT('x', 1000)")}`);
  await relay.fence(boss);
  await relay.kill(); // which has them in memory
  await relay.start();
  const again = await relay.operator({ after: position });
  await relay.fence(again);
  const expected = [5, 70_000, 0, undefined, 500_000, 65_500, ...Array.from({ length: 300 }, () => 1000)];
  for (const client of [boss, again]) assert.deepEqual(rows(client, 'things').map(({ data }) => data.body?.length), expected);
});

// Chunks go into the journal by a prepared statement, and of those a server has a number for all its clients.
test('a server that has no prepared statement left: rows are moved all the same', async (t) => {
  const db = await database.database(t, 'CREATE TABLE things (id int PRIMARY KEY, body blob)');
  const { rows: [{ most }] } = await db.query('SELECT @@GLOBAL.max_prepared_stmt_count AS most');
  await db.fence(); // has a prepared statement of its own from now on
  await db.query('SET GLOBAL max_prepared_stmt_count = 0');
  t.defer(() => db.query(`SET GLOBAL max_prepared_stmt_count = ${most}`));
  const relay = await startRelay(t, db, { tables: 'things', env });
  const boss = await relay.operator();
  await db.query(`INSERT INTO things ${series(1, 300, "i, x'00275cff'")}`);
  await relay.fence(boss);
  assert.deepEqual(rows(boss, 'things').map(({ data }) => [data.id, data.body]), Array.from({ length: 300 }, (_, i) => [i + 1, 'ACdc/w==']));
  await db.query(`SET GLOBAL max_prepared_stmt_count = ${most}`);
  await db.query('INSERT INTO things VALUES (301, NULL)');
  await relay.fence(boss);
});

test('RETENTION: what is older is gone from the journal, and whoever resumes before it is told', async (t) => {
  const db = await database.database(t, 'CREATE TABLE things (id int PRIMARY KEY)');
  const relay = await startRelay(t, db, { tables: 'things', env: { ...env, RETENTION: '1s' } });
  const boss = await relay.operator();
  const { position } = boss;
  await db.query('INSERT INTO things VALUES (1), (2), (3)');
  await relay.fence(boss);
  await until(async () => Number((await db.query('SELECT COUNT(*) AS n FROM esink_journal')).rows[0].n) === 0, 'the journal to be emptied', 20_000);
  await relay.stop(); // which has them in memory still
  await relay.start();
  const again = await relay.operator({ after: position });
  assert.equal(again.welcome.recovered, false);
  await db.query('INSERT INTO things VALUES (4)');
  await relay.fence(again);
  assert.deepEqual(rows(again, 'things').map(({ data }) => data.id), [4], 'ids go on');
});

test('a withheld column that gets another name while a new one takes its name: its values stay withheld', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE users (id int PRIMARY KEY, name text, secret text)', { tables: 'users', filters: 'users.secret' });
  relay.secret('hunter2-renamed');
  await db.query("INSERT INTO users VALUES (1, 'Anna', 'hunter2-renamed')");
  await db.query('ALTER TABLE users RENAME COLUMN secret TO former, ADD COLUMN secret text');
  await db.query("UPDATE users SET name = 'Ann'");
  await relay.notReady();
  assert.match((await relay.get('/ready')).json.message, /"former".*users/);
  await until(async () => {
    await db.query("UPDATE users SET name = CONCAT(name, 'e'), secret = 'hunter2-renamed'");
    await relay.fence(boss);
    return true;
  }, 'a row');
  for (const { data } of rows(boss, 'users')) assert.deepEqual(Object.keys(data), ['id', 'name']);
});

test('OPTIMIZE TABLE: the journal stays the same, and a consumer is told nothing again; emptied or with others made anew it is another one', async (t) => {
  const store = storeOf('mysql');
  const { db, relay, boss } = await watch(t, 'CREATE TABLE notes (id int PRIMARY KEY)', { tables: 'notes' });
  await db.query(`INSERT INTO notes ${series(1, 100, 'i')}`);
  await relay.fence(boss);
  const name = await store.name(db);
  await store.register(db, 'reads', 50);
  const made = async () => (await db.query('SELECT UNIX_TIMESTAMP(CREATE_TIME) AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = \'esink_journal\'')).rows[0].n;
  // Times are whole seconds.
  const rebuilt = async (sql) => {
    const before = await made();
    await until(async () => (await db.query('SELECT UNIX_TIMESTAMP() AS n')).rows[0].n > Number(before) + 1, 'another second');
    await db.query(sql);
    await relay.stop();
    await relay.start();
    return before;
  };
  for (const sql of ['OPTIMIZE TABLE esink_journal', 'ALTER TABLE esink_meta FORCE', 'OPTIMIZE TABLE esink_journal']) {
    await rebuilt(sql);
    assert.equal(await store.name(db), name, `${sql}; ${relay.log}`);
    assert.equal((await store.consumer(db, 'reads')).cursor, 50);
  }
  assert.notEqual(await rebuilt('OPTIMIZE TABLE esink_journal'), await made());
  await rebuilt('CREATE TABLE other LIKE esink_journal; DROP TABLE esink_journal; RENAME TABLE other TO esink_journal');
  assert.notEqual(await store.name(db), name, 'emptied');
  const second = await store.name(db);
  await rebuilt('OPTIMIZE TABLE esink_journal, esink_meta');
  assert.notEqual(await store.name(db), second, 'both made anew');
});

// An earlier version keeps in `made` when esink_journal was made, as text, and begins another journal where it finds anything else up to a NUL.
const asEarlier = (db) => query(db, `SELECT SUBSTRING_INDEX(m.made, CHAR(0), 1) = CAST(t.CREATE_TIME AS CHAR) AS same, m.made AS made, CAST(t.CREATE_TIME AS CHAR) AS text
  FROM esink_meta m, information_schema.TABLES t WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME = 'esink_journal'`);
async function query(db, sql) {
  await db.query("SET time_zone = '+00:00'");
  return (await db.query(sql)).rows[0];
}

test('a database that an earlier version has used: the same journal, nothing is told again, and the earlier version finds its own', async (t) => {
  const store = storeOf('mysql');
  const { db, relay, boss } = await watch(t, 'CREATE TABLE notes (id int PRIMARY KEY)', { tables: 'notes' });
  await db.query(`INSERT INTO notes ${series(1, 100, 'i')}`);
  await relay.fence(boss);
  const name = await store.name(db);
  await store.register(db, 'reads', 50);
  assert.equal(Number((await asEarlier(db)).same), 1, 'as a journal begins');
  for (let time = 0; time < 2; time++) {
    await relay.stop();
    await db.query('UPDATE esink_meta SET made = $1', [(await asEarlier(db)).text]);
    await relay.start();
    const { same, made } = await asEarlier(db);
    assert.deepEqual([Number(same), made.includes('\0')], [1, true], made);
    assert.equal(await store.name(db), name, relay.log);
    assert.equal((await store.consumer(db, 'reads')).cursor, 50);
    const again = await relay.operator({ after: boss.position });
    await relay.fence(again);
    assert.equal(again.welcome.recovered, true);
    assert.equal(rows(again, 'notes').length, 0);
  }
  // And what it did not know.
  const { text } = await asEarlier(db);
  await until(async () => (await query(db, 'SELECT UTC_TIMESTAMP() AS now')).now > text, 'another second');
  await db.query('OPTIMIZE TABLE esink_journal');
  await relay.stop();
  await relay.start();
  const now = await asEarlier(db);
  assert.notEqual(now.text, text);
  assert.equal(Number(now.same), 1, now.made);
  assert.equal(await store.name(db), name);
});

test('a relay connects after OPTIMIZE TABLE while another one moves: the journal stays the same', async (t) => {
  const store = storeOf('mysql');
  const { db, relay, boss } = await watch(t, 'CREATE TABLE notes (id int PRIMARY KEY)', { tables: 'notes' });
  await db.query('INSERT INTO notes VALUES (1)');
  await relay.fence(boss);
  await relay.stop();
  const name = await store.name(db);
  // The last move is undone, and made by somebody else who takes long.
  await db.query(`CREATE TABLE last AS SELECT * FROM esink_journal ORDER BY id DESC LIMIT 1;
    DELETE FROM esink_journal WHERE id = (SELECT id FROM last); UPDATE esink_meta SET head = (SELECT id - events FROM last)`);
  const { text } = await asEarlier(db);
  await until(async () => (await query(db, 'SELECT UTC_TIMESTAMP() AS now')).now > text, 'another second');
  await db.query('OPTIMIZE TABLE esink_journal');
  assert.notEqual((await asEarlier(db)).text, text);
  const mover = await db.connect();
  await mover.query('BEGIN; UPDATE esink_meta SET head = (SELECT id FROM last); INSERT INTO esink_journal SELECT * FROM last');
  await relay.start({ ready: false });
  await until(async () => Number((await db.query("SELECT COUNT(*) AS n FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND INFO LIKE '%esink_meta%' AND INFO LIKE '%UPDATE%'")).rows[0].n) > 0, () => `the relay to wait; ${relay.log}`);
  await mover.query('COMMIT');
  await relay.ready();
  assert.equal(await store.name(db), name, relay.log);
});

test('what rows of a version of a table mean is known as long as they wait in the outbox', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)', { tables: 'a,b' });
  await db.query('INSERT INTO b VALUES (1)');
  await relay.fence(boss);
  await relay.stop();
  // As a relay leaves it that made triggers anew long ago and was killed before it moved anything.
  await db.query("INSERT INTO a VALUES (1); UPDATE esink_shape SET retired = '2001-01-01 00:00:00' WHERE topic = 'a'");
  await relay.start();
  const again = await relay.operator({ after: `${boss.welcome.journal}:0` });
  await relay.fence(again);
  assert.deepEqual(rows(again, 'a').map(({ data }) => data), [{ id: 1 }], JSON.stringify(again.events));
});

test('versions of a table are forgotten; the outbox is read for it as a whole only where there is one to be forgotten', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE a (id int PRIMARY KEY)', { tables: 'a' });
  await db.query('INSERT INTO a VALUES (1)');
  await relay.fence(boss);
  await db.query('ALTER TABLE a ADD COLUMN b int');
  const count = async (sql) => Number((await db.query(`SELECT COUNT(*) AS n FROM ${sql}`)).rows[0].n);
  const versions = () => count("esink_shape WHERE topic = 'a'");
  await until(async () => await versions() === 2, 'the next version');
  await db.query('INSERT INTO a VALUES (2, 2)');
  await relay.fence(boss);
  await db.query('DELETE FROM esink_journal ORDER BY id LIMIT 1');
  await db.query("SET GLOBAL log_output = 'TABLE', GLOBAL general_log = 1");
  t.defer(() => db.query("SET GLOBAL general_log = 0, GLOBAL log_output = 'FILE'"));
  const asked = (text) => count(`mysql.general_log WHERE command_type = 'Query' AND argument LIKE '${text}'`);
  const [looks, reads] = ['SELECT COUNT(*) FROM esink_shape WHERE retired <%', 'SELECT COALESCE(MIN(shape),%esink_pubsub%'];
  await relay.stop();
  await relay.start();
  await until(async () => await asked(looks) > 0, 'a look at the versions');
  await relay.fence(await relay.operator());
  assert.deepEqual([await asked(reads), await versions()], [0, 2], 'it is not long ago');
  await relay.stop();
  await db.query("UPDATE esink_shape SET retired = '2001-01-01 00:00:00' WHERE retired IS NOT NULL");
  await relay.start();
  await until(async () => await versions() === 1, 'the first version to be forgotten');
  assert.equal(await asked(reads), 1);
  await db.query('INSERT INTO a VALUES (3, 3)');
  await relay.fence(await relay.operator());
});

test('--check: what the account lacks, in words; warnings for what cannot be seen', async (t) => {
  const db = await database.database(t, `CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE old_style (id int PRIMARY KEY) ENGINE = MyISAM;
    CREATE TABLE children (id int PRIMARY KEY, parent int, CONSTRAINT goes FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE)`);
  await db.query(`CREATE USER IF NOT EXISTS relay IDENTIFIED BY 'r'; REVOKE ALL PRIVILEGES, GRANT OPTION FROM relay; GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP ON ${db.name}.* TO relay`);
  const options = { db, args: ['--check'], env: { TABLE_NAMES: 'parents,children,old_style', MYSQL_USERNAME: 'relay', MYSQL_PASSWORD: 'r' } };
  const poor = await runToEnd(t, options);
  assert.equal(poor.code, 3, poor.log);
  const [, grants] = poor.log.match(/^esink: the account `relay`@`%` lacks rights; run: (GRANT .*;)$/m) ?? assert.fail(poor.log);
  assert.deepEqual(grants.split('; '), [`GRANT CREATE ROUTINE, ALTER ROUTINE ON \`${db.name}\`.* TO \`relay\`@\`%\``,
    ...['parents', 'children'].map((table) => `GRANT TRIGGER ON \`${db.name}\`.\`${table}\` TO \`relay\`@\`%\``),
    `GRANT TRIGGER ON \`${db.name}\`.\`old_style\` TO \`relay\`@\`%\`;`]);
  await db.query(`${grants} GRANT TRIGGER ON ${db.name}.fence TO relay`);
  const rich = await runToEnd(t, options);
  assert.equal(rich.code, 0, rich.log);
  assert.match(rich.log, /children: its foreign key goes to parents .*nobody is told/);
  assert.match(rich.log, /old_style has the engine MyISAM/);
  const relay = await startRelay(t, db, { tables: 'parents,children,old_style', env: { ...env, MYSQL_USERNAME: 'relay', MYSQL_PASSWORD: 'r' } });
  const boss = await relay.operator();
  await db.query('INSERT INTO parents VALUES (1)');
  await relay.fence(boss);
  assert.equal(rows(boss, 'parents').length, 1, 'these rights are enough');
});

// Names with an @ were taken for accounts without a right; many tables are more than a sentence holds.
test('--check: what it says to grant can be pasted until nothing lacks, whatever the account is called, and in parts where it is much', async (t) => {
  const names = Array.from({ length: 12 }, (_, i) => `t${i}`);
  const db = await database.database(t, names.map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY);`).join(''));
  await db.query(`CREATE DATABASE IF NOT EXISTS elsewhere_x; CREATE TABLE elsewhere_x.far (id int PRIMARY KEY, body text);
    CREATE OR REPLACE USER "odd\`@name"@"127.0.0.%" IDENTIFIED BY 'r'; GRANT SELECT (id), SELECT (body) ON elsewhere_x.far TO "odd\`@name"@"127.0.0.%"`);
  t.defer(() => db.query('DROP DATABASE elsewhere_x; DROP USER "odd`@name"@"127.0.0.%"'));
  const options = { db, env: { TABLE_NAMES: [...names, 'elsewhere_x.far'].join(), MYSQL_USERNAME: 'odd`@name', MYSQL_PASSWORD: 'r' } };
  // The server lets nobody in who has no right to anything in the database.
  await db.query(`GRANT CREATE ON ${db.name}.* TO "odd\`@name"@"127.0.0.%"; GRANT SELECT ON ${db.name}.* TO "odd\`@name"@"127.0.0.%"`);
  const start = await runToEnd(t, options);
  assert.equal(start.code, 3, start.log);
  assert.match(start.log, /^esink: the account `odd``@name`@`127.0.0.%` lacks rights; run: GRANT INSERT, UPDATE, DELETE, DROP, CREATE ROUTINE, ALTER ROUTINE ON /m);
  let checked;
  const parts = [];
  while ((checked = await runToEnd(t, { ...options, args: ['--check'] })).code !== 0) {
    const [, grants, more] = checked.log.match(/^esink: the account .* lacks rights; run: (GRANT .*;)( \(and \d+ more; esink --check names them then\))?$/m) ?? assert.fail(checked.log);
    parts.push(more);
    assert.ok(parts.length < 10, checked.log);
    await db.query(grants);
  }
  assert.ok(parts.length > 1 && parts.slice(0, -1).every(Boolean) && !parts.at(-1), parts.join());
  await startRelay(t, db, { tables: options.env.TABLE_NAMES, env: options.env, fence: false });
  await db.query('INSERT INTO t0 VALUES (1); INSERT INTO elsewhere_x.far VALUES (1, NULL)');
});

test('the right to read the token table is taken away: the log and /ready say so with the GRANT, and so does a start', async (t) => {
  const db = await database.database(t, 'CREATE DATABASE tokens_x; CREATE TABLE tokens_x.users (id int, token text)');
  await db.query(`CREATE OR REPLACE USER looker IDENTIFIED BY 'r'; GRANT ALL ON ${db.name}.* TO looker; GRANT SELECT ON tokens_x.users TO looker;
    INSERT INTO tokens_x.users VALUES (1, 'token-of-the-other-database')`);
  t.defer(() => db.query('DROP DATABASE tokens_x; DROP USER looker'));
  const account = { AUTH_TABLE: 'tokens_x.users', AUTH_RECHECK: '1s', MYSQL_USERNAME: 'looker', MYSQL_PASSWORD: 'r' };
  const relay = await startRelay(t, db, { env: account });
  const ws = await relay.ws('token-of-the-other-database');
  await db.query('REVOKE SELECT ON tokens_x.users FROM looker');
  await relay.notReady();
  const grant = 'GRANT SELECT ON `tokens_x`.`users` TO `looker`@`%`;';
  const sentence = `AUTH_TABLE: no right to read "users"; run: ${grant}`;
  assert.equal((await relay.get('/ready')).json.message, sentence);
  assert.equal(relay.log.split(' token look-up: ').length, 2, relay.log);
  assert.ok(relay.log.includes(` token look-up: ${sentence}\n`), relay.log);
  const { code, log } = await runToEnd(t, { db, args: ['--check'], env: { TABLE_NAMES: 'fence', ...account } });
  assert.equal(code, 3, log);
  assert.ok(log.includes(`esink: ${sentence}\n`), log);
  await db.query(grant);
  await relay.ready();
  assert.ok(ws.open);
  await relay.fence(ws, await relay.ws('token-of-the-other-database'));
});

// Triggers run with the rights of who made them: every write of the application failed, while /ready said 200 and the log nothing.
test('rights that are taken away under a running relay, and that triggers need: the log and /ready name them, until they are back', async (t) => {
  const db = await database.database(t, 'CREATE TABLE notes (id int PRIMARY KEY); CREATE DATABASE beside_x; CREATE TABLE beside_x.far (id int PRIMARY KEY)');
  await db.query(`CREATE OR REPLACE USER watcher IDENTIFIED BY 'r'; GRANT ALL ON ${db.name}.* TO watcher; GRANT SELECT, TRIGGER ON beside_x.far TO watcher`);
  t.defer(() => db.query('DROP DATABASE beside_x; DROP USER watcher'));
  const relay = await startRelay(t, db, { tables: 'notes,beside_x.far', env: { ...env, MYSQL_USERNAME: 'watcher', MYSQL_PASSWORD: 'r' } });
  const boss = await relay.operator();
  // What only esink itself may come to need is no reason to be out of service.
  await db.query(`REVOKE CREATE ROUTINE, ALTER ROUTINE, REFERENCES ON ${db.name}.* FROM watcher; REVOKE TRIGGER, INSERT ON ${db.name}.* FROM watcher`);
  await assert.rejects(db.query('INSERT INTO notes VALUES (1)'), /command denied/);
  await relay.notReady();
  const { message } = (await relay.get('/ready')).json;
  const tables = ['notes', 'fence'].map((table) => `GRANT TRIGGER ON \`${db.name}\`.\`${table}\` TO \`watcher\`@\`%\`;`);
  assert.equal(message, `writes to watched tables fail: triggers run with the rights of esink's account, which has lost some; run: ${tables.join(' ')} ` +
    `GRANT INSERT ON \`${db.name}\`.\`esink_pubsub\` TO \`watcher\`@\`%\`;`);
  assert.ok(relay.log.includes(` warn  mysql: ${message}\n`), relay.log);
  await db.query(message.slice(message.indexOf('GRANT')));
  await db.query('INSERT INTO notes VALUES (1)');
  await relay.ready();
  assert.ok(relay.log.includes(` info  mysql: mended: ${message}\n`), relay.log);
  await relay.fence(boss);
  assert.equal(rows(boss, 'notes').length, 1);
});

// The table was looked at again only where it was another one than before.
test('a table that cannot be looked at for a while, and is then as it was: ready again', async (t) => {
  const db = await database.database(t, 'CREATE DATABASE hidden_x; CREATE TABLE hidden_x.far (id int PRIMARY KEY)');
  await db.query(`CREATE OR REPLACE USER blind IDENTIFIED BY 'r'; GRANT ALL ON ${db.name}.* TO blind; GRANT SELECT, TRIGGER ON hidden_x.far TO blind`);
  t.defer(() => db.query('DROP DATABASE hidden_x; DROP USER blind'));
  const relay = await startRelay(t, db, { tables: 'hidden_x.far', env: { ...env, MYSQL_USERNAME: 'blind', MYSQL_PASSWORD: 'r' } });
  const boss = await relay.operator();
  await db.query('REVOKE SELECT ON hidden_x.far FROM blind');
  await until(() => /table hidden_x.far is being altered: looking again/.test(relay.log), () => relay.log);
  await db.query('GRANT SELECT ON hidden_x.far TO blind');
  await relay.ready();
  await db.query('INSERT INTO hidden_x.far VALUES (1)');
  await relay.fence(boss);
  assert.equal(rows(boss, 'hidden_x.far').length, 1);
});

test('a table that is somebody else\'s under one of our names is refused', async (t) => {
  const db = await database.database(t, 'CREATE TABLE esink_pubsub (id int PRIMARY KEY)');
  const { code, log } = await runToEnd(t, { db });
  assert.equal(code, 3, log);
  assert.match(log, /MYSQL_TABLE_TARGET: .*"esink_pubsub" that is not esink's/);
  const relay = await startRelay(t, db, { env: { ...env, MYSQL_TABLE_TARGET: 'my `outbox`' } });
  await relay.fence(await relay.operator());
});

test('a read-only server is waited for', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE things (id int PRIMARY KEY)', { tables: 'things' });
  await db.query(`CREATE USER IF NOT EXISTS limited IDENTIFIED BY 'l'; GRANT ALL ON ${db.name}.* TO limited`);
  await relay.stop();
  await db.query('SET GLOBAL read_only = 1');
  try {
    await relay.start({ ready: false, env: { ...env, MYSQL_USERNAME: 'limited', MYSQL_PASSWORD: 'l' } });
    await until(async () => /read-only/.test((await relay.get('/ready')).json.message), () => relay.log);
  } finally {
    await db.query('SET GLOBAL read_only = 0');
  }
  await relay.ready();
  await relay.fence(await relay.operator());
  assert.ok(boss);
});

// Sessions begin with these, whoever set them for whom.
for (const [setting, value, usual] of [['completion_type', "'CHAIN'", "'NO_CHAIN'"], ['completion_type', "'RELEASE'", "'NO_CHAIN'"], ['sql_select_limit', '1', 'DEFAULT'],
  ['max_join_size', '1', 'DEFAULT'], ['sql_safe_updates', '1', '0'], ['max_statement_time', '0.001', '0']]) {
  test(`a server whose ${setting} is ${value}: everything works all the same`, async (t) => {
    const db = await database.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, body text)');
    const token = await db.user(7);
    await db.query(`SET GLOBAL ${setting} = ${value}`);
    try {
      const relay = await startRelay(t, db, { tables: 'notes', env });
      const [boss, seven] = [await relay.operator(), await relay.ws(token)];
      await db.query(`INSERT INTO notes ${series(1, 500, `i, REPEAT('x', 1000)`)}`);
      await relay.fence(boss, seven);
      await db.query('DELETE FROM notes WHERE id > 490');
      await relay.fence(boss);
      assert.equal(rows(boss, 'notes').length, 510);
      const again = await relay.operator({ after: `${boss.welcome.journal}:0` });
      await relay.fence(again);
      assert.equal(rows(again, 'notes').length, 510);
      assert.doesNotMatch(relay.log, / is away/);
      // Whoever asks again within 100 ms is told what it was told before.
      await until(async () => {
        await db.query('DO SLEEP(0.2)');
        return Number((await db.query('SELECT COUNT(*) AS n FROM information_schema.INNODB_TRX')).rows[0].n) === 0;
      }, 'no transaction to be open');
    } finally {
      await db.query(`SET GLOBAL ${setting} = ${usual}`);
    }
  });
}

test('a wrong password, a database that is not there, a connection that is killed: said in words, tried again, nothing lost', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE things (id int PRIMARY KEY)', { tables: 'things' });
  for (const [wrong, sentence] of [[{ MYSQL_PASSWORD: 'wrong-password' }, /MYSQL_USERNAME, MYSQL_PASSWORD: /], [{ MYSQL_DATABASE: 'nowhere' }, /MYSQL_DATABASE: there is no database "nowhere"/]]) {
    const other = await startRelay(t, db, { tables: 'things', ready: false, env: wrong });
    other.secret('wrong-password');
    await until(async () => sentence.test((await other.get('/ready')).json.message), () => other.log);
    await other.stop();
  }
  for (let id = 1; id <= 5; id++) {
    await db.query(`INSERT INTO things VALUES (${id})`);
    const { rows: list } = await db.query('SELECT ID AS id FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()');
    for (const { id: connection } of list) await db.query(`KILL ${connection}`).catch(() => {});
  }
  await relay.fence(boss);
  assert.deepEqual(rows(boss, 'things').map(({ data }) => data.id), [1, 2, 3, 4, 5]);
  const answer = await relay.post('/publish', { data: {}, type: 'a', table: 'b', userId: 1, securityToken: operator });
  assert.equal(answer.status, 200, answer.text);
});

test('tables enough to be looked at in slices, in two databases: a new column, a table made anew and a dropped trigger are noticed', async (t) => {
  const many = Array.from({ length: 105 }, (_, i) => `many${i + 1}`);
  const db = await database.database(t, many.map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY)`).join('; ')), extra = `${db.name}_more.extra`;
  t.defer(() => db.query(`DROP DATABASE ${db.name}_more`));
  await db.query(`CREATE DATABASE ${db.name}_more; CREATE TABLE ${extra} (id int PRIMARY KEY)`);
  const relay = await startRelay(t, db, { tables: [...many, extra].join(), env });
  let boss = await relay.operator(), id = 0;
  const told = (table, fits = () => true) => until(async () => {
    await db.query(`INSERT INTO ${table} (id) VALUES (${++id})`);
    await boss.passed(await db.fence());
    return rows(boss, table).some(({ data }) => data.id === id && fits(data));
  }, () => `${table} to be told as it is now; ${boss.state()}`);
  for (const table of ['many1', 'many105', extra]) await told(table);
  await db.query('ALTER TABLE many105 ADD COLUMN note int DEFAULT 5');
  await told('many105', ({ note }) => note === 5);
  await db.query(`DROP TABLE ${extra}; CREATE TABLE ${extra} (id int PRIMARY KEY)`);
  await relay.sentAway(boss);
  boss = await relay.operator();
  await told(extra);
  const { rows: [{ name }] } = await db.query("SELECT TRIGGER_NAME AS name FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = 'many10' AND EVENT_MANIPULATION = 'INSERT'");
  await db.query(`DROP TRIGGER ${name}`);
  await relay.sentAway(boss);
  boss = await relay.operator();
  await told('many10');
});

test('the triggers are the ones that were looked at', async (t) => {
  const db = await database.database(t, `CREATE TABLE plain (id int PRIMARY KEY, owner int, note text CHARACTER SET utf8mb4, secret text);
    CREATE TABLE "Odd ""\`Table\`""" ("a'b" int, "c\\d" varchar(20) CHARACTER SET latin1, f float, b bit(3), t timestamp NULL, g point, PRIMARY KEY ("c\\d", "a'b"))`);
  // As --check prints them: what information_schema shows is not quite what the server keeps.
  const { stdout } = await runToEnd(t, { db, args: ['--check'], env: { TABLE_NAMES: 'plain,"Odd ""`Table`"""', TABLE_AUTH_COLUMN_ROUTING: '{"plain":["owner","note"]}', FILTERS: 'plain.secret', OLD_ROWS: 'plain' } });
  const text = stdout.replaceAll(`\`${db.name}\``, '`shop`').replaceAll(`'${db.name}'`, "'shop'").replace(/esink_[0-9a-f]{16}(?=: BEGIN|; END IF)/g, 'esink_word').replace(/(esink_(insert|update|delete)_)[0-9a-f]{16}/g, '$1hash');
  for (const [table, file] of [['plain', 'plain.sql'], ['Odd "``Table``"', 'odd-table.sql']]) {
    const triggers = text.split(/^(?=CREATE )/m).filter((sql) => sql.startsWith('CREATE TRIGGER') && sql.includes(` ON \`${table}\` `)).map((sql) => sql.slice(0, sql.indexOf('\nEND;') + 6));
    assert.equal(triggers.length, 3, text);
    const golden = new URL(`../golden/mysql/${file}`, import.meta.url);
    if (process.env.ESINK_GOLDEN === 'write') {
      mkdirSync(new URL('.', golden), { recursive: true });
      writeFileSync(golden, triggers.join(''));
    }
    assert.ok(existsSync(golden) && triggers.join('') === readFileSync(golden, 'utf8'), `${table}: look at the difference; ESINK_GOLDEN=write takes the new text`);
  }
});

test('a server with a binary log: who may make triggers, and the format, are said in words', async (t) => {
  const server = new MySql({ settings: { 'log-bin': 'binlog', 'server-id': 7, 'binlog-format': 'ROW' } });
  t.defer(() => server.remove());
  await server.start();
  const db = await server.database(t, 'CREATE TABLE things (id int PRIMARY KEY)');
  await db.query(`CREATE USER limited IDENTIFIED BY 'l'; GRANT ALL ON ${db.name}.* TO limited`);
  const options = { db, env: { TABLE_NAMES: 'things', MYSQL_USERNAME: 'limited', MYSQL_PASSWORD: 'l' } };
  for (const args of [['--check'], []]) {
    const { code, log } = await runToEnd(t, { ...options, args });
    assert.equal(code, 3, log);
    assert.match(log, /log_bin_trust_function_creators = 1/);
  }
  await db.query("SET GLOBAL log_bin_trust_function_creators = 1, GLOBAL binlog_format = 'STATEMENT'");
  const { code, log } = await runToEnd(t, { ...options, args: ['--check'] });
  assert.equal(code, 3, log);
  assert.match(log, /binlog_format/);
  await db.query("SET GLOBAL binlog_format = 'MIXED'");
  await db.close();
  const relay = await startRelay(t, db, { tables: 'things', env: { ...env, MYSQL_USERNAME: 'limited', MYSQL_PASSWORD: 'l' } });
  const boss = await relay.operator();
  await db.query('INSERT INTO things VALUES (1)');
  await relay.fence(boss);
  assert.equal(rows(boss, 'things').length, 1);
});
