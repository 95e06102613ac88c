// Prevents: what a database keeps of consumers being lost, moved back or left behind by one of its drivers; a journal that is cut
// off before a consumer has read it, or held for ever by one that never comes back; a cursor of an old journal that skips
// events of a new one. Consumers are rows written by SQL here: what is asked of them over the network is consumers.test.mjs'.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { after, describe } from 'node:test';
import { storeOf } from './lib/consumers.mjs';
import { databaseOf } from './lib/databases.mjs';
import { test } from './lib/harness.mjs';
import { binary, runToEnd, startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const hour = 3_600_000;
const schema = 'CREATE TABLE orders (id int PRIMARY KEY, body text)';
const environmentOf = (db) => db.env ?? { POSTGRES_DATABASE_URL: db.url };

// tests/unit/source/consumers.c on this database.
async function operations(db, ...args) {
  const program = join(dirname(binary()), '../../tests/unit/source/unit_source_consumers');
  const child = spawn(program, args, { env: { PATH: process.env.PATH, ...environmentOf(db) }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += chunk; });
  const status = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(status, 0, output);
}

// Rows of some hundred bytes, each an event.
function writer(db) {
  let next = 0;
  const run = async (self, sql) => {
    const begin = Date.now();
    await db.query(sql);
    self.times.push(Date.now() - begin);
  };
  return {
    times: [],
    // But for one, during which the machine may have been busy with something else: what writers wait for comes again and again.
    get slowest() { return this.times.sort((a, b) => b - a)[1]; },
    write(count) {
      const rows = Array.from({ length: count }, () => `(${++next}, '${'x'.repeat(500)}')`);
      return run(this, `INSERT INTO orders VALUES ${rows.join(', ')}`);
    },
    change() { // all of them
      return run(this, `UPDATE orders SET body = '${String(++next).padEnd(500, 'x')}'`);
    },
  };
}

for (const name of ['postgres', 'mysql', 'sqlite']) {
  const database = databaseOf(name);
  const store = storeOf(name);
  const begin = async (t, env = {}) => {
    const db = await database.database(t, schema);
    const relay = await startRelay(t, db, { tables: 'orders', env: { RETENTION: '1s', CONSUMER_MAX_SILENCE: '1h', ...env } });
    return { db, relay };
  };

  describe(name, () => {
    after(() => database.stop());

    test('each operation is whole, and none goes back, also where two relays are at it', async (t) => {
      await operations(await database.database(t));
    });

    test('marks above a cursor have a bound, and the event that all of them wait for can be settled', async (t) => {
      const { db, relay } = await begin(t, { RETENTION: '1h' });
      await writer(db).write(30);
      await until(async () => (await store.journal(db)).head >= 30, 'thirty events');
      await relay.stop();
      await store.register(db, 'full', 10);
      await store.fill(db, 'full', 20, 100_000);
      await operations(db, 'full');
    });

    test('what a consumer has not read is kept beyond RETENTION, and goes once it has; marks go with their events', async (t) => {
      const { db, relay } = await begin(t);
      const orders = writer(db);
      await orders.write(10);
      const { head } = await until(async () => {
        const state = await store.journal(db);
        return state.head >= 10 && state;
      }, 'ten events');
      await store.register(db, 'slow', head);
      await store.register(db, 'fast', head + 1000, { silent: -hour });
      const skipped = [head - 2, head, head + 2, head + 6];
      await store.skip(db, 'slow', skipped);
      // Three times RETENTION, and new events all the while.
      const kept = await until(async () => {
        await orders.write(1);
        const state = await store.journal(db);
        return state.oldest > 3500 && state.head > head + 20 && state;
      }, 'the journal to be old', 30_000);
      assert.ok(kept.floor <= head, `cut off at ${kept.floor}, before ${head} was read`);
      assert.ok(kept.events >= kept.head - head);

      // On PostgreSQL half of the journal goes at a time, on the others row by row.
      if (name !== 'postgres') {
        const floor = await store.floorOf(db, head + 5);
        await store.advance(db, 'slow', head + 5);
        await until(async () => (await store.journal(db)).floor === floor, () => `what was read to go, up to ${floor}; ${relay.log}`, 30_000);
        assert.equal(await store.marks(db), skipped.filter((id) => id > floor).length);
      }
      await store.advance(db, 'slow', kept.head);
      await until(async () => {
        await orders.write(1);
        const state = await store.journal(db);
        return state.floor > head + 6 && (await store.marks(db)) === 0;
      }, 'all that was read, and its marks, to go', 30_000);
      const { floor } = await store.journal(db);
      assert.ok(floor <= (await store.consumer(db, 'slow')).cursor, 'no more than was read');
    });

    test('one that is silent for longer than CONSUMER_MAX_SILENCE is dropped and named in the log; the others hold on', async (t) => {
      const { db, relay } = await begin(t, { CONSUMER_MAX_SILENCE: '2s' });
      const orders = writer(db);
      await orders.write(10);
      await until(async () => (await store.journal(db)).head >= 10, 'ten events');
      const { floor, head } = await store.journal(db);
      await store.register(db, 'alive', head, { silent: -hour });
      await store.register(db, 'gone', floor, { silent: 3 * hour });
      await until(async () => (await store.consumer(db, 'gone')).dropped, 'the silent one to be dropped');
      await until(() => /consumer "gone" was silent for 3h .*longer than CONSUMER_MAX_SILENCE \(2s\): dropped.*PUT \/consumers\/gone/.test(relay.log), 'the log to name it');
      await until(async () => {
        await orders.write(1);
        const state = await store.journal(db);
        return state.head > head + 5 && (name === 'postgres' ? state.oldest > 4000 || state.floor > 0 : state.floor === head);
      }, 'the journal to go up to what the other one needs', 30_000);
      assert.ok((await store.journal(db)).floor <= head);
      assert.equal((await store.consumer(db, 'alive')).dropped, false);
      assert.equal(relay.log.match(/was silent for/g).length, 1);
    });

    test('the disk stays flat under load, and writers do not wait, with a consumer that follows', async (t) => {
      const { db } = await begin(t);
      const orders = writer(db);
      const sizes = [];
      await store.register(db, 'follows', 0);
      let skipped = 0;
      await orders.write(100);
      // No more than so many events ahead of what was discarded: what the disk has to hold does not depend on the machine.
      await until(async () => {
        const { floor, head } = await store.journal(db);
        if (head - floor < 1500) await orders.change();
        if (head > skipped) {
          const ids = Array.from({ length: Math.min(head - skipped, 500) }, (_, i) => skipped + 1 + i);
          await store.skip(db, 'follows', ids);
          skipped = ids.at(-1);
          await store.advance(db, 'follows', skipped);
        }
        sizes.push({ floor, bytes: await store.disk(db) });
        return floor > 6000;
      }, () => `six thousand events to be discarded: ${JSON.stringify(sizes.at(-1))}`, 60_000);
      const most = (from, to) => Math.max(...sizes.filter(({ floor }) => floor >= from && floor < to).map(({ bytes }) => bytes));
      const [first, last] = [most(0, 3000), most(4000, Infinity)];
      assert.ok(last < first * 1.5, `${first} bytes first, ${last} in the end`);
      assert.ok(await store.marks(db) < 3000, `${await store.marks(db)} marks`);
      assert.ok(orders.slowest < 2000, `a write took ${orders.slowest} ms`);
    });

    if (name === 'postgres') test('rotation that a consumer holds back takes no lock that writers wait for', async (t) => {
      const { db } = await begin(t);
      const orders = writer(db);
      await orders.write(10);
      await store.register(db, 'slow', 1);
      const session = await db.connect();
      const { exclusive } = await until(async () => {
        await orders.write(1);
        await session.query('BEGIN');
        const { rows: [{ did }] } = await session.query("SELECT esink.rotate('1s') AS did"); // `nothing` while the relay is at it
        const { rows: [locks] } = await session.query(`SELECT count(*)::int AS exclusive FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
          WHERE c.relnamespace = 'esink'::regnamespace AND l.pid = pg_backend_pid() AND l.mode IN ('ShareLock', 'ExclusiveLock', 'AccessExclusiveLock')`);
        await session.query('COMMIT');
        return did === 'held' && locks;
      }, 'rotation to be held back', 30_000);
      assert.equal(exclusive, 0);
    });

    test('a new journal takes consumers to its start, without the marks of the old one', async (t) => {
      const { db, relay } = await begin(t, { RETENTION: '1h' });
      const orders = writer(db);
      await orders.write(10);
      const { head } = await until(async () => {
        const state = await store.journal(db);
        return state.head >= 10 && state;
      }, 'ten events');
      await store.register(db, 'reader', head - 5);
      await store.skip(db, 'reader', [head - 7, head]);
      const before = await store.name(db);
      await relay.stop();
      // What a restore, a copy or a fail-over changes.
      await db.query({ postgres: 'UPDATE esink.meta SET system_identifier = 4711', mysql: "UPDATE esink_meta SET made = 'another day'",
        sqlite: "UPDATE esink_meta SET journal = 'fedcba9876543210'" }[name]);
      await relay.start();
      const now = await store.name(db);
      assert.notEqual(now, before);
      assert.deepEqual(await store.consumer(db, 'reader'), { cursor: 0, journal: now, dropped: false });
      assert.equal(await store.marks(db), 0);
      await until(async () => {
        const state = await store.journal(db);
        return state.head - state.floor >= 5;
      }, 'what it had not read to be in the new one');

      // A row that came from elsewhere, and one that is ahead of all events.
      await relay.stop();
      await store.register(db, 'strange', 3, { journal: "'0123456789abcdef'" });
      await store.register(db, 'ahead', 1_000_000);
      await store.advance(db, 'reader', 1);
      await store.skip(db, 'ahead', [7]);
      await store.skip(db, 'reader', [1]);
      await relay.start();
      for (const [consumer, cursor] of [['strange', 0], ['ahead', 0], ['reader', 1]]) {
        assert.deepEqual(await store.consumer(db, consumer), { cursor, journal: now, dropped: false }, consumer);
      }
      assert.equal(await store.marks(db), 1);
      assert.match(relay.log, /2 consumers had a cursor of another journal: they begin at the start of this one/);
    });

    test('a database that has a journal gets the tables of consumers beside it; --uninstall removes them', async (t) => {
      const { db, relay } = await begin(t, { RETENTION: '1h' });
      const before = await store.name(db);
      await relay.stop();
      const env = { TABLE_NAMES: 'orders,fence', TABLE_AUTH_COLUMN_ROUTING: '{"fence":"*"}' };
      await db.query(`DROP TABLE ${store.table.consumer}`);
      const plan = await runToEnd(t, { db, args: ['--check'], env });
      if (name !== 'postgres') assert.match(plan.stdout, /^would create: .*esink_consumer/m);
      await relay.start();
      await db.query(`DROP TABLE ${store.table.mark}`);
      await store.register(db, 'reader', 0);
      await relay.stop();
      await relay.start();
      assert.equal(await store.name(db), before);
      assert.equal((await store.consumer(db, 'reader')).cursor, 0);
      assert.equal(await store.marks(db), 0);
      await relay.stop();
      const { code, log } = await runToEnd(t, { db, args: ['--uninstall'] });
      assert.equal(code, 0, log);
      assert.deepEqual(await database.ours(db), []);
    });
  });
}
