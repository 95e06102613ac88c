// Prevents: an event that is lost or told twice because its writer stood still while the outbox's tables changed places and
// were emptied: between its choice of a table and its write, in a transaction open for the whole time, or prepared and
// forgotten over restarts of relay and server. And a held snapshot that delays delivery or lets the journal grow.
import assert from 'node:assert/strict';
import { test, usePostgres } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { patience, until } from '../lib/wait.mjs';

const postgres = usePostgres();
const prepared = usePostgres({ settings: { max_prepared_transactions: 10 } });
const operator = 'operators-own-token-4711';

async function watch(t, server) {
  const db = await server.database(t, 'CREATE TABLE notes (id serial PRIMARY KEY, body text); CREATE TABLE unwatched (id int)');
  const relay = await startRelay(t, db, { tables: 'notes', env: { SECURITY_TOKEN: operator, RETENTION: '1s' } });
  return { db, relay, boss: await relay.operator() };
}

const rotations = async (db) => Number((await db.query("SELECT pg_sequence_last_value('esink.rotation') AS n")).rows[0].n);
const floor = async (db) => Number((await db.query('SELECT floor FROM esink.meta')).rows[0].floor);

// Writes a row now and then, so that there is something to rotate, until condition() holds.
async function writing(db, condition, what) {
  await until(async () => {
    await db.query("INSERT INTO notes (body) VALUES ('meanwhile')");
    return condition();
  }, what, 30_000);
}

// Everything that is stored was told once, ids without a gap.
async function whole(db, relay, boss) {
  await relay.fence(boss);
  const events = boss.named('changes');
  const first = BigInt(boss.welcome.id) + 1n;
  events.forEach(({ id }, i) => assert.equal(BigInt(id), first + BigInt(i), 'a gap or a step back in the ids'));
  const told = events.filter(({ table }) => table === 'notes').map(({ data }) => data.id).sort((a, b) => a - b);
  assert.deepEqual(told, (await db.query('SELECT id FROM notes ORDER BY id')).rows.map(({ id }) => id));
}

// A pause between the choice of a table and the write, for as long as somebody holds that lock.
async function pausing(db, name) {
  const { rows } = await db.query("SELECT pg_get_functiondef(p.oid) AS text FROM pg_proc p WHERE p.pronamespace = 'esink'::regnamespace AND p.proname = $1", [name]);
  const text = rows[0].text.replaceAll(/INSERT INTO esink\.event_/g, 'PERFORM pg_catalog.pg_advisory_xact_lock_shared(4711); INSERT INTO esink.event_');
  assert.notEqual(text, rows[0].text);
  await db.query(text);
}

const stopped = (db, count) => until(async () => {
  const { rows } = await db.query("SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted");
  return rows[0].n === count;
}, `${count} writers to stand still`);

test('writers that stand still between their choice of a table and the write, over several rotations', { timeout: 120_000 }, async (t) => {
  const { db, relay, boss } = await watch(t, postgres);
  await db.query("INSERT INTO notes (body) VALUES ('first')");
  const writers = [await db.connect(), await db.connect(), await db.connect()];
  const function_name = (await db.query("SELECT 'capture_' || 'notes'::regclass::oid AS name")).rows[0].name;
  const original = (await db.query("SELECT proname, pg_get_functiondef(oid) AS text FROM pg_proc WHERE pronamespace = 'esink'::regnamespace AND proname IN ('append', $1)", [function_name])).rows;
  for (const turns of [1, 2, 3]) {
    await pausing(db, function_name);
    await pausing(db, 'append');
    const gate = await db.connect();
    await gate.query('SELECT pg_advisory_lock(4711)');
    const writes = [
      writers[0].query(`INSERT INTO notes (body) VALUES ('trigger ${turns}')`),
      writers[1].query(`SELECT esink.append('news', 'turn ${turns}', '{}', '{}', true, NULL, 'test', 'api', 1, NULL)`),
      writers[2].query(`BEGIN; SAVEPOINT s; INSERT INTO notes (body) VALUES ('savepoint ${turns}'); RELEASE s; COMMIT`),
    ];
    await stopped(db, 3);
    for (const { text } of original) await db.query(text); // who comes later is not paused
    const start = await rotations(db);
    const old = await floor(db);
    await writing(db, async () => await rotations(db) >= start + turns && await floor(db) > old, `${turns} rotations`);
    await gate.query('SELECT pg_advisory_unlock(4711)');
    await Promise.all(writes);
    await whole(db, relay, boss);
    assert.equal(boss.events.filter(({ table, type }) => table === 'news' && type === `turn ${turns}`).length, 1);
  }
  // What came late is emptied with its table in the end, and not before it is told.
  const start = await rotations(db);
  await writing(db, async () => await rotations(db) >= start + 2, 'two more rotations');
  await whole(db, relay, boss);
});

test('an old snapshot and a long transaction with writes of its own, held all the time', { timeout: 120_000 }, async (t) => {
  const { db, relay, boss } = await watch(t, postgres);
  const [snapshot, long] = [await db.connect(), await db.connect()];
  await snapshot.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM notes');
  await long.query('BEGIN; INSERT INTO unwatched VALUES (1)');
  const start = await rotations(db);
  const times = [];
  let written = 0;
  await until(async () => {
    const { rows } = await db.query("INSERT INTO notes (body) SELECT repeat('x', 500) FROM generate_series(1, 50) RETURNING id");
    const at = Date.now();
    written += 50;
    await boss.event(({ data }) => data.id === rows.at(-1).id, 'the row that was just written');
    times.push(Date.now() - at);
    return await rotations(db) >= start + 4;
  }, 'four rotations', 60_000);
  times.sort((a, b) => a - b);
  const { kept } = (await db.query('SELECT (SELECT count(*) FROM esink.event_0) + (SELECT count(*) FROM esink.event_1) AS kept')).rows[0];
  console.log(`# ${written} rows, ${kept} kept, told after ${times[times.length >> 1]} ms (median), ${times.at(-1)} ms (most)`);
  assert.ok(Number(kept) < written, `nothing was discarded: ${kept} of ${written}`);
  assert.ok(times[times.length >> 1] < 200 * patience, `told after ${times[times.length >> 1]} ms`);
  assert.equal((await snapshot.query('SELECT count(*)::int AS n FROM notes')).rows[0].n, 0, 'the snapshot was held');
  await long.query("INSERT INTO notes (body) VALUES ('late'); COMMIT");
  await whole(db, relay, boss);
  await snapshot.query('COMMIT');
});

test('prepared and forgotten over restarts of relay and server: told once when it is committed, nothing emptied under it', { timeout: 120_000 }, async (t) => {
  const { db, relay, boss } = await watch(t, prepared);
  assert.match(relay.log, /no wake-up by NOTIFY.*max_prepared_transactions/);
  const begin = boss.position;
  await db.query("BEGIN; INSERT INTO notes (body) VALUES ('prepared'); PREPARE TRANSACTION 'forgotten'");
  await db.query("BEGIN; INSERT INTO unwatched VALUES (1); PREPARE TRANSACTION 'elsewhere'");
  const start = await rotations(db);
  await writing(db, async () => await rotations(db) > start, 'a rotation');
  const until3 = Date.now() + 3000;
  await writing(db, () => Date.now() > until3, 'three times the retention to pass');
  assert.equal(await rotations(db), start + 1, 'the tables do not change places again before those left are empty');
  await relay.stop();
  const name = db.name;
  await db.close();
  await prepared.restart('immediate');
  await relay.start();
  const after = await relay.operator({ after: begin });
  assert.equal(after.welcome.recovered, true, 'nothing was discarded');
  for (let n = 0; n < 20; n++) await db.query("INSERT INTO notes (body) VALUES ('after the restart')");
  await relay.fence(after);
  assert.equal(after.events.filter(({ data }) => data.body === 'prepared').length, 0);
  await prepared.once(name, "COMMIT PREPARED 'forgotten'");
  await after.event(({ data }) => data.body === 'prepared', 'the row of the prepared transaction');
  // The other one holds nothing back.
  const resumed = await rotations(db);
  await writing(db, async () => await rotations(db) >= resumed + 2, 'rotations to go on');
  await prepared.once(name, "ROLLBACK PREPARED 'elsewhere'");
  await relay.fence(after);
  assert.equal(after.events.filter(({ data }) => data.body === 'prepared').length, 1);
  const told = after.events.map(({ data }) => data.id).sort((a, b) => a - b);
  assert.deepEqual(told, (await db.query('SELECT id FROM notes ORDER BY id')).rows.map(({ id }) => id));
});

// The reader has its snapshot, waits for the rotation's lock, and finds the tables empty that its snapshot knows to be full.
for (const what of ['older ticks', 'all ticks', 'a part of a tick', 'a part of a big tick']) {
  test(`read() waits for a rotation that empties the pair of tables with ${what}: told that they are gone, nothing under another id`, async (t) => {
    const db = await postgres.database(t, 'CREATE TABLE notes (id serial PRIMARY KEY, body text)');
    await (await startRelay(t, db, { tables: 'notes' })).stop();
    const write = (session, count) => session.query(`INSERT INTO notes (body) SELECT 'x' FROM generate_series(1, ${count})`);
    const drain = () => db.query('SELECT esink.drain()');
    const rotate = async (wanted) => assert.equal((await db.query("SELECT esink.rotate('0') AS what")).rows[0].what, wanted);
    const late = await db.connect();
    const big = what.includes('big') ? 1500 : 20;
    if (what.includes('part')) {
      await late.query('BEGIN');
      await write(late, 2);
    } else {
      for (let n = 0; n < 3; n++) await write(db, 1).then(drain);
    }
    if (what !== 'older ticks') await write(db, 1).then(drain);
    await rotate('switched');
    if (what.includes('part')) {
      await db.query('BEGIN');
      await write(db, big);
      await late.query('COMMIT');
      await db.query('COMMIT'); // both visible in one tick, for nobody drains
    } else if (what === 'older ticks') {
      await write(db, big);
    }
    await drain();
    const after = what.includes('part') ? 1 : 0;
    const [mixed] = (await db.query('SELECT bool_or(u.mixed) AS yes FROM (SELECT * FROM esink.tick_0 UNION ALL SELECT * FROM esink.tick_1) u')).rows;
    assert.equal(mixed.yes, what.includes('part'));
    const [rotating, reading] = [await db.connect(), await db.connect()];
    await rotating.query('BEGIN');
    assert.equal((await rotating.query("SELECT esink.rotate('0') AS what")).rows[0].what, 'discarded');
    const read = reading.query(`SELECT id FROM esink.read(${after}, 0, 10)`).then(({ rows }) => rows.map(({ id }) => Number(id)), ({ code }) => code);
    await until(async () => (await db.query("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")).rowCount > 0, 'the reader to wait');
    await rotating.query('COMMIT');
    assert.equal(await read, 'ES001');
  });
}
