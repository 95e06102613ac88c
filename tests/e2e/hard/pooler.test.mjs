// Prevents: a relay behind PgBouncer in transaction mode that loses or doubles events because it counts on its session
// (LISTEN, locks, settings), and one that leaves something of its own in the connections that the application shares.
import assert from 'node:assert/strict';
import pg from 'pg';
import { test, usePostgres } from '../lib/harness.mjs';
import { startPgbouncer } from '../lib/pgbouncer.mjs';
import { startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';

const postgres = usePostgres();
const operator = 'operators-own-token-4711';

// What an application's transaction finds in the connection that it was given: settings, locks, channels, temporary things.
const around = `SELECT (SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings
    WHERE source NOT IN ('default', 'configuration file', 'environment variable', 'override', 'command line')) AS settings,
  (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS advisory,
  (SELECT count(*) FROM pg_listening_channels()) AS channels, (SELECT count(*) FROM pg_prepared_statements) AS prepared,
  (SELECT count(*) FROM pg_class WHERE relpersistence = 't') AS temporary, (SELECT count(*) FROM pg_cursors WHERE name <> '') AS cursors,
  current_setting('search_path') AS path, current_setting('synchronous_commit') AS sync, current_setting('lock_timeout') AS lock,
  current_setting('jit') AS jit, current_setting('transaction_isolation') AS isolation, current_setting('application_name') AS name`;

async function application(t, url) {
  const client = new pg.Client({ connectionString: url, application_name: 'shop' });
  client.on('error', () => {});
  await client.connect();
  t.defer(() => client.end().catch(() => {}));
  return client;
}

for (const size of [3, 20]) {
  test(`a pool of ${size}, shared with the application`, { timeout: 90_000 }, async (t) => {
    const db = await postgres.database(t, 'CREATE TABLE orders (id serial PRIMARY KEY, customer int, body text)');
    const bouncer = await startPgbouncer(t, postgres, { size });
    const url = bouncer.url(db.name);
    const apps = await Promise.all(Array.from({ length: 6 }, () => application(t, url)));
    const token = await db.user(1);
    const look = async (client) => (await client.query(around)).rows[0];
    const before = await look(apps[0]);
    assert.equal(before.name, 'shop');

    const relay = await startRelay(t, db, { tables: 'orders', routing: { orders: 'customer' },
      env: { POSTGRES_DATABASE_URL: url, SECURITY_TOKEN: operator, RETENTION: '1s' } });
    await until(() => /no wake-up by NOTIFY.*pooler/.test(relay.log), 'the relay to say that it looks by itself');
    const [ws, boss] = [await relay.ws(token), await relay.operator()];
    let stop = false;
    let committed = 0;
    const backends = new Set();
    const working = apps.map(async (client, w) => {
      for (let n = 0; !stop; n++) {
        await client.query(`BEGIN; INSERT INTO orders (customer, body) VALUES (1, '${w}:${n}'); COMMIT`);
        committed++;
        await client.query('BEGIN');
        backends.add((await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid);
        const found = await look(client);
        await client.query('COMMIT');
        assert.deepEqual(found, before, 'the relay left something in a shared connection');
      }
    });
    working.forEach((promise) => promise.catch(() => { stop = true; }));
    const rotations = async () => Number((await db.query("SELECT pg_sequence_last_value('esink.rotation') AS n")).rows[0].n);
    await until(async () => stop || await rotations() >= 2, 'two rotations', 30_000);
    const answer = await relay.post('/publish', { table: 'news', type: 'flash', data: { a: 1 }, userId: 1, securityToken: operator });
    assert.equal(answer.status, 200, answer.text);
    await db.query('ALTER TABLE orders ADD COLUMN more int DEFAULT 7');
    await until(() => stop || ws.events.at(-1).data.more === 7, 'the drift check to see the new column');
    assert.equal((await relay.openWs('no such token').closing()), 4401);
    stop = true;
    await Promise.all(working);
    await relay.fence(ws, boss);
    const seen = ws.events.filter(({ table }) => table === 'orders');
    assert.equal(seen.length, committed, 'lost or doubled');
    const next = new Map();
    for (const { data } of seen) {
      const [w, n] = data.body.split(':').map(Number);
      assert.equal(n, next.get(w) ?? 0, `order of writer ${w}`);
      next.set(w, n + 1);
    }
    assert.equal(ws.events.filter(({ table }) => table === 'news').length, 1);
    assert.deepEqual(boss.named('changes').map(({ id }) => id), ws.named('changes').map(({ id }) => id));
    assert.ok(backends.size > 1 && backends.size <= size, `${backends.size} server connections were looked at`);

    // Afterwards, when the relay is gone.
    await relay.stop();
    for (const client of apps) assert.deepEqual(await look(client), before);
  });
}

test('a pool that the application keeps busy: capture waits for its turn and loses nothing', { timeout: 90_000 }, async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE orders (id serial PRIMARY KEY, customer int)');
  const bouncer = await startPgbouncer(t, postgres, { size: 2 });
  const url = bouncer.url(db.name);
  const apps = [await application(t, url), await application(t, url)];
  const relay = await startRelay(t, db, { tables: 'orders', routing: { orders: '*' }, env: { POSTGRES_DATABASE_URL: url, SECURITY_TOKEN: operator } });
  const boss = await relay.operator();
  for (const client of apps) await client.query('BEGIN; INSERT INTO orders (customer) VALUES (1)');
  const held = Date.now();
  await until(() => Date.now() - held > 3000, 'both connections of the pool to be held for three seconds');
  for (const client of apps) await client.query('COMMIT');
  await relay.fence(boss);
  assert.equal(boss.events.length, 2);
  await relay.ready();
});
