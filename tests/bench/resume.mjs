// What coming back costs. One client that missed 10,000 events, from the journal (a relay that has just started remembers nothing):
// from its request to the last event. Then 1,000 clients that missed 100 events each and come back at once, from the tail: what
// the relay's processor time was, all of it, handshakes and log-ins too. Medians, the longest in brackets.
//
//   ESINK_BINARY=build/release/src/app/esink node tests/bench/resume.mjs [database ...]
import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { databaseOf } from '../e2e/lib/databases.mjs';
import { Scope } from '../e2e/lib/harness.mjs';
import { startRelay } from '../e2e/lib/relay.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { series } from '../e2e/source/suite.mjs';

const names = process.argv.length > 2 ? process.argv.slice(2) : ['postgres', 'mysql', 'sqlite'];
const gap = 10_000, clients = 1000, missed = 100, runs = 7;
const secret = 'a secret of the benchmark, thirty-two bytes and more';
const operator = 'operators-own-token-4711';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
function token(user) {
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: String(user), exp: Math.floor(Date.now() / 1000) + 3600 })}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

// Nanoseconds of all its threads.
const cpuOf = ({ pid }) => readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]), 0);
const middle = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const told = (list, unit) => `${middle(list).toFixed(0)} ${unit} (${Math.max(...list).toFixed(0)})`;

// A websocket that only looks for the last event in what comes: a client that parses would be what is measured.
function catchUp(port, query, last) {
  const mark = Buffer.from(`"id":"${last}"`);
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const socket = connect(port, '127.0.0.1');
    let rest = Buffer.alloc(0);
    socket.write(`GET /ws?${query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
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

async function measure(name) {
  const database = databaseOf(name), scope = new Scope();
  try {
    const db = await database.database(scope, 'CREATE TABLE notes (id int PRIMARY KEY, owner int, body text)');
    const relay = await startRelay(scope, db, { tables: 'notes', routing: { notes: '*' },
      env: { SECURITY_TOKEN: operator, JWT_SECRET: secret, LOG_LEVEL: 'warn', MAX_SESSIONS_PER_ADDRESS: '0', NETWORK_THREADS: '1' } });
    const head = async () => Number((await relay.operator()).welcome.id);
    let id = 0;
    const fill = async (count) => {
      const before = await head();
      for (let n = 0; n < count; n += 1000) {
        const next = Math.min(1000, count - n);
        await db.query(`INSERT INTO notes (id, owner, body) ${series(id + 1, id + next, "i, 1, 'a note of some length, as notes are'")}`);
        id += next;
      }
      await until(async () => await head() >= before + count, 'all of it in the journal', 60_000);
      return before;
    };
    const journal = (await relay.operator()).welcome.journal;
    const one = [];
    const before = await fill(gap), last = before + gap;
    for (let i = 0; i < runs; i++) {
      await relay.stop();
      await relay.start();
      one.push(await catchUp(relay.port, `token=${token(1)}&after=${journal}:${before}`, last));
    }
    const many = [], wall = [];
    const from = await fill(missed);
    for (let i = 0; i < runs; i++) {
      const cpu = cpuOf(relay.process.child), begun = performance.now();
      await Promise.all(Array.from({ length: clients }, (_, n) => catchUp(relay.port, `token=${token(n)}&after=${journal}:${from}`, from + missed)));
      wall.push(performance.now() - begun);
      many.push((cpuOf(relay.process.child) - cpu) / 1e6);
    }
    console.log(`${name}: ${gap} events, one client, from the journal: ${told(one, 'ms')}; ${clients} clients, ${missed} events each, from the tail: ${told(many, 'ms')} of a core, ${told(wall, 'ms')} until all had them`);
  } finally {
    await scope.end();
    await database.stop();
  }
}

for (const name of names) await measure(name);
