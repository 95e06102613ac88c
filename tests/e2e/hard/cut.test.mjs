// Prevents: a relay that waits for ever, and says that all is well, on a connection that is dead without anybody having
// said so (a cable, a NAT box, a balancer that answers keep-alives for a server that is gone); one that takes a long drain
// for such a connection, and begins it again for ever; rows that are lost or told twice when what was under way is cut off
// at any byte; publishers who are left without an answer.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { WsClient } from '../lib/clients.mjs';
import { test, usePostgres } from '../lib/harness.mjs';
import { Proxy } from '../lib/proxy.mjs';
import { startRelay } from '../lib/relay.mjs';
import { ascending } from '../lib/shapes.mjs';
import { patience, until } from '../lib/wait.mjs';

const postgres = usePostgres();
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text)';
const operator = 'operators-own-token-4711';
const noticed = 8000 * patience; // ms; 4 s where nothing else is slow
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);
const ids = (client) => client.events.map((event) => event.data.id);

async function throughProxy(t, env = {}) {
  const db = await postgres.database(t, schema);
  const proxy = await new Proxy(postgres.port).start(t);
  const token = await db.user(1);
  const relay = await startRelay(t, db, {
    tables: 'notes', routing: { notes: 'user_id' }, env: { POSTGRES_DATABASE_URL: proxy.url(db), SECURITY_TOKEN: operator, ...env },
  });
  return { db, proxy, token, relay };
}

const insert = (db, from, to, size = 10) =>
  db.query(`INSERT INTO notes SELECT n, 1, repeat('x', ${size}) FROM generate_series(${from}, ${to}) n`);

async function toldWithin(relay, limit) {
  const begun = Date.now();
  await relay.notReady();
  const { json } = await relay.get('/ready');
  const took = Date.now() - begun;
  assert.match(json.message, /stopped answering|no answer/);
  assert.ok(took < limit, `/ready said so after ${took} ms`);
  return took;
}

// What our relay has open, as the server sees it.
const backends = async (db) => (await db.query(`SELECT pid, state, wait_event, query FROM pg_stat_activity
  WHERE application_name = 'esink' AND datname = current_database()`)).rows;

// When the network falls silent: name, how to get there (each returns once it has), and whether old connections stay dead
// afterwards.
const moments = [
  ['while nothing happens', async ({ proxy, db }) => {
    await insert(db, 101, 200);
    proxy.hush();
  }, [true]],
  ['before a drain arrives', async ({ proxy, db }) => {
    const sprung = proxy.on(/esink\.drain/, () => (proxy.hush(), true));
    await insert(db, 101, 200);
    await sprung;
  }, [false]],
  ['before the answer of a drain arrives', async ({ proxy, db }) => {
    const sprung = proxy.on(/esink\.drain/, (link) => proxy.after(link, 0, () => proxy.hush()));
    await insert(db, 101, 200);
    await sprung;
  }, [true]],
  ['in the middle of rows, with more to come than the sockets hold', async ({ proxy, db }) => {
    const sprung = proxy.on(/esink\.read/, (link) => proxy.after(link, 100_000, () => proxy.hush()));
    await insert(db, 101, 200, 200_000);
    await sprung;
  }, [true, false]],
];

for (const [name, arrive, ways] of moments) {
  for (const forget of ways) {
    test(`the network is cut without a word ${name}; ${forget ? 'old connections stay dead' : 'it resumes'}`, async (t) => {
      const setup = await throughProxy(t);
      const { db, proxy, relay, token } = setup;
      const [ws, sse] = [await relay.ws(token), await relay.sse(token)];
      await insert(db, 1, 100);
      await Promise.all([ws.count(100), sse.count(100)]);
      await arrive(setup);
      const took = await toldWithin(relay, noticed);
      console.log(`# noticed after ${took} ms`);
      await insert(db, 201, 300);
      assert.equal((await relay.get('/ping')).status, 200);
      proxy.heal({ forget });
      await relay.ready();
      await relay.fence(ws, sse);
      for (const client of [ws, sse]) {
        assert.deepEqual(ids(client), upTo(300));
        ascending(client.events);
        assert.equal(client.named('connected').length, 1, 'the session outlived the cut');
      }
      // A process left behind would hold its snapshot and its locks for as long as the server's TCP takes: hours.
      await until(async () => (await backends(db)).filter(({ state }) => state !== 'idle').length === 0
        && (await backends(db)).length <= 4, 'the processes of the dead connections to end');
    });
  }
}

test('a drain that takes its time is not taken for a dead connection', async (t) => {
  const { db, relay, token } = await throughProxy(t);
  const ws = await relay.ws(token);
  const other = await db.connect();
  await other.query('BEGIN; LOCK TABLE esink.tick_0, esink.tick_1 IN ACCESS EXCLUSIVE MODE');
  await insert(db, 1, 10);
  const busy = async () => (await backends(db)).filter(({ state, query }) => state === 'active' && /drain/.test(query)).map(({ pid }) => pid);
  const [pid] = await until(async () => { const pids = await busy(); return pids.length && pids; }, 'the drain to wait');
  const end = Date.now() + Number(process.env.ESINK_LONG_DRAIN_SECONDS ?? 10) * 1000;
  while (Date.now() < end) {
    assert.deepEqual(await busy(), [pid], `the same process still drains; the log:\n${relay.log}`);
    await pause(200);
  }
  await other.query('COMMIT');
  await relay.fence(ws);
  assert.deepEqual(ids(ws), upTo(10));
  assert.ok(!relay.log.includes('capture is away'), relay.log);
});

test('a network with 150 ms each way is slow, not dead', async (t) => {
  const { db, proxy, relay, token } = await throughProxy(t);
  const ws = await relay.ws(token);
  proxy.late = 150;
  for (let n = 1; n <= 20; n++) await insert(db, n, n);
  await relay.fence(ws);
  assert.deepEqual(ids(ws), upTo(20));
  assert.ok(!relay.log.includes('capture is away'), relay.log);
});

test('connections reset in the middle of messages, again and again: all arrive, once, in order', async (t) => {
  const { db, proxy, relay, token } = await throughProxy(t);
  const ws = await relay.ws(token);
  let seed = Number(process.env.ESINK_RANDOM_SEED ?? Date.now() % 1_000_000);
  console.log(`# seed ${seed}`);
  const random = (n) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % n;
  };
  let resets = 0, n = 0;
  const cut = () => proxy.on([/esink\.read/, /esink\.drain/][random(2)], (link) => {
    proxy.after(link, random(2) ? random(200) : random(60_000), () => {
      link.reset();
      resets++;
      cut();
    });
  });
  cut();
  while (resets < 15) {
    await insert(db, n + 1, n + 40, 1000);
    n += 40;
    await pause(10);
    assert.ok(n < 200_000, 'the resets do not come');
  }
  proxy.trap = undefined;
  for (const link of proxy.links) link.cutAt = Infinity;
  await relay.ready();
  await relay.fence(ws);
  assert.deepEqual(ids(ws), upTo(n));
  ascending(ws.events);
});

test('a token look-up that is cut off: asked again on another connection; the network away: 503 in time', async (t) => {
  const { db, proxy, relay, token } = await throughProxy(t, { STATEMENT_TIMEOUT: '1s', LIVE_TIMEOUT: '8s' });
  await relay.ws(token);
  const sprung = proxy.on(/"auth"/, (link) => (link.hush(), true));
  const ws = relay.openWs(token);
  await sprung;
  await ws.connected();
  await insert(db, 1, 1);
  await relay.fence(ws);
  assert.deepEqual(ids(ws), [1]);
  proxy.hush();
  const refused = relay.openWs(token);
  await refused.closing(15_000);
  assert.equal(refused.errors.at(-1)?.code, 503, refused.state());
  assert.equal(ws.open, true, 'who was there stays');
  proxy.heal({ forget: true });
  await relay.ready();
  const welcome = await relay.ws(token);
  await relay.fence(ws, welcome);
});

test('a publication that is cut off is answered within PUBLISH_TIMEOUT; told stored, it is in the journal', async (t) => {
  const { proxy, relay } = await throughProxy(t, { PUBLISH_TIMEOUT: '2s' });
  const eye = await relay.operator();
  let told = 0;
  const publish = async (text) => {
    const begun = Date.now();
    const answer = await relay.post('/publish', { table: 'news', type: 'created', data: { text }, userId: '*', securityToken: operator });
    const took = Date.now() - begun;
    assert.ok([200, 503].includes(answer.status), `${text}: ${answer.status} ${answer.text}`);
    assert.ok(took < 2000 + 1500 * patience, `${text}: answered after ${took} ms`);
    told++;
    return answer;
  };
  const texts = () => eye.events.map((event) => event.data.text);
  assert.equal((await publish('well')).status, 200);
  for (const [name, pattern, stored] of [['append', /esink\.append/, false], ['commit', /COMMIT\0/, true]]) {
    const sprung = proxy.on(pattern, (link) => (stored ? proxy.after(link, 0, () => proxy.hush()) : (proxy.hush(), true)));
    const first = publish(name);
    await sprung;
    const others = await Promise.all([first, publish(`${name} behind it`), publish(`${name} behind it too`)]);
    for (const answer of others) {
      assert.equal(answer.status, 503);
      assert.match(answer.json.message, /may have been stored/);
    }
    proxy.heal({ forget: true });
    await relay.ready();
    const mended = await until(async () => {
      const answer = await publish(`${name} mended`);
      return answer.status === 200 && answer;
    }, 'a publication to work again');
    await eye.event((event) => event.id === mended.json.id);
    const seen = texts();
    assert.equal(seen.filter((text) => text === name).length, stored ? 1 : 0, `${name}: ${seen}`);
    assert.equal(seen.filter((text) => text.startsWith(`${name} behind`)).length, 0, 'what never reached the server');
  }
  // A single connection gone while idle, as a balancer does: the next publication goes through all the same.
  for (const link of proxy.links) if (/esink\.append/.test(link.said)) link.reset();
  assert.equal((await publish('after the reset')).status, 200);
  assert.ok(told >= 9);
});

test('a client whose network is cut without a word is noticed and ended; it resumes without loss', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, {
    tables: 'notes', routing: { notes: 'user_id' },
    env: { HEARTBEAT_INTERVAL: '500ms', HEARTBEAT_TIMEOUT: '1s', SLOW_TIMEOUT: '2s' },
  });
  const proxy = await new Proxy(relay.port).start(t);
  const path = { get origin() { return `http://127.0.0.1:${proxy.port}`; }, get log() { return relay.log; } };
  const cut = new WsClient(path, token);
  t.defer(() => cut.close());
  await cut.connected();
  const near = await relay.ws(token);
  await insert(db, 1, 50);
  await cut.count(50);
  const { position } = cut;
  proxy.hush();
  await insert(db, 51, 100, 100_000);
  await until(() => /gone-quiet|slow/.test(relay.log), () => `the log to tell the end of the silent session:\n${relay.log}`);
  await near.count(100);
  const again = await relay.ws(token, { after: position });
  assert.equal(again.welcome.recovered, true);
  await relay.fence(again);
  assert.deepEqual([...ids(cut), ...ids(again)], upTo(100));
});
