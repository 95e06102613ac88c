// Prevents: a change of the trigger function that nobody looked at. It runs inside other people's transactions with the
// relay's rights, so every byte of it is kept here and a difference is a decision: ESINK_GOLDEN=write takes the new text.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';

const postgres = usePostgres();
const folder = new URL('../golden/postgres/', import.meta.url);

const tables = `CREATE TYPE mood AS ENUM ('fine', 'so so');
  CREATE TYPE pair AS (n int, at timestamptz);
  CREATE DOMAIN positive AS int CHECK (VALUE > 0);
  CREATE TABLE plain (id int PRIMARY KEY, owner int, note text, secret text);
  CREATE TABLE "Odd ""Table""" ("a'b" int, "c\\d" text, "e$esink0$f" text, PRIMARY KEY ("c\\d", "a'b"));
  CREATE TABLE types (id bigint PRIMARY KEY, viewers text[], b bool, n numeric, f float8, t timestamptz, x bytea, j jsonb, m mood,
    ms mood[], p pair, ps pair[], d positive, iv interval, r tstzrange, c char(3));
  CREATE TABLE nothing ();`;

// Numbers that differ from database to database.
function steady(source) {
  const numbers = new Map();
  return source.replace(/, \d+, v_more\);/g, ', version, v_more);').replace(/\b(\w+ )(\d{5,})(?=,)/g, (_, type, oid) => {
    if (!numbers.has(oid)) numbers.set(oid, `oid${numbers.size + 1}`);
    return type + numbers.get(oid);
  });
}

test('the trigger functions are the ones that were looked at', async (t) => {
  const db = await postgres.database(t, tables);
  await startRelay(t, db, {
    tables: 'plain,types,nothing,"Odd ""Table"""',
    routing: { plain: ['owner', 'note'], types: 'viewers', nothing: '*' },
    filters: 'plain.secret',
    env: { OLD_ROWS: 'plain' },
    fence: false,
  });
  const { rows } = await db.query(`SELECT c.relname AS table, p.prosrc AS source, p.proconfig AS settings, p.prosecdef AS definer,
    p.proacl::text AS rights FROM pg_proc p JOIN pg_class c ON p.proname = 'capture_' || c.oid ORDER BY 1`);
  assert.equal(rows.length, 4);
  for (const { table, source, settings, definer, rights } of rows) {
    assert.equal(definer, true, table);
    assert.doesNotMatch(rights, /(^|[{,])=X/, `${table}: anybody may call it`);
    const text = `${settings ? `${settings.join('\n')}\n` : ''}${steady(source)}`;
    const file = new URL(`${table.replace(/\W+/g, '-').replace(/-$/, '').toLowerCase()}.sql`, folder);
    if (process.env.ESINK_GOLDEN === 'write') {
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, text);
    }
    assert.equal(text, readFileSync(file, 'utf8'), `${table}: look at the difference; ESINK_GOLDEN=write takes the new text`);
  }
});
