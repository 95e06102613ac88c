// Prevents: writers that pay for, fail because of, or lose changes to a relay that is not there: killed while it slept (when
// every commit wakes up nobody) and while it was awake, for many thousands of writes, prepared ones too.
import assert from 'node:assert/strict';
import { test, usePostgres } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { ascending } from '../lib/shapes.mjs';
import { until } from '../lib/wait.mjs';

const plain = usePostgres();
const prepared = usePostgres({ settings: { max_prepared_transactions: 20 } });
const operator = 'operators-own-token-4711';
const WRITERS = 4;
const EACH = 3000;

const asleep = (db) => db.query('SELECT last_value FROM esink.sleep').then(({ rows }) => rows[0].last_value === '1');

// Each writer counts in its own column, so that its order can be told; every tenth transaction is prepared first where the
// server can, every seventh is rolled back, and the last prepared one of each is left open.
async function writeAlone(db, w, twoPhase) {
  const session = await db.connect();
  for (let n = 1; n <= EACH; n++) {
    const sql = `INSERT INTO notes (writer, n) VALUES (${w}, ${n})`;
    if (n % 7 === 0) await session.query(`BEGIN; INSERT INTO notes (writer, n) VALUES (${w}, -${n}); ROLLBACK`);
    if (twoPhase && n % 10 === 0) {
      await session.query(`BEGIN; ${sql}; PREPARE TRANSACTION 'w${w}n${n}'`);
      if (n < EACH) await session.query(`COMMIT PREPARED 'w${w}n${n}'`);
    } else {
      await session.query(sql);
    }
  }
}

for (const [server, twoPhase] of [[plain, false], [prepared, true]]) {
  test(`killed while asleep and while awake, ${WRITERS * EACH} writes each time${twoPhase ? ', prepared ones among them' : ''}: everything arrives once, in order`, { timeout: 120_000 }, async (t) => {
    const db = await server.database(t, 'CREATE TABLE notes (writer int, n int)');
    const relay = await startRelay(t, db, { tables: 'notes', env: { SECURITY_TOKEN: operator } });
    for (const state of ['asleep', 'awake']) {
      const client = await relay.operator();
      await relay.fence(client);
      if (!twoPhase && state === 'asleep') await until(() => asleep(db), 'the relay to sleep');
      let stop = false;
      const load = state === 'awake' ? (async () => {
        const session = await db.connect();
        for (let n = 1; !stop; n++) await session.query('INSERT INTO notes VALUES (99, $1)', [n]);
      })() : undefined;
      if (load) await until(async () => client.events.length > 100 && (twoPhase || !(await asleep(db))), 'the relay to be awake');
      await relay.kill();
      stop = true;
      await load;
      const from = client.position;
      const before = client.events.length;
      await Promise.all(Array.from({ length: WRITERS }, (_, w) => writeAlone(db, w, twoPhase)));
      await relay.start();
      const back = await relay.operator({ after: from });
      assert.equal(back.welcome.recovered, true);
      const left = twoPhase ? 1 : 0;
      const mine = () => back.events.filter(({ data }) => data.writer < 99);
      await until(() => mine().length >= WRITERS * (EACH - left), () => `${WRITERS * (EACH - left)} events, have ${mine().length}; ${back.state()}`, 60_000);
      for (let w = 0; twoPhase && w < WRITERS; w++) await db.query(`COMMIT PREPARED 'w${w}n${EACH}'`);
      await relay.fence(back);
      ascending(back.events);
      for (let w = 0; w < WRITERS; w++) {
        assert.deepEqual(mine().filter(({ data }) => data.writer === w).map(({ data }) => data.n), Array.from({ length: EACH }, (_, i) => i + 1));
      }
      const load99 = [...client.events.slice(0, before), ...back.events].filter(({ data }) => data.writer === 99).map(({ data }) => data.n);
      assert.deepEqual(load99, load99.map((_, i) => i + 1));
      const rows = (await db.query('SELECT count(*)::int AS n FROM notes WHERE writer < 99')).rows[0].n;
      assert.equal(mine().length, rows);
      await db.query('TRUNCATE notes');
      await relay.fence(back);
      await back.close();
      await client.close();
    }
  });
}
