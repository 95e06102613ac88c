// Prevents: a writer whose search_path makes our trigger function call the writer's own operators, functions and types, with
// the relay's rights, or fail because of them. roles.test.mjs has the first of these; here every name that the function uses
// is taken, and the paths that are rarely gone: an incomplete row, a retyped column, a NOTIFY, a TRUNCATE of a partition.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();

test('types, functions and operators called like those that the trigger uses, first in the path: none is used', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id int PRIMARY KEY, user_id int, viewers text[], code char(4), body text, j json, at timestamptz, raw bytea, n numeric);
    CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
    DROP ROLE IF EXISTS hostile_writer; CREATE ROLE hostile_writer LOGIN; GRANT ALL ON notes, parts, parts_1 TO hostile_writer;
    CREATE SCHEMA evil AUTHORIZATION hostile_writer`);
  t.defer(() => db.query('DROP OWNED BY hostile_writer; DROP ROLE hostile_writer'));
  const relay = await startRelay(t, db, { tables: 'notes,parts', routing: { notes: ['user_id', 'viewers', 'code'], parts: '*' }, env: { OLD_ROWS: '*' } });
  const ws = await relay.ws(await db.user(1));
  // Every name that the template or a column's expression spells behind pg_catalog.
  const { rows } = await db.query("SELECT string_agg(prosrc, ' ') AS source FROM pg_proc WHERE proname LIKE 'capture%'");
  const names = new Set([...rows[0].source.matchAll(/pg_catalog\."?(\w+)/g)].map(([, name]) => name));
  assert.ok(names.size > 20, [...names].join());
  assert.ok(readFileSync(new URL('../../triggers/postgres/notify.sql', import.meta.url), 'utf8').includes('pg_catalog.pg_notify'));
  const writer = await db.connect('hostile_writer');
  const trap = `LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'code of the writer ran as %', current_user; END $$`;
  await writer.query('SET search_path = evil, pg_catalog, public');
  const types = (await db.query("SELECT typname::text AS name FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typname::text = ANY ($1)", [[...names]])).rows.map(({ name }) => name);
  assert.ok(types.includes('int8') && types.includes('text'), types.join());
  const functions = (await db.query(`SELECT proname::text AS name, array_agg(DISTINCT pg_get_function_identity_arguments(oid)) AS args FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace AND proname::text = ANY ($1) AND prokind = 'f' GROUP BY 1`, [[...names]])).rows;
  let made = 0;
  for (const { name, args } of functions) {
    for (const list of args) {
      await writer.query(`CREATE FUNCTION evil.${name}(${list}) RETURNS pg_catalog.text ${trap}`).then(() => made++, (error) => {
        if (!/cannot|must|pseudo-type|variadic/i.test(error.message)) throw error;
      });
    }
  }
  assert.ok(made > 30, `${made} functions`);
  for (const type of ['int4', 'int8', 'text', 'oid', 'regtype', 'regclass', 'bool', 'bpchar']) {
    for (const [operator, result] of [['=', 'bool'], ['&', type], ['>', 'bool'], ['<>', 'bool']]) {
      const name = { '=': 'eq', '&': 'band', '>': 'gt', '<>': 'ne' }[operator];
      await writer.query(`CREATE FUNCTION evil.${name}(pg_catalog.${type}, pg_catalog.${type}) RETURNS pg_catalog.${result} ${trap};
        CREATE OPERATOR evil.${operator} (LEFTARG = pg_catalog.${type}, RIGHTARG = pg_catalog.${type}, FUNCTION = evil.${name})`);
    }
  }
  // Last, since statements from here on mean these.
  for (const type of types) await writer.query(`CREATE DOMAIN evil.${type} AS pg_catalog.point CHECK (false)`);

  await until(async () => (await db.query('SELECT last_value FROM esink.sleep')).rows[0].last_value === '1', 'the relay to sleep, so that a NOTIFY is due');
  const insert = (id) => `INSERT INTO public.notes VALUES (${id}, 1, '{1,2}', '1', 'a', '{"k":"\\u0000"}', '2024-07-01 12:00+02', '\\x00ff', 1.50)`;
  await writer.query(insert(1));
  await writer.query("UPDATE public.notes SET body = 'b', viewers = '{{1},{2}}'");
  await writer.query('DELETE FROM public.notes');
  await writer.query('INSERT INTO public.parts VALUES (1)');
  await writer.query('TRUNCATE public.parts_1');
  await writer.query('TRUNCATE public.parts');
  // Before the drift check sees it: incomplete, by way of the statement that looks at the types as they are now.
  await db.query('BEGIN; ALTER TABLE notes ALTER user_id TYPE text; COMMIT');
  await writer.query(insert(2));
  await relay.fence(ws);
  assert.deepEqual(ws.events.slice(0, 6).map(({ table, type, incomplete, data }) => [table, type, incomplete, data.body ?? data.partition]), [
    ['notes', 'insert', undefined, 'a'], ['notes', 'update', undefined, 'b'], ['notes', 'delete', undefined, 'b'],
    ['parts', 'insert', undefined, undefined], ['parts', 'truncate', undefined, 'public.parts_1'], ['parts', 'truncate', undefined, undefined]]);
  assert.deepEqual([ws.events.length, ws.events.at(-1).data.id, ws.events[0].data.n, ws.events[0].data.at], [8, 2, 1.5, '2024-07-01T10:00:00+00:00']);
});
