// Prevents: two relays that drain at once giving one event two ids, or two events one: under load, when one is stopped in
// the middle of a drain, and on a database whose transactions are REPEATABLE READ or SERIALIZABLE unless told otherwise,
// where a drain or a rotation would judge by a snapshot from before it had its lock.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { test, usePostgres } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';

const postgres = usePostgres();
const operator = 'operators-own-token-4711';
// The journal turns over while the test looks on; but a relay that stands still for longer, because the machine does, loses what the
// other one has discarded, and rightly ends its sessions.
const retention = '4s';
const schema = `CREATE TABLE cells (id int PRIMARY KEY, version int NOT NULL);
  INSERT INTO cells SELECT n, 0 FROM generate_series(1, 40) n`;

// Each changes rows of the shared table, a few a transaction, until stop() is true; tells how many changes were committed.
function write(db, count, stopped) {
  return Promise.all(Array.from({ length: count }, async (_, w) => {
    const client = await db.connect();
    let changes = 0;
    for (let n = 0; !stopped(); n++) {
      const ids = [1 + ((w * 7 + n) % 40), 1 + ((w * 3 + n * 5) % 40)].sort((a, b) => a - b);
      try {
        await client.query(`BEGIN; ${ids.map((id) => `UPDATE cells SET version = version + 1 WHERE id = ${id};`).join('')} COMMIT`);
        changes += 2;
      } catch (error) {
        assert.ok(['40001', '40P01'].includes(error.code), error.message);
        await client.query('ROLLBACK');
      }
    }
    return changes;
  })).then((all) => all.reduce((a, b) => a + b, 0));
}

// Every change once, the rows' versions one after the other, the ids without a gap.
function whole(client, changes) {
  const events = client.named('changes');
  const versions = new Map();
  const first = BigInt(client.welcome.id) + 1n;
  let told = 0;
  for (const [i, { id, table, data }] of events.entries()) {
    assert.equal(BigInt(id), first + BigInt(i), 'a gap or a step back in the ids');
    if (table !== 'cells') continue;
    told++;
    assert.equal(data.version, (versions.get(data.id) ?? 0) + 1, `event ${id}: order of row ${data.id}`);
    versions.set(data.id, data.version);
  }
  assert.equal(told, changes);
}

// Makes what is a race of microseconds one that is lost at every turn: a pause before the function takes its lock.
async function slower(db, name, place, seconds) {
  const { rows } = await db.query("SELECT pg_get_functiondef(p.oid) AS text FROM pg_proc p WHERE p.pronamespace = 'esink'::regnamespace AND p.proname = $1", [name]);
  assert.ok(rows[0].text.includes(place), `${name} has no ${place} any more`);
  await db.query(rows[0].text.replace(place, `${place} PERFORM pg_catalog.pg_sleep(${seconds}); `));
}

const same = (clients) => {
  const [first, second] = clients.map((client) => client.named('changes').map(({ id, data }) => `${id} ${JSON.stringify(data)}`));
  assert.deepEqual(first, second, 'the two relays told different journals');
};

test('8 writers, both relays drain; one of them is stopped again and again, at last for seconds', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, schema);
  const options = { tables: 'cells', env: { SECURITY_TOKEN: operator } };
  const relays = [await startRelay(t, db, options), await startRelay(t, db, options)];
  const clients = [await relays[0].operator(), await relays[1].operator()];
  t.defer(() => relays[1].process?.child.kill('SIGCONT'));
  let stop = false;
  const writing = write(db, 8, () => stop);
  for (let n = 0; n < 12; n++) {
    await pause(20 + ((n * 37) % 90));
    relays[1].process.child.kill('SIGSTOP');
    const before = clients[0].messages.length;
    // The other goes on meanwhile: a drain that was under way ends in the server, not in the stopped relay.
    await until(() => clients[0].messages.length > before + 50, 'the other relay to go on');
    if (n === 11) await pause(4000);
    relays[1].process.child.kill('SIGCONT');
  }
  stop = true;
  const changes = await writing;
  await relays[0].fence(...clients);
  assert.ok(changes > 1000, 'too little happened to prove anything');
  for (const client of clients) whole(client, changes);
  same(clients);
});

for (const level of ['repeatable read', 'serializable']) {
  test(`a database whose transactions are ${level} by default: two relays, rotation, publishing`, { timeout: 120_000 }, async (t) => {
    const db = await postgres.database(t, schema);
    const name = new URL(db.url).pathname.slice(1);
    await postgres.once('postgres', `ALTER DATABASE ${name} SET default_transaction_isolation = '${level}'`);
    await db.close(); // its session is from before
    const options = { tables: 'cells', env: { SECURITY_TOKEN: operator, RETENTION: retention } };
    await (await startRelay(t, db, options)).stop();
    await slower(db, 'drain', 'BEGIN\n', 0.01);
    await slower(db, 'rotate', 'IF v_used THEN', 0.1);
    const relays = [await startRelay(t, db, options), await startRelay(t, db, options)];
    const clients = [await relays[0].operator(), await relays[1].operator()];
    let stop = false;
    const writing = write(db, 8, () => stop);
    const rotations = async () => Number((await db.query("SELECT pg_sequence_last_value('esink.rotation') AS n")).rows[0].n);
    await until(async () => await rotations() >= 3, 'three rotations', 60_000);
    const published = await relays[1].post('/publish', { table: 'news', type: 'flash', data: { a: 1 }, userId: '*', securityToken: operator });
    assert.equal(published.status, 200, published.text);
    stop = true;
    const changes = await writing;
    await relays[0].fence(...clients);
    assert.ok(changes > 300, 'too little happened to prove anything');
    for (const client of clients) whole(client, changes);
    same(clients);
  });
}

test('transactions become repeatable read by a reload, under two running relays: they connect again', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, schema);
  const options = { tables: 'cells', env: { SECURITY_TOKEN: operator, RETENTION: retention } };
  await (await startRelay(t, db, options)).stop();
  await slower(db, 'drain', 'BEGIN\n', 0.01);
  await slower(db, 'rotate', 'IF v_used THEN', 0.1);
  const relays = [await startRelay(t, db, options), await startRelay(t, db, options)];
  const clients = [await relays[0].operator(), await relays[1].operator()];
  t.defer(async () => {
    await db.query('ALTER SYSTEM RESET default_transaction_isolation');
    await db.query('SELECT pg_reload_conf()');
  });
  let stop = false;
  const writing = write(db, 8, () => stop);
  const rotations = async () => Number((await db.query("SELECT pg_sequence_last_value('esink.rotation') AS n")).rows[0].n);
  await until(() => clients.every(({ messages }) => messages.length > 50), 'events');
  await db.query("ALTER SYSTEM SET default_transaction_isolation = 'repeatable read'");
  await db.query('SELECT pg_reload_conf()');
  const before = await rotations();
  await until(async () => await rotations() >= before + 3, 'three rotations', 60_000);
  stop = true;
  const changes = await writing;
  await relays[0].fence(...clients);
  assert.ok(changes > 300, 'too little happened to prove anything');
  for (const client of clients) whole(client, changes);
  same(clients);
  for (const relay of relays) assert.match(relay.log, /repeatable read by default now/);
});
