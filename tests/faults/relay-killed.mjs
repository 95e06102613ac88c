// Prevents: a change that is lost, told twice, in another order or to somebody else because the relay was killed (-9) at some
// moment: while it drains, delivers, starts, installs, or takes back its clients; a write that fails or waits over it.
import { setTimeout as pause } from 'node:timers/promises';
import { generator } from '../e2e/lib/ledger.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { part } from './lib/part.mjs';
import { World, summary } from './lib/world.mjs';

// The journal is cut short all the while. A Socket.IO client whose connection ends in the middle of its upgrade finds out by its ping
// timeout, 45 s by default, which is longer than that.
const env = { RETENTION: '60s', SOCKETIO_PING_INTERVAL: '2s', SOCKETIO_PING_TIMEOUT: '2s' };

const run = (name) => async (t, { times, seed }) => {
  const world = await World.make(t, name, { application: { seed }, env });
  const { relay } = world, random = generator(seed);
  let early = 0;
  for (let kill = 0; kill < times; kill++) {
    await pause(random() * 400);
    await relay.kill();
    if (random() < 0.2) {
      // And again, anywhere on its way up.
      relay.start({ ready: false }).catch(() => {});
      await pause(random() * 60);
      await relay.kill();
      early++;
    }
    await relay.start({ ready: random() < 0.6 });
    // Nobody may be away for longer than the journal reaches, however slow the machine: an EventSource tries every two seconds only.
    if (kill % 10 === 9) await until(() => world.listeners.all.every((one) => one.live), 'everybody to be back', 45_000);
  }
  return `killed ${times} times, ${early} more while starting; ${summary(await world.settle())}`;
};

await part(import.meta, { quick: 8, full: 200 }, ['postgres', 'mysql', 'sqlite'].map((name) => [name, run(name)]));
