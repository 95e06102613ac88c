// Prevents: a way of writing that the triggers miss, or tell in another order than it happened, so that what a client
// heard last is not what is stored: cascading keys, deferred constraints, tables restored in one transaction, retries.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { ascending } from './lib/shapes.mjs';
import { cells, keptIsStored, rows, versions, watch } from './lib/versions.mjs';

const postgres = usePostgres();

test('a constraint trigger that writes again at commit', async (t) => {
  const { db, relay, boss } = await watch(t, postgres, `${cells} ${rows(3)}
    CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON cells DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION raise_it()`, 'cells');
  await db.query('BEGIN; UPDATE cells SET version = 1; UPDATE cells SET team = 2; COMMIT');
  await relay.fence(boss);
  for (const id of [1, 2, 3]) assert.deepEqual(versions(boss, id), [1, 1, 2, 3], `row ${id}`);
  await keptIsStored(db, boss, 'cells');
});

test('cascading keys, also of a table to itself, of several rows at once, and deferred ones', async (t) => {
  const { db, relay, boss } = await watch(t, postgres, `CREATE TABLE parents (id int PRIMARY KEY);
    CREATE TABLE kids (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE pets (id int PRIMARY KEY, parent int DEFAULT 1 REFERENCES parents ON DELETE SET NULL ON UPDATE SET DEFAULT);
    CREATE TABLE late (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE ON UPDATE CASCADE);
    INSERT INTO parents SELECT generate_series(1, 6); INSERT INTO kids SELECT n, n FROM generate_series(1, 6) n;
    INSERT INTO pets SELECT n, n FROM generate_series(1, 6) n; INSERT INTO late SELECT n, n FROM generate_series(1, 6) n;
    INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, NULL), (6, 5)`, 'parents,kids,pets,late,tree');
  const history = boss.events;
  assert.deepEqual(history, []);
  await db.query('BEGIN; UPDATE parents SET id = id + 10 WHERE id IN (2, 3); DELETE FROM parents WHERE id IN (12, 4); COMMIT');
  await db.query('BEGIN; DELETE FROM late WHERE id = 5; DELETE FROM parents WHERE id = 5; INSERT INTO parents VALUES (5); INSERT INTO late VALUES (5, 5); COMMIT');
  await db.query('UPDATE tree SET id = id + 100 WHERE id IN (1, 2, 3)');
  await db.query('DELETE FROM tree WHERE id IN (101, 6)');
  await relay.fence(boss);
  ascending(boss.events);
  const told = (table, type) => boss.events.filter((event) => event.table === table && event.type === type).length;
  assert.deepEqual([told('parents', 'update'), told('kids', 'update'), told('kids', 'delete'), told('pets', 'update'), told('late', 'update'), told('late', 'delete'), told('tree', 'delete')],
    [2, 2, 3, 4, 2, 3, 5]);
  for (const table of ['kids', 'pets', 'late', 'tree']) {
    const { rows: now } = await db.query(`SELECT * FROM ${table} ORDER BY id`);
    const last = new Map();
    for (const { type, data } of boss.events.filter((event) => event.table === table)) last.set(data.id, type === 'delete' ? undefined : data);
    for (const [id, data] of last) {
      const row = now.find((one) => one.id === id);
      // A changed primary key is an update to the new one: the old one is told no more.
      if (row || !data || table !== 'tree') assert.deepEqual(data, row, `${table} ${id}`);
    }
  }
});

test('a table restored by TRUNCATE and COPY, ON CONFLICT, MERGE, DELETE USING, an update that changes nothing', async (t) => {
  const { db, relay, boss } = await watch(t, postgres, `CREATE TABLE stock (id int PRIMARY KEY, n int); CREATE TABLE orders (id int PRIMARY KEY, item int);
    INSERT INTO stock SELECT n, n FROM generate_series(1, 5) n`, 'stock,orders');
  await db.query("BEGIN; TRUNCATE stock; COPY stock FROM PROGRAM 'printf \"1\\t10\\n2\\t20\\n3\\t30\\n\"'; COMMIT");
  await db.query("BEGIN; TRUNCATE stock; COPY stock FROM PROGRAM 'printf \"9\\t9\\n\"'; ROLLBACK");
  await db.query('INSERT INTO stock VALUES (1, 11), (4, 40) ON CONFLICT (id) DO UPDATE SET n = excluded.n');
  await db.query('UPDATE stock SET n = n WHERE id = 2');
  await db.query('UPDATE stock SET n = n WHERE id = 77');
  await db.query('INSERT INTO orders VALUES (1, 3), (2, 3)');
  await db.query('DELETE FROM stock USING orders WHERE orders.item = stock.id');
  await db.query(`MERGE INTO stock s USING (VALUES (1, 12), (4, NULL), (5, 50)) AS v (id, n) ON s.id = v.id
    WHEN MATCHED AND v.n IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET n = v.n WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.n)`);
  await relay.fence(boss);
  assert.deepEqual(boss.events.filter(({ table }) => table === 'stock').map(({ type, data }) => [type, data.id, data.n]), [
    ['truncate', undefined, undefined], ['insert', 1, 10], ['insert', 2, 20], ['insert', 3, 30], ['update', 1, 11], ['insert', 4, 40],
    ['update', 2, 20], ['delete', 3, 30], ['update', 1, 12], ['delete', 4, 40], ['insert', 5, 50]]);
  await keptIsStored(db, boss, 'stock', 'orders');
});

test('SERIALIZABLE transactions that are tried again: told once each, and never fail because of the relay', async (t) => {
  const { db, relay, boss } = await watch(t, postgres, 'CREATE TABLE cells (id int PRIMARY KEY, version int DEFAULT 0); INSERT INTO cells SELECT generate_series(1, 4)', 'cells');
  let committed = 0;
  let refused = 0;
  await Promise.all([0, 1, 2, 3].map(async (w) => {
    const client = await db.connect();
    for (let n = 0; n < 30; n++) {
      for (;;) {
        try {
          await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(version) FROM cells');
          await client.query('UPDATE cells SET version = version + 1 WHERE id = $1', [1 + ((w + n) % 4)]);
          await client.query('COMMIT');
          committed++;
          break;
        } catch (error) {
          assert.equal(error.code, '40001');
          refused++;
          await client.query('ROLLBACK');
        }
      }
    }
  }));
  await relay.fence(boss);
  assert.ok(refused > 0, 'nothing was tried again: this proves nothing');
  assert.equal(boss.events.length, committed);
  for (const id of [1, 2, 3, 4]) assert.deepEqual(versions(boss, id), Array.from({ length: 30 }, (_, i) => i + 1));
  // Alone, a writer is never refused: what the relay reads makes no conflict.
  for (let n = 0; n < 50; n++) await db.query('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(version) FROM cells; UPDATE cells SET version = version + 1 WHERE id = 1; COMMIT');
});
