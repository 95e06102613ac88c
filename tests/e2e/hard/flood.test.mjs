// Prevents: strangers who open many connections, or say what they have to say slowly or without end, and keep others out,
// fill the memory or turn the processor.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test, usePostgres } from '../lib/harness.mjs';
import { raw } from '../lib/clients.mjs';
import { calm, cpu, fds, rss, sanitized } from '../lib/health.mjs';
import { binary, startRelay } from '../lib/relay.mjs';
import { trickle } from '../lib/trickle.mjs';
import { assertSoon, duration, patience, until } from '../lib/wait.mjs';

const postgres = usePostgres();
const securityToken = 'operators-own-token-4711';
const bearer = `Authorization: Bearer ${securityToken}`;

async function setUp(t, env = {}, binaryPath) {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id text)');
  const token = await db.user(1);
  const kept = process.env.ESINK_BINARY;
  if (binaryPath) process.env.ESINK_BINARY = binaryPath;
  try {
    const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' }, env: { SECURITY_TOKEN: securityToken, ...env } });
    const witness = await relay.ws(token);
    return { db, relay, token, witness, health: calm(relay, witness) };
  } finally {
    if (binaryPath && kept === undefined) delete process.env.ESINK_BINARY;
    else if (binaryPath) process.env.ESINK_BINARY = kept;
  }
}

async function quick(relay, token, what) {
  await assertSoon(1000 * patience, `${what}: a new client`, () => duration(async () => {
    assert.equal((await relay.get('/ping')).text, 'pong', what);
    await (await relay.ws(token)).close();
  }));
}

test('2000 slow heads, bodies and silent sockets: others are served at once, each is ended in time', { timeout: 120_000 }, async (t) => {
  const { relay, token, health } = await setUp(t, { HANDSHAKE_TIMEOUT: '4s', MAX_CONNECTIONS: '5000' });
  const before = rss(relay);
  const body = `POST /publish HTTP/1.1\r\nHost: x\r\n${bearer}\r\nContent-Length: 90000\r\n\r\n{"data":`;
  const kinds = [['', ''], ['GET /ws?token=a HTTP/1.1\r\nX-', 'abcdefgh'], ['G', 'E'], [body, ' '], ['POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n', 'x']];
  const start = Date.now();
  const slow = [];
  for (let i = 0; i < 2000; i++) {
    slow.push(trickle(t, relay.port, ...kinds[i % kinds.length]));
    if (i % 100 === 99) await pause(1);
  }
  await until(() => fds(relay) > 1500 || slow.some((state) => state.closed), 'the connections to be there');
  for (let i = 0; i < 5; i++) await quick(relay, token, 'among slow ones');
  await until(() => slow.every((state) => state.closed), () => `the end of ${slow.filter((state) => !state.closed).length}, of kinds ${[...new Set(slow.map((state, i) => (state.closed ? '' : i % kinds.length)))]}`, 30_000);
  const last = Math.max(...slow.map((state) => state.closed)) - start;
  assert.ok(last < 9000 * patience, `the last one ended after ${last} ms`);
  if (!sanitized()) assert.ok(rss(relay) - before < 80, `${before} MB grew to ${rss(relay)} MB`);
  await health.after('slow ones');
});

test('bodies without end: answered, cut off, never kept', { timeout: 90_000 }, async (t) => {
  const { relay, token, health } = await setUp(t, { HANDSHAKE_TIMEOUT: '3s' });
  const before = rss(relay);
  let worst = 0;
  const pour = (first, unit) => new Promise((resolve) => {
    const socket = net.connect(relay.port, '127.0.0.1', () => { socket.write(first); more(); });
    let text = '';
    let sent = 0;
    const more = () => {
      while (!socket.destroyed && sent < 200_000_000 && socket.write(unit)) sent += unit.length;
      worst = Math.max(worst, rss(relay));
    };
    t.defer(() => socket.destroy());
    socket.on('drain', more);
    socket.on('data', (chunk) => { text += chunk.toString('latin1'); });
    socket.on('error', () => {});
    socket.on('close', () => resolve({ text, sent }));
  });
  const unit = Buffer.alloc(65_536, 'x');
  const ends = [pour(`POST /publish HTTP/1.1\r\nHost: x\r\n${bearer}\r\nContent-Length: 10000000000\r\n\r\n`, unit), pour(`POST /publish HTTP/1.1\r\nHost: x\r\n${bearer}\r\nTransfer-Encoding: chunked\r\n\r\n`, Buffer.concat([Buffer.from('10000\r\n'), unit, Buffer.from('\r\n')])),
    pour('POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n', unit), pour('PUT /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n', unit), pour('GET /ping HTTP/1.1\r\nHost: x\r\n', Buffer.from(`X-${'y'.repeat(1000)}: z\r\n`.repeat(60))),
    pour('GET /', unit), pour('', unit), pour(`GET /ping?`, Buffer.from('topics=a&'.repeat(1000)))];
  await quick(relay, token, 'among bodies');
  for (const [i, end] of (await Promise.all(ends)).entries()) assert.ok(end.sent < 100_000_000, `${i}: took ${end.sent} bytes and said ${end.text.slice(0, 100)}`);
  if (!sanitized()) assert.ok(worst - before < 40, `${before} MB grew to ${worst} MB`);
  await health.after('bodies');
});

test('more connections than MAX_CONNECTIONS: told 503 and closed; places that become free are taken', async (t) => {
  const { relay, token, health } = await setUp(t, { MAX_CONNECTIONS: '30', HANDSHAKE_TIMEOUT: '30s' });
  const free = fds(relay);
  const held = Array.from({ length: 29 }, () => trickle(t, relay.port, 'GET /ping'));
  await until(() => fds(relay) >= free + 29, 'the places to be taken');
  const ask = (path, more = '') => raw(relay.port, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close${more}\r\n\r\n`);
  const refused = await until(async () => {
    const text = await ask('/');
    return text.startsWith('HTTP/1.1 503') && text;
  }, 'a refusal');
  assert.match(refused, /\{"code":503,"message":"Too many connections"\}$/);
  assert.match(refused, /Retry-After: 1/);
  assert.match(await ask('/ws', ', Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='), /^HTTP\/1.1 503[^]*Too many connections"\}$/);
  for (const probe of ['/ping', '/ready']) assert.match(await ask(probe), /^HTTP\/1.1 200[^]*\r\nconnection: close\r\n/i, 'who is full is well');
  assert.match(await raw(relay.port, 'POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n'), /^HTTP\/1.1 503/, 'and reads no body');
  const many = await Promise.all(Array.from({ length: 500 }, () => ask('/')));
  assert.ok(many.every((text) => text === '' || text.startsWith('HTTP/1.1 503')) && many.some(Boolean));
  await until(async () => (await ask('/ping')).startsWith('HTTP/1.1 200'), 'a probe to be answered');
  assert.equal(relay.log.split('connections are refused: MAX_CONNECTIONS').length - 1, 1, 'said once in ten seconds');
  for (const state of held) state.socket.destroy();
  await until(async () => (await ask('/')).startsWith('HTTP/1.1 200'), 'a place');
  await quick(relay, token, 'places are free');
  await health.after('too many');
});

test('no descriptors left: said, waited for without turning, and over when some are free', { timeout: 90_000 }, async (t) => {
  const { relay, token, health } = await setUp(t, { HANDSHAKE_TIMEOUT: '60s', MAX_CONNECTIONS: '1000' });
  const limit = fds(relay) + 20;
  execFileSync('prlimit', ['--pid', String(relay.process.child.pid), `--nofile=${limit}:${limit}`]);
  const held = Array.from({ length: 60 }, () => trickle(t, relay.port, 'GET /ping'));
  await until(() => /connections are refused: Too many open files/.test(relay.log), 'a line about it');
  const [spent, start] = [cpu(relay), Date.now()];
  await pause(1500);
  const share = (cpu(relay) - spent) / (Date.now() - start);
  assert.ok(share < 0.5, `it turns: ${Math.round(share * 100)} % of a processor`);
  await relay.fence(relay.clients[0]);
  for (const state of held) state.socket.destroy();
  await until(async () => (await relay.get('/ping')).text === 'pong', 'the door to open again');
  await quick(relay, token, 'descriptors are free');
  await health.after('no descriptors');
});

test('a limit of open files that is too small is said at the start', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'esink-ulimit-'));
  t.defer(() => rmSync(folder, { recursive: true }));
  const small = join(folder, 'esink');
  writeFileSync(small, `#!/bin/sh\nulimit -n 200\nexec ${binary()} "$@"\n`);
  chmodSync(small, 0o755);
  const { relay, token, health } = await setUp(t, {}, small);
  assert.match(relay.log, /MAX_CONNECTIONS is 100, not 10000: no more than 200 files may be open/);
  const held = Array.from({ length: 300 }, () => trickle(t, relay.port, 'GET /ping'));
  await until(() => /connections are refused: MAX_CONNECTIONS/.test(relay.log), 'the bound, not the end of descriptors');
  assert.doesNotMatch(relay.log, /Too many open files/);
  for (const state of held) state.socket.destroy();
  await until(async () => (await relay.get('/ping')).text === 'pong', 'a place');
  await quick(relay, token, 'again');
  await health.after('a small limit');
});

test('requests that are refused unread, and linger, leave descriptors for capture', { timeout: 90_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'esink-ulimit-'));
  t.defer(() => rmSync(folder, { recursive: true }));
  const small = join(folder, 'esink');
  writeFileSync(small, `#!/bin/sh\nulimit -n 556\nexec ${binary()} "$@"\n`);
  chmodSync(small, 0o755);
  const { db, relay, witness, health } = await setUp(t, { MAX_CONNECTIONS: '300', NETWORK_THREADS: '2', HANDSHAKE_TIMEOUT: '60s' }, small);
  const free = fds(relay);
  const held = Array.from({ length: 250 }, () => trickle(t, relay.port, 'GET /ping'));
  await until(() => fds(relay) >= free + 250, 'the places to be taken');
  let most = 0;
  let flooding = true;
  const sockets = new Set();
  const flood = (async () => {
    while (flooding) {
      for (let i = 0; i < 15; i++) {
        const socket = net.connect({ port: relay.port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.write('POST /publish HTTP/1.1\r\nHost: x\r\n\r\n'));
        socket.on('error', () => {});
        socket.on('close', () => sockets.delete(socket));
        socket.resume();
        sockets.add(socket);
      }
      await pause(20);
      most = Math.max(most, fds(relay));
    }
  })();
  t.defer(() => { flooding = false; });
  await pause(2500);
  await db.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'esink'");
  await db.query("INSERT INTO notes VALUES (1, '1')");
  await witness.count(1);
  flooding = false;
  await flood;
  assert.doesNotMatch(relay.log, /Too many open files/);
  assert.ok(most - free <= 330, `${free} descriptors grew to ${most}`);
  for (const socket of sockets) socket.destroy();
  for (const state of held) state.socket.destroy();
  await until(async () => (await relay.get('/ping').catch(() => ({}))).text === 'pong', 'a place');
  await health.after('lingering sockets');
});

test('thousands that come and go leave nothing', { timeout: 90_000 }, async (t) => {
  const { relay, health, token } = await setUp(t);
  const before = rss(relay);
  const kinds = ['', 'GET', 'GET /ping HTTP/1.1\r\nHost: x\r\n\r\n', `GET /stream?token=${token} HTTP/1.1\r\nHost: x\r\n\r\n`, 'GET /stream?token=nobody HTTP/1.1\r\nHost: x\r\n\r\n',
    `GET /ws?token=${token} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`, `POST /publish HTTP/1.1\r\nHost: x\r\n${bearer}\r\nContent-Length: 100\r\n\r\n{"a"`, '\x16\x03\x01'];
  for (let round = 0; round < 30; round++) {
    await Promise.all(Array.from({ length: 100 }, (_, i) => new Promise((resolve) => {
      const socket = net.connect(relay.port, '127.0.0.1', () => socket.write(kinds[i % kinds.length] || 'x', () => setTimeout(() => (i % 3 ? socket.destroy() : socket.resetAndDestroy()), i % 20)));
      socket.on('error', () => {});
      socket.on('close', resolve);
      socket.resume();
    })));
  }
  await quick(relay, token, 'after the rush');
  if (!sanitized()) assert.ok(rss(relay) - before < 40, `${before} MB grew to ${rss(relay)} MB`);
  await health.after('the rush');
});
