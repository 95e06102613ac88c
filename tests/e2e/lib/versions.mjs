// What the order of a row's versions is judged by: a client that keeps the newest of each has what is stored.
import assert from 'node:assert/strict';
import { startRelay } from './relay.mjs';

const operator = 'operators-own-token-4711';

// A table whose rows raise their own version when a test makes raise_it() a trigger, and n rows of it.
export const cells = `CREATE TABLE cells (id int PRIMARY KEY, team int, version int DEFAULT 0);
  CREATE FUNCTION raise_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE cells SET version = version + 1 WHERE id = NEW.id AND version < 3; RETURN NULL; END $$;`;
export const rows = (n, team = 1) => `INSERT INTO cells SELECT n, ${team}, 0 FROM generate_series(1, ${n}) n;`;

// A database of the test's own, a relay of these tables, and a client that hears of everything.
export async function watch(t, server, sql, tables, options = {}) {
  const db = await server.database(t, sql);
  const relay = await startRelay(t, db, { tables, ...options, env: { SECURITY_TOKEN: operator } });
  return { db, relay, boss: await relay.operator() };
}

// What a client that keeps the newest version of each row ends up with.
function kept(events, table) {
  const rows = new Map();
  for (const { type, data } of events.filter((event) => event.table === table)) {
    if (type === 'truncate') rows.clear();
    else if (type === 'delete') rows.delete(data.id);
    else rows.set(data.id, data);
  }
  return [...rows.values()].sort((a, b) => a.id - b.id);
}

export async function keptIsStored(db, boss, ...tables) {
  for (const table of tables) {
    const { rows } = await db.query(`SELECT * FROM ${table} ORDER BY id`);
    assert.deepEqual(kept(boss.events, table), rows, `${table}: what was told last is not what is stored`);
  }
}

export const versions = ({ events }, id, table) => events.filter((event) => event.data.id === id && (!table || event.table === table)).map(({ data }) => data.version);
