// Prevents: a client that was away and misses what happened meanwhile, or sees it twice; a relay that restarts and loses its
// browsers, because it told them to go instead of closing the connection.
import assert from 'node:assert/strict';
import { startRelay } from './lib/relay.mjs';
import { database, insert, modes, rules, threaded } from './lib/socketio.mjs';
import { until } from './lib/wait.mjs';

const ids = (client) => client.events.map(({ data }) => data.id);
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

// Rows 1..n, once and in order; else what came around the first that is not so.
function complete(client, n) {
  const at = client.messages.filter(({ event, data }) => event === 'connected' || (event === 'changes' && data.table === 'notes'));
  let next = 1;
  at.forEach(({ event, data }, i) => {
    if (event === 'connected') return;
    if (data.data.id !== next) {
      const near = at.slice(Math.max(0, i - 4), i + 4).map((m) => `${m.event} ${m.event === 'changes' ? `${m.data.id}: ${m.data.data.id}` : m.text}`);
      assert.fail(`${data.data.id} instead of ${next}:\n${near.join('\n')}\n${client.state()}\n${client.asked}`);
    }
    next++;
  });
  assert.equal(next, n + 1, client.state());
  // An event's table speaks first, then `changes`, which is where a client resumes: cut off between the two, it hears of the table again.
  const both = client.messages.filter(({ event }) => ['connected', 'notes', 'changes'].includes(event));
  const named = both.filter(({ event }, i) => event === 'notes' && both[i + 1]?.event !== 'connected');
  assert.deepEqual(named.map(({ data }) => data.data.id), upTo(n));
}

async function setUp(t, threads, env = {}) {
  const { db, tokens, token } = await database(t, { users: 2 });
  const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads), ...env } });
  return { db, tokens, token, relay };
}

// As an application does it: auth is asked for at every connection, and tells the position that was seen last.
function resuming(relay, token, options) {
  let position;
  const asked = []; // positions, for a failure's message
  const client = relay.openIo(token, { ...options, reconnection: true, auth: (give) => { asked.push(position); give({ token, after: position }); } });
  client.asked = asked;
  relay.secret(token);
  client.socket.on('connected', ({ journal, id, recovered }) => {
    client.recovered = recovered;
    client.journal = journal;
    if (!recovered) position = `${journal}:${id}`;
  });
  client.socket.on('changes', ({ id }) => { position = `${client.journal}:${id}`; });
  client.socket.on('position', ({ journal, id }) => { position = `${journal}:${id}`; });
  return client;
}

for (const mode of modes) {
  threaded(`after: everything since, in order and once, then live; recovered says whether: ${mode}`, async (t, threads) => {
    const { db, token, relay } = await setUp(t, threads);
    const first = await relay.io(token, { mode });
    await insert(db, 1, 5);
    await first.count(5);
    const { position } = first;
    await first.close();
    await insert(db, 6, 300);
    await insert(db, 301, 310, 2);
    const again = await relay.io(token, { mode, after: position });
    assert.equal(again.welcome.recovered, true);
    if (mode === 'upgrade') await again.upgraded();
    await insert(db, 311, 320);
    await relay.fence(again);
    assert.deepEqual(ids(again), [...upTo(300).slice(5), ...upTo(320).slice(310)]);
    assert.deepEqual(again.named('notes'), again.events);
    const bare = await relay.io(token, { mode, after: position.split(':')[1] });
    const number = await relay.io(token, { mode, after: Number(position.split(':')[1]) });
    await relay.fence(bare, number);
    for (const client of [bare, number]) assert.deepEqual([client.welcome.recovered, ids(client)], [true, ids(again)]);
    for (const after of [`${'0'.repeat(16)}:1`, `${first.welcome.journal}:999999`]) {
      const lost = await relay.io(token, { mode, after });
      assert.equal(lost.welcome.recovered, false, after);
      await relay.fence(lost);
      assert.deepEqual(lost.events, []);
    }
  });

  threaded(`the relay is killed and comes back, again and again, while rows are written: nothing missing, nothing twice: ${mode}`, { timeout: 120_000 }, async (t, threads) => {
    const { db, token, relay } = await setUp(t, threads);
    const clients = Array.from({ length: 5 }, (_, i) => resuming(relay, token, { mode, version: i % 2 ? 'newest' : '4.7.2' }));
    for (const client of clients) await client.connected();
    let n = 0;
    let stop = false;
    const writer = db.connect();
    const writing = (async () => {
      while (!stop) await writer.query('INSERT INTO notes VALUES ($1, 1, $2)', [++n, 'x'.repeat(n % 300)]);
    })();
    for (let life = 2; life <= 4; life++) {
      const seen = n;
      await until(() => n > seen + 50, 'some writes');
      if (life === 4) await relay.stop();
      else await relay.kill();
      await relay.start();
      for (const client of clients) {
        await until(() => client.welcomes.length >= life, () => `the client to come back; ${client.state()}`, 30_000);
      }
    }
    stop = true;
    await writing;
    await relay.fence(...clients);
    for (const client of clients) {
      complete(client, n);
      assert.ok(client.welcomes.slice(1).every(({ recovered }) => recovered), 'recovered each time');
      assert.ok(!client.wasToldToGo && !client.disconnects.includes('io server disconnect'), String(client.disconnects));
    }
  });

  threaded(`SIGTERM: the transport closes without DISCONNECT, clients reconnect by themselves and resume: ${mode}`, async (t, threads) => {
    const { db, token, relay } = await setUp(t, threads);
    const clients = Array.from({ length: 8 }, () => resuming(relay, token, { mode }));
    for (const client of clients) await client.connected();
    // In the middle of its upgrade socket.io-client waits for a poll that it does not send any more, and finds out by a ping timeout.
    if (mode === 'upgrade') await until(() => clients.every(({ socket }) => socket.io.engine.transport.name === 'websocket'), 'the upgrades');
    await insert(db, 1, 20);
    const start = Date.now();
    await relay.stop();
    assert.ok(Date.now() - start < 5000, `took ${Date.now() - start} ms`);
    await insert(db, 21, 40);
    await relay.start();
    for (const client of clients) await until(() => client.welcomes.length === 2, () => client.state(), 30_000);
    await relay.fence(...clients);
    for (const client of clients) {
      complete(client, 40);
      assert.equal(client.wasToldToGo, false);
      assert.ok(['transport close', 'transport error'].includes(client.disconnects[0]), String(client.disconnects));
      assert.equal(client.socket.active, true);
    }
  });

  threaded(`position keeps the resume point up while nothing comes: ${mode}`, async (t, threads) => {
    const { db, token, relay } = await setUp(t, threads, { POSITION_INTERVAL: '300ms' });
    const client = await relay.io(token, { mode });
    await insert(db, 1, 30, 2);
    const wanted = BigInt(client.welcome.id) + 30n;
    const position = await until(() => client.named('position').find(({ id }) => BigInt(id) >= wanted), () => client.state());
    assert.equal(position.journal, client.welcome.journal);
  });

  threaded(`a long replay: whole and in order, with live rows behind it: ${mode}`, { timeout: 90_000 }, async (t, threads) => {
    const { db, token, relay } = await setUp(t, threads, { SESSION_QUEUE_BYTES: '16kB' });
    const { welcome } = await relay.ws(token);
    await insert(db, 1, 5000, 1, "hex(randomblob(100))");
    await relay.fence(await relay.ws(token));
    const clients = await Promise.all([1, 2, 3].map(() => relay.io(token, { mode, after: `${welcome.journal}:${welcome.id}` })));
    await insert(db, 5001, 5100);
    await relay.fence(...clients);
    for (const client of clients) assert.deepEqual(ids(client), upTo(5100));
  });
}
