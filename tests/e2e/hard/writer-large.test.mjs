// Prevents: a write that fails because its row is large, and a relay or client that a large row ends. PostgreSQL's own bound
// for a value is 1 GB; what does not fit as JSON is told by its key alone
// (tables.test.mjs).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test, usePostgres } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';

const postgres = usePostgres();
const MB = 1 << 20;
const sanitized = /asan|sanit/i.test(process.env.ESINK_BINARY ?? '');

const rss = (relay) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${relay.process.child.pid}/status`, 'utf8'))[1]) * 1024;

test('a bytea of 140 MB is written and told whole on both transports, and the memory comes back', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE files (id int PRIMARY KEY, user_id int, content bytea)');
  const relay = await startRelay(t, db, { tables: 'files', routing: { files: 'user_id' } });
  const token = await db.user(1);
  const small = await relay.ws(await db.user(2));
  const sse = await relay.sse(token);
  // Bytes only: the package's own client takes 100 MB at most, and need not.
  const { default: WebSocket } = await import('ws');
  const socket = new WebSocket(`${relay.origin.replace('http', 'ws')}/ws?token=${token}`, { maxPayload: 1024 * MB, perMessageDeflate: false });
  t.defer(() => socket.terminate());
  const frames = [];
  socket.on('message', (frame) => frames.push({ length: frame.length, head: frame.subarray(0, 400).toString(), tail: frame.subarray(-200).toString() }));
  await until(() => frames.length > 0, 'connected');
  const before = rss(relay);
  await db.query(`INSERT INTO files SELECT 1, 1, decode(repeat('00ff10', ${140 * MB / 4}) || repeat('aa', ${140 * MB / 4}), 'hex')`);
  await until(() => frames.some(({ length }) => length > 140 * MB), () => `the large event; frames of ${frames.map(({ length }) => length)}; ${relay.log}`, 60_000);
  const large = frames.find(({ length }) => length > MB);
  assert.ok(Math.abs(large.length - 140 * MB * 4 / 3) < 2000, `${large.length} bytes`);
  assert.match(large.head, /"data":\{"id":1,"user_id":1,"content":"AP8QAP8Q/);
  assert.match(large.tail, /qqqqqqq.*"\}/);
  await db.query("INSERT INTO files VALUES (2, 1, 'small')");
  await relay.fence(small);
  await until(() => sse.events.length === 2, () => `both on the stream; ${sse.state().slice(0, 500)}`, 60_000);
  assert.equal(sse.events[0].data.content.length, Math.ceil(140 * MB / 3) * 4);
  assert.equal(sse.events[1].data.id, 2);
  assert.equal(small.events.length, 0);
  // libpq keeps its input buffer as large as the largest row of its connection: that much stays, once, as long as that lasts.
  if (!sanitized) await until(() => rss(relay) < before + 250 * MB, () => `the memory to come back: ${rss(relay) / MB} MB, before ${before / MB}`, 30_000);
  await db.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'esink'");
  if (!sanitized) await until(() => rss(relay) < before + 120 * MB, () => `the memory to come back: ${rss(relay) / MB} MB, before ${before / MB}`, 30_000);
  sse.received = ''; // 190 MB that need not be searched
});

test('an event of more than 1 GB, which no row can hold: an update with its old row is written, and told by its key', { timeout: 180_000 }, async (t) => {
  // Each of its bytes takes six in JSON.
  const db = await postgres.database(t, `CREATE TABLE files (id int PRIMARY KEY, user_id int, content text); INSERT INTO files VALUES (1, 1, repeat(chr(1), ${90 * MB}))`);
  const relay = await startRelay(t, db, { tables: 'files', routing: { files: 'user_id' }, env: { OLD_ROWS: 'files' } });
  const ws = await relay.ws(await db.user(1));
  await db.query('UPDATE files SET user_id = 1');
  await relay.fence(ws);
  const [{ data, old, incomplete }] = ws.events.filter(({ table }) => table === 'files');
  assert.deepEqual([data, old, incomplete], [{ id: 1 }, undefined, true]);
});
