// Prevents: events lost, doubled, out of order or with gaps in their ids where several writers, roll-backs, savepoints, spilling
// transactions, a journal that is pruned, a relay and writers that are killed at any moment meet.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { test } from './lib/harness.mjs';
import { Follower, generator } from './lib/ledger.mjs';
import { startRelay } from './lib/relay.mjs';
import { sqliteDatabase } from './lib/sqlite.mjs';
import { until } from './lib/wait.mjs';

const script = fileURLToPath(new URL('lib/sqlite-writer.py', import.meta.url));
const seconds = Number(process.env.ESINK_RANDOM_SECONDS ?? 15);
const seed = Number(process.env.ESINK_RANDOM_SEED ?? Date.now() % 1_000_000);
const writers = 4;

test(`${writers} writers, roll-backs, savepoints, relay and writers killed again and again (seed ${seed})`, { timeout: seconds * 4000 + 60_000 }, async (t) => {
  const db = await sqliteDatabase(t, `CREATE TABLE cells (id INTEGER PRIMARY KEY, version INT, op TEXT, body);
    CREATE TABLE ops (op TEXT PRIMARY KEY, cell INT, kind TEXT, version INT);
    INSERT INTO cells WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) SELECT i, 0, '', '' FROM n`);
  const relay = await startRelay(t, db, { tables: 'cells', env: { SECURITY_TOKEN: 'operators-own-token-4711' } });
  const follower = new Follower(relay);
  await follower.connect();
  const stop = join(db.folder, 'stop'), random = generator(seed), running = new Set();
  let over = false, started = 0, writerKills = 0, relayKills = 0;
  const write = async (number) => {
    while (!over) {
      const child = spawn('python3', [script, db.path, String(number), String(seed * 1000 + ++started), stop], { stdio: ['ignore', 'ignore', 'inherit'] });
      running.add(child);
      const code = await new Promise((resolve) => child.on('close', resolve));
      running.delete(child);
      assert.ok(code === 0 || code === null, `a writer failed with status ${code}`);
    }
  };
  t.defer(() => { for (const child of running) child.kill('SIGKILL'); });
  const writing = Array.from({ length: writers }, (_, i) => write(i));
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    await pause(random() * 1500);
    if (random() < 0.6) {
      [...running][Math.floor(random() * running.size)]?.kill('SIGKILL');
      writerKills++;
    } else {
      await relay.kill();
      relayKills++;
      await relay.start();
      await follower.connect();
    }
    follower.take();
  }
  over = true;
  writeFileSync(stop, '');
  await Promise.all(writing);
  const n = await db.fence();
  await until(() => { follower.take(); return follower.events.some((event) => event.table === 'fence' && event.data.n === n); }, () => `the last event; ${relay.log}`, 30_000);
  const seen = follower.events.filter((event) => event.table === 'cells');
  const committed = (await db.query('SELECT * FROM ops')).rows;
  const times = new Map();
  for (const { data } of seen) times.set(data.op, (times.get(data.op) ?? 0) + 1);
  assert.deepEqual(committed.filter(({ op }) => !times.has(op)), [], 'lost');
  assert.deepEqual([...times].filter(([, count]) => count > 1), [], 'seen twice');
  assert.equal(seen.length, committed.length, 'something that was rolled back was seen');
  const versions = new Map();
  for (const { id, type, data } of seen) {
    if (type === 'update') assert.equal(data.version, (versions.get(data.id) ?? 0) + 1, `event ${id}: order of row ${data.id}`);
    versions.set(data.id, data.version);
  }
  const ids = follower.events.map((event) => BigInt(event.id));
  for (let i = 1; i < ids.length; i++) assert.equal(ids[i], ids[i - 1] + 1n, 'a gap or a step back in the ids');
  const again = await relay.operator({ after: `${follower.journal}:${ids[0] - 1n}` });
  await until(() => again.named('changes').length >= ids.length, 'the whole journal again', 30_000);
  assert.deepEqual(again.named('changes').map(({ id, data }) => [id, data]), follower.events.map(({ id, data }) => [id, data]));
  assert.equal((await db.query('PRAGMA integrity_check')).rows[0].integrity_check, 'ok');
  console.log(`# ${committed.length} changes committed and seen, ${relayKills} kills of the relay, ${writerKills} of writers, seed ${seed}`);
  assert.ok(committed.length > 200 && relayKills && writerKills, 'too little happened to prove anything');
});
