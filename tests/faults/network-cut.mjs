// Prevents: a network between relay and database, or relay and clients, that falls silent, comes back, refuses or turns thin, and
// over which something is lost or told twice, somebody waits for ever, or the application's writes fail or wait: the writers are on
// the database's side of the cut.
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { generator } from '../e2e/lib/ledger.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { Network } from './lib/network.mjs';
import { part } from './lib/part.mjs';
import { World, summary } from './lib/world.mjs';

// How each server is made to take the relay from over there, and how the relay is told where it is.
const ways = {
  postgres: {
    server: { settings: { listen_addresses: "'*'" } },
    async open({ db }) {
      appendFileSync(join(db.server.data, 'pg_hba.conf'), 'host all all 10.0.0.0/8 trust\n');
      await db.query('SELECT pg_reload_conf()');
    },
    connect: (db, host) => ({ POSTGRES_DATABASE_URL: `postgresql://postgres@${host}:${db.server.port}/${db.name}` }),
  },
  mysql: {
    server: { settings: { 'bind-address': '0.0.0.0' } },
    open: ({ db }) => db.query("CREATE USER root@'10.%'; GRANT ALL ON *.* TO root@'10.%' WITH GRANT OPTION"),
    connect: (db, host) => ({ MYSQL_HOST: host }),
  },
  sqlite: { open() {}, connect: () => ({}) },
};

// What is done to the cable; each ends with the network as it should be.
const harms = [
  async ({ network, what, random }) => { // silent for a moment, or for longer than any patience
    await network.cut(what);
    await pause(random() < 0.5 ? random() * 1000 : 2000 + random() * 5000);
    await network.heal(what);
  },
  async ({ network, what, random }) => { // and what was there is gone afterwards
    await network.cut(what);
    await pause(random() * 3000);
    await network.refuse(what, async () => {
      await network.heal(what);
      await pause(500 + random() * 1000);
    });
  },
  async ({ network, what, random }) => { // resets out of the blue
    await network.refuse(what, () => pause(random() * 500));
  },
  async ({ network, what, random }) => { // thin
    await network.thin(what, 300);
    await pause(1000 + random() * 3000);
    await network.thick(what);
  },
];

const run = (name, what) => async (t, { times, seed }) => {
  const network = Network.make(t);
  if (network.missing) return { skipped: network.missing };
  const way = ways[name], random = generator(seed), kept = process.env.ESINK_BINARY;
  process.env.ESINK_BINARY = network.binary(t);
  t.defer(() => { if (kept === undefined) delete process.env.ESINK_BINARY; else process.env.ESINK_BINARY = kept; });
  const world = await World.make(t, name, {
    server: way.server, host: network.cables.users.there, application: { seed },
    env: { HEARTBEAT_INTERVAL: '1s', HEARTBEAT_TIMEOUT: '3s', POSITION_INTERVAL: '1s', SLOW_TIMEOUT: '4s', RETENTION: '30s' },
    silence: 6000, // ms after which a client takes its connection for dead
    async prepare(all) {
      await way.open(all);
      return { env: way.connect(all.db, network.cables.db.here) };
    },
  });
  for (let n = 0; n < times; n++) {
    await pause(random() * 1000);
    await harms[n % harms.length]({ network, what, random });
    if (random() < 0.5) await world.relay.ready();
  }
  const noticed = () => world.relay.log.split('capture is away').length - 1;
  if (what === 'db') { // the last one is as long as it takes: the others may all have been too short
    const before = noticed();
    await network.cut(what);
    await until(() => noticed() > before, () => `the relay to notice that the database is silent: was anything cut? ${world.relay.log.slice(-2000)}`, 30_000);
    await network.heal(what);
  }
  return `cut ${times} times${what === 'db' ? ` and once for long, ${noticed()} noticed` : ''}; ${summary(await world.settle())}`;
};

await part(import.meta, { quick: 4, full: 24 }, [['postgres', 'db'], ['mysql', 'db'], ['postgres', 'users'], ['sqlite', 'users']]
  .map(([name, what]) => [`${name}, ${what === 'db' ? 'relay to database' : 'relay to clients'}`, run(name, what)]));
