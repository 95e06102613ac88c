// Prevents: a withheld column's values told under another name by rows that were written between an ALTER TABLE that gives names
// to other columns and the relay's next look, or while no relay ran; whole rows lost over an ALTER TABLE that does no harm; and writes of the application that fail because a
// column is gone.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { databaseOf } from './lib/databases.mjs';
import { test } from './lib/harness.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { ascending } from './lib/shapes.mjs';
import { until } from './lib/wait.mjs';
import { operator } from './source/suite.mjs';

const database = databaseOf('mysql');
after(() => database.stop());
const secret = 'hunter2-window';
const open = 'CREATE TABLE people (id int PRIMARY KEY, owner int, name text, note text, secret text)';
const keyed = 'CREATE TABLE people (secret varchar(40), owner int, name text, id varchar(40) PRIMARY KEY)';
const routed = 'CREATE TABLE people (id int PRIMARY KEY, owner varchar(40), name text, secret varchar(40))';
const swapped = 'ALTER TABLE people CHANGE name secret text, CHANGE secret name text';

async function watch(t, schema, { live = true, filters = 'people.secret' } = {}) {
  const db = await database.database(t, schema);
  const relay = await startRelay(t, db, { tables: 'people', routing: { people: 'owner' }, filters, env: { SECURITY_TOKEN: operator, OLD_ROWS: '*' } });
  relay.secret(secret);
  const clients = [await relay.ws(await db.user(1)), await relay.operator()];
  const { position } = clients[1];
  if (!live) await relay.stop();
  // Everything that anybody is told, live and read again; the end of the test looks for the secret in all of it.
  const all = async (changes = {}) => {
    if (!live) {
      await relay.start({ ready: false, ...changes }); // which complains of a column that may be the withheld one
      await until(() => /capture is live(?![^]*ended)/.test(relay.log), () => relay.log);
    }
    const again = [await relay.ws(db.tokens.get(1), { after: position }), await relay.operator({ after: position })];
    await relay.fence(...again, ...(live ? clients : []));
    if (live) assert.deepEqual(again[1].texts.filter((text) => text.includes('"people"')), clients[1].texts.filter((text) => text.includes('"people"')));
    const [user, boss] = again.map((client) => client.events.filter(({ table }) => table === 'people'));
    ascending(boss);
    for (const client of [...clients, ...again]) client.checkSecrets([secret]);
    return { user, boss, ids: boss.map(({ data }) => data.id) };
  };
  return { db, relay, all };
}

// By place: the secret goes where the secrets are, whatever that column is called now.
const rows = (from, to) => `INSERT INTO people VALUES ${Array.from({ length: to - from + 1 }, (_, i) => `(${from + i}, 1, 'n', 'note', '${secret}-${from + i}')`).join(', ')}`;
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

for (const live of [true, false]) {
  const when = live ? 'under a running relay' : 'while no relay runs';

  test(`two columns swap their names, and rows are written, ${when}: told by their keys`, async (t) => {
    const { db, all } = await watch(t, open, { live });
    await db.query(`${rows(1, 3)}; ${swapped}; ${rows(4, 6)}; UPDATE people SET owner = owner WHERE id = 1; UPDATE people SET owner = 2 WHERE id = 2; DELETE FROM people WHERE id = 3`);
    const { user, boss, ids } = await all();
    assert.deepEqual(ids, [...upTo(6), 1, 2, 3]);
    for (const event of boss.slice(3)) assert.deepEqual([Object.keys(event.data), event.incomplete, event.old], [['id'], true, undefined]);
    assert.deepEqual(user.map(({ type, data }) => `${type} ${data.id}`).slice(3), ['insert 4', 'insert 5', 'insert 6', 'update 1', 'delete 2', 'delete 3'], 'for whom they are is sure');
  });

  test(`a column is dropped and the withheld one takes its name, ${when}: told by their keys`, async (t) => {
    const { db, all } = await watch(t, open, { live });
    await db.query(`ALTER TABLE people DROP COLUMN note, CHANGE secret note text; INSERT INTO people VALUES (1, 1, 'n', '${secret}'); UPDATE people SET name = 'm'`);
    const { boss, user } = await all({ filters: undefined }); // with which no relay starts any more
    for (const list of [boss, user]) assert.deepEqual(list.map(({ data, incomplete }) => [data, incomplete]), [[{ id: 1 }, true], [{ id: 1 }, true]]);
  });

  test(`the routing column and the withheld one swap their names, ${when}: told to nobody, without a value`, async (t) => {
    const { db, all } = await watch(t, routed, { live });
    await db.query(`ALTER TABLE people CHANGE owner secret varchar(40), CHANGE secret owner varchar(40); INSERT INTO people VALUES (1, '${secret}', 'n', '1')`);
    const { boss, user } = await all();
    assert.deepEqual([boss.map(({ type, data, incomplete }) => [type, data, incomplete]), user], [[['insert', {}, true]], []]);
  });

  test(`the key and the withheld column swap their names, ${when}: told to nobody, without a value`, async (t) => {
    const { db, all } = await watch(t, keyed, { live });
    await db.query(`ALTER TABLE people CHANGE id secret varchar(40), CHANGE secret id varchar(40), DROP PRIMARY KEY, ADD PRIMARY KEY (id); INSERT INTO people VALUES ('${secret}', 1, 'n', 'k')`);
    const { boss, user } = await all();
    assert.deepEqual([boss.map(({ data, incomplete }) => [data, incomplete]), user], [[[{}, true]], []]);
  });

  for (const [what, schema, alter, row] of [
    ['the key', "CREATE TABLE people (secret varchar(40), id varchar(40) PRIMARY KEY, owner int, name text)", 'DROP PRIMARY KEY, DROP COLUMN id, CHANGE secret id varchar(40), CHANGE owner held_by int', `'${secret}', 1, 'n'`],
    ['the routing column', "CREATE TABLE people (secret varchar(40), id int PRIMARY KEY, owner varchar(40), name text)", 'DROP COLUMN owner, CHANGE secret owner varchar(40), CHANGE id nr int', `'${secret}', 1, 'n'`],
  ])
    test(`${what} is dropped, the withheld column takes its name, and another that is needed is gone, ${when}: told to nobody, without a value`, async (t) => {
      const { db, all } = await watch(t, schema, { live });
      await db.query(`ALTER TABLE people ${alter}; INSERT INTO people VALUES (${row}); ALTER TABLE people ADD COLUMN secret int, ADD COLUMN IF NOT EXISTS owner int`);
      const { boss, user } = await all();
      assert.deepEqual([boss.map(({ type, data, incomplete }) => [type, data, incomplete]), user], [[['insert', {}, true]], []]);
    });

  test(`columns are added and dropped, ${when}: no row is told less than whole`, async (t) => {
    const { db, all } = await watch(t, open, { live });
    await db.query(`${rows(1, 3)}; ALTER TABLE people ADD COLUMN city text AFTER owner, ADD COLUMN zip text FIRST;
      INSERT INTO people (id, owner, name, note, secret) VALUES (4, 1, 'n', 'note', '${secret}'), (5, 1, 'n', 'note', '${secret}')`);
    const { boss, user } = await all();
    for (const list of [boss, user]) assert.deepEqual(list.map(({ data: { id, name, note }, incomplete }) => [id, name, note, incomplete]), upTo(5).map((id) => [id, 'n', 'note', undefined]));
  });
}

test('names are swapped again and again while sessions write without a pause: nothing leaks, nothing is lost or told twice', async (t) => {
  const { db, relay, all } = await watch(t, open);
  let written = 0, done = false;
  const writer = async () => {
    const session = await db.connect();
    while (!done) {
      const n = ++written;
      await session.query(rows(n, n));
      await session.query(`UPDATE people SET owner = owner WHERE id = ${n}`);
    }
  };
  const writers = [writer(), writer(), writer()];
  for (let round = 0; round < 4; round++) {
    const from = written;
    await until(() => written > from + 100, 'writers to write');
    await db.query(swapped);
    // Whole again: the triggers were made anew. What stood where a withheld column stood is withheld, too.
    await until(async () => Number((await db.query('SELECT COUNT(*) AS n FROM esink_shape')).rows[0].n) >= 3 + round, () => relay.log);
  }
  done = true;
  await Promise.all(writers);
  const { boss } = await all();
  assert.deepEqual(boss.filter(({ type }) => type === 'insert').map(({ data }) => data.id).sort((a, b) => a - b), upTo(written));
  assert.equal(boss.filter(({ type }) => type === 'update').length, written);
  assert.ok(boss.some(({ incomplete }) => incomplete), 'rows were written in the window');
  const eye = await relay.operator();
  await until(async () => {
    await db.query(rows(++written, written));
    await relay.fence(eye);
    return eye.events.some(({ data, incomplete }) => data.note && !incomplete);
  }, 'whole rows again');
});

test('a relay that is killed after it made the triggers anew, and names that are swapped back: what was in doubt stays so', async (t) => {
  const { db, relay, all } = await watch(t, open, { live: false });
  await db.query(`${swapped}; ${rows(1, 3)}`);
  const holder = await db.connect();
  await holder.query('BEGIN; SELECT id FROM esink_pubsub FOR UPDATE'); // so that nothing is moved
  await relay.start({ ready: false });
  await until(async () => Number((await db.query("SELECT COUNT(*) AS n FROM esink_shape WHERE topic = 'people' AND retired IS NOT NULL")).rows[0].n) === 1, () => relay.log);
  await relay.kill();
  await holder.query('COMMIT');
  await db.query(swapped);
  const { boss } = await all();
  assert.deepEqual(boss.map(({ data, incomplete }) => [data, incomplete]), upTo(3).map((id) => [{ id }, true]));
});

test('an ALTER TABLE that waits for a long transaction holds up the events of no other table', async (t) => {
  const { db, relay, all } = await watch(t, `${open}; CREATE TABLE free (id int PRIMARY KEY)`);
  const [long, ddl] = [await db.connect(), await db.connect()];
  await db.query(rows(1, 1));
  await long.query('BEGIN; SELECT * FROM people');
  const altered = ddl.query('ALTER TABLE people ADD COLUMN city text');
  await until(async () => (await db.query("SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata lock%'")).rows.length, 'the ALTER TABLE to wait');
  const boss = await relay.operator();
  await relay.fence(boss);
  await long.query('COMMIT');
  await altered;
  const { ids } = await all();
  assert.deepEqual(ids, [1]);
});

test('a column is dropped or renamed while no relay runs, also one of the key or the users: no write fails, and is told by what is left', async (t) => {
  const { db, relay } = await watch(t, 'CREATE TABLE people (id int PRIMARY KEY, owner int, name text, note text, secret text)');
  const boss = await relay.operator(), { position } = boss;
  await relay.stop();
  await db.query("ALTER TABLE people DROP COLUMN note; INSERT INTO people VALUES (1, 1, 'n', NULL); ALTER TABLE people RENAME COLUMN name TO called; INSERT INTO people VALUES (2, 1, 'n', NULL)");
  await db.query('ALTER TABLE people RENAME COLUMN owner TO held_by');
  const write = (id) => db.query(`INSERT INTO people VALUES (${id}, 1, 'n', NULL)`);
  await write(3);
  const refused = await runToEnd(t, { db, env: { TABLE_NAMES: 'people', TABLE_AUTH_COLUMN_ROUTING: '{"people": "owner"}', FILTERS: 'people.secret' } });
  assert.equal(refused.code, 3, refused.log);
  await write(4);
  await db.query("ALTER TABLE people RENAME COLUMN id TO nr; UPDATE people SET called = 'm' WHERE nr = 4");
  await relay.start({ routing: { people: 'held_by' } });
  await write(5);
  await db.query("ALTER TABLE people RENAME COLUMN nr TO number; INSERT INTO people VALUES (6, 1, 'n', NULL)");
  let id = 7;
  const eye = await relay.operator(); // the triggers are made anew
  await until(async () => {
    await write(id++);
    await relay.fence(eye);
    return eye.events.some(({ data }) => data.number === id - 1);
  }, () => relay.log);
  const again = [await relay.operator({ after: position }), await relay.ws(db.tokens.get(1), { after: position })];
  await relay.fence(...again);
  const [all, user] = again.map((client) => client.events.filter(({ table }) => table === 'people').map(({ type, data, incomplete }) => [type, data, !!incomplete]));
  const last = all.findLastIndex(([, data]) => data.number === undefined);
  assert.deepEqual(all.slice(0, 7), [['insert', { id: 1 }, true], ['insert', { id: 2 }, true], ['insert', { id: 3 }, true], ['insert', { id: 4 }, true], ['update', {}, true],
    ['insert', { nr: 5, held_by: 1, called: 'n' }, false], ['insert', {}, true]]);
  for (const event of all.slice(7, last + 1)) assert.deepEqual(event, ['insert', {}, true], 'until a relay has looked');
  assert.deepEqual(all.slice(last + 1), [['insert', { number: id - 1, held_by: 1, called: 'n' }, false]]);
  assert.deepEqual(user, all.filter((_, i) => i < 2 || i > 4), 'whose users cannot be known are the operator\'s');
});

test('one of several columns of the key, or of the users, is dropped while no relay runs: no write fails, and is told by the key alone, to the users alone, or neither', async (t) => {
  const columns = 'a int, b varchar(20) CHARACTER SET latin1, owner int, helper int, secret varchar(40), PRIMARY KEY (a, b)';
  const db = await database.database(t, ['keyed', 'routed'].map((name) => `CREATE TABLE ${name} (${columns}); INSERT INTO ${name} SELECT seq, 'b', 1, 2, '${secret}' FROM seq_1_to_5`).join('; '));
  const route = ['owner', 'helper'];
  const relay = await startRelay(t, db, { tables: 'keyed,routed', routing: { keyed: route, routed: route }, filters: 'keyed.secret,routed.secret', env: { SECURITY_TOKEN: operator } });
  relay.secret(secret);
  const { position } = await relay.operator();
  for (const id of [1, 2, 3]) await db.user(id);
  await relay.stop();
  await db.query(`ALTER TABLE routed DROP COLUMN owner; INSERT INTO routed VALUES (6, 'b', 2, '${secret}'); UPDATE routed SET helper = 3 WHERE a = 1; DELETE FROM routed WHERE a = 2;
    ALTER TABLE keyed DROP PRIMARY KEY, DROP COLUMN a; INSERT INTO keyed VALUES ('b', 1, 2, '${secret}'); UPDATE keyed SET helper = 3 LIMIT 1; DELETE FROM keyed LIMIT 1;
    ALTER TABLE keyed DROP COLUMN helper; INSERT INTO keyed VALUES ('b', 1, '${secret}'); UPDATE keyed SET owner = 3 LIMIT 1; DELETE FROM keyed LIMIT 1`);
  await db.query('ALTER TABLE routed ADD COLUMN owner int AFTER b; ALTER TABLE keyed ADD COLUMN helper int AFTER owner'); // in their places, so that a relay starts and no name is in doubt
  await relay.start();
  const again = [await relay.operator({ after: position }), ...await Promise.all([1, 2, 3].map((id) => relay.ws(db.tokens.get(id), { after: position })))];
  await relay.fence(...again);
  const told = again.map((client) => client.events.filter(({ table }) => table !== 'fence').map(({ table, type, data, incomplete }) => [table, type, data, incomplete]));
  const keys = [['insert', { a: 6, b: 'b' }], ['update', { a: 1, b: 'b' }], ['delete', { a: 2, b: 'b' }]].map((event) => ['routed', ...event, true]);
  const none = ['insert', 'update', 'delete'].map((type) => ['keyed', type, {}, true]);
  assert.deepEqual(told[0], [...keys, ...none, ...none], 'the operator hears of each');
  assert.deepEqual(told.slice(1), [none, [none[0], none[2]], none.slice(1)], 'users, where all columns are there that say who they are');
  for (const client of again) client.checkSecrets([secret]);
});

// Writes while no relay runs; what the operator and users 1, 5 and 6 are told of it by the next one.
async function told(t, schema, settings, sql) {
  const db = await database.database(t, schema);
  const relay = await startRelay(t, db, { ...settings, env: { SECURITY_TOKEN: operator } });
  const { position } = await relay.operator();
  for (const id of [1, 5, 6]) await db.user(id);
  await relay.stop();
  await db.query(sql);
  await relay.start({ ready: false });
  await until(() => /capture is live(?![^]*ended)/.test(relay.log), () => relay.log);
  const clients = [await relay.operator({ after: position }), ...await Promise.all([1, 5, 6].map((id) => relay.ws(db.tokens.get(id), { after: position })))];
  await relay.fence(...clients);
  return clients.map((client) => client.events.filter(({ table }) => table !== 'fence').map(({ table, type, data, incomplete }) => `${table} ${type} ${JSON.stringify(data)}${incomplete ? ' incomplete' : ''}`));
}

test('a column of the key or the users gets a type that its function does not take, while no relay runs: no write fails, and is told by what is left', async (t) => {
  const columns = 'code float PRIMARY KEY, owner bit(3), name text';
  const write = (table, code, owner) => `INSERT INTO ${table} VALUES (${code}, ${owner}, 'n'); UPDATE ${table} SET name = 'm'; DELETE FROM ${table}`;
  const events = (table, data) => ['insert', 'update', 'delete'].map((type) => `${table} ${type} ${data} incomplete`);
  const [boss, user] = await told(t, `CREATE TABLE keyed (${columns}); CREATE TABLE routed (${columns})`, { tables: 'keyed,routed', routing: { keyed: 'owner', routed: 'owner' } },
    `ALTER TABLE keyed MODIFY code varchar(45); ALTER TABLE keyed MODIFY code inet6; ${write('keyed', "'::1'", 1)};
    ALTER TABLE routed DROP COLUMN owner, ADD COLUMN owner point AFTER code; ${write('routed', 1.5, 'POINT(1, 2)')};
    ALTER TABLE keyed DROP COLUMN owner, ADD COLUMN owner uuid AFTER code; ${write('keyed', "'::1'", 'UUID()')}`);
  assert.deepEqual(boss, [...events('keyed', '{}'), ...events('routed', '{"code":1.5}'), ...events('keyed', '{}')]);
  assert.deepEqual(user, events('keyed', '{}'), 'the users that are known');
});

test('a column is gone, and what is told instead finds no room or no lock: the write fails, and no row is told by less because only that had room', async (t) => {
  const { db, relay } = await watch(t, 'CREATE TABLE people (id varchar(100) PRIMARY KEY, owner int, name text, note text, secret text)', { live: false });
  await db.query('ALTER TABLE people DROP COLUMN note');
  for (const errno of [3, 1021, 1026, 1030, 1037, 1114, 1205]) {
    await db.query(`CREATE OR REPLACE TRIGGER no_room BEFORE INSERT ON esink_pubsub FOR EACH ROW
      IF LENGTH(NEW.data) > 100 THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = ${errno}, MESSAGE_TEXT = 'no room'; END IF`);
    await assert.rejects(db.query("INSERT INTO people VALUES (REPEAT('x', 100), 1, 'n', NULL)"), { errno, message: /no room/ });
  }
  assert.deepEqual((await db.query('SELECT id FROM people UNION ALL SELECT id FROM esink_pubsub')).rows, []);
  await db.query(`DROP TRIGGER no_room; INSERT INTO people VALUES ('short', 1, 'n', NULL)`);
  await relay.start({ ready: false });
});

test('a part of the key is dropped, or is too long for a row that is told by its key: no part of it is told, for the rest might pass for the key', async (t) => {
  const [boss, , ...users] = await told(t, `CREATE TABLE items (tenant int, id int, name text, PRIMARY KEY (tenant, id)); INSERT INTO items VALUES (5, 1, 'n');
    CREATE TABLE docs (tenant int, doc longtext, name text, PRIMARY KEY (tenant, doc(10)))`, { tables: 'items,docs', routing: { items: 'tenant', docs: 'tenant' } },
  `ALTER TABLE items DROP PRIMARY KEY, DROP COLUMN id; INSERT INTO items VALUES (5, 'm'); UPDATE items SET tenant = 6 WHERE name = 'n'; DELETE FROM items WHERE tenant = 6;
    ALTER TABLE docs DROP COLUMN name; INSERT INTO docs VALUES (5, 'short'), (5, REPEAT('long', 50000)); UPDATE docs SET doc = 'other', tenant = 6 WHERE doc <> 'short'`);
  const events = (update) => ['items insert {}', `items ${update} {}`, 'items delete {}', 'docs insert {"tenant":5,"doc":"short"}', 'docs insert {}', `docs ${update} {"tenant":6,"doc":"other"}`].map((event) => `${event} incomplete`);
  assert.deepEqual(boss, events('update'));
  assert.deepEqual(users, [events('delete').filter((_, i) => i !== 2).map((event) => event.replace('{"tenant":6,"doc":"other"}', '{}')), [1, 2, 5].map((i) => events('update')[i])]);
});

test('a number column is made a text column while no relay runs, and a text with a comma stands where the users should: told without a value, to whom it is for everyone', async (t) => {
  const columns = 'id int PRIMARY KEY, n int, owner int, name text';
  const clients = await told(t, `CREATE TABLE own (${columns}); CREATE TABLE everybody (${columns})`, { tables: 'own,everybody', routing: { own: 'owner', everybody: '*' } },
    ['own', 'everybody'].map((table) => `ALTER TABLE ${table} MODIFY n varchar(40); INSERT INTO ${table} VALUES (1, 'plain', 5, 'n'), (2, 'with, a comma', 5, 'n'), (3, '9,6', 5, 'n'), (4, '::6', 5, 'n')`).join('; '));
  const whole = (table) => `${table} insert {"id":1,"n":"plain","owner":5,"name":"n"}`, none = (table) => Array(3).fill(`${table} insert {} incomplete`);
  const all = [whole('everybody'), ...none('everybody')];
  assert.deepEqual(clients, [[whole('own'), ...none('own'), ...all], all, [whole('own'), ...all], all]);
});

test('columns of the key and of the users are renamed again and again while sessions write without a pause: no write fails, and each is told', async (t) => {
  const { db, relay, all } = await watch(t, open);
  let written = 0, done = false;
  const writer = async () => {
    const session = await db.connect();
    while (!done) {
      const n = ++written;
      await session.query(rows(n, n));
      await session.query(`UPDATE people SET name = 'm' WHERE note = 'note' LIMIT 1`);
    }
  };
  const writers = [writer(), writer(), writer()];
  for (const alter of ['id TO nr', 'owner TO held_by', 'nr TO id', 'held_by TO owner']) {
    const from = written;
    await until(() => written > from + 50, 'writers to write');
    await db.query(`ALTER TABLE people RENAME COLUMN ${alter}`);
  }
  done = true;
  await Promise.all(writers);
  const { boss } = await all();
  assert.equal(boss.filter(({ type }) => type === 'insert').length, written);
  assert.ok(boss.some(({ data }) => !Object.keys(data).length), 'rows were written in the window');
});
