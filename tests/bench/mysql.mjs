// What writers pay on MariaDB, how fast a backlog is moved and told, how long a commit takes to a websocket, and what idling
// costs. mariadb-slap writes to a table that is not watched and to one that is, in turn; medians and their ratios count.
//
//   ESINK_BINARY=build/release/src/app/esink node tests/bench/mysql.mjs [rounds]
//
// BENCH_FILTERS=watched.note: with a column that is withheld, whose names are then looked at in each move.
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MySql } from '../e2e/lib/mysql.mjs';
import { Process } from '../e2e/lib/relay.mjs';
import { freePort } from '../e2e/lib/ports.mjs';
import { until } from '../e2e/lib/wait.mjs';
import WebSocket from '../e2e/node_modules/ws/wrapper.mjs';

const run = promisify(execFile);
const rounds = Number(process.argv[2] ?? 5);
const backlog = 200_000;
const token = 'operators-own-token-4711';
const at = (list, q) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))];
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const undo = [];
const scope = { defer: (fn) => undo.push(fn) };
const server = new MySql({ settings: { 'innodb-flush-log-at-trx-commit': 1, 'innodb-buffer-pool-size': '512M', 'innodb-log-file-size': '256M' } });
const relays = [];

async function startRelay(db) {
  const port = await freePort();
  const relay = new Process({ PORT: String(port), HOST: '127.0.0.1', ...db.env, TABLE_NAMES: 'watched', NETWORK_THREADS: '1', SECURITY_TOKEN: token,
    FILTERS: process.env.BENCH_FILTERS ?? '',
    TABLE_AUTH_COLUMN_ROUTING: '{"watched":"owner"}' });
  relays.push(relay);
  await until(() => relay.log.includes('capture is live'), () => relay.log);
  return Object.assign(relay, { port });
}

async function slap(table, file, settings) {
  await server.connect('mysql').then(async (client) => { await client.query(settings); await client.end(); });
  const { stdout } = await run('mariadb-slap', ['--no-defaults', '-uroot', `--socket=${server.socket}`, `--create-schema=${file.db}`, '--no-drop', '--concurrency=16', '--csv',
    `--query=${file[table]}`, '--delimiter=;', `--number-of-queries=${file.queries}`]);
  return file.queries / Number(stdout.split(',')[2]);
}

const cpu = (pid) => {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).reduce((sum, task) => sum + Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]), 0);
};

try {
  await server.start();
  const table = (name) => `CREATE TABLE ${name} (id int PRIMARY KEY, owner int, balance int, note varchar(100));
    INSERT INTO ${name} SELECT seq, seq % 1000, 0, REPEAT('n', 60) FROM seq_1_to_50000;`;
  const db = await server.database(scope, table('plain') + table('watched'));
  await db.query(`INSERT INTO auth VALUES (1, 'token-of-user-1')`);
  const relay = await startRelay(db);
  const file = { db: db.name, queries: 16_000 };
  for (const name of ['plain', 'watched']) {
    file[name] = join(server.scratch, `${name}.sql`);
    writeFileSync(file[name], Array.from({ length: 2000 }, (_, i) => `UPDATE ${name} SET balance = balance + 1 WHERE id = ${1 + ((i * 7919) % 50_000)}`).join(';\n'));
  }
  for (const [what, settings] of [['16 clients, log flushed at commit', 'SET GLOBAL innodb_flush_log_at_trx_commit = 1'], ['16 clients, not flushed', 'SET GLOBAL innodb_flush_log_at_trx_commit = 2']]) {
    const rates = { plain: [], watched: [] };
    for (let round = 0; round < rounds; round++) for (const name of round % 2 ? ['watched', 'plain'] : ['plain', 'watched']) rates[name].push(await slap(name, file, settings));
    const ratios = rates.plain.map((rate, i) => rates.watched[i] / rate);
    console.log(`${what}: no trigger ${Math.round(at(rates.plain, 0.5))}, esink and its relay ${Math.round(at(rates.watched, 0.5))} transactions a second, ratio `
      + `${(at(rates.watched, 0.5) / at(rates.plain, 0.5)).toFixed(2)} (rounds ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')})`);
  }
  const arrived = new Map();
  const socket = new WebSocket(`ws://127.0.0.1:${relay.port}/ws?token=token-of-user-1`);
  socket.on('message', (data) => {
    const now = process.hrtime.bigint(), { event, data: { data: row } } = JSON.parse(data);
    if (event === 'changes') arrived.set(row.balance, now);
  });
  await until(() => socket.readyState === 1, 'the websocket');
  await pause(3000);
  const delays = [];
  for (let n = 1; n <= 300; n++) {
    await db.query(`UPDATE watched SET balance = ${1_000_000 + n} WHERE id = 1`);
    delays.push([1_000_000 + n, process.hrtime.bigint()]);
    await pause(5);
  }
  await until(() => arrived.size >= 300, 'the events');
  const ms = delays.slice(50).map(([n, time]) => Number(arrived.get(n) - time) / 1e6);
  console.log(`commit to websocket, one every 5 ms: p50 ${at(ms, 0.5).toFixed(2)} ms, p99 ${at(ms, 0.99).toFixed(2)} ms`);
  socket.close();
  await pause(4000);
  const [relayBefore, serverBefore] = [cpu(relay.child.pid), cpu(server.pid)];
  await pause(10_000);
  console.log(`idle: relay ${((cpu(relay.child.pid) - relayBefore) / 1e8).toFixed(3)} % of a core, server ${((cpu(server.pid) - serverBefore) / 1e8).toFixed(3)} %`);

  relay.kill('SIGTERM');
  await relay.exited;
  for (let n = 0; n < backlog / 50_000; n++) await db.query('UPDATE watched SET balance = balance + 1');
  const begun = process.hrtime.bigint();
  const second = await startRelay(db);
  let count = 0;
  const boss = new WebSocket(`ws://127.0.0.1:${second.port}/ws`, { headers: { authorization: `Bearer ${token}` } });
  boss.on('message', () => { count++; });
  const { rows: [{ head: last }] } = await until(async () => {
    const { rows } = await db.query('SELECT (SELECT COUNT(*) FROM esink_pubsub) AS n, head FROM esink_meta');
    return Number(rows[0].n) === 0 && { rows };
  }, 'the backlog', 120_000);
  const moved = Number(process.hrtime.bigint() - begun) / 1e9;
  await until(async () => JSON.parse(await (await fetch(`http://127.0.0.1:${second.port}/ready`)).text()).code === 200 && count > 0, 'events');
  console.log(`backlog of ${backlog}: moved in ${moved.toFixed(2)} s after the relay's start, ${Math.round(backlog / moved)} a second; head ${last}`);
  let before;
  do { before = count; await pause(300); } while (count !== before);
  console.log(`a session that came at the start was told ${count} of it; load average ${readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3).join(' ')}`);
  boss.close();
} finally {
  for (const relay of relays) { relay.kill('SIGTERM'); await relay.exited; }
  for (const fn of undo.reverse()) await fn();
  await server.remove();
}
