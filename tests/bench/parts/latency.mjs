// From the write to the browser, on each database: while hardly anything happens, and at 1,000 changes a second with ten
// recipients each. 100 websockets of ten users; a row says when it was written, by the database's clock, before its commit: what the
// commit takes is in it. On PostgreSQL also a relay in Node.js with LISTEN and Socket.IO. And what idling costs.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { Scope } from '../../e2e/lib/harness.mjs';
import { MySql } from '../../e2e/lib/mysql.mjs';
import { Postgres } from '../../e2e/lib/postgres.mjs';
import { sqliteDatabase } from '../../e2e/lib/sqlite.mjs';
import { startRelay } from '../../e2e/lib/relay.mjs';
import { notifyRelay, notifyTrigger } from '../lib/peers.mjs';
import { cpuOf } from '../lib/processes.mjs';
import { below, interleave, quantile, rowOf } from '../lib/rows.mjs';
import { SqliteLoad } from '../lib/sqlite-load.mjs';

export const title = 'from the write to the browser';
export const packages = [];

const users = 10, sessions = 10; // sessions of each user: the recipients of a change
const rowsIn = 1000;
const node = 'Node relay (NOTIFY, Socket.IO)';
const table = (series) => `CREATE TABLE moves (id int PRIMARY KEY, owner int, at bigint, note varchar(100)); INSERT INTO moves ${series};`;
const fields = (n) => `${n}, ${n} % ${users} + 1, 0, 'a note of some length, as notes are'`;
const recursive = table(`WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < ${rowsIn}) SELECT ${fields('i')} FROM s`);

// Writes from several sessions, so many a second, each statement at its time or as soon as its session is free.
async function paced(clients, sql, count, rate) {
  const begun = performance.now(), last = clients.map(() => Promise.resolve());
  for (let n = 0; n < count;) {
    const due = Math.min(count, Math.floor((performance.now() - begun) * rate / 1000) + 1);
    for (; n < due; n++) {
      const id = 1 + (n * 7919) % rowsIn, i = n % clients.length;
      last[i] = last[i].then(() => clients[i].query(sql, [id]));
    }
    await pause(1);
  }
  await Promise.all(last);
}

// What each database needs: `contenders`, each with a database, a relay's port and kind, and write(count, rate).
const databases = {
  async PostgreSQL(scope) {
    const server = new Postgres({ settings: { fsync: 'on', full_page_writes: 'on' } });
    scope.defer(() => server.remove());
    await server.start();
    const sql = "UPDATE moves SET at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint WHERE id = $1";
    const writer = async (db) => {
      const clients = await Promise.all(Array.from({ length: 8 }, () => db.connect()));
      return (count, rate) => paced(clients, sql, count, rate);
    };
    const ours = await server.database(scope, recursive), theirs = await server.database(scope, recursive + notifyTrigger(['moves'], 'ARRAY[r.owner]'));
    return { esink: { db: ours, write: await writer(ours) }, [node]: { db: theirs, write: await writer(theirs), notify: server } };
  },
  async MariaDB(scope) {
    const server = new MySql({ settings: { 'innodb-flush-log-at-trx-commit': 1 } });
    scope.defer(() => server.remove());
    await server.start();
    const db = await server.database(scope, recursive);
    const clients = await Promise.all(Array.from({ length: 8 }, () => db.connect()));
    const sql = 'UPDATE moves SET at = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED) WHERE id = $1';
    return { esink: { db, write: (count, rate) => paced(clients, sql, count, rate), server: server.pid } };
  },
  async SQLite(scope) {
    const db = await sqliteDatabase(scope, recursive);
    const load = new SqliteLoad(scope);
    return { esink: { db, write: (count, rate) => load.ask('stamped', db.path, 'NORMAL', count, rate) } };
  },
};

async function open(scope, contender) {
  const { db, notify } = contender, tokens = [];
  for (let user = 1; user <= users; user++) tokens.push(...Array(sessions).fill(await db.user(user)));
  const relay = notify ? await notifyRelay(scope, notify, db.name) : await startRelay(scope, db, { tables: 'moves', routing: { moves: 'owner' }, env: { NETWORK_THREADS: '1', LOG_LEVEL: 'warn' } });
  contender.pid = notify ? relay.pid : relay.process.child.pid;
  const child = fork(fileURLToPath(new URL('../lib/receiver.mjs', import.meta.url)), [JSON.stringify({ kind: notify ? 'socket.io' : 'esink', port: relay.port, tokens })]);
  scope.defer(() => child.kill());
  child.on('exit', (code) => { if (code) console.error('a connection of a receiver was closed'); });
  const [word] = await once(child, 'message', { signal: AbortSignal.timeout(30_000) });
  if (word !== 'ready') throw new Error(`the receiver said ${word}`);
  contender.receiver = child;
}

// Milliseconds of each delivery.
async function measure(name, { receiver, write }, count, rate) {
  receiver.send('start');
  await once(receiver, 'message');
  await write(count, rate);
  receiver.send({ expect: count * sessions });
  const [{ delays }] = await once(receiver, 'message', { signal: AbortSignal.timeout(60_000) });
  if (delays.length !== count * sessions) throw new Error(`${name}: ${delays.length} of ${count * sessions} deliveries came`);
  return delays;
}

const quantiles = { p50: 0.5, p99: 0.99, 'p99.9': 0.999 };
const limits = { p50: 2, p99: 10 };

export async function run({ rounds, quick, wants, say }) {
  const rows = [], groups = [];
  for (const [name, make] of Object.entries(databases)) {
    const loads = [['hardly anything happens, 20 changes/s', quick ? 40 : 200, 20], ['1,000 changes/s', quick ? 2000 : 10_000, 1000]]
      .map(([what, ...how]) => [`${name}: ${what}, ${sessions} recipients each`, ...how]).filter(([work]) => wants(work));
    if (loads.length === 0) continue;
    const scope = new Scope();
    try {
      const contenders = await make(scope);
      for (const contender of Object.values(contenders)) await open(scope, contender);
      for (const [who, contender] of Object.entries(contenders)) await measure(who, contender, 100, 200); // the first steps are not what is measured
      for (const [work, count, rate] of loads) {
        say(work);
        const results = await interleave(rounds, Object.keys(contenders), (who) => measure(who, contenders[who], count, rate));
        for (const [q, share] of Object.entries(quantiles)) {
          for (const [who, list] of Object.entries(results)) {
            const all = list.map((delays) => quantile(delays, share));
            const targets = who === 'esink' && rate === 1000 && limits[q] ? [below(limits[q], 'ms')] : [];
            rows.push(rowOf({ work, who, metric: `ms ${q}`, all, targets, against: who === 'esink' && results[node] ? { [node]: results[node].map((delays) => quantile(delays, share)) } : {} }));
          }
        }
        groups.push({ label: work, bars: rows.filter((row) => row.work === work).map(({ who, metric, value, low, high }) => ({ who: `${who}, ${metric.slice(3)}`, value, low, high })) });
      }
      const work = `${name}: ${users * sessions} websockets, nothing happens`;
      say(work);
      const seconds = quick ? 3 : 10, idle = [];
      await pause(3000);
      for (const [who, { pid, server }] of Object.entries(contenders)) for (const [whose, id] of [[who, pid], ...(server ? [['its database server', server]] : [])]) idle.push([whose, id, cpuOf(id)]);
      await pause(seconds * 1000);
      for (const [who, id, before] of idle) rows.push(rowOf({ work, who, metric: '% of a core', all: [(cpuOf(id) - before) / 1e7 / seconds] }));
    } finally {
      await scope.end();
    }
  }
  const loaded = groups.filter(({ label }) => label.includes('1,000'));
  const charts = [{ name: 'latency', kind: 'bars', title: 'From the write to the browser at 1,000 changes a second with 10 recipients each', unit: 'ms', groups: loaded.map(({ label, bars }) => ({ label: label.split(':')[0], bars })) }];
  const notes = ['The clock runs from the statement, in the transaction and before its commit, to the arrival at the client, a Node.js process that does not parse what it gets. PostgreSQL and MariaDB flush each commit to the disk.',
    'The rounds of p99.9 are of 100,000 deliveries each at 1,000 changes/s, of 2,000 otherwise.'];
  return { rows, notes, charts };
}
