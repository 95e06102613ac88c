// Prevents: events lost, doubled or out of order where many writers, long transactions, roll-backs, held snapshots and a
// relay that is killed at any moment meet. Sequence values are taken before commit, so any scheme that reads on from «the
// last id» loses a late committer; a relay that counts before its database has committed hands out an id twice.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { test, usePostgres } from './lib/harness.mjs';
import { Follower, generator, schema, verify, write } from './lib/ledger.mjs';
import { startRelay } from './lib/relay.mjs';

const operator = 'operators-own-token-4711';
const writers = 10;
const duration = Number(process.env.ESINK_RANDOM_SECONDS ?? 20) * 1000;

const least = { changes: 800, kills: 8 }; // on a machine that is too slow for it the test runs on, three times as long
const seed = Number(process.env.ESINK_RANDOM_SEED ?? Date.now() % 1_000_000);

// Holds an old snapshot all the time, another one for a while.
async function holder(db, stopped) {
  const client = await db.connect();
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM cells');
  while (!stopped()) await pause(50);
  await client.query('COMMIT');
}

// How the relay hears of changes differs where transactions can be prepared: triggers must not NOTIFY then.
for (const [way, settings] of [['woken by NOTIFY', {}], ['looking by itself', { max_prepared_transactions: 5 }]]) {
  const postgres = usePostgres({ settings });
  test(`${writers} writers, roll-backs, savepoints, long transactions, a held snapshot, a relay killed again and again: ${way} (seed ${seed})`,
    { timeout: duration * 4 + 90_000 }, async (t) => {
      const db = await postgres.database(t, schema);
      const relay = await startRelay(t, db, { tables: 'cells', env: { SECURITY_TOKEN: operator } });
      const follower = new Follower(relay);
      await follower.connect();
      const end = Date.now() + duration;
      let created = 1000, kills = 0, over = false;
      const stopped = () => over;
      const writing = Array.from({ length: writers }, (_, i) => write(db, generator(seed * 100 + i), () => ++created, stopped));
      const holding = holder(db, stopped);
      const random = generator(seed);
      const enough = async () => Date.now() > end && kills >= least.kills
        && (await db.query('SELECT count(*)::int AS n FROM ops')).rows[0].n > least.changes;
      while (Date.now() < end + 2 * duration && !await enough()) {
        await pause(random() * 3000);
        await relay.kill();
        kills++;
        await relay.start();
        await follower.connect();
        follower.take();
      }
      over = true;
      await Promise.all([...writing, holding]);
      const committed = await verify(db, relay, follower);
      console.log(`# ${committed} changes committed and seen, ${kills} kills, seed ${seed}`);
      assert.ok(committed > least.changes && kills >= least.kills, `too little happened to prove anything: ${committed} changes, ${kills} kills`);
    });
}
