// Prevents: writers that queue behind a lock of ours. CREATE TRIGGER and TRUNCATE need locks that wait for whoever holds the
// table, and everybody who comes later waits behind a waiting lock: so ours wait 100 ms at most, for all tables together.
import assert from 'node:assert/strict';
import { test, usePostgres } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { triggers } from '../lib/catalogue.mjs';
import { ascending } from '../lib/shapes.mjs';
import { until } from '../lib/wait.mjs';
import { Writers } from '../lib/writers.mjs';

const postgres = usePostgres();
const operator = 'operators-own-token-4711';
const BOUND_MS = 300; // 120, and what a busy machine adds: without a bound it is a second and more

// What a write took beyond what the machine itself made a write wait that had nothing to do with us.
function assertQuick(writers, what) {
  assert.ok(writers.writes > 50, `only ${writers.writes} writes`);
  assert.ok(writers.slowest.ms < BOUND_MS + writers.control,
    `${what}: a write waited ${writers.slowest.ms} ms (control ${writers.control} ms): ${writers.slowest.sql}`);
}

const tries = (relay, what) => relay.log.split('\n').filter((line) => line.includes(what) && line.includes('busy')).length;

test('the relay starts while transactions hold the tables open: no other writer waits behind it, no other table for it', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id bigserial PRIMARY KEY, body text); CREATE TABLE kid () INHERITS (notes);
    CREATE TABLE free (id int); CREATE TABLE parts (id bigserial, k int) PARTITION BY LIST (k);
    ${[0, 1, 2, 3, 4].map((k) => `CREATE TABLE parts_${k} PARTITION OF parts FOR VALUES IN (${k});`).join('')}`);
  const writers = await new Writers().start(t, db, 4, (n) => (n % 2 ? "INSERT INTO notes (body) VALUES ('x')" : `INSERT INTO parts (k) VALUES (${n % 5})`));
  const holder = await db.connect();
  await holder.query("BEGIN; INSERT INTO notes (body) VALUES ('held'); INSERT INTO kid (body) VALUES ('held')");
  // Each partition is held in turn, for less than a lock is waited for: what adds up is the waits.
  let stop = false;
  const rounds = [0, 1, 2, 3, 4].map(async (k) => {
    const session = await db.connect();
    while (!stop && !session.gone) await session.query(`BEGIN; LOCK TABLE parts_${k} IN ROW EXCLUSIVE MODE; SELECT pg_sleep(0.07 + 0.02 * ${k}); COMMIT`).catch(() => {});
  });
  const relay = await startRelay(t, db, { tables: 'notes,parts,free', env: { SECURITY_TOKEN: operator }, ready: false });
  await until(() => tries(relay, 'notes') >= 4, 'several tries');
  assert.match((await relay.get('/ready')).json.message, /another transaction holds the table/);
  const early = await relay.settled(() => relay.operator()); // those that it waits for may have been made one by one
  await db.query('INSERT INTO free VALUES (7)');
  await until(() => !early.open || early.events.some(({ table }) => table === 'free'), 'the table that nobody holds to be told');
  stop = true;
  await Promise.all(rounds);
  assertQuick(writers, 'trying');
  await holder.query('COMMIT');
  await relay.ready();
  const boss = await relay.settled(() => relay.operator());
  // A child leaves: every trigger of the table is dropped and made anew in one transaction, which needs the strongest lock.
  await holder.query("BEGIN; INSERT INTO notes (body) VALUES ('held again')");
  await db.query('ALTER TABLE kid NO INHERIT notes');
  await until(() => tries(relay, 'made anew') >= 3, 'several tries to make the triggers anew');
  await holder.query('COMMIT');
  await until(async () => !(await triggers(db)).kid, 'the triggers of the child to go');
  await boss.count(50);
  assert.deepEqual(await writers.stop(), []);
  assertQuick(writers, 'start');
  await relay.fence(boss);
  ascending(boss.events);
});

// The trigger of a relation that has left can only go while nobody holds the table; what is captured meanwhile is captured by the rules of today.
test('a start with other routing while a table is held from which a partition has left: nobody is told by the former rules', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE parts (id int, customer int, manager int) PARTITION BY LIST (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1); CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2)`);
  const relay = await startRelay(t, db, { tables: 'parts', routing: { parts: 'customer' }, env: { SECURITY_TOKEN: operator } });
  const tokens = [await db.user(7), await db.user(8)];
  await relay.stop();
  await db.query('ALTER TABLE parts DETACH PARTITION parts_1');
  const holder = await db.connect();
  await holder.query('BEGIN; SELECT * FROM parts_2');
  await relay.start({ routing: { parts: 'manager' }, ready: false });
  await until(() => tries(relay, 'made anew') >= 2, 'several tries');
  await db.query('INSERT INTO parts VALUES (2, 7, 8)');
  assert.doesNotMatch(relay.log.slice(relay.log.lastIndexOf('listens on')), /capture is live/);
  await holder.query('COMMIT');
  await relay.ready();
  const told = async (token) => (await relay.get('/events?after=0', { headers: { authorization: `Bearer ${token}` } })).json.events.map(({ data }) => data.id);
  assert.deepEqual(await told(tokens[0]), []);
  assert.deepEqual(await told(tokens[1]), [2]);
});

test('a watched table appears, and one gets a new parent, while writers hold them open', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE notes (id bigserial PRIMARY KEY, body text); CREATE TABLE other (id bigserial PRIMARY KEY)');
  const relay = await startRelay(t, db, { tables: 'notes,other', env: { SECURITY_TOKEN: operator } });
  let boss = await relay.operator();
  await db.query('DROP TABLE notes');
  await relay.notReady();
  await db.query('CREATE TABLE fresh (id bigserial PRIMARY KEY, body text)');
  const holder = await db.connect();
  const rename = await db.connect();
  await rename.query('ALTER TABLE fresh RENAME TO notes');
  await holder.query("BEGIN; INSERT INTO notes (body) VALUES ('held')");
  const writers = await new Writers().start(t, db, 4, (n) => (n % 2 ? "INSERT INTO notes (body) VALUES ('x')" : 'INSERT INTO other DEFAULT VALUES'));
  await until(() => tries(relay, 'notes') >= 4, 'several tries');
  await relay.notReady();
  const before = boss.events.length;
  await until(() => boss.events.length > before + 20, 'the other table to be told meanwhile');
  await holder.query('COMMIT');
  await relay.ready();
  assert.ok((await triggers(db)).notes);
  await relay.sentAway(boss);
  boss = await relay.operator();
  await until(() => boss.events.some(({ table }) => table === 'notes'), 'the table to be told');
  assert.deepEqual(await writers.stop(), []);
  assertQuick(writers, 'appearing');
});

test('pg_dump holds every table of esink for long: no writer waits, the journal is emptied once it has ended, and a log line says so', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE notes (id bigserial PRIMARY KEY, body text)');
  const relay = await startRelay(t, db, { tables: 'notes', env: { SECURITY_TOKEN: operator, RETENTION: '1s' } });
  const boss = await relay.operator();
  const dump = await db.connect();
  const tables = (await db.query("SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = 'esink'::regnamespace AND relkind = 'r'")).rows.map(({ name }) => name);
  assert.ok(tables.length >= 7);
  // What pg_dump does: one snapshot, ACCESS SHARE on everything, held to the end.
  await dump.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ${tables.join(', ')} IN ACCESS SHARE MODE; SELECT count(*) FROM notes`);
  const writers = await new Writers().start(t, db, 4, (n) => `INSERT INTO notes (body) VALUES (repeat('x', ${n % 300}))`);
  await until(() => /an old transaction holds a lock on the journal/.test(relay.log), 'the log to say what holds the journal back', 30_000);
  assert.equal((await relay.get('/ready')).status, 200);
  const floor = async () => Number((await db.query('SELECT floor FROM esink.meta')).rows[0].floor);
  assert.equal(await floor(), 0);
  await dump.query('COMMIT');
  await until(async () => (await floor()) > 0, 'the journal to be emptied');
  assert.deepEqual(await writers.stop(), []);
  assertQuick(writers, 'pg_dump');
  await relay.fence(boss);
  ascending(boss.events);
  const told = boss.events.map(({ data }) => data.id).sort((a, b) => a - b);
  assert.deepEqual(told, (await db.query('SELECT id::int FROM notes ORDER BY 1')).rows.map(({ id }) => id));
});
