// Prevents: a browser that comes back and misses, silently, what happened meanwhile, or is told something twice; a position of
// another journal, or one that the journal no longer reaches, that is taken as if nothing were missing.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { ascending } from '../lib/shapes.mjs';
import { until } from '../lib/wait.mjs';
import { operator, series } from './suite.mjs';

const ids = (client) => client.events.map(({ data }) => data.id);
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, owner int, body text)';
const rules = { tables: 'notes', routing: { notes: 'owner' }, env: { SECURITY_TOKEN: operator } };

export function inShop(database, shop) {
  test('after, journal and bare, and Last-Event-ID: everything behind it, once, with the same ids', async (t) => {
    const first = await shop.join(t, 1, { via: 'sse' });
    await shop.db.query(`INSERT INTO notes (id, owner) ${series(701, 720, 'i, 1')}`);
    await shop.relay.fence(first);
    const seen = first.ids[first.messages.findIndex(({ event }) => event === 'changes') + 4];
    assert.match(seen, /^[0-9a-f]{16}:\d+$/);
    const resumed = [
      await shop.join(t, 1, { via: 'sse', headers: { 'last-event-id': seen } }), await shop.join(t, 1, { after: seen }),
      await shop.join(t, 1, { via: 'sse', after: seen }), await shop.join(t, 1, { after: seen.split(':')[1] }),
    ];
    await shop.relay.fence(...resumed);
    for (const client of resumed) {
      assert.equal(client.welcome.recovered, true);
      assert.deepEqual(client.events, first.events.slice(5));
    }
  });

  test('a position of another journal, or ahead of the head: not recovered, live events only', async (t) => {
    const { welcome } = await shop.join(t, 1);
    await shop.db.query("INSERT INTO notes VALUES (731, 1, 'before')");
    for (const after of [`0123456789abcdef:${welcome.id}`, `${welcome.journal}:999999999`]) {
      const client = await shop.join(t, 1, { after });
      assert.equal(client.welcome.recovered, false, after);
      await shop.relay.fence(client);
      assert.ok(client.events.every(({ id }) => BigInt(id) > BigInt(client.welcome.id)), client.state());
    }
  });
}

export function apart(database) {
  test('written while no relay runs: delivered to whoever resumes, over a kill and over a clean end', async (t) => {
    const db = await database.database(t, schema);
    const token = await db.user(1);
    const relay = await startRelay(t, db, rules);
    const first = await relay.ws(token);
    await db.query("INSERT INTO notes VALUES (1, 1, 'told')");
    await relay.fence(first);
    const { position } = first;
    for (const [end, from, to] of [['kill', 2, 150], ['stop', 151, 300]]) {
      await relay[end]();
      await db.query(`INSERT INTO notes (id, owner) ${series(from, to, 'i, 1')}`);
      await relay.start();
    }
    const clients = [await relay.ws(token, { after: position }), await relay.sse(token, { after: position }), await relay.ws(token, { after: position, via: 'message' })];
    await relay.fence(...clients);
    for (const client of clients) {
      assert.deepEqual([client.welcome.recovered, client.welcome.journal], [true, first.welcome.journal]);
      assert.deepEqual(ids(client), Array.from({ length: 299 }, (_, i) => i + 2));
      ascending(client.events);
    }
    assert.deepEqual(clients[1].events, clients[0].events);
    const live = await relay.ws(token);
    await relay.fence(live);
    assert.deepEqual(live.events, [], 'without `after` nothing older');
  });

  test('RETENTION: a position that the journal no longer reaches is not recovered, ids go on', async (t) => {
    const db = await database.database(t, schema);
    const relay = await startRelay(t, db, { ...rules, env: { ...rules.env, RETENTION: '1s', TAIL_BYTES: '64kB', SESSION_QUEUE_BYTES: '32kB' } });
    const { welcome } = await relay.operator();
    const after = `${welcome.journal}:${welcome.id}`;
    let n = 0;
    let last;
    await until(async () => {
      const filler = Array.from({ length: 40 }, () => `(${++n}, 1, '${'x'.repeat(4000)}')`); // so that memory does not reach back either
      await db.query(`INSERT INTO notes VALUES ${filler.join(', ')}`);
      await last?.close(); // or each takes all of it, too, and a busy machine never gets to the end
      last = await relay.operator({ after });
      return !last.welcome.recovered;
    }, () => `a position that is too old, after ${n} rows: ${relay.log}`, 40_000);
    assert.equal(last.welcome.journal, welcome.journal);
    await relay.fence(last);
    assert.equal(last.named('changes').at(-1).id, String(BigInt(welcome.id) + BigInt(n) + 1n), 'gap-free over what was discarded');
    assert.ok(last.events.every(({ id }) => BigInt(id) > BigInt(last.welcome.id)), last.state());
  });
}
