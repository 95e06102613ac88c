// Prevents: a stream that a proxy buffers or cuts, a browser that cannot resume, and resume points that lag behind.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { rawStream } from './lib/clients.mjs';
import { startRelay } from './lib/relay.mjs';
import { secureHeaders, ascending } from './lib/shapes.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text)';
const rules = { tables: 'notes', routing: { notes: 'user_id' } };

test('headers, retry, ids and heartbeats', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { HEARTBEAT_INTERVAL: '300ms' } });
  relay.secret(token);
  const stream = await rawStream(t, `${relay.origin}/stream?token=${token}`);
  assert.equal(stream.status, 200);
  assert.match(stream.headers['content-type'], /^text\/event-stream/);
  assert.match(stream.headers['cache-control'], /no-cache/);
  assert.match(stream.headers['cache-control'], /no-transform/);
  assert.equal(stream.headers['x-accel-buffering'], 'no');
  secureHeaders(stream);
  await until(() => /^event: ?connected$/m.test(stream.text), () => `connected: ${stream.text}`);
  assert.match(stream.text, /^retry: ?2000$/m);
  await db.query("INSERT INTO notes VALUES (1, 1, E'two\\nlines')");
  await until(() => /^event: ?changes$/m.test(stream.text), () => `the event: ${stream.text}`);
  const journal = /"journal":"([0-9a-f]{16})"/.exec(stream.text)[1];
  const id = /^event: ?changes\n(?:id: ?(.*)\n)?/m.exec(stream.text)[1] ?? /id: ?([0-9a-f]{16}:\d+)\nevent: ?changes/.exec(stream.text)[1];
  assert.match(id, new RegExp(`^${journal}:\\d+$`));
  // Somebody else's event moves the head: the heartbeat carries it.
  await db.query('INSERT INTO notes VALUES (2, 2, NULL)');
  const head = `${journal}:${BigInt(id.split(':')[1]) + 1n}`;
  await until(() => stream.text.includes(head), () => `a heartbeat with id ${head}: ${stream.text}`);
});

test('a long replay under load: in order, once, and then live', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: '4' } });
  const { welcome } = await relay.ws(token);
  await db.query("INSERT INTO notes SELECT n, 1 + n % 2, repeat('x', 200) FROM generate_series(1, 20000) n");
  await relay.stop();
  await relay.start();
  const writer = await db.connect();
  let n = 20_000;
  let stop = false;
  const writing = (async () => {
    while (!stop) await writer.query("INSERT INTO notes VALUES ($1, 1, 'live')", [++n]);
  })();
  const clients = await Promise.all(Array.from({ length: 6 }, (_, i) =>
    relay[i % 2 ? 'sse' : 'ws'](token, { after: `${welcome.journal}:${welcome.id}` })));
  for (const client of clients) await client.count(10_100, 40_000);
  stop = true;
  await writing;
  await relay.fence(...clients);
  const expected = Array.from({ length: 20_000 }, (_, i) => i + 1).filter((id) => id % 2 === 0);
  for (let id = 20_001; id <= n; id++) expected.push(id);
  for (const client of clients) {
    assert.deepEqual(client.events.map((event) => event.data.id), expected);
    ascending(client.events);
  }
});

test('position is told while a session is quiet, so that its resume point keeps up', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { POSITION_INTERVAL: '300ms' } });
  const ws = await relay.ws(token);
  await db.query("INSERT INTO notes SELECT n, 2, 'of somebody else' FROM generate_series(1, 50) n");
  const wanted = BigInt(ws.welcome.id) + 50n;
  const position = await until(() => ws.named('position').find(({ id }) => BigInt(id) >= wanted), () => `a position of ${wanted}: ${ws.state()}`);
  assert.equal(position.journal, ws.welcome.journal);
  assert.deepEqual(ws.events, []);
});
