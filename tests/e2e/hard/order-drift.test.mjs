// Prevents: a watched table that is dropped and made anew, swapped, split or given another type under writers, and whose
// changes are then told no more, told twice, or told under a name that is not theirs any longer.
import assert from 'node:assert/strict';
import { test, usePostgres } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';

const postgres = usePostgres();
const operator = 'operators-own-token-4711';

async function watch(t, sql, tables) {
  const db = await postgres.database(t, sql);
  const relay = await startRelay(t, db, { tables, env: { SECURITY_TOKEN: operator } });
  return { db, relay, boss: await relay.operator() };
}

// Writers that insert rows with numbers of their own, one a transaction, and tell which were committed and when.
function writers(db, count, sql, tolerated = []) {
  const state = { stop: false, committed: [] };
  let number = 0;
  state.done = Promise.all(Array.from({ length: count }, async () => {
    const client = await db.connect();
    while (!state.stop) {
      const n = ++number;
      const begun = Date.now();
      try {
        await client.query(sql, [n]);
        state.committed.push({ n, begun });
      } catch (error) {
        if (!tolerated.includes(error.code)) throw error;
      }
    }
  }));
  state.done.catch(() => { state.stop = true; });
  return state;
}

const numbers = (events) => events.map(({ data }) => data.n).filter((n) => n !== undefined);
const attached = (db, table) => until(async () => (await db.query("SELECT FROM pg_trigger WHERE tgrelid = to_regclass($1) AND tgname = '!esink'", [table])).rowCount > 0,
  `${table} to have its trigger`);

function onceEach(events) {
  const told = numbers(events);
  assert.equal(new Set(told).size, told.length, 'something was told twice');
  return new Set(told);
}

test('dropped and made anew in one transaction and in several, under writers: told from the drift check on, and the log says what was not', { timeout: 90_000 }, async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE notes (n int)', 'notes');
  const bosses = [boss], events = () => bosses.flatMap((one) => one.events);
  const load = writers(db, 3, 'INSERT INTO notes VALUES ($1)', ['42P01', '40P01', 'XX000']);
  for (const sql of [['BEGIN; DROP TABLE notes; CREATE TABLE notes (n int); COMMIT'], ['DROP TABLE notes', 'CREATE TABLE notes (n int)']]) {
    const last = bosses.at(-1), length = last.events.length;
    await last.count(length + 50);
    for (const part of sql) await db.query(part);
    await attached(db, 'notes');
    await relay.sentAway(last);
    bosses.push(await relay.operator());
    const since = Date.now();
    const more = load.committed.length;
    await until(() => load.stop || load.committed.length > more + 100, 'writes to the new table');
    await relay.fence(bosses.at(-1));
    const told = onceEach(events());
    for (const { n, begun } of load.committed.filter((one) => one.begun > since).slice(0, 90)) assert.ok(told.has(n), `${n}, written ${begun - since} ms after who was connected had come back, was not told`);
  }
  load.stop = true;
  await load.done;
  await relay.fence(bosses.at(-1));
  const told = onceEach(events());
  const stored = new Set(load.committed.map(({ n }) => n));
  for (const n of told) assert.ok(stored.has(n), `${n} was told and never committed`);
  assert.equal(relay.log.match(/warn .*notes: without a trigger.*not captured/g)?.length, 2, relay.log);
});

test("two watched tables that swap their names: what is written once the relay has seen it has its table's name", { timeout: 90_000 }, async (t) => {
  const { db, relay, boss } = await watch(t, 'CREATE TABLE a (n int, here text DEFAULT $$was a$$); CREATE TABLE b (n int, here text DEFAULT $$was b$$)', 'a,b');
  const ours = async () => (await db.query("SELECT prosrc FROM pg_proc WHERE proname = 'capture_' || 'a'::regclass::oid")).rows[0]?.prosrc ?? '';
  await db.query('INSERT INTO a VALUES (1); INSERT INTO b VALUES (2)');
  await db.query('BEGIN; ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME TO a; ALTER TABLE c RENAME TO b; COMMIT');
  await until(async () => / 'a',|'a'/.test((await ours()).split('INSERT INTO esink.event_0')[1] ?? ''), 'the functions to have the new names');
  await until(async () => (await ours()) !== '' && (await db.query("SELECT prosrc FROM pg_proc WHERE proname = 'capture_' || 'b'::regclass::oid")).rows[0].prosrc.includes("'b'"), 'both');
  await db.query('INSERT INTO a VALUES (3); INSERT INTO b VALUES (4)');
  await relay.fence(boss);
  assert.deepEqual(boss.events.map(({ table, data }) => [table, data.n, data.here]), [['a', 1, 'was a'], ['b', 2, 'was b'], ['a', 3, 'was b'], ['b', 4, 'was a']]);
});

test('a column of another type, partitions attached and detached, under live sessions: each write told once', { timeout: 90_000 }, async (t) => {
  const { db, relay, boss } = await watch(t, `CREATE TABLE notes (n int, body varchar(20) DEFAULT 'x');
    CREATE TABLE log (n int, part int) PARTITION BY LIST (part); CREATE TABLE log_1 PARTITION OF log FOR VALUES IN (1);
    CREATE TABLE log_2 (n int, part int)`, 'notes,log');
  const load = writers(db, 3, 'INSERT INTO notes VALUES ($1)');
  await boss.count(30);
  for (const type of ['text', 'varchar(50)', 'json USING to_json(body)', 'text']) {
    await db.query('ALTER TABLE notes ALTER COLUMN body DROP DEFAULT');
    await db.query(`ALTER TABLE notes ALTER COLUMN body TYPE ${type}`);
    const length = load.committed.length;
    await until(() => load.stop || load.committed.length > length + 60, 'writes under the new type');
  }
  load.stop = true;
  await load.done;
  await relay.fence(boss);
  const whole = boss.events.filter(({ incomplete }) => !incomplete);
  assert.equal(boss.events.length, load.committed.length, 'each write is one event, with its key alone until the function was made anew');
  onceEach(whole);

  await db.query('INSERT INTO log VALUES (100001, 1); INSERT INTO log_2 VALUES (100002, 2)');
  await db.query('ALTER TABLE log ATTACH PARTITION log_2 FOR VALUES IN (2)');
  await db.query('INSERT INTO log VALUES (100003, 2); INSERT INTO log_2 VALUES (100004, 2)');
  await db.query('ALTER TABLE log DETACH PARTITION log_1');
  await until(async () => (await db.query("SELECT FROM pg_trigger WHERE tgrelid = 'log_1'::regclass AND tgname LIKE '!esink%'")).rowCount === 0, 'log_1 to be left alone');
  await db.query('INSERT INTO log_1 VALUES (100005, 1); INSERT INTO log VALUES (100006, 2)');
  await relay.fence(boss);
  assert.deepEqual(numbers(boss.events).filter((n) => n > 100_000), [100001, 100003, 100004, 100006]);
});
