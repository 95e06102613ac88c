// Prevents: a newer version of a row told before an older one on MariaDB, whose read views are not atomic: while many transactions are
// registered, a view takes long to make, and may leave out one that commits meanwhile and yet see another that waited for its row.
// Prepared transactions of somebody else's make the list long; writers that all wait for one row do the rest.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { databaseOf } from '../lib/databases.mjs';
import { test } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';
import { operator } from '../source/suite.mjs';

const database = databaseOf('mysql');
after(() => database.stop());

const registered = Number(process.env.ESINK_TEST_REGISTERED ?? 8_000);
const writers = 8;
const each = 2000;
const schema = `CREATE TABLE hot (id int PRIMARY KEY, version int); INSERT INTO hot VALUES (1, 0); CREATE TABLE prepared (n int PRIMARY KEY);
  CREATE PROCEDURE bump(times int) FOR i IN 1..times DO UPDATE hot SET version = version + 1 WHERE id = 1; END FOR`;

// A session may prepare one; it stays when the session has ended.
async function prepare(db, names) {
  for (let n = names.pop(); n !== undefined; n = names.pop()) {
    const session = await db.server.connect(db.name);
    await session.query(`XA START 'x${n}'; INSERT INTO prepared VALUES (${n}); XA END 'x${n}'; XA PREPARE 'x${n}'`);
    await session.end();
  }
}

async function commit(db, names) {
  const session = await db.connect();
  for (let n = names.pop(); n !== undefined; n = names.pop()) await session.query(`XA COMMIT 'x${n}'`);
}

const numbers = () => Array.from({ length: registered }, (_, n) => n);
const side = (work) => Promise.all(Array.from({ length: 4 }, work));

test('a row that is changed without pause is told in the order of its versions, however many transactions there are', { timeout: 600_000 }, async (t) => {
  const db = await database.database(t, schema);
  const before = numbers();
  await side(() => prepare(db, before));
  const all = numbers();
  t.defer(() => side(() => commit(db, all)));
  const relay = await startRelay(t, db, { tables: 'hot', env: { SECURITY_TOKEN: operator } });
  const eye = await relay.operator();
  const sessions = await Promise.all(Array.from({ length: writers }, () => db.connect()));
  await Promise.all(sessions.map((session) => session.query(`CALL bump(${each})`)));
  const told = () => eye.events.filter(({ table }) => table === 'hot').map(({ data }) => data.version);
  await until(() => told().length >= writers * each, () => `all versions: ${told().length}; ${eye.state()}`, 60_000);
  assert.deepEqual(told(), Array.from({ length: writers * each }, (_, i) => i + 1));
});
