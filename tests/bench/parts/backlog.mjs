// A relay that was away: 200,000 rows are written meanwhile, by statements of 50,000. Then it is started, and one client that
// asks for all of them is told them from the journal: from the start of the process to the first event and to the last. On MariaDB,
// whose events are moved into the journal first, also how long that took.
import WebSocket from 'ws';
import { databaseOf } from '../../e2e/lib/databases.mjs';
import { Scope } from '../../e2e/lib/harness.mjs';
import { startRelay } from '../../e2e/lib/relay.mjs';
import { until } from '../../e2e/lib/wait.mjs';
import { rowOf } from '../lib/rows.mjs';

export const title = 'a backlog, from the start of the relay on';
export const packages = [];

const names = { postgres: 'PostgreSQL', mysql: 'MariaDB', sqlite: 'SQLite' };
const token = 'operators-own-token-4711';
const table = (n) => `CREATE TABLE accounts (id int PRIMARY KEY, owner int, balance int, note varchar(100));
  INSERT INTO accounts WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < ${n}) SELECT i, i % 1000, 0, 'a note of some sixty characters, as notes of applications are' FROM s;`;

async function once(db, relay, rows, turns) {
  const { journal, id } = (await relay.operator()).welcome;
  await relay.close();
  for (let turn = 0; turn < turns; turn++) await db.query(`UPDATE accounts SET balance = balance + 1 WHERE id <= ${rows}`);
  const expected = rows * turns, begun = performance.now(), found = {};
  let count = 0, moved;
  await relay.start();
  const socket = new WebSocket(`ws://127.0.0.1:${relay.port}/ws?after=${journal}:${id}`, { headers: { authorization: `Bearer ${token}` } });
  socket.on('message', (data) => {
    if (!data.includes('"event":"changes"')) return;
    count++;
    found.first ??= performance.now() - begun;
    if (count === expected) found.all = performance.now() - begun;
  });
  if (relay.db.env?.MYSQL_DATABASE) {
    moved = until(async () => Number((await db.query('SELECT COUNT(*) AS n FROM esink_pubsub')).rows[0].n) === 0, 'the move', 300_000).then(() => performance.now() - begun);
  }
  await until(() => found.all, () => `${expected} events, have ${count}`, 300_000);
  found.moved = await moved;
  socket.terminate();
  return found;
}

export async function run({ rounds, quick, wants, say }) {
  const [count, turns] = quick ? [10_000, 2] : [50_000, 4], rows = [];
  for (const [name, label] of Object.entries(names)) {
    const work = `${label}: ${(count * turns).toLocaleString('en-US')} events`;
    if (!wants(work)) continue;
    say(work);
    const database = databaseOf(name), scope = new Scope();
    try {
      // MariaDB refuses a recursion deeper than its limit.
      const db = await database.database(scope, `${name === 'mysql' ? 'SET SESSION max_recursive_iterations = 1000000;' : ''} ${table(count)}`);
      const relay = await startRelay(scope, db, { tables: 'accounts', routing: { accounts: 'owner' }, env: { SECURITY_TOKEN: token, NETWORK_THREADS: '1', LOG_LEVEL: 'warn' } });
      const all = [];
      for (let round = 0; round < rounds; round++) all.push(await once(db, relay, count, turns));
      rows.push(rowOf({ work, who: 'esink', metric: 'ms to the first', all: all.map(({ first }) => first) }));
      if (name === 'mysql') rows.push(rowOf({ work, who: 'esink', metric: 'ms until all are moved', all: all.map(({ moved }) => moved) }));
      rows.push(rowOf({ work, who: 'esink', metric: 'events/s, all told', all: all.map((one) => count * turns * 1000 / one.all) }));
    } finally {
      await scope.end();
      await database.stop();
    }
  }
  return { rows, notes: ['The client is a Node.js process, which takes its share of the cores.'] };
}
