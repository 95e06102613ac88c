// Prevents: a change that was committed and is never told, told twice or under another id, because the relay, the server or
// one of the server's processes was killed between any two instructions of theirs; told although its transaction went down
// with the server. With fsync on: what the server has answered is on the disk.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test, usePostgres } from '../lib/harness.mjs';
import { Follower, generator, schema, verify, write } from '../lib/ledger.mjs';
import { startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';

const operator = 'operators-own-token-4711';
const writers = 8;
const duration = Number(process.env.ESINK_RANDOM_SECONDS ?? 25) * 1000;
const seed = Number(process.env.ESINK_RANDOM_SEED ?? Date.now() % 1_000_000);
const postgres = usePostgres({ settings: { fsync: 'on', full_page_writes: 'on', restart_after_crash: 'on' } });

const postmaster = () => Number(readFileSync(join(postgres.data, 'postmaster.pid'), 'utf8').split('\n')[0]);

// Its orphans notice that it is gone, and hold its memory until then.
const resumed = () => until(() => postgres.resume().then(() => true), 'the server to start again', 30_000);

// A process of the server: the relay's own, or anyone's.
async function backendOf(db, random, ours) {
  const { rows } = await db.query(`SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'
    AND datname = current_database() AND pid <> pg_backend_pid() AND (application_name = 'esink') >= $1`, [ours]);
  return rows.length ? rows[Math.floor(random() * rows.length)].pid : undefined;
}

// The server then ends all the others, and begins anew.
async function crash(db, random, ours) {
  const witness = await db.connect();
  const pid = await backendOf(db, random, ours);
  if (!pid) return;
  process.kill(pid, 'SIGKILL');
  await until(() => witness.gone, 'the server to end everybody');
}

const kinds = {
  relay: async ({ relay }) => {
    await relay.kill();
    await relay.start();
  },
  server: async () => {
    await postgres.halt('immediate');
    await resumed();
  },
  postmaster: async () => {
    process.kill(postmaster(), 'SIGKILL');
    await resumed();
  },
  backend: ({ db, random }) => crash(db, random, false),
  'own backend': ({ db, random }) => crash(db, random, true),
  'own backend, politely': async ({ db, random }) => {
    const pid = await backendOf(db, random, true);
    if (pid) await db.query('SELECT pg_terminate_backend($1)', [pid]);
  },
};

test(`${writers} writers; relay, server and its processes killed again and again (seed ${seed})`, { timeout: duration * 4 + 90_000 }, async (t) => {
  const db = await postgres.database(t, schema);
  const relay = await startRelay(t, db, { tables: 'cells', env: { SECURITY_TOKEN: operator } });
  const follower = new Follower(relay);
  await follower.connect();
  const random = generator(seed);
  const end = Date.now() + duration;
  const done = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, 0]));
  let over = false, created = 1000;
  const writing = Array.from({ length: writers }, (_, i) => write(db, generator(seed * 100 + i), () => ++created, () => over));
  const enough = () => Date.now() > end && Object.values(done).every((n) => n >= 1);
  while (Date.now() < end + 2 * duration && !enough()) {
    await pause(random() * 1500);
    const names = Object.keys(kinds);
    const kind = names[Math.floor(random() * names.length)];
    await until(() => db.query('SELECT 1'), 'the server to answer', 30_000);
    try {
      await kinds[kind]({ db, relay, random });
      done[kind]++;
    } catch (error) {
      if (error.code !== 'ESRCH') throw error; // it had ended by itself
    }
    await until(() => db.query('SELECT 1'), 'the server to answer', 30_000);
    if (!follower.client.open) {
      await relay.ready();
      await follower.connect();
    }
    follower.take();
  }
  over = true;
  await Promise.all(writing);
  await relay.ready();
  const committed = await verify(db, relay, follower);
  console.log(`# ${committed} changes committed and seen, kills ${JSON.stringify(done)}, ${follower.sessions} sessions, seed ${seed}`);
  assert.ok(committed > 300 && Object.values(done).every((n) => n >= 1), 'too little happened to prove anything');
  assert.equal(follower.sessions, done.relay + 1, 'only a dead relay ends sessions');
});
