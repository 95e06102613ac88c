// Prevents: a relay that has no file descriptor left, and that ends, turns, forgets who it serves, or does not reach its database
// again although its clients hold no more than MAX_CONNECTIONS. Two ways to get there: a small `ulimit -n` from the start, of which
// the relay keeps what it needs for itself, and one that is made small under its feet.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { cpu, fds } from '../e2e/lib/health.mjs';
import { binary } from '../e2e/lib/relay.mjs';
import { trickle } from '../e2e/lib/trickle.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { part } from './lib/part.mjs';
import { World, summary } from './lib/world.mjs';

// Nobody can have the last descriptor for long: who is refused tries again.
const crowd = (t, relay, count) => Array.from({ length: count }, () => trickle(t, relay.port, 'GET /ping'));
const leave = (held) => { for (const one of held.splice(0)) one.socket.destroy(); };

// The database goes and comes. Who has an SQLite file can only keep it to himself.
async function blow(name, { database, db, relay }) {
  const noticed = relay.log.split('capture is away').length;
  if (name === 'sqlite') {
    const holder = await db.connect();
    await holder.query('BEGIN IMMEDIATE');
    await pause(500);
    await holder.query('COMMIT');
    return holder.end();
  }
  const back = await database.away(db, { hard: true });
  await until(() => relay.log.split('capture is away').length > noticed, 'the relay to notice');
  await pause(500);
  await back();
}

// From the start: a house that is full, and a database that goes and comes meanwhile.
const small = (name) => async (t, { times, seed }) => {
  const folder = mkdtempSync(join(tmpdir(), 'esink-ulimit-')), kept = process.env.ESINK_BINARY;
  t.defer(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'esink'), `#!/bin/sh\nulimit -n 200\nexec ${binary()} "$@"\n`);
  chmodSync(join(folder, 'esink'), 0o755);
  process.env.ESINK_BINARY = join(folder, 'esink');
  t.defer(() => { if (kept === undefined) delete process.env.ESINK_BINARY; else process.env.ESINK_BINARY = kept; });
  const world = await World.make(t, name, { users: 4, application: { seed, forgiving: true }, env: { HANDSHAKE_TIMEOUT: '60s' } });
  const { relay, db, listeners } = world;
  let slowest = 0;
  for (let n = 0; n < times; n++) {
    const held = crowd(t, relay, 300);
    await until(() => /connections are refused: MAX_CONNECTIONS/.test(relay.log), 'the house to be full');
    for (const one of listeners.all) if (Math.random() < 0.3) one.vanish(0);
    await blow(name, world);
    const begun = Date.now(), fence = await until(() => db.fence(), 'the database to answer', 30_000);
    // Those who have kept their sessions hear of it although no place is free.
    await until(() => listeners.all.filter((one) => one.live).every((one) => one.fence >= fence), () => `those with a session to hear; ${relay.log.slice(-3000)}`, 30_000);
    slowest = Math.max(slowest, Date.now() - begun);
    leave(held);
    await until(() => listeners.all.every((one) => one.live), 'all to come back', 30_000);
  }
  if (/Too many open files/.test(relay.log)) throw new Error(`it had none left for itself:\n${relay.log.slice(-3000)}`);
  return `full ${times} times, each with a restart of the database: told within ${slowest} ms; ${summary(await world.settle())}`;
};

// Under its feet: nothing can be accepted, nor the database reached, until somebody leaves.
const none = (name) => async (t, { times, seed }) => {
  const world = await World.make(t, name, { users: 4, application: { seed, forgiving: true }, env: { HANDSHAKE_TIMEOUT: '60s' } });
  const { relay, listeners } = world;
  const limit = (n) => execFileSync('prlimit', ['--pid', String(relay.process.child.pid), `--nofile=${n}:${process.getuid() ? '' : 20_000}`]);
  for (let n = 0; n < times; n++) {
    limit(fds(relay) + 3);
    const held = crowd(t, relay, 60);
    await until(() => relay.log.split('connections are refused: Too many open files').length > 1, 'a line about it');
    for (const one of listeners.all) if (Math.random() < 0.3) one.vanish(0);
    const spent = cpu(relay), begun = Date.now();
    await blow(name, world);
    await pause(1500);
    const share = (cpu(relay) - spent) / (Date.now() - begun);
    if (share > 0.7) throw new Error(`it turns: ${Math.round(share * 100)} % of a processor`);
    leave(held);
    limit(1000);
    await relay.ready();
    await until(() => listeners.all.every((one) => one.live), 'all to come back', 30_000);
  }
  return `none left ${times} times, each with a restart of the database; ${summary(await world.settle())}`;
};

await part(import.meta, { quick: 1, full: 10 }, ['postgres', 'mysql', 'sqlite'].flatMap((name) => [
  [`${name}, a small ulimit`, small(name)], [`${name}, taken away`, none(name)]]));
