// How costs grow with what is configured and written: 1, 10, 100 and 1,000 watched tables, each with a rule; as many columns of one
// table that are withheld by FILTERS; rows of 100 bytes to 100 kB. Of each: how long a write takes, one after the other from
// one session, to a database that does not wait for the disk; what of the relay's processor time each event takes, with one websocket
// that gets it, both with what is looked at each second in them; how long a start takes, the first one that makes the triggers and any other;
// and what is used while nothing happens. On each database. (Connections: scale-network, memory.)
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import { databaseOf } from '../../e2e/lib/databases.mjs';
import { Scope } from '../../e2e/lib/harness.mjs';
import { startRelay } from '../../e2e/lib/relay.mjs';
import { until } from '../../e2e/lib/wait.mjs';
import { cpuOf, family, quiet } from '../lib/processes.mjs';
import { atMost, median, rowOf } from '../lib/rows.mjs';

export const title = 'how costs grow: watched tables, withheld columns, size of a row';
export const packages = [];

const columns = (n, of) => Array.from({ length: n }, (_, i) => of(i + 1)).join(', ');
const names = { postgres: 'PostgreSQL', mysql: 'MariaDB', sqlite: 'SQLite' };

// What is varied: schema(n, database), the relay's options(n), and note(n), what the written column holds. Table t1 is written to. flat: what of
// the costs is not to grow, and by which factor at most, with what chance does to a median.
const axes = {
  'watched tables': {
    unit: 'table',
    flat: { write: 1.25, event: 1.25 },
    lasts: 3000, // so that what is looked at each second is in every measurement, and as much of it
    steps: [1, 10, 100, 1000],
    schema: (n) => Array.from({ length: n }, (_, i) => `CREATE TABLE t${i + 1} (id int PRIMARY KEY, owner int, note varchar(100));`).join('\n'),
    options: (n) => ({ tables: columns(n, (i) => `t${i}`).replaceAll(' ', ''), routing: Object.fromEntries(Array.from({ length: n }, (_, i) => [`t${i + 1}`, 'owner'])) }),
    note: () => 'x'.repeat(60),
  },
  'withheld columns': {
    unit: 'column',
    steps: [1, 10, 100, 1000],
    schema: (n) => `CREATE TABLE t1 (id int PRIMARY KEY, owner int, note varchar(100), ${columns(n, (i) => `c${i} int`)});`,
    options: (n) => ({ tables: 't1', routing: { t1: 'owner' }, filters: columns(n, (i) => `t1.c${i}`).replaceAll(' ', '') }),
    note: () => 'x'.repeat(60),
  },
  'bytes of a row': {
    unit: 'byte',
    steps: [100, 1000, 10_000, 100_000],
    schema: (_, name) => `CREATE TABLE t1 (id int PRIMARY KEY, owner int, note ${name === 'mysql' ? 'mediumtext' : 'text'});`, // text there: 64 kB
    options: () => ({ tables: 't1', routing: { t1: 'owner' } }),
    note: (n) => 'x'.repeat(n - 40),
  },
};
const count = (n) => Number(n).toLocaleString('en-US');
const named = (n, { unit }) => `${count(n)} ${unit}${Number(n) === 1 ? '' : 's'}`;
const startsWithin = 300_000; // ms
const costs = { write: 'us a write', event: 'us of the relay an event', start: 'ms to start, triggers made', again: 'ms to start again', idle: '% of a core while nothing happens, relay and server' };
const idleFor = 5000; // ms
// By what the name of the chart ends in: its lines.
const charts = {
  '': { title: 'How costs grow with', y: "us a write, and us of the relay's processor time an event", shown: { write: 'a write', event: 'the relay' } },
  '-start': { title: 'How long a start takes by', y: 'ms until capture is live', only: 'watched tables', shown: { start: 'triggers made', again: 'again' } },
};

// The relay and the database's server, where there is one.
function everybody(relay, { server }) {
  const pid = server?.pid ?? (server && Number(readFileSync(join(server.data, 'postmaster.pid'), 'utf8').split('\n')[0]));
  return [relay.process.child.pid, ...(pid ? family(pid) : [])];
}

async function listen(scope, relay, token) {
  const socket = new WebSocket(`ws://127.0.0.1:${relay.port}/ws?token=${token}`);
  const got = { count: 0 };
  socket.on('message', () => { got.count++; });
  scope.defer(() => socket.terminate());
  await until(() => got.count > 0, 'connected');
  return got;
}

// A database with its relay: started twice, and left alone for a while. Or none, where that takes too long.
async function settle(scope, database, axis, n) {
  const db = await database.database(scope, axis.schema(n, database.name));
  await db.query(`INSERT INTO t1 (id, owner, note) VALUES (1, 7, '')`);
  const token = await db.user(7), found = { write: [], event: [], start: [], again: [], idle: [] };
  let begun = performance.now();
  const relay = await startRelay(scope, db, { ...axis.options(n), ready: false, env: { NETWORK_THREADS: '1', LOG_LEVEL: 'info' } });
  const live = () => until(() => relay.process.log.includes('capture is live'), () => `capture; ${relay.process.log.slice(-1000)}`, startsWithin);
  const started = await live().then(() => true, () => false);
  found.start.push(performance.now() - begun);
  if (started) {
    await quiet([relay.process.child.pid]);
    const pids = everybody(relay, db), spent = cpuOf(...pids);
    begun = performance.now();
    await pause(idleFor);
    found.idle.push((cpuOf(...pids) - spent) / 1e4 / (performance.now() - begun));
  }
  await relay.stop();
  if (!started) return undefined;
  begun = performance.now();
  await relay.start({ ready: false });
  await live();
  found.again.push(performance.now() - begun);
  await relay.stop();
  return { n, db, relay, token, found, live, begin: async () => { await relay.start({ ready: false }); await live(); } };
}

async function write({ db, relay, got, n }, axis, round, writes) {
  const { pid } = relay.process.child;
  await quiet([pid]);
  const before = got.count, cpu = cpuOf(pid), start = performance.now();
  let i = 0;
  for (; i < writes || performance.now() - start < (axis.lasts ?? 0); i++) await db.query('UPDATE t1 SET note = $1 WHERE id = 1', [axis.note(n) + round % 10 + i % 10]);
  const took = performance.now() - start;
  writes = i;
  await until(() => got.count >= before + writes, () => `${writes} events, have ${got.count - before}`, 60_000);
  return { write: took * 1000 / writes, event: (cpuOf(pid) - cpu) / 1000 / writes };
}

// All sizes in turn, round by round: what slows the machine for a while slows them all.
async function measure(database, axis, { steps, rounds, writes, say, late }) {
  const scope = new Scope();
  try {
    const worlds = [];
    for (const n of steps) {
      say(n);
      const world = await settle(scope, database, axis, n);
      if (world) worlds.push(world);
      else late(n);
    }
    for (const world of worlds) {
      await world.begin();
      world.got = await listen(scope, world.relay, world.token);
    }
    for (let round = 0; round < rounds + 1; round++) {
      for (const world of round % 2 ? [...worlds].reverse() : worlds) {
        const { write: one, event } = await write(world, axis, round, writes);
        if (round === 0) continue; // caches fill, functions are compiled
        world.found.write.push(one);
        world.found.event.push(event);
      }
    }
    return Object.fromEntries(worlds.map(({ n, found }) => [n, found]));
  } finally {
    await scope.end();
  }
}

export async function run({ rounds, quick, wants, say }) {
  const rows = [], series = {}, late = [];
  for (const [name, label] of Object.entries(names)) {
    const wanted = Object.entries(axes).filter(([what]) => wants(`${label}: ${what}`));
    if (wanted.length === 0) continue;
    const database = databaseOf(name);
    try {
      for (const [what, axis] of wanted) {
        const all = await measure(database, axis, { steps: quick ? axis.steps.slice(0, 3) : axis.steps, rounds, writes: quick ? 100 : 500,
          say: (n) => say(`${label}: ${count(n)} ${what}`),
          late: (n) => late.push(`${label} with ${count(n)} ${what}: the relay had not started after ${startsWithin / 1000} s, and was not measured.`) });
        const [first] = Object.keys(all);
        for (const [cost, metric] of Object.entries(costs)) {
          for (const [n, found] of Object.entries(all)) {
            const least = named(first, axis), against = n === first ? {} : { [least]: all[first][cost] };
            const targets = n !== first && axis.flat?.[cost] ? [atMost(axis.flat[cost], least)] : [];
            rows.push(rowOf({ work: `${label}: ${what}`, who: named(n, axis), metric, all: found[cost], against, targets }));
          }
          for (const [chart, { only, shown }] of Object.entries(charts)) {
            if (!shown[cost] || (only && only !== what)) continue;
            const points = Object.entries(all).map(([n, found]) => [Number(n), median(found[cost])]);
            ((series[what] ??= {})[chart] ??= []).push({ who: `${label}, ${shown[cost]}`, of: label, dashed: cost === 'event' || cost === 'again', points });
          }
        }
      }
    } finally {
      await database.stop();
    }
  }
  const drawn = Object.entries(series).flatMap(([what, byChart]) => Object.entries(byChart).map(([chart, list]) => ({
    name: `scale-${what.replaceAll(' ', '-')}${chart}`, kind: 'lines', title: `${charts[chart].title} ${what === 'bytes of a row' ? 'the size of a row' : `the number of ${what}`}`,
    x: { label: what }, y: { label: charts[chart].y }, series: list })));
  const notes = ['A write is one UPDATE of one row, from one session, the round trip from a client in Node.js (for SQLite: to a Python process) included. All sizes take turns.',
    'The relay wakes up for each write here; where writes come faster it takes several at once, which costs less an event.', ...late];
  return { rows, notes, charts: drawn };
}
