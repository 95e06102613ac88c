// What a delivery costs. Everybody sends messages of the same length to the same number of clients, on one core; a message is
// published when all clients have the one before, or faster than they can be sent. The limit is `raw`: the same bytes, made
// before, with one send() a connection.
import { above, atMost, below, rowsOf } from '../lib/rows.mjs';
import { contest, only } from '../network/contest.mjs';
import { packages as ofServers } from '../network/servers.mjs';

export const title = 'what a delivery costs: broadcast, bursts, routed, beside nchan, ws, socket.io, nats and raw send()';
export const packages = ofServers;

const all = ['esink', 'raw', 'nchan', 'ws', 'nats', 'socket.io'];
const cpu = 'us of CPU per delivery';
const count = (n) => n.toLocaleString('en-US');

const peers = [atMost(0.9, 'nchan'), atMost(0.7, 'ws'), atMost(0.7, 'nats'), atMost(0.6, 'socket.io')];
const cheaper = { what: 'at least 40 times cheaper than nchan', met: (row) => row.to('nchan') <= 1 / 40 };

function table(work, metric, results, key, targets = []) {
  return rowsOf(work, metric, only(results, key), { to: { esink: Object.keys(results).filter((who) => who !== 'esink') }, targets: { esink: targets } });
}

const bars = (rows, label) => ({ label, bars: rows.map(({ who, value, low, high }) => ({ who, value, low, high })) });

async function broadcasts(n, { quick, ...rest }, charts) {
  const words = { size: 200, seconds: quick ? 0.3 : 1.5 };
  const works = [{ name: 'single', words }, { name: 'burst', words: { ...words, burst: 100 } }];
  if (n === 1000 || quick) works.push({ name: 'flood', words: { ...words, window: 64 } });
  const { single, burst, flood } = await contest({ ...rest, names: all, how: 'websocket', n, works });
  const large = n >= 1000;
  const one = `broadcast of single events to ${count(n)} websockets`, hundred = `broadcast of bursts of 100 events to ${count(n)} websockets`;
  const rows = [
    ...table(one, cpu, single, 'cpu', large ? [atMost(1.15, 'raw'), ...peers] : []),
    ...table(hundred, cpu, burst, 'cpu', large ? [atMost(1.5, 'raw'), cheaper] : []),
    ...table(`${one}: p50`, 'ms', single, 'p50'),
    ...table(`${one}: p99`, 'ms', single, 'p99'),
  ];
  charts.single.push(bars(rows.filter(({ work, metric }) => work === one && metric === cpu), `${count(n)} websockets`));
  charts.burst.push(bars(rows.filter(({ work, metric }) => work === hundred && metric === cpu), `${count(n)} websockets`));
  if (flood) rows.push(...table(`single events to ${count(n)} websockets as fast as they go`, 'deliveries/s', flood, 'rate', [above(200_000, 'deliveries/s')]));
  return rows;
}

async function routed(n, { quick, ...rest }) {
  const rate = quick ? 200 : 2000, words = { size: 200, seconds: quick ? 0.3 : 2, routed: true, rate, burst: 25 };
  const { one } = await contest({ ...rest, names: all, how: 'user', n, works: [{ name: 'one', words }] });
  const work = `${count(rate * 25)} events a second, each to one of ${count(n)} users, 25 a transaction`;
  return [...table(work, cpu, one, 'cpu', [below(16, 'us')]), ...table(`${work}: p50`, 'ms', one, 'p50', [below(1, 'ms')]), ...table(`${work}: p99`, 'ms', one, 'p99')];
}

async function other(how, names, title, n, { quick, ...rest }, targets) {
  const words = { size: 200, seconds: quick ? 0.3 : 1.5 };
  const works = [{ name: 'single', words }, { name: 'burst', words: { ...words, burst: 100 } }];
  const { single, burst } = await contest({ ...rest, names, how, n, works });
  return [...table(`broadcast of single events to ${count(n)} ${title}`, cpu, single, 'cpu', targets.single),
    ...table(`broadcast of bursts of 100 events to ${count(n)} ${title}`, cpu, burst, 'cpu', targets.burst)];
}

export async function run({ binary, folder, tools, rounds, quick, say }) {
  const settings = { quick, rounds, say, options: { binary, folder, tools } }, rows = [], charts = { single: [], burst: [] };
  for (const n of quick ? [100] : [100, 1000, 10_000]) rows.push(...await broadcasts(n, settings, charts));
  rows.push(...await routed(quick ? 1000 : 10_000, settings));
  const n = quick ? 100 : 1000;
  rows.push(...await other('sse', ['esink', 'nchan'], 'event streams', n, settings, { single: [atMost(0.9, 'nchan')], burst: [cheaper] }));
  rows.push(...await other('socketio', ['esink', 'socket.io'], 'Socket.IO clients (websocket)', n, settings, { single: [atMost(0.6, 'socket.io')], burst: [] }));
  return {
    rows,
    notes: [
      'An event is a row with a text of 200 bytes. esink\'s message of it has 380, with id, table, type, time; all others send as many, with nothing to make of them. To a Socket.IO client esink sends each event twice, named after its table and as `changes`; the others send it once.',
      'The server has one core, the clients and the writer the other. CPU is that of all its threads, capture, reading the database and waking up included. esink\'s events are rows that another process commits to an SQLite file, the others\' come by a local connection in the cheapest way that each has.',
      'Single events: the next one is published when every client has the one before. As fast as they go: 64 events are on the way; esink and nats then send what has gathered as one.',
      'socket.io is reached by Socket.IO clients in every row, nats by NATS over websocket.',
      'Every client counts what it gets: a missing, repeated or misplaced event would have ended the run.',
    ],
    charts: [
      { name: 'fanout-single', title: 'Broadcast of single events: us of CPU per delivery', kind: 'bars', unit: 'us', groups: charts.single },
      { name: 'fanout-burst', title: 'Bursts of 100 events: us of CPU per delivery', kind: 'bars', unit: 'us', groups: charts.burst },
    ],
  };
}
