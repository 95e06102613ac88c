// Prevents: a restart that waits for ever on a client that stopped reading, and one such client that keeps the others from
// being served.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { assertSoon, duration, until } from './lib/wait.mjs';

const postgres = usePostgres();
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text)';
const rules = { tables: 'notes', routing: { notes: 'user_id' } };

// A session that never reads after its head: neither its kernel buffer nor the relay's is emptied.
async function stalled(t, relay, path, upgrade) {
  const socket = net.connect({ port: relay.port, host: '127.0.0.1', onread: { buffer: Buffer.alloc(512), callback: () => false } });
  t.defer(() => socket.destroy());
  socket.on('error', () => {});
  const key = Buffer.alloc(16, 7).toString('base64');
  const upgradeLines = upgrade ? `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n` : '';
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${upgradeLines}\r\n`);
  await until(() => socket.bytesRead > 0, 'the head of a session that then stalls');
  socket.pause();
  return socket;
}

async function endWhileStalled(t) {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  relay.secret(token);
  for (let i = 0; i < 5; i++) {
    await stalled(t, relay, `/ws?token=${token}`, true);
    await stalled(t, relay, `/stream?token=${token}`, false);
  }
  const reader = await relay.ws(token);
  await db.query("INSERT INTO notes SELECT n, 1, repeat(md5(n::text), 3000) FROM generate_series(1, 200) n");
  await relay.fence(reader);
  assert.equal(reader.events.length, 200, 'who reads is served meanwhile');
  const took = await duration(async () => {
    relay.process.kill('SIGTERM');
    await relay.process.exited;
  });
  assert.deepEqual(relay.process.status, { code: 0, signal: null }, relay.log);
  return took;
}

test('SIGTERM with stalled websockets and streams ends in under 5 s with status 0', (t) => assertSoon(5000, 'the end', () => endWhileStalled(t)));

async function endTwice(t) {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  relay.secret(token);
  await stalled(t, relay, `/ws?token=${token}`, true);
  const reader = await relay.ws(token);
  await db.query("INSERT INTO notes SELECT n, 1, repeat(md5(n::text), 3000) FROM generate_series(1, 200) n");
  await relay.fence(reader);
  relay.process.kill('SIGTERM');
  // Those that come right after the first are the same one.
  await until(() => relay.log.includes('SIGTERM'), 'the first to be noticed');
  const took = await duration(() => until(() => !relay.process.running || (relay.process.kill('SIGTERM'), false), 'the end'));
  assert.match(relay.log, /second signal: ending at once/);
  relay.process = undefined; // its status is not promised then
  return took;
}

// Without, it would take all of its 4 s.
test('a second SIGTERM ends it at once', (t) => assertSoon(2000, 'the end', () => endTwice(t)));

test('a session that takes nothing for SLOW_TIMEOUT is closed; one that only lags is not, and gets everything', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { SLOW_TIMEOUT: '4s' } });
  relay.secret(token);
  await stalled(t, relay, `/ws?token=${token}`, true);
  const lagging = await relay.ws(token);
  const reader = await relay.ws(token);
  lagging.socket.pause();
  await db.query("INSERT INTO notes SELECT n, 1, repeat(md5(n::text), 3000) FROM generate_series(1, 200) n");
  // Takes a little now and then: always behind, never stalled.
  let halt;
  const sips = setInterval(() => {
    lagging.socket.resume();
    halt = setTimeout(() => lagging.socket.pause(), 20);
  }, 300);
  t.defer(() => clearInterval(sips));
  await relay.fence(reader);
  await until(() => /\bslow\b/.test(relay.log), () => `a log line about the slow session:\n${relay.log}`);
  clearInterval(sips);
  clearTimeout(halt); // or it pauses once more, for ever
  lagging.socket.resume();
  await relay.fence(lagging);
  assert.deepEqual(lagging.events.map((event) => event.data.id), Array.from({ length: 200 }, (_, i) => i + 1));
  assert.equal(relay.log.match(/\bslow\b/g).length, 1, `only the stalled one is closed:\n${relay.log}`);
});
