// Prevents: a client that does not come back after a restart or after it was slow, because it was sent a DISCONNECT packet; a
// restart that waits for clients which take nothing; a token read over TLS's shoulder.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Polling, Wire } from './lib/engineio.mjs';
import { startRelay } from './lib/relay.mjs';
import { ended } from './lib/sessions.mjs';
import { combinations, database, insert, rules, threaded } from './lib/socketio.mjs';
import { assertSoon, duration, until } from './lib/wait.mjs';

async function setUp(t, threads, env = {}, options = {}) {
  const { db, token } = await database(t);
  const relay = await startRelay(t, db, { ...rules, ...options, env: { NETWORK_THREADS: String(threads), ...env } });
  relay.secret(token);
  return { db, token, relay, base: `${relay.origin}/socket.io/` };
}

threaded('SIGTERM as the packets show it: polls that wait are answered, websockets closed, none is told to go', async (t, threads) => {
  const { relay, token, base } = await setUp(t, threads);
  const wires = await Promise.all([1, 2, 3].map(() => new Wire(t, base, { pong: true }).connect({ token })));
  const polls = await Promise.all([1, 2, 3].map(() => new Polling(base).connect({ token })));
  const waiting = polls.map((session) => session.poll());
  const bare = new Wire(t, base);
  await bare.handshake();
  await Promise.all(polls.map((session) => session.send('3'))); // the polls have been there
  relay.process.kill('SIGTERM');
  for (const answer of await Promise.all(waiting)) {
    assert.equal(answer.status, 200);
    assert.ok(!answer.text.split('\x1e').includes('41'), answer.text);
    assert.ok(answer.text.split('\x1e').includes('1'), `a close packet: ${JSON.stringify(answer.text)}`);
  }
  for (const wire of [...wires, bare]) {
    await wire.closed();
    assert.ok(!wire.packets.includes('41'));
  }
  await relay.stop();
});

// Events that came with the close packet would be kept by socket.io-client until it is connected again, and asked for a second time.
threaded('SIGTERM under writes: an answer with events is not the one with the close packet', async (t, threads) => {
  const { db, relay, token, base } = await setUp(t, threads);
  for (let round = 0; round < 4; round++) {
    const sessions = await Promise.all(Array.from({ length: 40 }, () => new Polling(base).connect({ token })));
    const lists = sessions.map(() => []);
    const answers = sessions.map(async (session, i) => {
      const list = lists[i];
      for (;;) {
        // fetch() polls again on the same connection: also when no new ones are accepted any more.
        const answer = await fetch(session.url()).catch(() => undefined);
        if (answer?.status !== 200) return list;
        list.push((await answer.text()).split('\x1e'));
      }
    });
    const writer = db.connect();
    let stop = false;
    const writing = (async () => { for (let n = 0; !stop; n++) await writer.query('INSERT INTO notes VALUES ($1, 1, NULL)', [round * 1_000_000 + n]); })();
    await until(() => lists.every((list) => list.length >= 5), 'every session to be served');
    await relay.stop();
    stop = true;
    await writing;
    for (const list of await Promise.all(answers)) {
      for (const packets of list) assert.ok(!packets.includes('1') || packets.every((packet) => packet[0] !== '4'), `with the close packet: ${packets.slice(-3)}`);
    }
    await relay.start();
  }
});

// engine.io-client closes as soon as it reads the close packet, socket.io-client reads what stood before it only then.
threaded('last words come in one answer, the close packet in the next', async (t, threads) => {
  const { db, relay, token, base } = await setUp(t, threads, { AUTH_RECHECK: '1s' });
  const refused = await new Polling(base).connect({ token: 'nobody-has-this-token' });
  const bad = await new Polling(base).open();
  await bad.send(`40${JSON.stringify({ token, topics: ['('] })}`);
  const revoked = await new Polling(base).connect({ token });
  await db.query('DELETE FROM auth');
  for (const [session, first, last] of [[refused, '42["error"', '41'], [revoked, '42["error"', '41'], [bad, '44{"message"', '44']]) {
    const answers = [];
    if (session === refused) answers.push(session.packets);
    for (;;) {
      const answer = await session.poll();
      if (answer.status !== 200) break;
      answers.push(answer.text.split('\x1e'));
    }
    const packets = answers.flat();
    assert.ok(packets.some((packet) => packet.startsWith(first)) && packets.some((packet) => packet.startsWith(last)), String(packets));
    assert.equal(packets.at(-1), '1');
    assert.ok(!answers.at(-1).some((packet) => packet.startsWith('4')), `with the close packet: ${answers.at(-1)}`);
  }
  await relay.ready();
});

async function endWhileStalled(t, threads) {
  const { db, relay, token, base } = await setUp(t, threads);
  const stalled = [];
  for (let i = 0; i < 5; i++) {
    const wire = await new Wire(t, base).connect({ token });
    wire.socket.pause();
    stalled.push(await new Polling(base).connect({ token })); // has answers waiting, never asks
  }
  const reader = await relay.io(token);
  await insert(db, 1, 200, 1, 'hex(randomblob(25000))');
  await relay.fence(reader);
  const took = await duration(async () => {
    relay.process.kill('SIGTERM');
    await relay.process.exited;
  });
  assert.deepEqual(relay.process.status, { code: 0, signal: null }, relay.log);
  return took;
}

threaded('SIGTERM with clients that take nothing: status 0 within 5 s', (t, threads) =>
  assertSoon(5000, 'the end', () => endWhileStalled(t, threads)));

threaded('one that takes nothing is closed as slow without DISCONNECT, one that lags is not', { timeout: 90_000 }, async (t, threads) => {
  const { db, relay, token, base } = await setUp(t, threads, { SLOW_TIMEOUT: '2s' });
  const stalled = await new Wire(t, base, { pong: true }).connect({ token });
  stalled.socket.pause();
  const silent = await new Polling(base).connect({ token });
  const reader = await relay.io(token, { mode: 'polling' });
  await insert(db, 1, 200, 1, 'hex(randomblob(25000))');
  await until(() => reader.events.length === 200, () => reader.state(), 30_000);
  await until(() => ended(relay, 'slow') === 2, () => relay.log, 30_000);
  stalled.socket.resume();
  await stalled.closed();
  assert.ok(!stalled.packets.includes('41'));
  const answer = await silent.poll();
  assert.ok(!answer.text.split('\x1e').includes('41'));
  await relay.fence(reader);
  assert.deepEqual(reader.disconnects, []);
});

threaded('over TLS: polling by https, websocket by wss, the upgrade', async (t, threads) => {
  const folder = mkdtempSync(join(tmpdir(), 'esink-sio-'));
  t.defer(() => rmSync(folder, { recursive: true }));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=x.example', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const { db, relay, token, base } = await setUp(t, threads, { USE_SSL: 'true', SSL_CERT_FILE: cert, SSL_KEY_FILE: key }, { tls: true });
  const clients = await Promise.all(combinations.map((how) => relay.io(token, how)));
  for (const [i, { mode }] of combinations.entries()) if (mode === 'upgrade') await clients[i].upgraded();
  await insert(db, 1, 50, 1, 'hex(randomblob(5000))');
  await relay.fence(...clients);
  for (const client of clients) {
    assert.deepEqual(client.events.map(({ data }) => data.id), Array.from({ length: 50 }, (_, i) => i + 1));
    assert.deepEqual(client.named('notes'), client.events);
    assert.deepEqual(client.disconnects, []);
  }
  const session = await new Polling(base).open();
  assert.match((await session.post('3')).headers['strict-transport-security'] ?? '', /max-age/);
});
