// Prevents: a disk that fills under the database and leaves changes that are never told, or told although they were rolled back; a
// relay that ends, turns, or does not go on by itself when there is room again. The application's own writes fail while the disk is
// full: that is the database's answer, with or without esink.
import { setTimeout as pause } from 'node:timers/promises';
import { generator } from '../e2e/lib/ledger.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { cpu } from '../e2e/lib/health.mjs';
import { part } from './lib/part.mjs';
import { Volume } from './lib/volume.mjs';
import { World, summary } from './lib/world.mjs';

// The least of a server, so that a volume of some megabytes is soon full.
const servers = {
  postgres: { settings: { fsync: 'on', min_wal_size: '32MB', max_wal_size: '48MB', wal_recycle: 'off', wal_init_zero: 'off' } },
  mysql: { settings: { 'innodb-log-file-size': '4M', 'innodb-flush-log-at-trx-commit': 1, 'innodb-temp-data-file-path': 'ibtmp1:4M:autoextend' } },
};
const megabytes = { postgres: 320, mysql: 256, sqlite: 16 };

// A server that cannot write its log ends itself.
const revive = {
  async postgres({ db }) {
    await db.server.halt('immediate').catch(() => {});
    await until(() => db.server.resume().then(() => true), 'the server to start again', 30_000);
  },
  async mysql({ db }) {
    await db.server.halt('SIGKILL');
    await db.server.resume();
  },
};

const run = (name) => async (t, { times, seed }) => {
  const volume = Volume.make(t, megabytes[name]);
  if (volume.missing) return { skipped: volume.missing };
  const kept = process.env.TMPDIR, random = generator(seed);
  process.env.TMPDIR = volume.path; // where the libraries put a database
  let world;
  try {
    world = await World.make(t, name, { server: servers[name], application: { seed, forgiving: true }, env: { RETENTION: '30s' } });
  } finally {
    if (kept === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = kept;
  }
  const { relay, application, db } = world;
  const failures = () => [...application.failures.values()].reduce((sum, n) => sum + n, 0);
  let refused = 0, spared = 0;
  for (let n = 0; n < times; n++) {
    const before = failures(), spent = cpu(relay), begun = Date.now();
    volume.fill(random() < 0.5 ? 0 : Math.floor(random() * 1e6));
    // Where a server has pages of its own to spare, its writes succeed for a while.
    const refusing = () => {
      volume.fill();
      return failures() > before + 5;
    };
    await until(refusing, 'writes to fail', 5000).catch(() => { spared++; });
    if (random() < 0.3) {
      await relay.kill();
      await relay.start({ ready: false });
    } else {
      await pause(random() * 3000);
      const share = (cpu(relay) - spent) / (Date.now() - begun);
      if (share > 0.8) throw new Error(`the relay turns while the disk is full: ${Math.round(share * 100)} % of a processor`);
    }
    refused += failures() - before;
    volume.empty();
    const done = application.committed;
    await until(() => application.committed > done + 20, 'writes to succeed', 5000).catch(async () => {
      await revive[name]?.(world);
      await until(() => application.committed > done + 20, () => `writes to succeed; ${JSON.stringify([...application.failures].slice(-3))}`, 60_000);
    });
    await db.query('SELECT 1').catch(() => {});
    // It may also end itself when it has taken writes for a while.
    await relay.ready().catch(async (error) => {
      if (!revive[name] || await db.query('SELECT 1').then(() => true, () => false)) throw error;
      await revive[name](world);
      await relay.ready();
    });
  }
  if (spared === times) throw new Error('no write ever failed: that proves nothing');
  return `full ${times} times, ${refused} writes refused; ${summary(await world.settle())}`;
};

await part(import.meta, { quick: 2, full: 10 }, ['postgres', 'mysql', 'sqlite'].map((name) => [name, run(name)]));
