// Prevents: a backup that cannot be loaded; a copy of a database whose triggers and procedure write into the original, so that users are
// told rows of the copy as their own; a restored database that goes on in the journal of the one that it came from, tells twice, or
// withholds less; triggers of a former version that nobody takes for esink's.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { databaseOf } from './lib/databases.mjs';
import { test } from './lib/harness.mjs';
import { Database } from './lib/mysql.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';
import { operator, series } from './source/suite.mjs';

const database = databaseOf('mysql');
after(() => database.stop());
const schema = `CREATE TABLE accounts (id int PRIMARY KEY, owner int, secret text); CREATE TABLE orders (id int PRIMARY KEY, owner int, note text CHARACTER SET utf8mb4);
  CREATE TABLE zebras (id int PRIMARY KEY, owner int)`;
const hidden = 'withheld-value-4711';
const rules = { tables: 'accounts,orders,zebras', routing: { accounts: 'owner', orders: 'owner', zebras: 'owner' }, filters: 'accounts.secret', env: { SECURITY_TOKEN: operator } };
const anew = /triggers were made|tables of esink were made|without a trigger/;
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const ids = (client, table) => client.events.filter((event) => event.table === table).map(({ data }) => data.id);
const triggersOf = async (db) => (await db.query(`SELECT TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS tab, EVENT_MANIPULATION AS event, ACTION_STATEMENT AS body, SQL_MODE AS mode
  FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY TRIGGER_NAME`)).rows;

// Times of tables, by which a copy is told from its original, are whole seconds.
const nextSecond = async (db) => {
  const made = async () => Number((await db.query("SELECT MAX(UNIX_TIMESTAMP(CREATE_TIME)) AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE 'esink%'")).rows[0].n);
  await until(async () => Number((await db.query('SELECT UNIX_TIMESTAMP() AS n')).rows[0].n) > await made(), 'another second');
};

// Forty changes that were told, to a client whose position is in the middle of them; and ten, and an event of SQL, that no relay has seen.
async function original(t) {
  const db = await database.database(t, schema), token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  relay.secret(hidden);
  const client = await relay.ws(token);
  await db.query(`INSERT INTO orders ${series(1, 20, 'i, 1, \'ö\'')}`);
  await client.count(20);
  const { position } = client;
  await db.query(`INSERT INTO orders ${series(21, 40, 'i, 1, NULL')}`);
  await client.count(40);
  await relay.stop();
  await db.query(`INSERT INTO orders ${series(41, 50, 'i, 1, \'waits\'')}; INSERT INTO accounts VALUES (1, 1, '${hidden}'); CALL esink_emit('mail', 'sent', '{"id":1}', '["1"]')`);
  await nextSecond(db);
  return { db, relay, token, position };
}

// What a relay finds in what was loaded: another journal, what nobody had seen, once, and what is written, by the triggers that were loaded.
async function restored(db, relay, token, position) {
  await db.query("INSERT INTO orders VALUES (51, 1, 'since'), (52, 2, 'not for user 1'); INSERT INTO zebras VALUES (1, 1)");
  await db.query(`CALL esink_emit('mail', 'sent', '{"id":2}', '["1"]')`);
  const said = relay.log.length;
  await relay.start();
  const client = await relay.ws(token, { after: position });
  assert.equal(client.welcome.recovered, false);
  const { journal } = client.welcome;
  assert.notEqual(journal, position.split(':')[0]);
  await db.query("INSERT INTO orders VALUES (53, 1, 'then'); UPDATE accounts SET owner = 2 WHERE id = 1; DELETE FROM zebras");
  await relay.fence(client);
  assert.doesNotMatch(relay.log.slice(said), anew);
  const eyes = { operator: await relay.operator({ after: `${journal}:0` }), user: await relay.ws(token, { after: `${journal}:0` }) };
  await relay.fence(...Object.values(eyes));
  for (const [who, eye] of Object.entries(eyes)) {
    assert.deepEqual(ids(eye, 'orders'), range(1, 53).filter((id) => id !== 52 || who === 'operator'), who);
    assert.deepEqual(ids(eye, 'zebras'), [1, 1], who);
    assert.deepEqual(ids(eye, 'mail'), [1, 2], who);
    const { type, data } = eye.events.find(({ table }) => table === 'accounts');
    assert.deepEqual([type, data], ['insert', { id: 1, owner: 1 }], who);
    assert.ok(eye.events.every(({ incomplete }) => !incomplete), who);
  }
}

// What the servers' clients take for their own in a text: the one takes comments out, the other does not.
for (const [what, options] of [['the client', []], ['the client, comments kept', ['--comments']]]) {
  test(`a dump is loaded into its own database by ${what}: all of it, and a relay goes on in another journal`, async (t) => {
    const { db, relay, token, position } = await original(t);
    const before = await triggersOf(db);
    await db.server.load(db.name, await db.server.dump(db.name), options);
    assert.deepEqual(await triggersOf(db), before);
    await restored(db, relay, token, position);
  });

  test(`a dump is loaded into another database of the server by ${what}: neither hears of the other`, async (t) => {
    const { db, relay, token, position } = await original(t);
    const copy = new Database(db.server, `${db.name}_copy`);
    t.defer(async () => {
      await copy.close();
      await db.query(`DROP DATABASE IF EXISTS ${copy.name}`);
    });
    await db.query(`CREATE DATABASE ${copy.name}`);
    await db.server.load(copy.name, await db.server.dump(db.name), options);
    assert.deepEqual(await triggersOf(copy), await triggersOf(db));
    await copy.query("INSERT INTO orders VALUES (99, 1, 'before a relay of its own'); DELETE FROM orders WHERE id = 99");
    await relay.start();
    const { journal } = (await relay.operator()).welcome, beside = await startRelay(t, copy, rules);
    await beside.stop();
    beside.secret(hidden);
    await restored(copy, beside, token, position);
    await db.query("INSERT INTO orders VALUES (60, 1, 'of the original')");
    const eye = await relay.operator({ after: `${journal}:0` });
    await relay.fence(eye);
    assert.deepEqual(ids(eye, 'orders'), [...range(1, 50), 60]);
    assert.deepEqual([ids(eye, 'zebras'), ids(eye, 'mail'), ids(eye, 'accounts')], [[], [1], [1]]);
    // And each takes away its own alone.
    await beside.stop();
    const count = (await triggersOf(db)).length;
    assert.equal((await runToEnd(t, { db: copy, args: ['--uninstall'] })).code, 0);
    assert.deepEqual([(await triggersOf(copy)).length, (await triggersOf(db)).length], [0, count]);
    await relay.fence(eye);
  });
}

test('some tables of a dump in a database with an outbox of its own, or with none: their writes succeed, and are told to nobody as what they are not', async (t) => {
  const db = await database.database(t, schema), tenant = await database.database(t, 'CREATE TABLE people (id int PRIMARY KEY, owner int); CREATE TABLE orders (id int PRIMARY KEY, owner int)');
  const relay = await startRelay(t, db, rules), boss = await relay.operator();
  const other = await startRelay(t, tenant, { tables: 'people,orders', routing: { people: 'owner' }, filters: 'orders.owner', env: rules.env });
  await other.stop();
  const empty = `${db.name}_empty`;
  await db.query(`CREATE DATABASE ${empty}`);
  t.defer(() => db.query(`DROP DATABASE ${empty}`));
  const dump = await db.server.dump(db.name, ['orders', 'accounts']);
  await tenant.query('DROP TABLE orders');
  for (const name of [tenant.name, empty]) {
    await db.server.load(name, dump);
    await db.query(`INSERT INTO ${name}.orders VALUES (1, 1, 'x'); UPDATE ${name}.orders SET owner = 2; INSERT INTO ${name}.accounts VALUES (1, 1, '${hidden}'); DELETE FROM ${name}.orders`);
  }
  await other.start();
  const eye = await other.operator({ after: `${(await other.operator()).welcome.journal}:0` });
  await tenant.query("INSERT INTO orders VALUES (2, 1, 'y')");
  await other.fence(eye);
  await relay.fence(boss);
  assert.deepEqual(eye.events.filter(({ table }) => table !== 'fence').map(({ table, data }) => [table, data]), [['orders', { id: 2, note: 'y' }]]);
  assert.deepEqual(boss.events.filter(({ table }) => table !== 'fence'), []);
});

test('a copy of a watched schema that has not the outbox: its writes succeed, and are told to nobody, until a relay watches it', async (t) => {
  const db = await database.database(t, ''), far = `${db.name}_far`, copy = `${db.name}_copy`;
  t.defer(() => db.query(`DROP DATABASE IF EXISTS ${far}; DROP DATABASE IF EXISTS ${copy}`));
  await db.query(`CREATE DATABASE ${far}; CREATE DATABASE ${copy}; CREATE TABLE ${far}.items (id int PRIMARY KEY, n int)`);
  const relay = await startRelay(t, db, { tables: `${far}.items`, env: rules.env }), boss = await relay.operator();
  await db.query(`INSERT INTO ${far}.items VALUES (1, 0)`);
  await db.server.load(copy, await db.server.dump(far));
  await db.query(`INSERT INTO ${copy}.items VALUES (2, 0); UPDATE ${copy}.items SET n = 1; DELETE FROM ${copy}.items WHERE id = 1`);
  await db.query(`UPDATE ${far}.items SET n = 2; DELETE FROM ${far}.items`);
  await relay.fence(boss);
  assert.deepEqual(boss.events.filter(({ table }) => table === `${far}.items`).map(({ type, data }) => [type, data.id]), [['insert', 1], ['update', 1], ['delete', 1]]);
  await relay.stop();
  await relay.start({ tables: `${far}.items,${copy}.items` });
  const eye = await relay.operator();
  await db.query(`INSERT INTO ${copy}.items VALUES (3, 0); INSERT INTO ${far}.items VALUES (4, 0)`);
  await relay.fence(eye);
  assert.deepEqual([ids(eye, `${copy}.items`), ids(eye, `${far}.items`)], [[3], [4]]);
});

// As they were: a comment behind BEGIN, and every name with its schema.
async function asFormer(db) {
  const named = (sql) => sql.replaceAll('`esink_pubsub`', `\`${db.name}\`.\`esink_pubsub\``).replaceAll('`esink_prelock`', `\`${db.name}\`.\`esink_prelock\``);
  await db.query("SET sql_mode = ''");
  for (const { name, tab, event, body } of await triggersOf(db)) {
    const former = body.replace(/^esink_([0-9a-f]{16}): BEGIN\n.*RESIGNAL;\n/, 'BEGIN /* esink $1 */\n').replace(/\n {2}IF DATABASE.*/, '');
    assert.match(former, /^BEGIN \/\* esink [0-9a-f]{16} \*\/\n {2}DECLARE CONTINUE/);
    await db.query(`CREATE OR REPLACE TRIGGER \`${db.name}\`.\`${name}\` AFTER ${event} ON \`${db.name}\`.\`${tab}\` FOR EACH ROW ${former}`);
  }
  const { rows: [emit] } = await db.query('SHOW CREATE PROCEDURE esink_emit');
  await db.query(named(emit['Create Procedure']).replace(/^CREATE DEFINER=\S+/, 'CREATE OR REPLACE'));
}

test('triggers and a procedure of a former version: made anew, with what was granted, and nothing is missed; or taken away', async (t) => {
  const { db, relay, token } = await original(t);
  await db.query(`CREATE USER former_app IDENTIFIED BY 'f'; GRANT EXECUTE ON PROCEDURE ${db.name}.esink_emit TO former_app; GRANT SELECT ON ${db.name}.orders TO former_app`);
  const today = await triggersOf(db);
  await asFormer(db);
  await db.query("INSERT INTO orders VALUES (51, 1, 'by the former ones')");
  const said = relay.log.length;
  await relay.start();
  assert.doesNotMatch(relay.log.slice(said), /without a trigger/);
  assert.deepEqual(await triggersOf(db), today);
  const { rows: [{ body }] } = await db.query("SELECT ROUTINE_DEFINITION AS body FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_NAME = 'esink_emit'");
  assert.ok(!body.includes(db.name), body);
  const app = await db.connect('former_app', 'f');
  await app.query(`CALL esink_emit('mail', 'sent', '{"id":2}', NULL)`);
  const boss = await relay.operator();
  const eye = await relay.operator({ after: `${boss.welcome.journal}:0` }), user = await relay.ws(token, { after: `${boss.welcome.journal}:0` });
  await relay.fence(eye, user);
  assert.deepEqual([ids(eye, 'orders'), ids(eye, 'mail'), ids(user, 'mail')], [range(1, 51), [1, 2], [1]]);
  await relay.stop();
  await asFormer(db);
  assert.equal((await runToEnd(t, { db, args: ['--uninstall'] })).code, 0);
  assert.deepEqual(await triggersOf(db), []);
});
