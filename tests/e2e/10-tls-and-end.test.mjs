// Prevents: plain HTTP served where TLS was asked for, and a deployment that hangs because somebody's browser sleeps.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, usePostgres } from './lib/harness.mjs';
import { raw } from './lib/clients.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { assertSoon, duration, until } from './lib/wait.mjs';

const postgres = usePostgres();

function certificate(t) {
  const folder = mkdtempSync(join(tmpdir(), 'esink-tls-'));
  t.defer(() => rmSync(folder, { recursive: true }));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { folder, cert, key };
}

test('TLS: https, wss and HSTS; plain HTTP is not answered', async (t) => {
  const { cert, key } = certificate(t);
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, {
    tls: true, tables: 'notes', routing: { notes: 'user_id' }, env: { USE_SSL: 'true', SSL_CERT_FILE: cert, SSL_KEY_FILE: key },
  });
  const answer = await relay.get('/ping');
  assert.equal(answer.text, 'pong');
  assert.match(answer.headers['strict-transport-security'] ?? '', /max-age=\d+/);
  const clients = [await relay.ws(token), await relay.ws(token, { via: 'header' })];
  await db.query("INSERT INTO notes VALUES (1, 1, 'sealed')");
  await db.query("INSERT INTO notes SELECT 2, 1, repeat('x', 3000000)");
  await db.query("INSERT INTO notes SELECT n, 1, 'many' FROM generate_series(3, 500) n");
  await relay.fence(...clients);
  for (const client of clients) {
    assert.equal(client.events.length, 500);
    assert.equal(client.events[1].data.body.length, 3_000_000);
  }
  const plain = await raw(relay.port, 'GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  assert.ok(!plain.includes('pong'), `answered in plain: ${plain}`);
});

test('TLS without a usable certificate is no start', async (t) => {
  const { folder, cert, key } = certificate(t);
  const other = certificate(t);
  const junk = join(folder, 'junk.pem');
  writeFileSync(junk, 'no certificate');
  const db = await postgres.database(t);
  const cases = [[{}, /SSL_CERT_FILE/], [{ SSL_CERT_FILE: cert }, /SSL_KEY_FILE/], [{ SSL_CERT_FILE: '/nowhere/cert.pem', SSL_KEY_FILE: key }, /SSL_CERT_FILE.*\/nowhere\/cert\.pem/],
    [{ SSL_CERT_FILE: junk, SSL_KEY_FILE: key }, /SSL_CERT_FILE/], [{ SSL_CERT_FILE: cert, SSL_KEY_FILE: junk }, /SSL_KEY_FILE/],
    [{ SSL_CERT_FILE: cert, SSL_KEY_FILE: other.key }, /SSL_KEY_FILE/]];
  for (const [env, message] of cases) {
    for (const args of [[], ['--check']]) {
      const { code, log } = await runToEnd(t, { db, args, env: { USE_SSL: '1', ...env } });
      assert.equal(code, 2, `${args} ${JSON.stringify(env)}: ${log}`);
      assert.match(log, message);
    }
  }
});

async function endWithSessions(t) {
  const db = await postgres.database(t);
  const token = await db.user(1);
  const relay = await startRelay(t, db);
  const sockets = await Promise.all(Array.from({ length: 20 }, () => relay.ws(token)));
  const streams = await Promise.all(Array.from({ length: 5 }, () => relay.sse(token)));
  await relay.fence(...sockets, ...streams);
  const took = await duration(async () => {
    relay.process.kill('SIGTERM');
    await relay.process.exited;
  });
  assert.deepEqual(relay.process.status, { code: 0, signal: null }, relay.log);
  for (const socket of sockets) assert.equal(await socket.closing(), 1012);
  for (const stream of streams) await until(() => stream.failure, 'the stream to end');
  return took;
}

test('SIGTERM with open sessions: told to come back elsewhere, status 0', (t) => assertSoon(5000, 'the end', () => endWithSessions(t)));

test('SIGINT ends it as SIGTERM does', async (t) => {
  const relay = await startRelay(t, await postgres.database(t));
  relay.process.kill('SIGINT');
  assert.deepEqual(await relay.process.exited, { code: 0, signal: null });
});

// timeout(1) signals its child and then the whole group, which the child is in.
test('two signals at once are one: it ends as by one', async (t) => {
  const db = await postgres.database(t);
  const relay = await startRelay(t, db);
  const ws = await relay.ws(await db.user(1));
  relay.process.kill('SIGTERM');
  relay.process.kill('SIGINT');
  assert.deepEqual(await relay.process.exited, { code: 0, signal: null }, relay.log);
  assert.doesNotMatch(relay.log, /second signal/);
  assert.equal(await ws.closing(), 1012);
});

test('what was queued before SIGTERM still arrives', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' } });
  const ws = await relay.ws(token);
  await db.query("INSERT INTO notes SELECT n, 1, repeat('x', 1000) FROM generate_series(1, 2000) n");
  await ws.count(1);
  relay.process.kill('SIGTERM');
  await ws.closing();
  const ids = ws.events.map((event) => event.data.id);
  assert.deepEqual(ids, ids.map((_, i) => i + 1), 'without a hole');
  assert.equal(ws.closed, 1012);
});

test('a taken port is an error, not a second listener', async (t) => {
  const db = await postgres.database(t);
  const relay = await startRelay(t, db);
  const { code, log } = await runToEnd(t, { db, env: { PORT: String(relay.port) } });
  assert.notEqual(code, 0);
  assert.ok(log.includes(String(relay.port)), log);
  const server = net.createServer();
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.defer(() => server.close());
  const { port } = server.address();
  const second = await runToEnd(t, { db, env: { PORT: String(port) } });
  assert.notEqual(second.code, 0);
  assert.ok(second.log.includes(String(port)), second.log);
});
