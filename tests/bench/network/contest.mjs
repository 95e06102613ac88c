// One work after the other by all servers in turn, round by round, each with its own crowd of clients, which stay connected. What a
// server is told in a round: { cpu: us per delivery, rate: deliveries a second, p50, p99: ms from the publisher's write to the client,
// bytes: of a delivery }.
import { interleave } from '../lib/rows.mjs';
import { Load } from './load.mjs';
import { cpuOf } from './process.mjs';
import { startServer } from './servers.mjs';

export async function entrant(who, how, n, options) {
  const server = await startServer(who, { ...options, n }), load = new Load(options.tools);
  try {
    const opened = await load.open({ n, port: server.port, ...server.how[how] });
    await load.ask('publisher', server.publisher);
    if (how !== 'user') await load.warm();
    return { ...server, load, opened, stop: async () => { await load.stop(); await server.stop(); } };
  } catch (error) {
    await load.stop();
    await server.stop();
    throw error;
  }
}

export async function measure({ pid, load }, words) {
  const before = cpuOf(pid), answer = await load.run(words), used = cpuOf(pid) - before;
  return { cpu: used / answer.events / 1e3, rate: answer.events / (answer.ns / 1e9), p50: answer.p50 / 1e6, p99: answer.p99 / 1e6,
    bytes: answer.bytes / answer.events };
}

// What esink's message of a row has beyond the row's text: id, table, type, time, which any relay has to tell. The others' texts are
// that much longer.
async function envelopeOf(options) {
  const esink = await entrant('esink', 'websocket', 1, options);
  try {
    return Math.round((await measure(esink, { seconds: 0.05, size: 200 })).bytes) - 4 - 200;
  } finally {
    await esink.stop();
  }
}

// works: [{ name, who: [..], words }], by those `who` that take part; how: how they subscribe. Returns { name: { who: [rounds' values] } }.
export async function contest({ names, how, n, works, rounds, options, say }) {
  const entrants = {}, results = {};
  const envelope = await envelopeOf(options);
  try {
    for (const who of names) {
      entrants[who] = await entrant(who, how, n, options);
      say(`${n} clients of ${who} (${how}): ${(entrants[who].opened.ns / 1e6).toFixed(0)} ms`);
    }
    for (const { name, words } of works) {
      results[name] = await interleave(rounds, names, (who) => measure(entrants[who], { ...words, size: words.size + (who === 'esink' ? 0 : envelope) }));
      for (const who of names) say(`${name}, ${who}: ${results[name][who].map(({ cpu }) => cpu.toFixed(3)).join(' ')} us`);
    }
    return results;
  } finally {
    for (const one of Object.values(entrants)) await one.stop();
  }
}

// Of { who: [rounds' values] } one of the values.
export const only = (results, key) => Object.fromEntries(Object.entries(results).map(([who, all]) => [who, all.map((values) => values[key])]));
