// How long GET /events takes on a journal of a million: pages of 1000 for the operator, and for a user who has five events in it,
// whose pages are short and many. Medians of requests one after the other, from a kept connection, and what all of it takes.
import { Agent, get } from 'node:http';
import { databaseOf } from '../../e2e/lib/databases.mjs';
import { Scope } from '../../e2e/lib/harness.mjs';
import { startRelay } from '../../e2e/lib/relay.mjs';
import { until } from '../../e2e/lib/wait.mjs';
import { series } from '../../e2e/source/suite.mjs';
import { rowOf } from '../lib/rows.mjs';

export const title = 'GET /events on a journal of a million';
export const packages = [];

const names = { postgres: 'PostgreSQL', mysql: 'MariaDB', sqlite: 'SQLite' };
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

async function fill(db, events, batch) {
  for (let first = 1; first <= events; first += batch) {
    // Five of user 7, the others of users who are not here.
    const owner = `CASE WHEN i % ${Math.floor(events / 5)} = 77 THEN 7 ELSE 1000 + i % 500 END`;
    await db.query(`INSERT INTO notes (id, owner, body) ${series(first, Math.min(first + batch - 1, events), `i, ${owner}, 'a note of some length, as notes are'`)}`);
  }
}

async function measure(name, label, events) {
  const database = databaseOf(name), scope = new Scope();
  try {
    const db = await database.database(scope, 'CREATE TABLE notes (id int PRIMARY KEY, owner int, body text)');
    const relay = await startRelay(scope, db, { tables: 'notes', routing: { notes: 'owner' }, env: { SECURITY_TOKEN: operator, LOG_LEVEL: 'warn' } });
    const token = await db.user(7);
    await fill(db, events, 1000);
    await until(async () => (await ask(`${relay.origin}/events?after=${events - 1}&limit=1`, operator)).events.length, 'the last event in the journal', 600_000);
    await walk(relay.origin, token, { pages: 20 }); // the database's memory is warm, as that of one in use
    const boss = await walk(relay.origin, operator, { pages: 200 });
    const middle = await walk(relay.origin, operator, { pages: 20, query: `after=${Math.floor(events / 2)}` });
    const user = await walk(relay.origin, token);
    const since = [];
    for (let i = 0; i < 20; i++) since.push((await ask(`${relay.origin}/events?limit=1000`, operator)).took);
    const one = [];
    for (let i = 0; i < 200; i++) one.push((await ask(`${relay.origin}/events/${1 + Math.floor((i * events) / 200)}`, operator)).took);
    if (user.found !== 5) throw new Error(`user 7 was told ${user.found} events`);
    const row = (work, all, metric = 'ms a page') => rowOf({ work: `${label}: ${work}`, who: 'esink', metric, all });
    return [row('the operator, from the oldest on', boss.times), row('the operator, from the middle on', middle.times), row('the operator, the last 24 hours', since),
      row('a user who has five events in it', user.times), row('all pages of that user: the whole journal read', [user.times.reduce((a, b) => a + b, 0) / 1000], 's'),
      row('one event by its id', one, 'ms')];
  } finally {
    await scope.end();
    await database.stop();
  }
}

export async function run({ quick, wants, say }) {
  const events = quick ? 50_000 : 1_000_000, rows = [];
  for (const [name, label] of Object.entries(names)) {
    if (!wants(label)) continue;
    say(`${label}: ${events.toLocaleString('en-US')} events`);
    rows.push(...await measure(name, label, events));
  }
  return { rounds: 1, rows, notes: ['Pages of 1,000, one after the other from a kept connection; the range is from the quickest page to the slowest.'] };
}
