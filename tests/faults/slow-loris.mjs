// Prevents: thousands of connections that say what they have to say one byte at a time, or nothing, and that keep the places, the
// memory or the processor from those who are served, or that are never ended.
import { cpu, fds, rss, sanitized } from '../e2e/lib/health.mjs';
import { generator } from '../e2e/lib/ledger.mjs';
import { trickle } from '../e2e/lib/trickle.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { setTimeout as pause } from 'node:timers/promises';
import { part } from './lib/part.mjs';
import { World, summary } from './lib/world.mjs';

const unfinished = ['', 'G', 'GET /ws?token=a HTTP/1.1\r\nX-', 'GET /stream?token=a HTTP/1.1\r\nHost: x\r\nX-', 'POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n{',
  'GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX-', 'POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\nx'];
const handshake = 4; // seconds

const run = (name) => async (t, { times, seed }) => {
  const world = await World.make(t, name, { application: { seed }, env: { HANDSHAKE_TIMEOUT: `${handshake}s`, LOG_LEVEL: 'warn', MAX_CONNECTIONS: String(times + 1000) } });
  const { relay, db, listeners } = world, random = generator(seed);
  const before = { fds: fds(relay), rss: rss(relay) };
  const slow = [], begun = Date.now();
  const spent = cpu(relay);
  let most = 0, slowest = 0;
  // A crowd of `times` at once; who is ended is replaced, until the time of three handshakes is over.
  let over = false;
  const crowd = (async () => {
    while (!over) {
      const missing = Math.min(times - slow.filter((one) => !one.closed).length, times * 3 - slow.length, 50);
      for (let i = 0; i < missing; i++) slow.push(trickle(t, relay.port, unfinished[slow.length % unfinished.length], 'abcdefgh', 500 + random() * 1000));
      await pause(10); // the users live in the same process
    }
  })();
  while (Date.now() - begun < handshake * 3000) {
    over ||= Date.now() - begun > handshake * 2000;
    const from = Date.now();
    await listeners.passed(await db.fence(), 20_000);
    const one = listeners.all[Math.floor(random() * listeners.all.length)];
    one.vanish(0); // a new client, too, is served
    await until(() => one.live, () => `a new session among them: ${one.state()}`, 20_000);
    slowest = Math.max(slowest, Date.now() - from);
    most = Math.max(most, fds(relay) - before.fds);
  }
  await crowd;
  const share = Math.round((cpu(relay) - spent) / (Date.now() - begun) * 100);
  await until(() => slow.every((one) => one.closed), () => `the end of all; ${slow.filter((one) => !one.closed).length} are left`, handshake * 5000);
  const grown = Math.round(rss(relay) - before.rss);
  if (most < times * 0.5) throw new Error(`${most} of ${times} were there at once: that proves nothing`);
  if (slowest > 3000) throw new Error(`an event and a new session took ${slowest} ms`);
  if (!sanitized() && grown > 20 + times * 0.02) throw new Error(`${grown} MB are left`);
  await until(() => fds(relay) <= before.fds + 8, () => `${fds(relay)} descriptors, ${before.fds} before`);
  return `${slow.length} of them, ${most} at once, ${share} % of a processor; event and new session within ${slowest} ms, ${grown} MB left; ${summary(await world.settle())}`;
};

await part(import.meta, { quick: 1000, full: 5000 }, ['postgres', 'mysql', 'sqlite'].map((name) => [name, run(name)]));
