// Prevents: a COPY of a million rows that makes the relay hold all of it in memory, that is told in another order or in part,
// and whose savepoints that were rolled back leave a trace or a hole.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test, usePostgres } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { patience, until } from '../lib/wait.mjs';

const postgres = usePostgres({ settings: { shared_buffers: '128MB', max_wal_size: '4GB', synchronous_commit: 'off' } });
const operator = 'operators-own-token-4711';
const plain = patience === 1;
const rows = plain ? 1_000_000 : 100_000;

// Of the relay, in MB: now, and the most that it ever was.
function memory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return ['VmRSS', 'VmHWM'].map((name) => Number(status.match(new RegExp(`${name}:\\s+(\\d+)`))[1]) / 1024);
}

// Looks at the text of each message and keeps none: a million parsed objects would be this test's memory, not the relay's.
function counting(client, take) {
  client.socket.removeAllListeners('message');
  client.socket.on('message', (frame) => {
    const text = frame.toString('utf8');
    if (text.startsWith('{"event":"changes"')) take(text);
  });
}

test(`COPY of ${rows} rows in one transaction, parts of it rolled back`, { timeout: 300_000 }, async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE points (id int PRIMARY KEY)');
  const relay = await startRelay(t, db, { tables: 'points', routing: { points: '*' }, env: { SECURITY_TOKEN: operator } });
  const clients = [await relay.operator(), await relay.ws(await db.user(1))];
  const seen = clients.map(() => ({ next: 1, wrong: [], id: undefined, first: 0, fence: 0 }));
  clients.forEach((client, c) => counting(client, (text) => {
    const state = seen[c];
    const id = BigInt(text.match(/"id":"(\d+)"/)[1]);
    if (state.id !== undefined && id !== state.id + 1n) state.wrong.push(`id ${id} after ${state.id}`);
    state.id = id;
    if (text.includes('"table":"fence"')) {
      state.fence++;
      return;
    }
    state.first ||= Date.now();
    const point = Number(text.match(/"data":\{"id":(\d+)\}/)[1]);
    if (point !== state.next++) state.wrong.push(`point ${point} where ${state.next - 1} was due`);
  }));
  const half = rows / 2;
  const began = Date.now();
  await db.query(`BEGIN; COPY points FROM PROGRAM 'seq 1 ${half}';
    SAVEPOINT a; COPY points FROM PROGRAM 'seq ${rows + 1} ${rows + 20_000}'; ROLLBACK TO a;
    SAVEPOINT b; COPY points FROM PROGRAM 'seq ${half + 1} ${rows}'; RELEASE b;
    SAVEPOINT c; TRUNCATE points; ROLLBACK TO c; COMMIT`);
  const committed = Date.now();
  await db.fence();
  await until(() => seen.every(({ fence }) => fence === 1), () => `the fence; seen: ${seen.map(({ next }) => next - 1)}`, 120_000);
  const told = Date.now();
  const [, most] = memory(relay.process.child.pid);
  console.log(`# ${rows} rows: COPY ${committed - began} ms, the first told ${seen.map(({ first }) => first - committed)} ms after commit, the last ${told - committed} ms, relay at most ${Math.round(most)} MB`);
  for (const { next, wrong } of seen) {
    assert.deepEqual(wrong.slice(0, 5), []);
    assert.equal(next - 1, rows);
  }
  if (plain) assert.ok(most < 200, `the relay took ${most} MB`);
});
