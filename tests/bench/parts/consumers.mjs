// How fast one consumer polls and acknowledges: chunks of 1000, one after the other, over one connection, from a journal that is
// there already. Beside it the processor time of the relay. What is promised: 50,000 events a second on each database.
import http from 'node:http';
import { databaseOf } from '../../e2e/lib/databases.mjs';
import { Scope } from '../../e2e/lib/harness.mjs';
import { startRelay } from '../../e2e/lib/relay.mjs';
import { until } from '../../e2e/lib/wait.mjs';
import { cpuOf } from '../lib/processes.mjs';
import { above, rowOf } from '../lib/rows.mjs';

export const title = 'a consumer that polls and acknowledges';
export const packages = [];

const names = { postgres: 'PostgreSQL', mysql: 'MariaDB', sqlite: 'SQLite' };
const token = 'operators-own-token-4711';
const chunk = 1000;

async function write(db, events) {
  for (let first = 1; first <= events; first += 1000) {
    const last = Math.min(first + 999, events);
    await db.query(`INSERT INTO orders (id, customer, state, note) WITH RECURSIVE s (i) AS (SELECT ${first} UNION ALL SELECT i + 1 FROM s WHERE i < ${last})
      SELECT i, i % 100, 'shipped', 'a remark of some forty characters, about' FROM s`);
  }
}

async function measure(name, events, rounds) {
  const scope = new Scope();
  const database = databaseOf(name);
  try {
    const db = await database.database(scope, 'CREATE TABLE orders (id int PRIMARY KEY, customer int, state text, note text)');
    const relay = await startRelay(scope, db, { tables: 'orders', routing: { orders: 'customer' }, env: { SECURITY_TOKEN: token } });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (method, path, body) => new Promise((resolve, reject) => {
      const text = body ? JSON.stringify(body) : '';
      const length = body ? { 'content-length': Buffer.byteLength(text) } : {};
      const req = http.request(relay.origin + path, { method, agent, headers: { authorization: `Bearer ${token}`, ...length } }, (res) => {
        const parts = [];
        res.on('data', (part) => parts.push(part));
        res.on('end', () => (res.statusCode < 300 ? resolve(JSON.parse(Buffer.concat(parts).toString())) : reject(new Error(`${res.statusCode} ${Buffer.concat(parts)}`))));
      });
      req.on('error', reject);
      req.end(text);
    });
    await write(db, events);
    const rates = [], cpu = [], { pid } = relay.process.child;
    for (let round = 0; round < rounds; round++) {
      await ask('PUT', `/consumers/bench-${round}`, { topics: ['orders'], from: 'start' });
      await until(async () => (await ask('GET', `/consumers/bench-${round}`)).lag >= events, 'the journal', 60_000);
      const before = cpuOf(pid), began = performance.now();
      let ack, got = 0;
      while (got < events) {
        const answer = await ask('POST', `/consumers/bench-${round}/poll`, { ack, limit: chunk, wait: 1 });
        got += answer.events.length;
        ack = answer.events.at(-1)?.id ?? ack;
      }
      rates.push(events * 1000 / (performance.now() - began));
      cpu.push((cpuOf(pid) - before) / 1000 / events);
    }
    agent.destroy();
    return { rates, cpu };
  } finally {
    await scope.end();
    await database.stop();
  }
}

export async function run({ rounds, quick, wants, say }) {
  const events = quick ? 20_000 : 200_000, rows = [];
  for (const [name, label] of Object.entries(names)) {
    const work = `${label}: ${events.toLocaleString('en-US')} events in chunks of ${chunk}`;
    if (!wants(work)) continue;
    say(work);
    const { rates, cpu } = await measure(name, events, rounds);
    rows.push(rowOf({ work, who: 'esink', metric: 'events/s', all: rates, targets: [above(50_000, 'events/s')] }), rowOf({ work, who: 'esink', metric: "us of the relay's processor time an event", all: cpu }));
  }
  return { rows, notes: ['The client, one Node.js process that parses what it gets, is part of what is measured.'] };
}
