// How fast clients get in: connected, upgraded, let in and subscribed, a hundred at a time, then cut. A server that restarts meets all its
// clients at once.
import { above, interleave, rowsOf } from '../lib/rows.mjs';
import { only } from '../network/contest.mjs';
import { Load } from '../network/load.mjs';
import { cpuOf } from '../network/process.mjs';
import { packages as ofServers, startServer } from '../network/servers.mjs';
import { until } from '../../e2e/lib/wait.mjs';

export const title = 'handshakes a second, with and without a token';
export const packages = ofServers;

const contenders = {
  'esink, websocket alone': ['esink', 'upgrade'],
  'esink, JSON Web Token': ['esink', 'websocket'],
  'esink, JSON Web Token of RS256': ['esink', 'websocket', 'RS256'],
  'esink, JSON Web Token of ES256': ['esink', 'websocket', 'ES256'],
  'esink, token of the table': ['esink', 'table'],
  'esink, Socket.IO with JSON Web Token': ['esink', 'socketio'],
  raw: ['raw', 'websocket'],
  nchan: ['nchan', 'websocket'],
  ws: ['ws', 'websocket'],
  nats: ['nats', 'websocket'],
  'socket.io': ['socket.io', 'socketio'],
};

// The processor's time goes on to be used after a reset: the next one begins when that is over.
async function quiet(pid) {
  let last = 0;
  await until(() => {
    const now = cpuOf(pid), same = now - last < 500_000;
    last = now;
    return same;
  }, 'the server to have nothing to do', 60_000);
}

// A token that was verified once is remembered: they are fresh ones, so that each is verified.
async function measure(contender, n) {
  const { server, load, how } = contender, before = cpuOf(server.pid);
  const { ns } = await load.open({ n, port: server.port, first: contender.used, ...server.how[how] });
  contender.used += n;
  const used = cpuOf(server.pid) - before;
  await load.ask('drop');
  await quiet(server.pid);
  return { rate: n / (ns / 1e9), cpu: used / n / 1e3 };
}

export async function run({ binary, folder, tools, rounds, quick, say }) {
  const n = quick ? 500 : 5000, running = {}, names = Object.keys(contenders);
  try {
    for (const name of names) {
      const [who, how, alg] = contenders[name];
      running[name] = { who, how, used: 0, load: new Load(tools), server: await startServer(who, { binary, folder, tools, alg, connections: n, n: n * (rounds + 1) }) };
      await measure(running[name], 500); // what is made once
    }
    const results = await interleave(rounds, names, (name) => measure(running[name], n));
    for (const name of names) say(`${name}: ${results[name].map(({ rate }) => rate.toFixed(0)).join(' ')} a second`);
    const goal = { 'esink, websocket alone': [above(20_000, 'a second')], 'esink, JSON Web Token': [above(20_000, 'a second')] };
    const work = `${n.toLocaleString('en-US')} clients, 100 at a time`;
    return {
      rows: [...rowsOf(work, 'handshakes/s', only(results, 'rate'), { targets: goal }), ...rowsOf(`${work}: processor time`, 'us of CPU per handshake', only(results, 'cpu'))],
      notes: [
        'A JSON Web Token is of HS256 where nothing else is said. Each is a fresh one, so that its signature is checked; keys are of 2,048 bits and of P-256.',
        'From the first connect() until the last client is subscribed; server on one core, clients on the other. `raw` answers with a fixed head. nchan, ws and nats let everybody in; a nats client also says CONNECT and SUB, a Socket.IO one CONNECT.',
      ],
    };
  } finally {
    for (const { server, load } of Object.values(running)) {
      await load.stop();
      await server.stop();
    }
  }
}
