// Prevents: writes that fail or grow slow because of what the trigger reads. Rows that their own transaction locked before it
// writes to them (SELECT FOR UPDATE, ON CONFLICT DO UPDATE, foreign keys) look to it as if somebody had replaced them since.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';

const postgres = usePostgres();
const touch = (table) => [`SELECT FROM ${table} WHERE id = 1 FOR UPDATE`, `UPDATE ${table} SET v = v + 1 WHERE id = 1`,
  `INSERT INTO ${table} VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET v = 0`];
// As a nightly vacuumdb leaves an outbox that has just been emptied: a scan of it then looks cheapest.
const vacuum = 'VACUUM ANALYZE esink.event_0, esink.event_1';

async function watch(t, sql, tables) {
  const db = await postgres.database(t, sql);
  await startRelay(t, db, { tables });
  return db;
}

test('serializable transactions that have nothing in common do not fail', async (t) => {
  const db = await watch(t, ['a', 'b'].map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY, v int); INSERT INTO ${name} VALUES (1, 0);`).join(''), 'a,b');
  await db.query(vacuum);
  const [one, two] = [await db.connect(), await db.connect()];
  for (let i = 0; i < 10; i++) {
    for (const client of [one, two]) await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
    for (const sql of touch('a')) await one.query(sql);
    for (const sql of touch('b')) await two.query(sql);
    for (const client of [one, two]) await client.query('COMMIT');
  }
});

test('a long-lived session does not scan the outbox, whatever size it had when the session began', async (t) => {
  const db = await watch(t, `CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 0);
    CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE a SET v = 1 WHERE id = NEW.id AND v = 0; RETURN NULL; END $$;
    CREATE TRIGGER "!a" AFTER UPDATE ON a FOR EACH ROW EXECUTE FUNCTION again()`, 'a');
  await db.query(vacuum);
  const scans = async () => (await db.query(`SELECT sum(seq_scan)::int AS n FROM pg_stat_user_tables WHERE schemaname = 'esink' AND relname ~ '^event_'`)).rows[0].n;
  const session = await db.connect(), before = await scans();
  for (let i = 0; i < 20; i++) for (const sql of touch('a')) await session.query(sql);
  await session.query('SELECT pg_stat_force_next_flush()');
  await session.query('SELECT 1');
  assert.equal(await scans(), before);
});
