// How long GET /events takes on a journal of a million: pages of 1000 for the operator, and for a user who has five events in it,
// whose pages are short and many. Medians of requests one after the other, from a kept connection, and what all of it takes.
//
//   ESINK_BINARY=build/release/src/app/esink node tests/bench/history.mjs [events] [database ...]
import { Agent, get } from 'node:http';
import { databaseOf } from '../e2e/lib/databases.mjs';
import { Scope } from '../e2e/lib/harness.mjs';
import { startRelay } from '../e2e/lib/relay.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { series } from '../e2e/source/suite.mjs';

const events = Number(process.argv[2] ?? 1_000_000);
const names = process.argv.length > 3 ? process.argv.slice(3) : ['postgres', 'mysql', 'sqlite'];
const operator = 'operators-own-token-4711';
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function ask(url, token) {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    get(url, { agent, headers: { authorization: `Bearer ${token}` } }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('end', () => {
        const took = performance.now() - begun;
        const text = Buffer.concat(chunks).toString();
        if (res.statusCode === 200) resolve({ took, bytes: text.length, ...JSON.parse(text) });
        else reject(new Error(`${res.statusCode} ${text}`));
      });
    }).on('error', reject);
  });
}

const at = (list, q) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))].toFixed(1);
const spread = (list) => `median ${at(list, 0.5)} ms, p90 ${at(list, 0.9)} ms, longest ${at(list, 1)} ms`;

async function walk(url, token, { pages = Infinity, query = 'after=0' } = {}) {
  const times = [];
  let found = 0, next = query;
  while (next && times.length < pages) {
    const page = await ask(`${url}/events?limit=1000&${next}`, token);
    times.push(page.took);
    found += page.events.length;
    next = page.next && `after=${page.next}`;
  }
  return { times, found };
}

async function fill(db, batch) {
  for (let first = 1; first <= events; first += batch) {
    // Five of user 7, the others of users who are not here.
    const owner = `CASE WHEN i % ${Math.floor(events / 5)} = 77 THEN 7 ELSE 1000 + i % 500 END`;
    await db.query(`INSERT INTO notes (id, owner, body) ${series(first, Math.min(first + batch - 1, events), `i, ${owner}, 'a note of some length, as notes are'`)}`);
  }
}

async function measure(name) {
  const database = databaseOf(name), scope = new Scope();
  try {
    const db = await database.database(scope, 'CREATE TABLE notes (id int PRIMARY KEY, owner int, body text)');
    const relay = await startRelay(scope, db, { tables: 'notes', routing: { notes: 'owner' }, env: { SECURITY_TOKEN: operator, LOG_LEVEL: 'warn' } });
    const token = await db.user(7);
    await fill(db, 1000);
    await until(async () => (await ask(`${relay.origin}/events?after=${events - 1}&limit=1`, operator)).events.length, 'the last event in the journal', 600_000);
    await walk(relay.origin, token, { pages: 20 }); // the database's memory is warm, as that of one in use
    const boss = await walk(relay.origin, operator, { pages: 200 });
    const middle = await walk(relay.origin, operator, { pages: 20, query: `after=${Math.floor(events / 2)}` });
    const user = await walk(relay.origin, token);
    const since = [];
    for (let i = 0; i < 20; i++) since.push((await ask(`${relay.origin}/events?limit=1000`, operator)).took);
    const one = [];
    for (let i = 0; i < 200; i++) one.push((await ask(`${relay.origin}/events/${1 + Math.floor((i * events) / 200)}`, operator)).took);
    console.log(`${name}, ${events} events
  the operator, from the oldest on: ${spread(boss.times)} a page
  the operator, from the middle on: ${spread(middle.times)} a page
  the operator, the last 24 hours: ${spread(since)} a page
  user 7 (${user.found} events): ${spread(user.times)} a page, ${user.times.length} pages, ${(user.times.reduce((a, b) => a + b, 0) / 1000).toFixed(2)} s in all
  one event by its id: ${spread(one)}`);
    if (user.found !== 5) throw new Error(`user 7 was told ${user.found} events`);
  } finally {
    await scope.end();
    await database.stop();
  }
}

for (const name of names) await measure(name);
agent.destroy();
