// Prevents: a harness that proves nothing. A PostgreSQL that does not really restart, or a wait that gives up silently,
// would let every other test pass for the wrong reason.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test, usePostgres } from './lib/harness.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres({ settings: { max_prepared_transactions: 3 } });

test('a scratch PostgreSQL takes its settings, restarts and keeps its rows', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE kept (n int)');
  await db.query('INSERT INTO kept VALUES (7)');
  assert.equal((await db.query('SHOW max_prepared_transactions')).rows[0].max_prepared_transactions, '3');
  const started = async () => (await db.query('SELECT pg_postmaster_start_time() AS at')).rows[0].at.getTime();
  const first = await started();
  await postgres.restart('fast');
  assert.ok((await started()) > first, 'another server, on another connection');
  await postgres.restart('immediate');
  await until(started, 'the database to answer again');
  assert.equal((await db.query('SELECT n FROM kept')).rows[0].n, 7);
});

test('databases of two tests are apart', async (t) => {
  const one = await postgres.database(t, 'CREATE TABLE same (n int)');
  const two = await postgres.database(t, 'CREATE TABLE same (n int)');
  await one.query('INSERT INTO same VALUES (1)');
  assert.equal((await two.query('SELECT * FROM same')).rowCount, 0);
});

test('a wait in vain fails and says for what', async () => {
  await assert.rejects(until(() => false, 'the impossible', 20), /in vain for the impossible/);
});

test('the scratch folder is under the temporary folder', async () => {
  assert.ok(existsSync(postgres.data));
});
