// Prevents: a token table that is locked, so that look-ups hang, and that shuts out, slows or ends those who have nothing to do with
// it; sessions of before that lose anything over a re-check that cannot be made; logins that never get an answer; somebody whose
// token was withdrawn meanwhile and who stays.
import { generator } from '../e2e/lib/ledger.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { part } from './lib/part.mjs';
import { World, summary } from './lib/world.mjs';

// What locks it, and lets go. An SQLite file has one lock for all that is written: there readers never wait for writers, and what
// hangs is everything that writes, and the application's writes may run out of their patience.
const locks = {
  postgres: ['BEGIN; LOCK TABLE auth IN ACCESS EXCLUSIVE MODE', 'COMMIT'],
  mysql: ['LOCK TABLES auth WRITE', 'UNLOCK TABLES'],
  sqlite: ['BEGIN EXCLUSIVE; UPDATE auth SET id = id', 'COMMIT'],
};

const run = (name) => async (t, { times, seed }) => {
  const world = await World.make(t, name, { application: { seed, forgiving: name === 'sqlite' }, env: { AUTH_RECHECK: '1s', LIVE_TIMEOUT: '2s', STATEMENT_TIMEOUT: '1s' } });
  const { relay, db, listeners } = world, random = generator(seed);
  const locker = await db.connect();
  let refused = 0, slowest = 0;
  for (let n = 0; n < times; n++) {
    // Half of the users stay, the others go and knock again and again.
    const goers = listeners.all.filter((one, i) => (i + n) % 2 && one.who !== 'operator');
    const stayers = listeners.all.filter((one) => !goers.includes(one));
    const losses = () => stayers.reduce((sum, one) => sum + one.losses, 0);
    const before = losses(), errors = () => listeners.all.reduce((sum, one) => sum + (one.errors.get(503) ?? 0), 0);
    const told = errors();
    await locker.query(locks[name][0]);
    for (const one of goers) one.vanish(0);
    const end = Date.now() + 1000 + random() * 3000;
    while (Date.now() < end) {
      if (name === 'sqlite') { // nobody can write a fence
        await relay.get('/ping');
        continue;
      }
      const begun = Date.now(), fence = await db.fence();
      await until(() => stayers.every((one) => one.fence >= fence), () => `those with a session to hear at once; ${stayers.find((one) => one.fence < fence)?.state()}; ${relay.log.slice(-2000)}`, 10_000);
      slowest = Math.max(slowest, Date.now() - begun);
    }
    refused += errors() - told;
    await locker.query(locks[name][1]);
    if (losses() > before) throw new Error(`${losses() - before} sessions that had nothing to ask ended; ${relay.log.slice(-2000)}`);
    await until(() => goers.every((one) => one.live), 'all to come back', 30_000);
  }
  return `locked ${times} times, ${refused} logins told 503, an event took ${slowest} ms at most; ${summary(await world.settle())}`;
};

await part(import.meta, { quick: 2, full: 20 }, ['postgres', 'mysql', 'sqlite'].map((name) => [name, run(name)]));
