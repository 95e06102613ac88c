// Prevents: an event that is lost, doubled or out of order while a session goes from polling to a websocket: the moment when
// it is on two connections, and with several threads between two of them.
import assert from 'node:assert/strict';
import { Polling, Wire, eventsOf } from './lib/engineio.mjs';
import { startRelay } from './lib/relay.mjs';
import { database, rules, threaded } from './lib/socketio.mjs';
import { until } from './lib/wait.mjs';

// Numbered rows for user 1 until stopped.
function stream(t, db) {
  const writer = db.connect();
  const state = { n: 0, stop: false };
  state.done = (async () => {
    while (!state.stop) await writer.query('INSERT INTO notes VALUES ($1, 1, $2)', [++state.n, 'x'.repeat((state.n * 37) % 500)]);
  })();
  t.defer(() => { state.stop = true; });
  return state;
}

// Every event from the first seen to the last, once and in order.
function whole(ids, what) {
  for (let i = 1; i < ids.length; i++) assert.equal(ids[i], ids[i - 1] + 1, `${what}: ${ids[i]} after ${ids[i - 1]}`);
}

threaded('50 clients upgrade while numbered rows are written: none lost, none twice, in order', { timeout: 120_000 }, async (t, threads) => {
  const { db, token } = await database(t);
  const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads) } });
  const rows = stream(t, db);
  const clients = [];
  for (let wave = 0; wave < 5; wave++) {
    const ten = Array.from({ length: 10 }, (_, i) => relay.openIo(token, { mode: 'upgrade', version: i % 2 ? 'newest' : '4.7.2' }));
    clients.push(...ten);
    for (const client of ten) await client.connected();
    for (const client of ten) await client.upgraded();
  }
  const seen = rows.n;
  await until(() => rows.n > seen + 50, 'more rows');
  rows.stop = true;
  await rows.done;
  await relay.fence(...clients);
  for (const client of clients) {
    const ids = client.events.map(({ data }) => data.id);
    assert.equal(ids.at(-1), rows.n);
    whole(ids, client.state());
    assert.ok(ids[0] <= seen, 'it was there before the last ones came');
    assert.deepEqual(client.named('notes').map(({ data }) => data.id), ids);
    assert.deepEqual([client.disconnects, client.failures], [[], []]);
  }
});

// The same by hand, stopping at each point of the way, so that events lie at every place: not fetched yet, in a poll that is
// answered with them instead of a noop, written before the upgrade, between and after.
threaded('each step of an upgrade under load, fetched or not, completed or given up', { timeout: 120_000 }, async (t, threads) => {
  const { db, token } = await database(t);
  const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads) } });
  relay.secret(token);
  const base = `${relay.origin}/socket.io/`;
  const rows = stream(t, db);
  for (let round = 0; round < 40; round++) {
    const session = await new Polling(base).connect({ token });
    const wait = async (n) => { const from = rows.n; await until(() => rows.n >= from + n, 'rows'); };
    await wait(round % 7);
    const waiting = round % 2 ? session.poll() : undefined; // a poll that is there, or none
    const wire = await new Wire(t, base, { sid: session.sid, pong: true }).opened();
    wire.send('2probe');
    assert.equal(await wire.next(), '3probe');
    if (waiting) session.packets.push(...(await waiting).text.split('\x1e'));
    if (round % 3 === 0) session.packets.push(...await session.fetch());
    await wait(round % 5);
    if (round % 4 === 3) {
      // Given up: polling goes on.
      wire.socket.terminate();
      const end = rows.n;
      await session.run(() => session.named('changes').some(({ data }) => data.id > end));
      whole(session.named('changes').map(({ data }) => data.id), `round ${round}, given up`);
      await session.post('1');
      continue;
    }
    wire.send('5');
    const end = rows.n;
    await until(() => wire.named('changes').some(({ data }) => data.id > end + 10) || wire.over, () => wire.state());
    const packets = [...session.packets, ...wire.packets];
    whole(eventsOf(packets).filter(([name]) => name === 'changes').map(([, { data }]) => data.id), `round ${round}`);
    whole(eventsOf(packets).filter(([name]) => name === 'notes').map(([, { data }]) => data.id), `round ${round}`);
    wire.socket.terminate();
  }
  rows.stop = true;
  await rows.done;
});

threaded('upgrading while events are sent by the client: each is taken once', async (t, threads) => {
  const { db, token } = await database(t);
  const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads), ALLOW_REPUBLISHING: 'true', MAX_MESSAGES_PER_SECOND: '1000' } });
  const clients = Array.from({ length: 10 }, () => relay.openIo(token, { mode: 'upgrade' }));
  for (const [i, client] of clients.entries()) {
    client.socket.on('connected', () => {
      for (let n = 0; n < 20; n++) client.say('event', { table: `client-${i}`, type: 'x', data: { n } });
    });
  }
  const numbers = (i) => clients[i].events.filter(({ table }) => table === `client-${i}`).map(({ data }) => data.n);
  for (const [i, client] of clients.entries()) {
    await client.upgraded();
    await until(() => numbers(i).length >= 20, () => `the client's own events; ${client.state()}`);
  }
  await relay.fence(...clients);
  for (const i of clients.keys()) assert.deepEqual(numbers(i), Array.from({ length: 20 }, (_, n) => n));
});

// The client polls no more once it was told that the probe is good: what is said then can only come by the websocket.
threaded('last words of a session that upgrades', async (t, threads) => {
  const { db, token } = await database(t);
  const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads), AUTH_RECHECK: '1s' } });
  relay.secret(token);
  const base = `${relay.origin}/socket.io/`;
  const cases = [[{ token: 'nobody-has-this-token' }, 401], [{ token, topics: ['('] }, 400], [{ token }, 401]];
  for (const [auth, code] of cases) {
    for (let i = 0; i < 5; i++) {
      const revoked = auth === cases[2][0];
      if (revoked && i > 0) break;
      const session = new Polling(base);
      if (revoked) await session.connect(auth);
      else await session.open();
      const wire = await new Wire(t, base, { sid: session.sid, pong: true }).opened();
      wire.send('2probe');
      assert.equal(await wire.next(), '3probe');
      if (revoked) {
        await db.query('DELETE FROM auth');
        await until(() => /ended: revoked/.test(relay.log), () => relay.log);
      } else {
        await session.send(`40${JSON.stringify(auth)}`);
        if (i % 2) await until(() => relay.log.split('\n').filter((line) => line.includes('ended: ')).length > 0, () => relay.log);
      }
      wire.send('5');
      await wire.closed();
      const refusal = wire.packets.find((packet) => packet.startsWith('44'));
      const told = code === 400 ? refusal && JSON.parse(refusal.slice(2)).data.code : wire.named('error')[0]?.code;
      assert.equal(told, code, `${JSON.stringify(auth)}: ${wire.state()}`);
      assert.equal(wire.packets.includes('41'), code === 401, wire.state());
    }
  }
});

threaded('a bad token over the default transports: every client is told so, none comes back', { timeout: 90_000 }, async (t, threads) => {
  const { db } = await database(t);
  const relay = await startRelay(t, db, { env: { NETWORK_THREADS: String(threads) } });
  for (let round = 0; round < 5; round++) {
    const clients = Array.from({ length: 20 }, (_, i) => relay.openIo('nobody-has-this-token', { mode: 'upgrade', version: i % 2 ? 'newest' : '4.7.2', reconnection: true }));
    for (const client of clients) {
      await until(() => client.disconnects.length > 0, () => client.state());
      assert.deepEqual(client.disconnects, ['io server disconnect'], client.state());
      assert.equal(client.errors[0]?.code, 401);
      assert.equal(client.socket.active, false);
    }
  }
});
