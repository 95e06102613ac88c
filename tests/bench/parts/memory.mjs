// What an idle connection holds: PSS of the server's processes, with and without so many clients that have subscribed and been quiet since.
import { below, interleave, rowsOf } from '../lib/rows.mjs';
import { Load } from '../network/load.mjs';
import { memoryOf } from '../network/process.mjs';
import { packages as ofServers, startServer } from '../network/servers.mjs';
import { until } from '../../e2e/lib/wait.mjs';

export const title = 'kB that an idle connection holds';
export const packages = ofServers;

// Until it no longer changes: ten looks in a row.
async function settled(pid) {
  let last = 0, same = 0;
  await until(() => {
    const now = memoryOf(pid);
    same = Math.abs(now - last) < 65_536 ? same + 1 : 0;
    last = now;
    return same >= 10;
  }, 'the memory to settle', 60_000);
  return last;
}

async function measure(who, how, n, { tools, ...options }) {
  const server = await startServer(who, { ...options, tools, n }), load = new Load(tools);
  try {
    // One before: what the first connection of a process makes stays for all.
    await load.open({ n: 1, port: server.port, ...server.how[how] });
    await load.ask('drop');
    const before = await settled(server.pid);
    await load.open({ n, port: server.port, ...server.how[how] });
    return Math.max(0, (await settled(server.pid) - before) / n / 1024);
  } finally {
    await load.stop();
    await server.stop();
  }
}

export async function run({ binary, folder, tools, rounds, quick, say }) {
  const n = quick ? 1000 : 10_000, options = { binary, folder, tools }, rows = [], few = Math.min(rounds, 3);
  for (const [how, names, what] of [['websocket', ['esink', 'raw', 'nchan', 'ws', 'nats'], 'websockets'], ['sse', ['esink', 'nchan'], 'event streams'],
    ['socketio', ['esink', 'socket.io'], 'Socket.IO clients (websocket)']]) {
    const results = await interleave(few, names, (who) => measure(who, how, n, options));
    for (const who of names) say(`${what}, ${who}: ${results[who].map((kB) => kB.toFixed(2)).join(' ')} kB`);
    rows.push(...rowsOf(`${n.toLocaleString('en-US')} idle ${what}`, 'kB per connection', results,
      { to: { esink: names.filter((who) => who !== 'esink' && who !== 'raw') }, targets: { esink: how === 'websocket' ? [below(2.5, 'kB')] : [] } }));
  }
  return { rounds: few, rows, notes: [
    'Of the process; the kernel\'s part of a connection is the same for all. esink\'s clients have a JSON Web Token each, of a user each; the others\' have none. nats counts a subscription, `raw` keeps nothing but the number of the socket.',
  ] };
}
