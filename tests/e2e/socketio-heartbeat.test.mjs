// Prevents: a session of a peer that has gone, kept for ever; a peer that is there, closed for nothing; a relay that hangs and is
// not missed by its clients.
import assert from 'node:assert/strict';
import { Polling, Wire } from './lib/engineio.mjs';
import { startRelay } from './lib/relay.mjs';
import { ended } from './lib/sessions.mjs';
import { database, insert, modes, rules, threaded } from './lib/socketio.mjs';
import { until } from './lib/wait.mjs';

async function setUp(t, threads, env) {
  const { db, token } = await database(t);
  const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads), ...env } });
  relay.secret(token);
  return { db, token, relay, base: `${relay.origin}/socket.io/` };
}

threaded('the variables are what the handshake tells', async (t, threads) => {
  const { base } = await setUp(t, threads, {});
  const session = await new Polling(base).open();
  const { sid, ...rest } = session.handshake;
  assert.deepEqual(rest, { upgrades: ['websocket'], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1_000_000 });
  const other = await setUp(t, threads, { SOCKETIO_PING_INTERVAL: '700ms', SOCKETIO_PING_TIMEOUT: '1200ms', SOCKETIO_MAX_PAYLOAD: '50kB' });
  const handshake = await new Wire(t, other.base).handshake();
  assert.deepEqual([handshake.pingInterval, handshake.pingTimeout, handshake.maxPayload, handshake.upgrades], [700, 1200, 50_000, []]);
});

for (const mode of modes) {
  threaded(`who answers stays, for many pings and through quiet and traffic: ${mode}`, async (t, threads) => {
    const { db, token, relay } = await setUp(t, threads, { SOCKETIO_PING_INTERVAL: '200ms', SOCKETIO_PING_TIMEOUT: '5s' });
    const client = await relay.io(token, { mode });
    const pings = () => client.packets.filter(([type]) => type === 'ping').length;
    await until(() => pings() >= 5, () => `pings; ${client.state()}`);
    await insert(db, 1, 200);
    await relay.fence(client);
    const before = pings();
    await until(() => pings() >= before + 5, () => `more pings; ${client.state()}`);
    assert.equal(client.events.length, 200);
    assert.deepEqual(client.disconnects, []);
  });
}

threaded('who does not answer a ping is closed as gone-quiet: on a websocket, polling, and polling no more', async (t, threads) => {
  const { relay, token, base } = await setUp(t, threads, { SOCKETIO_PING_INTERVAL: '500ms', SOCKETIO_PING_TIMEOUT: '4s' });
  const witness = await relay.io(token);
  const start = Date.now();
  const wire = await new Wire(t, base).connect({ token });
  const polls = await new Polling(base).connect({ token });
  await new Polling(base).connect({ token }); // never asks again
  const upgraded = await new Polling(base).connect({ token });
  const over = await new Wire(t, base, { sid: upgraded.sid }).opened();
  over.send('2probe');
  await over.next();
  over.send('5');
  await Promise.all([wire.closed(), over.closed(), polls.run(() => false, { mute: true })]);
  assert.ok(Date.now() - start >= 4400, `not before its time: ${Date.now() - start} ms`);
  for (const packets of [wire.packets, over.packets, polls.packets]) assert.ok(!packets.includes('41'), 'so that it comes back');
  await until(() => ended(relay, 'gone-quiet') === 4, () => relay.log);
  await relay.fence(witness);
  assert.deepEqual(witness.disconnects, []);
});

threaded('a peer whose network has gone, in the middle of a poll or of a websocket', async (t, threads) => {
  const { relay, token, base } = await setUp(t, threads, { SOCKETIO_PING_INTERVAL: '300ms', SOCKETIO_PING_TIMEOUT: '4s' });
  const witness = await relay.io(token);
  const wire = await new Wire(t, base).connect({ token });
  wire.socket._socket.destroy();
  const polling = await new Polling(base).connect({ token });
  const controller = new AbortController();
  const poll = fetch(polling.url(), { signal: controller.signal }).catch(() => {});
  await polling.send('3');
  controller.abort();
  await poll;
  await until(() => relay.log.split('\n').filter((line) => /ended: (client|gone-quiet|bad-message) \(/.test(line)).length >= 2, () => relay.log);
  assert.equal((await polling.poll()).status, 400);
  await relay.fence(witness);
});

for (const mode of modes) {
  threaded(`a relay that hangs is missed by its clients, which come back when it does: ${mode}`, async (t, threads) => {
    const { relay, token } = await setUp(t, threads, { SOCKETIO_PING_INTERVAL: '300ms', SOCKETIO_PING_TIMEOUT: '700ms' });
    const client = await relay.io(token, { mode, reconnection: true });
    if (mode === 'upgrade') await client.upgraded();
    relay.process.kill('SIGSTOP');
    t.defer(() => relay.process?.kill('SIGCONT'));
    try {
      await until(() => client.disconnects.length > 0, () => client.state());
    } finally {
      relay.process.kill('SIGCONT');
    }
    assert.equal(client.disconnects[0], 'ping timeout');
    await until(() => client.welcomes.length >= 2, () => client.state());
    await relay.fence(client);
  });
}
