// Prevents: a clock that is set, by hours or by a second, forwards or back, of the relay's machine, of the database's, or of both, and
// over which events are lost or told again, sessions end, tokens are taken for expired, the journal is emptied, or the relay turns or
// stops to look. The clock is libfaketime's, which reads an offset from a file all the while; the monotonic clock goes on, as it does.
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { cpu, sanitized } from '../e2e/lib/health.mjs';
import { generator } from '../e2e/lib/ledger.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { part } from './lib/part.mjs';
import { World, summary } from './lib/world.mjs';

const library = readdirSync('/usr/lib').map((dir) => `/usr/lib/${dir}/faketime/libfaketime.so.1`).find(existsSync);

class Clock {
  constructor(t) {
    const folder = mkdtempSync(join(tmpdir(), 'esink-clock-'));
    chmodSync(folder, 0o755);
    t.defer(() => rmSync(folder, { recursive: true, force: true }));
    this.file = join(folder, 'offset');
    this.set(0);
    this.env = { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: this.file, FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_CACHE_DURATION: '1', FAKETIME_DONT_RESET: '1' };
  }

  // Seconds away from the machine's clock. Renamed, for a reader must not find half of it.
  set(seconds) {
    this.seconds = seconds;
    writeFileSync(`${this.file}.new`, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}\n`);
    chmodSync(`${this.file}.new`, 0o644);
    renameSync(`${this.file}.new`, this.file);
  }
}

const run = (name, whose) => async (t, { times, seed }) => {
  if (sanitized()) return { skipped: 'a sanitizer wants to be loaded first' };
  if (!library) return { skipped: 'no libfaketime here: install libfaketime' };
  const clock = new Clock(t), random = generator(seed);
  const ours = whose !== 'database' ? clock.env : {};
  const theirs = whose !== 'relay' ? clock.env : {};
  // Writers of an SQLite file are processes that take our environment.
  if (name === 'sqlite') {
    Object.assign(process.env, theirs);
    t.defer(() => { for (const key of Object.keys(theirs)) delete process.env[key]; });
  }
  const world = await World.make(t, name, { server: { env: theirs }, application: { seed }, env: { RETENTION: '30d', AUTH_RECHECK: '2s', POSITION_INTERVAL: '1s', HEARTBEAT_INTERVAL: '1s', HEARTBEAT_TIMEOUT: '5s', ...ours } });
  const { relay, db, listeners } = world;
  let seen = 0, slowest = 0;
  for (let n = 0; n < times; n++) {
    const losses = listeners.sum('losses'), spent = cpu(relay), from = Date.now();
    const size = [0.7, 30, 3600, 86_400 * 3][Math.floor(random() * 4)];
    clock.set(n % 2 ? 0 : random() < 0.5 ? size : -size);
    await pause(1000 + random() * 2000);
    const begun = Date.now();
    await listeners.passed(await db.fence(), 15_000);
    slowest = Math.max(slowest, Date.now() - begun);
    await relay.ready();
    if (listeners.sum('losses') > losses) throw new Error(`${listeners.sum('losses') - losses} sessions ended when the clock was set by ${clock.seconds} s; ${relay.log.slice(-2000)}`);
    const share = (cpu(relay) - spent) / (Date.now() - from);
    if (share > 0.9) throw new Error(`the relay turns: ${Math.round(share * 100)} % of a processor, the clock is ${clock.seconds} s away`);
    seen++;
    if (random() < 0.4) { // those who come back, and a relay that starts, by the new time
      for (const one of listeners.all) if (random() < 0.5) one.vanish(random() * 300);
      if (random() < 0.5) {
        await relay.kill();
        await relay.start();
      }
      await until(() => listeners.all.every((one) => one.live), 'all to come back', 30_000);
    }
  }
  const real = listeners.all.length && await offset(db, name);
  if (theirs.LD_PRELOAD && Math.abs(real - clock.seconds) > 5) throw new Error(`the database's clock was not ours: ${real} s away, not ${clock.seconds}`);
  clock.set(0);
  return `set ${seen} times by up to three days, an event took ${slowest} ms at most; ${summary(await world.settle())}`;
};

const clockOf = { postgres: 'SELECT extract(epoch FROM clock_timestamp()) AS now', mysql: 'SELECT UNIX_TIMESTAMP(NOW(3)) AS now', sqlite: "SELECT (julianday('now') - 2440587.5) * 86400 AS now" };

// Seconds that the database's clock is away from ours.
async function offset(db, name) {
  return Number((await db.query(clockOf[name])).rows[0].now) - Date.now() / 1000;
}

await part(import.meta, { quick: 5, full: 31 }, [['postgres', 'relay'], ['postgres', 'database'], ['postgres', 'both'], ['mysql', 'both'], ['sqlite', 'relay'], ['sqlite', 'both']]
  .map(([name, whose]) => [`${name}, of ${whose === 'both' ? whose : `the ${whose}`}`, run(name, whose)]));
