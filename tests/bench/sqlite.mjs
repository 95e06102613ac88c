// What writers pay on SQLite, and how long a commit takes to a websocket. A python3 process writes to a file with no trigger
// and to one with esink and its relay, in turn; medians and their ratios count, not the figures. Both clocks are the
// machine's monotonic one. Two more arms say where the time goes: the triggers with no relay, and the triggers with, in place of
// the relay, a process that does nothing but keep as much of a core busy as the relay did.
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
const files = Object.fromEntries(['none', 'trigger', 'beside', 'esink'].map((name) => [name, join(folder, `${name}.db`)]));
const cpuOf = ({ pid }) => readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]), 0);
// Runs for `share` of each 5 ms.
const busy = (share) => spawn(process.execPath, ['-e', `setInterval(() => { const end = performance.now() + ${5 * share}; while (performance.now() < end); }, 5)`]);
async function start(path) {
  const port = await freePort();
  const relay = new Process({ PORT: String(port), HOST: '127.0.0.1', SQLITE_PATH: path, TABLE_NAMES: 'accounts', NETWORK_THREADS: '1',
    TABLE_AUTH_COLUMN_ROUTING: '{"accounts":"owner"}', LOG_LEVEL: 'debug', RETENTION: process.env.ESINK_BENCH_RETENTION ?? '3s' });
  await until(() => relay.log.includes('capture is live'), () => relay.log);
  return { relay, port };
}
const shares = [];
let relay;
try {
  for (const path of Object.values(files)) await ask('make', path);
  for (const path of [files.trigger, files.beside]) {
    const { relay: installer } = await start(path);
    installer.kill('SIGTERM');
    await installer.exited;
  }
  let port;
  ({ relay, port } = await start(files.esink));
  const results = {};
  for (let round = 0; round < rounds; round++) {
    for (const [what, ...how] of [['synchronous=NORMAL', 'update', 'NORMAL', 3000], ['synchronous=FULL', 'update', 'FULL', 300], ['NORMAL, no statement cache', 'uncached', 'NORMAL', 1500], ['bulk insert', 'bulk', 'NORMAL', 20000]]) {
      const names = ['none', 'trigger', 'esink', 'beside'];
      for (const name of round % 2 ? names.reverse() : names) {
        const other = name === 'beside' ? busy(at(shares, 0.5) ?? 0.1) : undefined;
        const [cpu, time] = [cpuOf(relay.child), performance.now()];
        ((results[what] ??= {})[name] ??= []).push(await ask(how[0], files[name], ...how.slice(1)));
        if (name === 'esink') shares.push((cpuOf(relay.child) - cpu) / 1e6 / (performance.now() - time));
        other?.kill();
      }
    }
  }
  for (const [what, all] of Object.entries(results)) {
    const median = (name, of) => at(all[name].map((one) => one[of]), 0.5), fixed = (n) => n.toFixed(2);
    // Of each round its own ratio, so that what slows the machine for a while slows both.
    const ratio = (name, of) => { const list = all[name].map((one, i) => (of === 'cpu' ? all.none[i].cpu / one.cpu : one.rate / all.none[i].rate)); return `${fixed(at(list, 0.5))} (${fixed(at(list, 0))} to ${fixed(at(list, 1))})`; };
    console.log(`${what}: none ${Math.round(median('none', 'rate'))} a second; to none: esink ${ratio('esink', 'rate')}, triggers alone ${ratio('trigger', 'rate')}, triggers beside a busy process ${ratio('beside', 'rate')};`
      + ` processor time of the writer: ${fixed(median('none', 'cpu'))} us a row, none to it: esink ${ratio('esink', 'cpu')}, triggers alone ${ratio('trigger', 'cpu')}, beside ${ratio('beside', 'cpu')}`);
  }
  console.log(`the relay used ${(100 * at(shares, 0.5)).toFixed(0)} % of a core while it was written to`);
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
  const before = cpuOf(relay.child);
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  console.log(`idle: ${((cpuOf(relay.child) - before) / 1e8).toFixed(3)} % of a core; load average ${readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3).join(' ')}`);
} finally {
  child.stdin.end();
  relay?.kill('SIGTERM');
  await relay?.exited;
  rmSync(folder, { recursive: true, force: true });
}
