// Prevents: a mover whose network to MySQL or MariaDB falls silent, without anything being closed, and that holds the right to move,
// or an open move, for as long as the server keeps silent connections, while the other relay tells nobody anything; rows that are lost or told
// twice over it; a relay that takes a pause of its own for a failure.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { databaseOf } from '../lib/databases.mjs';
import { test } from '../lib/harness.mjs';
import { Proxy } from '../lib/proxy.mjs';
import { startRelay } from '../lib/relay.mjs';
import { ascending } from '../lib/shapes.mjs';
import { patience, until } from '../lib/wait.mjs';
import { operator, series } from '../source/suite.mjs';

const database = databaseOf('mysql');
after(() => database.stop());
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, body mediumtext)';
const limit = 3500 * patience; // ms; 2 s of silence, and what a busy machine adds
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);
const ids = (client) => client.events.filter(({ table }) => table === 'notes').map(({ data }) => data.id);
const insert = (db, from, to, size = 10) => db.query(`INSERT INTO notes ${series(from, to, `i, REPEAT('x', ${size})`)}`);

async function two(t) {
  const db = await database.database(t, schema);
  const proxy = await new Proxy(db.server.port).start(t);
  const options = { tables: 'notes', env: { SECURITY_TOKEN: operator } };
  const cut = await startRelay(t, db, { ...options, env: { ...options.env, MYSQL_PORT: String(proxy.port) } });
  const eye = await cut.operator();
  await insert(db, 1, 100);
  await cut.fence(eye); // it moves
  const other = await startRelay(t, db, options);
  return { db, proxy, cut, eye, other, witness: await other.operator({ after: `${eye.welcome.journal}:0` }) };
}

const moments = [
  ['while nothing happens', ({ proxy }) => proxy.hush()],
  ['before a move arrives', async ({ proxy, db }) => {
    const sprung = proxy.on(/UPDATE esink_meta SET head/, () => (proxy.hush(), true));
    await insert(db, 101, 200);
    await sprung;
  }],
  ['in the middle of a move', async ({ proxy, db }) => {
    const sprung = proxy.on(/DELETE FROM `esink_pubsub`/, (link) => proxy.after(link, 0, () => proxy.hush()));
    await insert(db, 101, 200);
    await sprung;
  }],
  ['before the answer of the commit', async ({ proxy, db }) => {
    const sprung = proxy.on(/COMMIT/, (link) => proxy.after(link, 0, () => proxy.hush()));
    await insert(db, 101, 200);
    await sprung;
  }],
  ['in the middle of rows, with more to come than the sockets hold', async ({ proxy, db }) => {
    const sprung = proxy.on(/FROM `esink_pubsub` WHERE .* ORDER BY id LIMIT /, (link) => proxy.after(link, 100_000, () => proxy.hush()));
    await insert(db, 101, 200, 200_000);
    await sprung;
  }],
];

for (const [name, arrive] of moments) {
  test(`the mover's network is cut without a word ${name}: the other relay moves within seconds, and tells all once`, async (t) => {
    const setup = await two(t);
    const { db, proxy, cut, eye, other, witness } = setup;
    await arrive(setup);
    const begun = Date.now();
    await insert(db, 201, 300);
    await until(() => ids(witness).includes(300), () => `the other relay to tell; ${witness.state()}; ${other.log}`);
    const took = Date.now() - begun;
    console.log(`# told by the other relay ${took} ms after the cut`);
    assert.ok(took < limit, `it took ${took} ms`);
    proxy.heal({ forget: true });
    await cut.ready();
    await other.fence(witness, eye);
    const all = ids(witness);
    for (const client of [witness, eye]) {
      assert.deepEqual(ids(client), all);
      assert.deepEqual([...new Set(all)].sort((a, b) => a - b), name === 'while nothing happens' ? [...upTo(100), ...upTo(300).slice(200)] : upTo(300));
      assert.equal(all.length, new Set(all).size, 'none twice');
      ascending(client.events);
    }
  });
}

test('a lone relay whose connections stay dead moves again once it reaches the server', async (t) => {
  const db = await database.database(t, schema);
  const proxy = await new Proxy(db.server.port).start(t);
  const relay = await startRelay(t, db, { tables: 'notes', env: { SECURITY_TOKEN: operator, MYSQL_PORT: String(proxy.port) } });
  const eye = await relay.operator();
  await insert(db, 1, 10);
  await relay.fence(eye);
  proxy.hush();
  await insert(db, 11, 20);
  await relay.notReady();
  proxy.heal({ forget: true });
  await relay.fence(eye);
  assert.deepEqual(ids(eye), upTo(20));
});

test('a relay that was stopped for longer than the server waits goes on as if nothing had been', async (t) => {
  const db = await database.database(t, schema);
  const relay = await startRelay(t, db, { tables: 'notes', env: { SECURITY_TOKEN: operator } });
  const eye = await relay.operator();
  const connections = async () => Number((await db.query('SELECT COUNT(*) AS n FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()')).rows[0].n);
  let n = 0, failures = 1;
  // A process is stopped anywhere, once in a while between two statements that belong together: that one fails.
  for (let round = 0; round < 20 && failures > 0; round++) {
    await insert(db, n + 1, n + 10);
    await relay.fence(eye);
    const [before, log] = [await connections(), relay.log];
    relay.process.kill('SIGSTOP');
    await until(async () => await connections() < before, 'the server to end the connection');
    await insert(db, n + 11, n += 20);
    relay.process.kill('SIGCONT');
    await relay.fence(eye);
    assert.deepEqual(ids(eye), upTo(n));
    failures = relay.log.slice(log.length).split('capture is away').length - 1;
  }
  assert.equal(failures, 0, relay.log);
});
