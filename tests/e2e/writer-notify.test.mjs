// Prevents: writers that wait for each other's NOTIFY, whose lock of the whole server is held over the flush of a commit, for as
// long as they are busy, because commits that come slowly look to the relay like a quiet time; and writers that notify a relay which
// has ended, because its end came in the middle of falling asleep or of a look, or while capture was away; and a relay that hears of changes a quarter of a second
// late from when another one of the same database has ended.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const quick = usePostgres();
// Each flush takes 10 ms where others are under way, as on a slow disk.
const slow = usePostgres({ settings: { fsync: 'on', commit_delay: 10_000, commit_siblings: 0 } });
const WRITERS = 16;

const asleep = (db) => db.query('SELECT last_value FROM esink.sleep').then(({ rows }) => rows[0].last_value === '1');

test(`${WRITERS} writers on a slow disk: the relay stays awake, and nobody waits for NOTIFY`, async (t) => {
  const db = await slow.database(t, 'CREATE TABLE notes (writer int, n int)');
  const relay = await startRelay(t, db, { tables: 'notes', env: { SECURITY_TOKEN: 'operators-own-token-4711' } });
  const client = await relay.operator();
  await relay.fence(client);
  await until(() => asleep(db), 'the relay to sleep');
  let stop = false, written = 0;
  const writers = Array.from({ length: WRITERS }, async (_, w) => {
    const session = await db.connect();
    for (let n = 1; !stop; n++, written++) await session.query('INSERT INTO notes VALUES ($1, $2)', [w, n]);
  });
  try {
    const waiting = async () => (await db.query(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'object'`)).rows[0].n;
    await until(async () => !(await asleep(db)), () => `the relay to be awake, after ${written} writes`);
    const from = written;
    await until(() => written > from + 20 * WRITERS, () => `writes; ${written - from} since the relay is awake`);
    await until(async () => !(await asleep(db)) && await waiting() === 0, 'nobody to wait');
  } finally {
    stop = true;
    await Promise.all(writers);
  }
  await relay.fence(client);
  assert.equal(client.named('changes').filter(({ data }) => data.writer !== undefined).length, written);
});

test('ended at any moment of a quiet and of a busy time: no writer notifies a relay that is not there', { timeout: 120_000 }, async (t) => {
  const db = await quick.database(t, 'CREATE TABLE notes (writer int, n int)');
  const relay = await startRelay(t, db, { tables: 'notes' });
  let stop = false;
  const session = await db.connect();
  const load = (async () => {
    for (let n = 1; !stop; n++) await session.query(n % 50 ? 'INSERT INTO notes VALUES (1, $1)' : 'SELECT pg_sleep(0.05), $1::int', [n]);
  })();
  try {
    for (let end = 0; end < 12; end++) {
      // Falling asleep takes a moment, some 30 ms after the last event.
      await new Promise((resolve) => { setTimeout(resolve, 3 * end); });
      await relay.stop();
      assert.equal(await asleep(db), false, `after end ${end}`);
      await relay.start();
    }
  } finally {
    stop = true;
    await load;
  }
});

test('one of two relays ends while both sleep: writers go on to notify the other', async (t) => {
  const db = await quick.database(t, 'CREATE TABLE notes (writer int, n int)');
  const env = { SECURITY_TOKEN: 'operators-own-token-4711' };
  const first = await startRelay(t, db, { tables: 'notes', env }), second = await startRelay(t, db, { tables: 'notes', env });
  const client = await second.operator();
  await second.fence(client);
  await until(() => asleep(db), 'the relays to sleep');
  await first.stop();
  await until(() => asleep(db), 'writers to be told that one sleeps', 5_000);
  await db.query('INSERT INTO notes VALUES (1, 1)');
  await second.fence(client);
});

test('ended while capture is away: no writer notifies a relay that is not there', { timeout: 120_000 }, async (t) => {
  const db = await quick.database(t, 'CREATE TABLE notes (writer int, n int)');
  const relay = await startRelay(t, db, { tables: 'notes', fence: false });
  for (let end = 0; end < 6; end++) {
    await until(() => asleep(db), 'the relay to sleep');
    await db.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'esink' AND datname = current_database()");
    await new Promise((resolve) => { setTimeout(resolve, 40 * end); });
    await relay.stop();
    assert.equal(await asleep(db), false, `after end ${end}`);
    await relay.start();
  }
});
