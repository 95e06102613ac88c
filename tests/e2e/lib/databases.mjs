// The databases that the suite of source/ runs on: how a test gets one, what SQL leaves to each to spell, and what its
// source cannot see. A new source is an entry here and a file source-NAME.test.mjs beside the others.
//
// A test's database is a Database of lib/postgres.mjs, lib/mysql.mjs or lib/sqlite.mjs: query, connect, user, fence, tokens, close, and url
// or env for the relay.
import { existsSync } from 'node:fs';
import { fingerprint, leftovers, triggers } from './catalogue.mjs';
import { MySql } from './mysql.mjs';
import { Postgres } from './postgres.mjs';
import { sqliteDatabase } from './sqlite.mjs';

// What a source cannot see, and how what it sees looks: the contract's table, one row each. The schema is made before the
// relay starts, which watches `tables`; then `first` is written, and what the operator is told of `sql` is `told`, as types and ids.
// A database without an entry does not have the thing.
const cascade = 'DELETE FROM parents WHERE id = 1';
const cascades = ['delete 1', 'delete 10', 'delete 11'];
export const sight = [
  {
    what: 'TRUNCATE',
    schema: 'CREATE TABLE emptied (id int PRIMARY KEY)',
    tables: ['emptied'],
    first: 'INSERT INTO emptied VALUES (1), (2)',
    postgres: { sql: 'TRUNCATE emptied', told: ['truncate'] },
    mysql: { sql: 'TRUNCATE emptied', told: [] },
    sqlite: { sql: 'DELETE FROM emptied', told: ['delete 1', 'delete 2'] },
  },
  {
    what: 'foreign-key cascades',
    schema: `CREATE TABLE parents (id int PRIMARY KEY);
      CREATE TABLE children (id int PRIMARY KEY, parent int, FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE);`,
    tables: ['parents', 'children'],
    first: 'INSERT INTO parents VALUES (1), (2); INSERT INTO children VALUES (10, 1), (11, 1), (12, 2)',
    postgres: { sql: cascade, told: cascades },
    mysql: { sql: cascade, told: ['delete 1'] },
    sqlite: { sql: `PRAGMA foreign_keys = ON; ${cascade}`, told: cascades },
  },
  {
    what: 'writes with triggers off',
    schema: 'CREATE TABLE untold (id int PRIMARY KEY, n int)',
    tables: ['untold'],
    first: 'INSERT INTO untold VALUES (1, 0)',
    postgres: { sql: 'SET session_replication_role = replica; UPDATE untold SET n = 1; RESET session_replication_role', told: [] },
    sqlite: {
      sql: 'REPLACE INTO untold VALUES (1, 1); PRAGMA recursive_triggers = ON; REPLACE INTO untold VALUES (1, 2); PRAGMA recursive_triggers = OFF',
      told: ['insert 1', 'delete 1', 'insert 1'],
    },
  },
  {
    what: 'a row that an update moves to another partition',
    schema: `CREATE TABLE split (id int) PARTITION BY RANGE (id); CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM (0) TO (100);
      CREATE TABLE split_2 PARTITION OF split FOR VALUES FROM (100) TO (200);`,
    tables: ['split'],
    first: 'INSERT INTO split VALUES (1)',
    postgres: { sql: 'UPDATE split SET id = 101', told: ['delete 1', 'insert 101'] },
  },
];

export const sightOf = (database) => sight.filter((row) => database.name in row).map((row) => ({ ...row, ...row[database.name] }));

async function sqliteSchema(db) {
  const { rows } = await db.query('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name');
  return rows.map((row) => JSON.stringify(row));
}

async function mysqlSchema(db) {
  const { rows } = await db.query(`SELECT CONCAT_WS(' ', TABLE_NAME, TABLE_TYPE, CREATE_TIME) AS line FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()
    UNION ALL SELECT CONCAT_WS(' ', TRIGGER_NAME, EVENT_OBJECT_TABLE, CREATED, ACTION_STATEMENT) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()
    UNION ALL SELECT CONCAT_WS(' ', ROUTINE_NAME, CREATED) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() ORDER BY 1`);
  return rows.map(({ line }) => line);
}

const makers = {
  postgres: (options) => {
    const server = new Postgres(options);
    let started;
    return {
      source: 'postgres', // of its events
      transactionId: true,
      wakesUp: true, // does not depend on POLL_INTERVAL_MS
      dropsColumns: true, // of watched tables, without asking us
      // Types and literals that are spelt in many ways. exact: a decimal number of any length keeps its digits.
      binary: { type: 'bytea', of: (hex) => `'\\x${hex}'` },
      json: { type: 'jsonb' },
      exact: true,
      begin: 'BEGIN', // of a transaction that writes
      emit: (topic, type, data, users) => ['SELECT esink.emit($1, $2, $3::jsonb, $4::text[], $5)', [topic, type, data, users === true ? [] : (users ?? []).map(String), users === true]],
      stop: () => server.remove(),
      async database(t, sql) {
        started ??= server.start();
        await started;
        return server.database(t, sql);
      },
      // Takes the database away, hard: as if it were killed; what it returns brings it back. reason: what /ready says meanwhile.
      async away(db, { hard = false } = {}) {
        await db.close();
        await server.halt(hard ? 'immediate' : 'fast');
        return () => server.resume();
      },
      everything: fingerprint, // all objects: the same before esink came and after it has gone
      ddl: fingerprint, // changes with any DDL, also with one that replaces a thing by its like
      ours: leftovers, // what is there of esink
      async watched(db) { // tables with triggers of ours
        return Object.keys(await triggers(db)).sort();
      },
      // More of what ends a start: environment, exit status, sentence.
      wrong: (db) => [[{ TABLE_NAMES: 'shop.items' }, 3, /shop\.items/], [{ POSTGRES_DATABASE_URL: 'mysql://x' }, 2, /^esink: POSTGRES_DATABASE_URL: /m],
        [{ POSTGRES_DATABASE_URL: db.url, TABLE_NAMES: 'seen' }, 3, /seen.*view/]],
    };
  },
  mysql: (options) => {
    const server = new MySql(options);
    let started;
    return {
      get source() { return 'test_1'; },
      transactionId: false,
      wakesUp: false,
      dropsColumns: true,
      binary: { type: 'blob', of: (hex) => `x'${hex}'` },
      json: { type: 'json' },
      exact: true,
      time: 'time(1)',
      spell: (name) => name.replaceAll('😀', '☺'), // names are of the Basic Multilingual Plane
      begin: 'BEGIN',
      emit: (topic, type, data, users) => ['CALL esink_emit($1, $2, $3, $4)', [topic, type, data, users && JSON.stringify(users)]],
      stop: () => server.remove(),
      async database(t, sql) {
        started ??= server.start();
        await started;
        return server.database(t, sql?.replace(/\bbody text\b/g, 'body longtext')); // text ends at 64 kB
      },
      async away(db, { hard = false } = {}) {
        await db.close();
        await server.halt(hard ? 'SIGKILL' : 'SIGTERM');
        return () => server.resume();
      },
      everything: mysqlSchema,
      ddl: mysqlSchema,
      async ours(db) {
        return (await mysqlSchema(db)).filter((line) => line.includes('esink'));
      },
      async watched(db) {
        const { rows } = await db.query("SELECT DISTINCT EVENT_OBJECT_TABLE AS name FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() AND TRIGGER_NAME LIKE 'esink%' ORDER BY 1");
        return rows.map(({ name }) => name);
      },
      wrong: (db) => [[{ TABLE_NAMES: 'shop.items' }, 3, /shop\.items/], [{ MYSQL_TABLE_TARGET: 'esink_meta' }, 2, /^esink: MYSQL_TABLE_TARGET: "esink_meta"/m],
        [{ ...db.env, TABLE_NAMES: 'seen' }, 3, /"seen" is a view/]],
    };
  },
  sqlite: () => ({
    source: 'shop.db',
    transactionId: false,
    wakesUp: true,
    dropsColumns: false,
    binary: { type: 'BLOB', of: (hex) => `x'${hex}'` },
    json: { type: 'JSON' },
    exact: false,
    begin: 'BEGIN IMMEDIATE', // or a reader that turns writer fails at once
    // An event from SQL: text and values of a query. users: true for everyone.
    emit: (topic, type, data, users) => [
      'INSERT INTO esink_emit (topic, type, data, audience) VALUES ($1, $2, $3, $4)', [topic, type, data, users && JSON.stringify(users)]],
    stop() {},
    database: sqliteDatabase,
    async away(db) {
      await db.release();
      const holder = db.connect();
      await holder.query('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE held (n int)');
      return async () => {
        await holder.query('ROLLBACK');
        await holder.end();
      };
    },
    everything: sqliteSchema,
    async ddl(db) {
      return (await db.query('PRAGMA schema_version')).rows;
    },
    async ours(db) {
      const { rows } = await db.query("SELECT type || ' ' || name AS what FROM sqlite_schema WHERE name LIKE '%esink%'");
      return [...rows.map(({ what }) => what), ...(existsSync(`${db.path}-esink`) ? ['the note'] : [])];
    },
    async watched(db) {
      const { rows } = await db.query("SELECT DISTINCT tbl_name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'esink %' AND tbl_name <> 'esink_emit' ORDER BY 1");
      return rows.map((row) => row.tbl_name);
    },
    wrong: (db) => [[{ TABLE_NAMES: 'shop.items' }, 3, /no schema "shop"/], [{ SQLITE_PATH: ':memory:' }, 2, /^esink: SQLITE_PATH: ":memory:"/m],
      [{ SQLITE_PATH: db.path, TABLE_NAMES: 'seen' }, 3, /"seen" is a view/]],
  }),
};

// One of them for the life of a test file. options: of its server.
export function databaseOf(name, options) {
  return { name, ...makers[name](options) };
}
