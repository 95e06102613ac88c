// Prevents: a kind of table, or a way of writing to one, that passes the trigger by, or that fails because of it.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { ascending } from './lib/shapes.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();
const prepared = usePostgres({ settings: { max_prepared_transactions: 10 } });
const operator = 'operators-own-token-4711';

const steps = (client) => client.events.map(({ table, type, data }) => [table, type, data]);

// A relay on sql's tables, and a session that sees everything.
async function watch(t, sql, tables, { server = postgres, ...options } = {}) {
  const db = await server.database(t, sql);
  const relay = await startRelay(t, db, { tables, ...options, env: { SECURITY_TOKEN: operator, ...options.env } });
  return { db, relay, boss: await relay.operator() };
}

test('mixed case, quoted and schema-qualified names', async (t) => {
  const { db, relay, boss } = await watch(t, `CREATE SCHEMA shop; CREATE SCHEMA "My Shop";
    CREATE TABLE "Orders" (id int PRIMARY KEY); CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE lower_only (id int);
    CREATE TABLE shop.orders (id int PRIMARY KEY); CREATE TABLE "My Shop"."Odd.Name" (id int)`,
  'Orders,orders,Lower_Only,shop.orders,"My Shop"."Odd.Name"');
  await db.query('INSERT INTO "Orders" VALUES (1); INSERT INTO orders VALUES (2); INSERT INTO lower_only VALUES (3)');
  await db.query('INSERT INTO shop.orders VALUES (4); INSERT INTO "My Shop"."Odd.Name" VALUES (5)');
  await relay.fence(boss);
  assert.deepEqual(steps(boss).map(([table, , { id }]) => [table, id]),
    [['Orders', 1], ['orders', 2], ['lower_only', 3], ['shop.orders', 4], ['My Shop.Odd.Name', 5]]);
});

test('a bare name means the default schema only', async (t) => {
  const db = await postgres.database(t, 'CREATE SCHEMA other; CREATE TABLE other.notes (id int, user_id int); CREATE TABLE notes (id int, user_id int)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'notes,other.notes', routing: { notes: 'user_id' }, env: { SECURITY_TOKEN: operator } });
  const [ws, boss] = [await relay.ws(token), await relay.operator()];
  await db.query('INSERT INTO other.notes VALUES (1, 1); INSERT INTO notes VALUES (2, 1)');
  await relay.fence(ws, boss);
  assert.deepEqual(ws.events.map((event) => event.data.id), [2], 'the rule of notes is not that of other.notes');
  assert.equal(boss.events.length, 2);
});

test('a partitioned table: events name the parent, also for direct writes; a move is a delete and an insert', async (t) => {
  const { db, relay, boss } = await watch(t, `CREATE TABLE log (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
    CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2024-02-01') TO ('2024-03-01') PARTITION BY LIST (id);
    CREATE TABLE log_2_a PARTITION OF log_2 FOR VALUES IN (1, 2, 3)`, 'log');
  await db.query("INSERT INTO log VALUES (1, '2024-01-05')");
  await db.query("INSERT INTO log_1 VALUES (2, '2024-01-06')");
  await db.query("INSERT INTO log_2_a VALUES (3, '2024-02-06')");
  await db.query("UPDATE log SET day = '2024-02-01' WHERE id = 1");
  await db.query('DELETE FROM log_2 WHERE id = 3');
  await db.query("CREATE TABLE log_3 PARTITION OF log FOR VALUES FROM ('2024-03-01') TO ('2024-04-01')");
  await db.query("INSERT INTO log_3 VALUES (4, '2024-03-06')");
  await relay.fence(boss);
  assert.deepEqual(steps(boss), [
    ['log', 'insert', { id: 1, day: '2024-01-05' }], ['log', 'insert', { id: 2, day: '2024-01-06' }], ['log', 'insert', { id: 3, day: '2024-02-06' }],
    ['log', 'delete', { id: 1, day: '2024-01-05' }], ['log', 'insert', { id: 1, day: '2024-02-01' }],
    ['log', 'delete', { id: 3, day: '2024-02-06' }], ['log', 'insert', { id: 4, day: '2024-03-06' }],
  ]);
});

test('an inherited table: rows of the child are rows of the parent, without the columns of the child', async (t) => {
  const { db, relay, boss } = await watch(t, `CREATE TABLE animals (id int, name text);
    CREATE TABLE dogs (secret_of_dogs text) INHERITS (animals)`, 'animals');
  await db.query("INSERT INTO dogs VALUES (1, 'Rex', 'bites'); INSERT INTO animals VALUES (2, 'Tom'); UPDATE animals SET name = 'Max' WHERE id = 1; DELETE FROM animals");
  await relay.fence(boss);
  assert.deepEqual(steps(boss).slice(0, 3), [['animals', 'insert', { id: 1, name: 'Rex' }], ['animals', 'insert', { id: 2, name: 'Tom' }],
    ['animals', 'update', { id: 1, name: 'Max' }]]);
  assert.deepEqual(boss.events.slice(3).map(({ table, type }) => [table, type]), [['animals', 'delete'], ['animals', 'delete']]);
});

test('no primary key, duplicates, and a row without columns', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE keyless (n int); CREATE TABLE empty ()', 'keyless,empty');
  await db.query('INSERT INTO keyless VALUES (1), (1); UPDATE keyless SET n = 2; DELETE FROM keyless; INSERT INTO empty DEFAULT VALUES');
  await relay.fence(boss);
  const twice = (type, n) => [['keyless', type, { n }], ['keyless', type, { n }]];
  assert.deepEqual(steps(boss), [...twice('insert', 1), ...twice('update', 2), ...twice('delete', 2), ['empty', 'insert', {}]]);
});

test('COPY, ON CONFLICT, MERGE, writable CTEs, RETURNING', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE notes (id int PRIMARY KEY, body text); CREATE TABLE moved (id int, body text)', 'notes,moved');
  await db.query("COPY notes FROM PROGRAM 'printf \"1\\ta\\n2\\tb\\n\"'");
  await db.query("INSERT INTO notes VALUES (2, 'B'), (3, 'c') ON CONFLICT (id) DO UPDATE SET body = excluded.body");
  await db.query("INSERT INTO notes VALUES (1, 'ignored') ON CONFLICT DO NOTHING");
  await db.query(`MERGE INTO notes n USING (VALUES (1, 'x'), (2, NULL), (9, 'new')) AS s (id, body) ON n.id = s.id
    WHEN MATCHED AND s.body IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET body = s.body WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.body)`);
  await db.query('WITH gone AS (DELETE FROM notes WHERE id = 3 RETURNING *) INSERT INTO moved SELECT * FROM gone');
  await relay.fence(boss);
  const row = (id, body) => ({ id, body });
  assert.deepEqual(steps(boss), [
    ['notes', 'insert', row(1, 'a')], ['notes', 'insert', row(2, 'b')], ['notes', 'update', row(2, 'B')], ['notes', 'insert', row(3, 'c')],
    ['notes', 'update', row(1, 'x')], ['notes', 'delete', row(2, 'B')], ['notes', 'insert', row(9, 'new')],
    ['notes', 'delete', row(3, 'c')], ['moved', 'insert', row(3, 'c')],
  ]);
});

test('foreign-key cascades are changes of the rows that they change', async (t) => {
  const { db, relay, boss } = await watch(t, `CREATE TABLE parents (id int PRIMARY KEY);
    CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE pets (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE SET NULL)`, 'parents,children,pets');
  await db.query('INSERT INTO parents VALUES (1), (2); INSERT INTO children VALUES (10, 1); INSERT INTO pets VALUES (20, 2)');
  await db.query('UPDATE parents SET id = 5 WHERE id = 1');
  await db.query('DELETE FROM parents WHERE id = 5');
  await db.query('DELETE FROM parents WHERE id = 2');
  await relay.fence(boss);
  const later = steps(boss).slice(4).map((step) => JSON.stringify(step)).sort();
  assert.deepEqual(later, [
    ['parents', 'update', { id: 5 }], ['children', 'update', { id: 10, parent: 5 }], ['parents', 'delete', { id: 5 }],
    ['children', 'delete', { id: 10, parent: 5 }], ['parents', 'delete', { id: 2 }], ['pets', 'update', { id: 20, parent: null }],
  ].map((step) => JSON.stringify(step)).sort());
});

test("an application's own triggers: what they write comes after what they react to", async (t) => {
  const { db, relay, boss } = await watch(t, `CREATE TABLE notes (id int PRIMARY KEY, body text); CREATE TABLE audit (n serial, what text);
    CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (what) VALUES (TG_OP || ' ' || NEW.id); RETURN NEW; END $$;
    CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.body := upper(NEW.body); RETURN NEW; END $$;
    CREATE TRIGGER "!!first" AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION audit();
    CREATE TRIGGER aaa BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION shout()`, 'notes,audit');
  await db.query("INSERT INTO notes VALUES (1, 'a')");
  await relay.fence(boss);
  assert.deepEqual(new Set(boss.events.map(({ table, data }) => `${table} ${data.body ?? data.what}`)), new Set(['notes A', 'audit INSERT 1']));
});

test('views and rules: what is written through a view is seen on its table', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE notes (id int PRIMARY KEY, body text); CREATE VIEW short AS SELECT * FROM notes', 'notes');
  await db.query("INSERT INTO short VALUES (1, 'a'); UPDATE short SET body = 'b'");
  await relay.fence(boss);
  assert.deepEqual(steps(boss), [['notes', 'insert', { id: 1, body: 'a' }], ['notes', 'update', { id: 1, body: 'b' }]]);
});

// A relay that has had nothing to do for a second waits in the database's socket; under load it polls. Both, with and
// without two-phase commit, which a transaction that has NOTIFYed cannot do.
test('two-phase commit with the relay asleep and awake', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE notes (id int PRIMARY KEY, body text)', 'notes', { server: prepared });
  const quietSince = Date.now();
  await until(() => Date.now() - quietSince > 1200, 'the relay to fall asleep');
  await db.query("BEGIN; INSERT INTO notes VALUES (1, 'asleep'); PREPARE TRANSACTION 'asleep'");
  await db.query("INSERT INTO notes VALUES (2, 'meanwhile')");
  await relay.fence(boss);
  assert.deepEqual(boss.events.map((event) => event.data.id), [2], 'prepared is not committed');
  await db.query("COMMIT PREPARED 'asleep'");
  await boss.count(2);
  const load = await db.connect();
  let loaded = 0;
  let stop = false;
  const running = (async () => {
    while (!stop) await load.query("INSERT INTO notes VALUES ($1, 'load')", [1000 + loaded++]);
  })();
  await until(() => loaded > 200, 'some load');
  await db.query("BEGIN; INSERT INTO notes VALUES (3, 'awake'); PREPARE TRANSACTION 'awake'");
  await db.query("BEGIN; INSERT INTO notes VALUES (4, 'never'); PREPARE TRANSACTION 'undone'");
  await db.query("ROLLBACK PREPARED 'undone'");
  await db.query("COMMIT PREPARED 'awake'");
  stop = true;
  await running;
  await relay.fence(boss);
  const ids = boss.events.map((event) => event.data.id);
  assert.deepEqual(ids.filter((id) => id < 1000), [2, 1, 3]);
  assert.deepEqual(ids.filter((id) => id >= 1000), Array.from({ length: loaded }, (_, i) => 1000 + i));
  ascending(boss.events);
});

test('a value that JSON refuses makes the event incomplete, not the write fail', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE notes (id int PRIMARY KEY, j json, big text, big2 text)', 'notes');
  await db.query(`INSERT INTO notes VALUES (1, '{"a":"\\ud800 not a character"}')`);
  await db.query("INSERT INTO notes SELECT 2, NULL, repeat(E'\\x01', 100000000), repeat(E'\\x01', 100000000)"); // 1.2 GB as JSON
  await db.query("INSERT INTO notes VALUES (3, '1', 'x')");
  await relay.fence(boss);
  const [odd, huge, good] = boss.events;
  assert.equal(odd.data.id, 1);
  assert.deepEqual([huge.data, huge.incomplete], [{ id: 2 }, true]);
  assert.deepEqual([good.data, good.incomplete], [{ id: 3, j: 1, big: 'x', big2: null }, undefined]);
});

test('the actor of a transaction appears in its events', async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE notes (id int PRIMARY KEY)', 'notes');
  await db.query("BEGIN; SET LOCAL esink.actor = '7'; INSERT INTO notes VALUES (1); COMMIT");
  await db.query('INSERT INTO notes VALUES (2)');
  await relay.fence(boss);
  assert.deepEqual(boss.events.map((event) => event.actor), ['7', undefined]);
});
