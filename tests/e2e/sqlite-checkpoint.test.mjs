// Prevents: writers of a busy SQLite database that stop to copy the log although esink could do it for them; an esink that copies where
// it was told not to, or that copies without end, so that the log never begins anew.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { sqliteDatabase } from './lib/sqlite.mjs';

const orders = `CREATE TABLE orders (id INTEGER PRIMARY KEY, owner INT, note TEXT);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO orders SELECT i, 7, printf('%.100c', 'x') FROM n`;
const rules = { tables: 'orders', routing: { orders: 'owner' } };
// https://sqlite.org/walformat.html: the index of the log.
function log(db) {
  const index = readFileSync(`${db.path}-shm`);
  return { pages: index.readUInt32LE(16), copied: index.readUInt32LE(96), begun: index.readUInt32LE(32) };
}

// Some statements are always on their way, so that commits come as fast as the database takes them.
async function write(session, until) {
  const commits = [];
  for (let n = 0; !until(n); n++) {
    commits.push(session.query('UPDATE orders SET note = $1 WHERE id = $2', [`note ${n}`, 1 + (n % 2000)]));
    if (n >= 20) await commits[n - 20];
    assert.ok(n < 100_000, 'so many commits, and still not');
  }
  await Promise.all(commits);
  return commits.length;
}

async function start(t, env = {}) {
  const db = await sqliteDatabase(t, orders);
  const token = await db.user(7);
  const relay = await startRelay(t, db, { ...rules, env });
  await db.query('PRAGMA wal_checkpoint(TRUNCATE)');
  const writer = db.connect();
  await writer.query('PRAGMA synchronous = NORMAL');
  return { db, writer, relay, client: await relay.ws(token) };
}

async function all_told({ db, relay, client }, commits) {
  await relay.fence(client);
  assert.strictEqual(client.events.length, commits);
  const { rows } = await db.query('PRAGMA integrity_check');
  assert.deepEqual(Object.values(rows[0]), ['ok']);
}

test('a writer that never copies the log has it copied for it, and every event is told', async (t) => {
  const all = await start(t);
  await all.writer.query('PRAGMA wal_autocheckpoint = 0');
  const commits = await write(all.writer, () => log(all.db).copied >= 300);
  assert.ok(log(all.db).pages < 10_000);
  await all_told(all, commits);
});

test('a log beyond a thousand pages is left to its writers, who begin it anew', async (t) => {
  const all = await start(t);
  const { begun } = log(all.db);
  let longest = 0;
  const commits = await write(all.writer, (n) => {
    longest = Math.max(longest, log(all.db).pages);
    return n >= 1500 && log(all.db).begun !== begun;
  });
  assert.ok(longest < 20_000, `the log grew to ${longest} pages`);
  await all_told(all, commits);
});

test('SQLITE_CHECKPOINT=false: nothing is copied', async (t) => {
  const all = await start(t, { SQLITE_CHECKPOINT: 'false' });
  await all.writer.query('PRAGMA wal_autocheckpoint = 0');
  const commits = await write(all.writer, (n) => n >= 800);
  assert.ok(log(all.db).pages >= 800);
  assert.strictEqual(log(all.db).copied, 0);
  await all_told(all, commits);
});
