// Prevents: peers that stall in the handshake and shut others out, a certificate that is renewed only by a restart, a slow
// reader behind TLS that holds up others or gets cut frames, more of TLS than was asked for.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { test, usePostgres } from './lib/harness.mjs';
import { raw } from './lib/clients.mjs';
import { calm } from './lib/health.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { patience, until, within } from './lib/wait.mjs';

const postgres = usePostgres();

// A self-signed certificate in files of its own; days may lie in the past.
function certificate(t, name, days = 2) {
  const folder = mkdtempSync(join(tmpdir(), 'esink-tls-'));
  t.defer(() => rmSync(folder, { recursive: true }));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', String(days), '-subj', `/CN=${name}`, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { folder, cert, key };
}

async function setUp(t, env = {}, files = certificate(t, 'first.example')) {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id text, body text)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tls: true, tables: 'notes', routing: { notes: 'user_id' }, env: { USE_SSL: 'true', SSL_CERT_FILE: files.cert, SSL_KEY_FILE: files.key, ...env } });
  const witness = await relay.ws(token);
  return { db, relay, token, files, witness, health: calm(relay, witness) };
}

async function connect(t, relay, options = {}) {
  const socket = tls.connect({ port: relay.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  t.defer(() => socket.destroy());
  await within(new Promise((resolve, reject) => { socket.once('secureConnect', resolve); socket.once('error', reject); }), 'a handshake');
  socket.on('error', () => {});
  return socket;
}

const subject = (socket) => socket.getPeerCertificate().subject.CN;

// What a client says first, caught on the way to nowhere.
async function clientHello() {
  const server = net.createServer();
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const hello = new Promise((resolve) => server.once('connection', (socket) => socket.once('data', (bytes) => { socket.destroy(); resolve(bytes); })));
  tls.connect({ port: server.address().port, host: '127.0.0.1' }).on('error', () => {});
  const bytes = await hello;
  server.close();
  return bytes;
}

test('200 peers that stall before, within and after their ClientHello: others get in, each is ended in time', async (t) => {
  const { relay, token, health } = await setUp(t, { HANDSHAKE_TIMEOUT: '2s' });
  const hello = await clientHello();
  const first = [Buffer.alloc(0), hello.subarray(0, 1), hello.subarray(0, hello.length - 1), hello, Buffer.from('GET /ping HTTP/1.1\r\nHost: x\r\n\r\n'), Buffer.alloc(300, 0x16)];
  const start = Date.now();
  const stalled = Array.from({ length: 200 }, (_, i) => {
    const socket = net.connect(relay.port, '127.0.0.1', () => socket.write(first[i % first.length]));
    t.defer(() => socket.destroy());
    const state = { kind: i % first.length, closed: false, bytes: '' };
    socket.on('data', (chunk) => { state.bytes += chunk.toString('latin1'); });
    socket.on('error', () => {});
    socket.on('close', () => { state.closed = Date.now(); });
    return state;
  });
  const one = Date.now();
  await (await relay.ws(token)).close();
  assert.equal((await relay.get('/ping')).text, 'pong');
  assert.ok(Date.now() - one < 1000 * patience, `served after ${Date.now() - one} ms`);
  await until(() => stalled.every((state) => state.closed), () => `the end of ${stalled.filter((state) => !state.closed).map((state) => state.kind)}`);
  assert.ok(Date.now() - start < 6000 * patience, `ended after ${Date.now() - start} ms`);
  for (const { bytes } of stalled) assert.ok(!bytes.includes('pong'), 'answered in plain text');
  await health.after('stalls');
});

test('SIGHUP: new connections get the new certificate, old ones go on; what cannot be used changes nothing', async (t) => {
  const { relay, files, token, witness } = await setUp(t);
  const other = certificate(t, 'second.example');
  assert.equal(subject(await connect(t, relay)), 'first.example');
  for (const [what, write] of [['no certificate', () => writeFileSync(files.cert, 'nothing')], ['a key of another', () => copyFileSync(other.cert, files.cert)]]) {
    write();
    const before = relay.log.length;
    relay.process.kill('SIGHUP');
    await until(() => /SSL_(CERT|KEY)_FILE/.test(relay.log.slice(before)), `a line about ${what}`);
    assert.match(relay.log.slice(before), /SIGHUP: the certificate stays as it was: SSL_/);
    assert.equal(subject(await connect(t, relay)), 'first.example', what);
  }
  copyFileSync(other.key, files.key);
  relay.process.kill('SIGHUP');
  await until(async () => {
    const socket = await connect(t, relay);
    const name = subject(socket);
    socket.destroy();
    return name === 'second.example';
  }, 'the new certificate');
  await until(() => / SIGHUP: the certificate was read again\n/.test(relay.log), () => relay.log);
  // Every network thread has it.
  for (let i = 0; i < 16; i++) {
    const socket = await connect(t, relay);
    assert.equal(subject(socket), 'second.example');
    socket.destroy();
  }
  await relay.fence(witness, await relay.ws(token));
  assert.ok(witness.open);
});

test('HTTP/1.1 only, TLS 1.2 at least, no renegotiation, no early data', async (t) => {
  const { relay, health } = await setUp(t);
  assert.equal((await connect(t, relay, { ALPNProtocols: ['h2', 'http/1.1'] })).alpnProtocol, 'http/1.1');
  assert.notEqual(await connect(t, relay, { ALPNProtocols: ['h2'] }).then((socket) => socket.alpnProtocol, () => 'refused'), 'h2');
  await assert.rejects(connect(t, relay, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }));
  const old = await connect(t, relay, { maxVersion: 'TLSv1.2' });
  const refused = await within(new Promise((resolve) => {
    old.once('close', () => resolve('closed'));
    old.renegotiate({}, (error) => resolve(error ? 'refused' : 'renegotiated'));
  }), 'an answer to a renegotiation');
  assert.notEqual(refused, 'renegotiated');
  const young = await connect(t, relay, { minVersion: 'TLSv1.3' });
  assert.equal(young.getProtocol(), 'TLSv1.3');
  const session = join(certificate(t, 'x').folder, 'session');
  execFileSync('openssl', ['s_client', '-connect', `127.0.0.1:${relay.port}`, '-tls1_3', '-sess_out', session], { input: 'GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', stdio: ['pipe', 'ignore', 'ignore'] });
  let told = '';
  try {
    told = execFileSync('openssl', ['sess_id', '-in', session, '-noout', '-text'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    // no ticket was given: nothing could carry early data
  }
  assert.match(told || 'Max Early Data: 0', /Max Early Data: 0/);
  await old.destroy();
  await young.destroy();
  await health.after('handshakes');
});

test('a 5 MB event to one that reads slowly arrives whole, and others do not wait', async (t) => {
  const { db, relay, token, witness } = await setUp(t);
  const slow = await relay.ws(token);
  slow.socket._socket.pause();
  await db.query("INSERT INTO notes SELECT 1, '1', repeat('x', 5000000)");
  await db.query("INSERT INTO notes SELECT n, '1', 'after' FROM generate_series(2, 200) n");
  await relay.fence(witness);
  assert.equal(witness.events.length, 200);
  const start = Date.now();
  await relay.fence(witness);
  assert.ok(Date.now() - start < 1000 * patience);
  const timer = setInterval(() => { slow.socket._socket.resume(); setImmediate(() => slow.socket._socket.pause()); }, 2);
  t.defer(() => clearInterval(timer));
  await until(() => slow.events.length === 200, () => `all events at the slow one: ${slow.events.length}`, 30_000);
  clearInterval(timer);
  slow.socket._socket.resume();
  assert.equal(slow.events[0].data.body.length, 5_000_000);
  assert.deepEqual(slow.events.map((event) => event.data.id), Array.from({ length: 200 }, (_, i) => i + 1));
});

test('an expired certificate is served with a warning; a key that does not belong to it is no start', async (t) => {
  const files = certificate(t, 'expired.example', 1);
  const long = join(files.folder, 'old.cnf');
  writeFileSync(long, '[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n');
  writeFileSync(join(files.folder, 'index'), '');
  writeFileSync(join(files.folder, 'serial'), '01\n');
  const run = (...args) => execFileSync('openssl', args, { cwd: files.folder, stdio: 'ignore' });
  run('req', '-new', '-key', 'key.pem', '-subj', '/CN=expired.example', '-out', 'request.pem');
  run('ca', '-config', 'old.cnf', '-batch', '-selfsign', '-keyfile', 'key.pem', '-in', 'request.pem', '-startdate', '20200101000000Z', '-enddate', '20200201000000Z', '-out', 'cert.pem', '-notext');
  const { relay } = await setUp(t, {}, files);
  assert.match(relay.log, /warn .*SSL_CERT_FILE: the certificate in ".*cert\.pem" has expired: browsers will refuse it/);
  const db = await postgres.database(t);
  const other = certificate(t, 'other.example');
  const { code, log } = await runToEnd(t, { db, env: { USE_SSL: '1', SSL_CERT_FILE: files.cert, SSL_KEY_FILE: other.key } });
  assert.equal(code, 2);
  assert.match(log, /esink: SSL_KEY_FILE: the key in ".*" does not belong to the certificate in ".*"/);
});

test('plain text on the TLS port gets no answer of HTTP', async (t) => {
  const { relay, health } = await setUp(t, { HANDSHAKE_TIMEOUT: '1s' });
  for (const bytes of ['GET /ping HTTP/1.1\r\nHost: x\r\n\r\n', 'POST /publish HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}', '\0'.repeat(2000)]) {
    const text = await raw(relay.port, bytes);
    assert.ok(!/HTTP\/1|pong/.test(text), text);
  }
  await health.after('plain text');
});
