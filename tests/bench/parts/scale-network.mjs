// How the cost of a delivery grows with the number of connections and with the size of what is sent: 1, 10, 100 and 1,000 times.
import { median, rowsOf } from '../lib/rows.mjs';
import { contest, only } from '../network/contest.mjs';
import { packages as ofServers } from '../network/servers.mjs';

export const title = 'a delivery\'s cost by number of connections and size of the event';
export const packages = ofServers;

const names = ['esink', 'raw', 'nchan', 'ws', 'nats'];
const count = (n) => n.toLocaleString('en-US');

// steps: [[x, { n, size }], ..]
async function series(steps, work, { quick, ...rest }) {
  const rows = [], lines = Object.fromEntries(names.map((who) => [who, []]));
  for (const [x, { n, size }] of steps) {
    const words = { size, seconds: quick ? 0.2 : 1 };
    const { single } = await contest({ ...rest, names, how: 'websocket', n, works: [{ name: 'single', words }] });
    const cpu = only(single, 'cpu');
    rows.push(...rowsOf(work(x), 'us of CPU per delivery', cpu, { to: { esink: ['raw'] } }));
    for (const who of names) lines[who].push([x, median(cpu[who])]);
  }
  return { rows, series: names.map((who) => ({ who, points: lines[who] })) };
}

export async function run({ binary, folder, tools, rounds, quick, say }) {
  const settings = { quick, rounds: quick ? rounds : Math.min(rounds, 5), say, options: { binary, folder, tools } };
  const crowds = quick ? [10, 100] : [10, 100, 1000, 10_000], sizes = quick ? [200, 2000] : [200, 2000, 20_000, 200_000];
  const byCrowd = await series(crowds.map((n) => [n, { n, size: 200 }]), (n) => `${count(n)} websockets, events with a text of 200 bytes`, settings);
  const bySize = await series(sizes.map((size) => [size, { n: 100, size }]), (size) => `events to 100 websockets with a text of ${count(size)} bytes`, settings);
  return {
    rounds: settings.rounds,
    rows: [...byCrowd.rows, ...bySize.rows],
    notes: ['Single events, the next one when every client has the one before, as in `fanout`. With few connections the fixed cost of an event shows: for esink that is waking up, reading the database and its tick.'],
    charts: [
      { name: 'scale-connections', title: 'us of CPU per delivery by number of websockets', kind: 'lines', x: { label: 'websockets' }, y: { label: 'us of CPU per delivery' }, series: byCrowd.series },
      { name: 'scale-payload', title: 'us of CPU per delivery by size of the event, 100 websockets', kind: 'lines', x: { label: 'bytes' }, y: { label: 'us of CPU per delivery' }, series: bySize.series },
    ],
  };
}
