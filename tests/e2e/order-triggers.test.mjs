// Prevents: the versions of a row told in another order than they were made, so that what a client heard last is not what
// is stored: where an application's own triggers write to the row again, statements meet in one, or keys cascade.
//
// A statement writes all its rows before the first of their triggers fires. When an application's trigger on one of them
// updates another, that newer version's trigger fires first; without a remedy (`replaced` in capture.sql) it is told first.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { ascending } from './lib/shapes.mjs';
import { cells as plain, keptIsStored, rows, versions, watch } from './lib/versions.mjs';

const postgres = usePostgres();
const cells = `${plain}
  CREATE FUNCTION raise_team() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE cells SET version = version + 1 WHERE team = NEW.team AND id >= NEW.id; RETURN NULL; END $$;
  CREATE FUNCTION raise_others() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE cells SET version = version + 10 WHERE team = NEW.team AND id > NEW.id AND version < 10; RETURN NULL; END $$;`;

test("a trigger that updates the same row again, whatever its name: '!a' and ' x' fire before ours", async (t) => {
  const names = ['zz', 'RI', '!a', ' x', '!'];
  const tables = names.map((name, i) => [`t${i}`, name]);
  const { db, relay, boss } = await watch(t, postgres, `CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      EXECUTE format('UPDATE %I SET version = version + 1 WHERE id = $1 AND version < 3', TG_TABLE_NAME) USING NEW.id; RETURN NULL; END $$;
    ${tables.map(([table, name]) => `CREATE TABLE ${table} (id int PRIMARY KEY, version int); INSERT INTO ${table} SELECT n, 0 FROM generate_series(1, 5) n;
      CREATE TRIGGER "${name}" AFTER UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION again();`).join('')}`, tables.map(([table]) => table).join(','));
  for (const [table] of tables) {
    await db.query(`UPDATE ${table} SET version = 1 WHERE id = 1`);
    await db.query(`UPDATE ${table} SET version = 1 WHERE id > 1`);
  }
  await relay.fence(boss);
  for (const [table, name] of tables) {
    for (let id = 1; id <= 5; id++) assert.deepEqual(versions(boss, id, table), [1, 2, 3], `"${name}", row ${id}`);
    await keptIsStored(db, boss, table);
  }
  ascending(boss.events);
});

test('a trigger on one row that updates another of the same statement: each row in the order of its making', async (t) => {
  const { db, relay, boss } = await watch(t, postgres, `${cells} ${rows(4)}
    CREATE TRIGGER team AFTER UPDATE ON cells FOR EACH ROW WHEN (NEW.version = 1) EXECUTE FUNCTION raise_team();
    CREATE TRIGGER others AFTER INSERT ON cells FOR EACH ROW EXECUTE FUNCTION raise_others()`, 'cells');
  await db.query('UPDATE cells SET version = 1');
  await db.query('INSERT INTO cells SELECT n, 2, 0 FROM generate_series(11, 14) n');
  await relay.fence(boss);
  // Row 3 is made as 1 by the statement, and raised by the triggers of the rows 1, 2 and 3.
  assert.deepEqual([1, 2, 3, 4].map((id) => versions(boss, id)), [[1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5]]);
  // An insert before the update of what it inserted.
  assert.deepEqual([11, 12, 13, 14].map((id) => versions(boss, id)), [[0], [0, 10], [0, 10], [0, 10]]);
  assert.equal(boss.events.find(({ data }) => data.id === 14).type, 'insert');
  await keptIsStored(db, boss, 'cells');
});

test('a function that the statement calls writes to the row again, before any trigger of the statement fired', async (t) => {
  const { db, relay, boss } = await watch(t, postgres, `${cells} ${rows(3)}
    CREATE FUNCTION finish(cell int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE cells SET version = 9 WHERE id = cell; RETURN 1; END $$;
    CREATE FUNCTION previous(cell int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE cells SET version = 7 WHERE id = cell - 1; RETURN 3; END $$`, 'cells');
  await db.query('WITH made AS (INSERT INTO cells VALUES (11, 2, 0) RETURNING id) SELECT finish(id) FROM made');
  await db.query('INSERT INTO cells VALUES (12, 2, 0) RETURNING finish(id)');
  await db.query(`BEGIN; INSERT INTO cells VALUES (13, 2, 0); SAVEPOINT a; UPDATE cells SET version = 1 WHERE id = 13 RETURNING finish(id);
    ROLLBACK TO a; UPDATE cells SET version = 2 WHERE id = 13 RETURNING finish(id); COMMIT`);
  await db.query('UPDATE cells SET version = previous(id) WHERE id < 4');
  await relay.fence(boss);
  assert.deepEqual([11, 12, 13].map((id) => versions(boss, id)), [[0, 9], [0, 9], [0, 2, 9]]);
  assert.deepEqual([1, 2, 3].map((id) => versions(boss, id)), [[3, 7], [3, 7], [3]]);
  await keptIsStored(db, boss, 'cells');
});

test('rows in the places of others that TRUNCATE took away in the same transaction', async (t) => {
  const { db, relay, boss } = await watch(t, postgres, `${cells} ${rows(1)}`, 'cells');
  await db.query(`BEGIN; INSERT INTO cells VALUES (2, 1, 0); UPDATE cells SET version = 1 WHERE id = 2; UPDATE cells SET version = 2 WHERE id = 2;
    UPDATE cells SET version = 3 WHERE id = 2; TRUNCATE cells; INSERT INTO cells VALUES (3, 1, 0);
    INSERT INTO cells VALUES (3, 1, 0) ON CONFLICT (id) DO UPDATE SET version = 5; COMMIT`);
  await relay.fence(boss);
  assert.deepEqual(boss.events.filter(({ table }) => table === 'cells').map(({ type, data }) => `${type} ${data.version ?? ''}`),
    ['insert 0', 'update 1', 'update 2', 'update 3', 'truncate ', 'insert 0', 'update 5']);
  await keptIsStored(db, boss, 'cells');
});

test('a trigger that deletes or locks other rows of its statement', async (t) => {
  const { db, relay, boss } = await watch(t, postgres, `${cells} CREATE TABLE notes (id serial PRIMARY KEY, cell int REFERENCES cells ON DELETE CASCADE);
    CREATE FUNCTION keep_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      DELETE FROM cells WHERE team = NEW.team AND id > NEW.id; RETURN NULL; END $$;
    CREATE TRIGGER keep_one AFTER INSERT ON cells FOR EACH ROW WHEN (NEW.team = 7) EXECUTE FUNCTION keep_one();
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO notes (cell) SELECT id FROM cells WHERE team = NEW.team; RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT ON cells FOR EACH ROW WHEN (NEW.team = 8) EXECUTE FUNCTION note()`, 'cells,notes');
  await db.query('INSERT INTO cells VALUES (1, 7), (2, 7), (3, 7)');
  await db.query('INSERT INTO cells VALUES (11, 8), (12, 8), (13, 8)');
  await relay.fence(boss);
  const told = boss.events.filter(({ table, data }) => table === 'cells' && data.id < 10).map(({ type, data }) => `${type} ${data.id}`);
  for (const id of [2, 3]) assert.ok(told.indexOf(`insert ${id}`) < told.indexOf(`delete ${id}`), `inserted, then deleted: ${told}`);
  assert.equal(told.length, 5);
  assert.equal(boss.events.filter(({ table }) => table === 'notes').length, 9);
  await keptIsStored(db, boss, 'cells', 'notes');
});

test('a chain: triggers of triggers, savepoints inside, and what is rolled back leaves no trace', async (t) => {
  const { db, relay, boss } = await watch(t, postgres, `${cells} ${rows(3)}
    CREATE FUNCTION deep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      BEGIN
        UPDATE cells SET version = version + 100 WHERE id >= NEW.id;
        RAISE EXCEPTION 'never mind';
      EXCEPTION WHEN OTHERS THEN NULL;
      END;
      UPDATE cells SET version = version + 1 WHERE id >= NEW.id AND version < 6;
      RETURN NULL; END $$;
    CREATE TRIGGER deep AFTER UPDATE ON cells FOR EACH ROW WHEN (NEW.version < 6) EXECUTE FUNCTION deep()`, 'cells');
  await db.query('UPDATE cells SET version = 1');
  await relay.fence(boss);
  for (const id of [1, 2, 3]) assert.deepEqual(versions(boss, id), [1, 2, 3, 4, 5, 6], `row ${id}`);
  await keptIsStored(db, boss, 'cells');
});

test('one statement writes two tables whose triggers meet', async (t) => {
  const { db, relay, boss } = await watch(t, postgres, `CREATE TABLE accounts (id int PRIMARY KEY, version int DEFAULT 0); CREATE TABLE cards (id int PRIMARY KEY, version int DEFAULT 0);
    INSERT INTO accounts VALUES (1), (2); INSERT INTO cards VALUES (1), (2);
    CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF pg_trigger_depth() = 1 THEN EXECUTE format('UPDATE %I SET version = version + 10 WHERE id = $1', TG_ARGV[0]) USING NEW.id; END IF; RETURN NULL; END $$;
    CREATE TRIGGER meet AFTER UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION meet('cards');
    CREATE TRIGGER meet AFTER UPDATE ON cards FOR EACH ROW EXECUTE FUNCTION meet('accounts')`, 'accounts,cards');
  await db.query(`WITH a AS (UPDATE accounts SET version = 1 RETURNING id), c AS (UPDATE cards SET version = 1 RETURNING id)
    SELECT count(*) FROM a, c`);
  await relay.fence(boss);
  for (const table of ['accounts', 'cards']) for (const id of [1, 2]) assert.deepEqual(versions(boss, id, table), [1, 11], `${table} ${id}`);
  await keptIsStored(db, boss, 'accounts', 'cards');
});
