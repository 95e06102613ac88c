// What coming back costs. A storm: all clients are cut at one moment while events go on, and come back with the position that each had;
// how long until the last is back, and until nobody lacks anything. Then one client that missed 10,000 events, which a relay that has
// just started must read from the journal, on each database: from its request to the last of them.
import { connect } from 'node:net';
import { databaseOf } from '../../e2e/lib/databases.mjs';
import { Scope } from '../../e2e/lib/harness.mjs';
import { startRelay } from '../../e2e/lib/relay.mjs';
import { until } from '../../e2e/lib/wait.mjs';
import { series } from '../../e2e/source/suite.mjs';
import WebSocket from '../../e2e/node_modules/ws/wrapper.mjs';
import { rowOf } from '../lib/rows.mjs';
import { entrant } from '../network/contest.mjs';
import { packages as ofServers } from '../network/servers.mjs';

export const title = 'reconnecting: a storm of clients that resume, and one that missed much';
export const packages = ofServers;

const operator = 'operators-own-token-4711';
const count = (n) => n.toLocaleString('en-US');

// A session's `connected`: the journal, and the newest event.
function greeting(port, token) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: { authorization: `Bearer ${token}` } });
    socket.on('message', (text) => {
      const { event, data } = JSON.parse(text);
      if (event === 'connected') resolve(data);
      socket.terminate();
    });
    socket.on('error', reject);
  });
}

async function storm(n, { rounds, seconds, away, rate, options, say }) {
  const esink = await entrant('esink', 'websocket', n, { ...options, env: { SECURITY_TOKEN: operator } });
  const values = [];
  try {
    for (let round = 0; round < rounds; round++) {
      const seq = await esink.load.warm(), { journal, id } = await greeting(esink.port, operator);
      const answer = await esink.load.storm({ seconds, away, rate, size: 200, concurrency: 500, path: '/ws?token=%t&after=%a', journal, base: Number(id) - seq });
      values.push({ back: answer.back / 1e6, caughtUp: answer.caughtUp / 1e6, longest: answer.max / 1e6 });
      say(`storm of ${n}: back ${values.at(-1).back.toFixed(0)} ms, all there ${values.at(-1).caughtUp.toFixed(0)} ms`);
    }
  } finally {
    await esink.stop();
  }
  const work = `${count(n)} websockets cut, and back at once after ${away} s with their positions, ${rate} events a second to all of them meanwhile`;
  const row = (metric, key) => rowOf({ work, who: 'esink', metric, all: values.map((value) => value[key]) });
  return [row('ms until the last is back', 'back'), row('ms until nobody lacks an event', 'caughtUp'), row('ms, the latest delivery of all', 'longest')];
}

// A websocket that only looks for the last event in what comes: a client that parses would be what is measured.
function catchUp(port, query, last) {
  const mark = Buffer.from(`"id":"${last}"`);
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const socket = connect(port, '127.0.0.1');
    let rest = Buffer.alloc(0);
    socket.write(`GET /ws?${query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${operator}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`
      + 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
    socket.on('data', (chunk) => {
      // `connected` names the head as well: the mark is looked for behind it.
      const text = Buffer.concat([rest, chunk]);
      const at = text.lastIndexOf(mark);
      if (at > 0 && text.lastIndexOf('"event":"changes"', at) > text.lastIndexOf('"event":"connected"', at)) {
        resolve(performance.now() - begun);
        socket.destroy();
      }
      rest = text.subarray(-4096);
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`the connection ended before event ${last}`)));
  });
}

async function fromJournal(name, missed, runs) {
  const database = databaseOf(name), scope = new Scope();
  try {
    const db = await database.database(scope, 'CREATE TABLE notes (id int PRIMARY KEY, owner int, body text)');
    const relay = await startRelay(scope, db, { tables: 'notes', routing: { notes: '*' }, fence: false,
      env: { SECURITY_TOKEN: operator, LOG_LEVEL: 'warn', NETWORK_THREADS: '1' } });
    const { journal, id } = await greeting(relay.port, operator), from = Number(id);
    for (let first = 1; first <= missed; first += 1000) {
      await db.query(`INSERT INTO notes (id, owner, body) ${series(first, Math.min(missed, first + 999), "i, 1, 'a note of some length, as notes are'")}`);
    }
    await until(async () => Number((await greeting(relay.port, operator)).id) >= from + missed, 'all of it in the journal', 60_000);
    const times = [];
    for (let i = 0; i < runs; i++) {
      await relay.stop();
      await relay.start();
      times.push(await catchUp(relay.port, `after=${journal}:${from}`, from + missed));
    }
    return times;
  } finally {
    await scope.end();
    await database.stop();
  }
}

export async function run({ binary, folder, tools, rounds, quick, say }) {
  process.env.ESINK_BINARY = binary;
  const options = { binary, folder, tools }, rows = [];
  for (const [n, rate] of quick ? [[500, 20]] : [[1000, 50], [10_000, 5]]) rows.push(...await storm(n, { rounds, seconds: quick ? 1.5 : 6, away: quick ? 0.3 : 1, rate, options, say }));
  const missed = quick ? 1000 : 10_000;
  for (const name of ['postgres', 'mysql', 'sqlite']) {
    const all = await fromJournal(name, missed, rounds);
    say(`${name}: ${all.map((ms) => ms.toFixed(0)).join(' ')} ms`);
    rows.push(rowOf({ work: `one client that missed ${count(missed)} events, relay just started`, who: `esink, ${name}`, metric: 'ms until the last of them', all }));
  }
  return { rows, notes: [
    'Every client got every event once and in order: anything else would have ended the run. The storm\'s relay has one core, the clients and the writer another; 500 handshakes are under way at a time, each with a JSON Web Token.',
  ] };
}
