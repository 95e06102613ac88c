// Prevents: a committed change that is lost, told twice, or told although it went down with the server, because the database was
// killed at some moment and the relay with it or not; a relay that does not come back by itself. What a server has answered is on
// its disk: they run with fsync.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { generator } from '../e2e/lib/ledger.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { part } from './lib/part.mjs';
import { World, summary } from './lib/world.mjs';

const servers = {
  postgres: { settings: { fsync: 'on', full_page_writes: 'on' } },
  mysql: { settings: { 'innodb-flush-log-at-trx-commit': 1 } },
};

const blows = {
  postgres: async ({ db: { server } }, random, meanwhile) => {
    if (random() < 0.5) await server.halt('immediate');
    else process.kill(Number(readFileSync(join(server.data, 'postmaster.pid'), 'utf8').split('\n')[0]), 'SIGKILL');
    await meanwhile();
    // Orphans notice that their postmaster has gone, and hold its memory until then.
    await until(() => server.resume().then(() => true), 'the server to start again', 30_000);
  },
  mysql: async ({ db: { server } }, random, meanwhile) => {
    await server.halt('SIGKILL');
    await meanwhile();
    await server.resume();
  },
  // There is no server: the processes that write are killed, in the middle of their transactions.
  sqlite: async ({ application }, random, meanwhile) => {
    for (const session of application.sessions) if (random() < 0.7) await session.kill();
    await meanwhile();
  },
};

const run = (name) => async (t, { times, seed }) => {
  const world = await World.make(t, name, { server: servers[name], application: { seed, forgiving: true } });
  const { relay, application } = world, random = generator(seed);
  let both = 0;
  for (let blow = 0; blow < times; blow++) {
    await pause(random() * 1000);
    const before = application.committed;
    await blows[name](world, random, async () => {
      if (random() < 0.3) {
        both++;
        await relay.kill();
        await relay.start({ ready: false });
      }
      await pause(random() * 300);
    });
    if (random() < 0.7) await relay.ready();
    await until(() => application.committed > before + 10, () => `writes to go on: ${JSON.stringify([...application.failures])}`, 60_000);
  }
  return `killed ${times} times, ${both} of them with the relay; ${summary(await world.settle())}`;
};

await part(import.meta, { quick: 4, full: 40 }, ['postgres', 'mysql', 'sqlite'].map((name) => [name, run(name)]));
