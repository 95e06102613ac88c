// What writers pay on SQLite, and how long a commit takes to a websocket. A python3 process writes to a file with no trigger
// and to one with esink and its relay, in turn; medians and their ratios count, not the figures. Both clocks are the
// machine's monotonic one.
//
//   ESINK_BINARY=build/release/src/app/esink node tests/bench/sqlite.mjs [rounds]
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Process } from '../e2e/lib/relay.mjs';
import { freePort } from '../e2e/lib/ports.mjs';
import { until } from '../e2e/lib/wait.mjs';
import WebSocket from '../e2e/node_modules/ws/wrapper.mjs';

const rounds = Number(process.argv[2] ?? 7);
const folder = mkdtempSync(join(process.env.ESINK_BENCH_DIR ?? tmpdir(), 'esink-bench-'));
const script = fileURLToPath(new URL('sqlite-writer.py', import.meta.url));
const child = spawn('python3', [script], { stdio: ['pipe', 'pipe', 'inherit'] });
const answers = createInterface(child.stdout)[Symbol.asyncIterator]();
const ask = async (...words) => { child.stdin.write(`${JSON.stringify(words)}\n`); return JSON.parse((await answers.next()).value); };
const sorted = (list) => [...list].sort((a, b) => a - b);
const at = (list, q) => sorted(list)[Math.min(list.length - 1, Math.floor(list.length * q))];
const files = { none: join(folder, 'none.db'), esink: join(folder, 'esink.db') };
let relay;
try {
  for (const path of Object.values(files)) await ask('make', path);
  const port = await freePort();
  relay = new Process({ PORT: String(port), HOST: '127.0.0.1', SQLITE_PATH: files.esink, TABLE_NAMES: 'accounts', NETWORK_THREADS: '1',
    TABLE_AUTH_COLUMN_ROUTING: '{"accounts":"owner"}', LOG_LEVEL: 'debug', RETENTION: process.env.ESINK_BENCH_RETENTION ?? '3s' });
  await until(() => relay.log.includes('capture is live'), () => relay.log);
  const results = {};
  for (let round = 0; round < rounds; round++) {
    for (const [what, ...how] of [['synchronous=NORMAL', 'update', 'NORMAL', 3000], ['synchronous=FULL', 'update', 'FULL', 300], ['NORMAL, no statement cache', 'uncached', 'NORMAL', 1500], ['bulk insert', 'bulk', 'NORMAL', 20000]]) {
      for (const name of round % 2 ? ['esink', 'none'] : ['none', 'esink']) ((results[what] ??= {})[name] ??= []).push(await ask(how[0], files[name], ...how.slice(1)));
    }
  }
  for (const [what, { none, esink }] of Object.entries(results)) {
    const median = (list, of) => at(list.map((one) => one[of]), 0.5), fixed = (n) => n.toFixed(2);
    console.log(`${what}: none ${Math.round(median(none, 'rate'))}, esink ${Math.round(median(esink, 'rate'))} a second, ratio ${fixed(median(esink, 'rate') / median(none, 'rate'))};`
      + ` processor time of the writer ${fixed(median(none, 'cpu'))} and ${fixed(median(esink, 'cpu'))} us a row, ratio ${fixed(median(none, 'cpu') / median(esink, 'cpu'))}`);
  }
  const locks = [...relay.log.matchAll(/write lock was held for (\d+) us/g)].map((match) => Number(match[1]));
  console.log(`pruning: ${locks.length} batches; the write lock was held for p50 ${at(locks, 0.5)} us, p99 ${at(locks, 0.99)} us, longest ${at(locks, 1)} us`);

  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws?token=token-of-user-1`);
  const arrived = new Map();
  socket.on('message', (data) => {
    const now = process.hrtime.bigint(), { event, data: { type, data: row } } = JSON.parse(data);
    if (event === 'changes' && type === 'update') arrived.set(row.balance, now);
  });
  await until(() => socket.readyState === 1, 'the websocket');
  await new Promise((resolve) => setTimeout(resolve, 300));
  await ask('paced', files.esink, 'NORMAL', 50); // the client's own first steps are not what is measured
  await new Promise((resolve) => setTimeout(resolve, 2000));
  arrived.clear();
  const commits = await ask('paced', files.esink, 'NORMAL', 500);
  await until(() => arrived.size >= commits.length, 'the events');
  const delays = commits.map(([balance, time]) => Number(arrived.get(balance) - BigInt(time)) / 1e6);
  console.log(`commit to websocket, one every 5 ms: p50 ${at(delays, 0.5).toFixed(3)} ms, p99 ${at(delays, 0.99).toFixed(3)} ms, longest ${at(delays, 1).toFixed(3)} ms`);
  socket.close();
  await new Promise((resolve) => setTimeout(resolve, 4000));
  const all = () => {
    const tasks = `/proc/${relay.child.pid}/task`;
    return readdirSync(tasks).reduce((sum, task) => sum + Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]), 0);
  };
  const before = all();
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  console.log(`idle: ${((all() - before) / 1e8).toFixed(3)} % of a core; load average ${readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3).join(' ')}`);
} finally {
  child.stdin.end();
  relay?.kill('SIGTERM');
  await relay?.exited;
  rmSync(folder, { recursive: true, force: true });
}
