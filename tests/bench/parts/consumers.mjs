// How fast one consumer polls and acknowledges: chunks of 1000, one after the other, over one connection, from a journal that is
// there already. Beside it the processor time of the relay. What is promised: 50,000 events a second on each database.
//
//   ESINK_BINARY=... node tests/bench/consumers.mjs [DATABASE,.. [EVENTS [CHUNK]]]
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { databaseOf } from '../e2e/lib/databases.mjs';
import { Scope } from '../e2e/lib/harness.mjs';
import { startRelay } from '../e2e/lib/relay.mjs';
import { until } from '../e2e/lib/wait.mjs';

const [names = 'sqlite,postgres,mysql', total = '200000', chunk = '1000'] = process.argv.slice(2);
const token = 'operators-own-token-4711';
const tick = 10; // ms of one clock tick in /proc

const cpu = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tick;
};

async function write(db, events) {
  for (let first = 1; first <= events; first += 1000) {
    const last = Math.min(first + 999, events);
    await db.query(`INSERT INTO orders (id, customer, state, note) WITH RECURSIVE s (i) AS (SELECT ${first} UNION ALL SELECT i + 1 FROM s WHERE i < ${last})
      SELECT i, i % 100, 'shipped', 'a remark of some forty characters, about' FROM s`);
  }
}

async function run(name, events) {
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
    await ask('PUT', '/consumers/bench', { topics: ['orders'], from: 'start' });
    await write(db, events);
    await until(async () => (await ask('GET', '/consumers/bench')).lag >= events, 'the journal', 60_000);
    const { pid } = relay.process.child, before = cpu(pid), began = performance.now();
    let ack, got = 0;
    while (got < events) {
      const answer = await ask('POST', '/consumers/bench/poll', { ack, limit: Number(chunk), wait: 1 });
      got += answer.events.length;
      ack = answer.events.at(-1)?.id ?? ack;
    }
    const ms = performance.now() - began;
    console.log(`${name}: ${events} events in ${ms.toFixed(0)} ms, ${Math.round(events / ms * 1000)} a second; relay ${((cpu(pid) - before) * 1000 / events).toFixed(1)} us of processor time an event`);
    agent.destroy();
  } finally {
    await scope.end();
    await database.stop();
  }
}

for (const name of names.split(',')) await run(name, Number(total));
