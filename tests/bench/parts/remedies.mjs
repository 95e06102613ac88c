// What safety costs the writers: the trigger function as it is, and with one remedy taken out or done another way, on the
// same table in turn. No relay runs meanwhile: this is the writer's side alone. A ratio above 1 is what writers would gain.
import assert from 'node:assert/strict';
import { Scope } from '../../e2e/lib/harness.mjs';
import { Load } from '../lib/load.mjs';
import { interleave, rowsOf } from '../lib/rows.mjs';

export const title = 'what each protection of the trigger costs writers on PostgreSQL';
export const packages = [];

// Replaces, and insists that there was something.
function edit(text, pattern, to) {
  assert.match(text, pattern);
  return text.replace(pattern, to);
}

const asItIs = 'as it is';
const variants = {
  [asItIs]: (sql) => sql,
  'without the check of types (pg_typeof)': (sql) => edit(sql, /CASE WHEN esink\.same.*? THEN (.*) END;\n/g, '$1;\n'),
  'without the order of versions (replaced)': (sql) => edit(sql, /  IF pg_catalog\.age\(OLD[\s\S]*?\n  END IF;\n/, ''),
  'without the block that catches what fails': (sql) => edit(edit(sql, /\nBEGIN\n  BEGIN\n/, '\nBEGIN\n'), /  EXCEPTION WHEN OTHERS THEN\n    v_data := NULL;\n  END;\n/, ''),
  'without SECURITY DEFINER': (sql) => edit(sql, / SECURITY DEFINER/, ''),
  'with SET search_path': (sql) => edit(sql, / SECURITY DEFINER/, " SECURITY DEFINER SET search_path TO 'pg_catalog'"),
  'to_jsonb() of the row': (sql) => edit(sql, /pg_catalog\.array_to_string\(ARRAY\['\{"id":', (NEW|OLD).*"owner".*'null'\)/g, (_, row) => `pg_catalog.to_jsonb(${row})::pg_catalog.text`),
};

export async function run({ rounds, quick, say }) {
  const scope = new Scope(), rows = [];
  try {
    const load = await new Load({ seconds: quick ? 1 : 2, bulk: quick ? 20_000 : 100_000 }).start(scope);
    const { postgres } = load;
    await load.database('none');
    await load.database('esink');
    const installing = new Scope();
    await load.relay(installing, 'esink');
    await installing.end();
    const { rows: made } = await postgres.once('esink', `SELECT pg_get_functiondef(p.oid) AS sql FROM pg_proc p
      JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'esink' AND p.proname ~ '^capture_'`);
    const texts = Object.fromEntries(Object.entries(variants).map(([name, change]) => [name, made.map(({ sql }) => `${change(sql)};`).join('\n')]));
    const measures = { 'one UPDATE a transaction, 4 clients, synchronous_commit off': ['transactions/s', (n) => load.pgbench(n, { clients: 4, sync: 'off' })],
      [`one INSERT of ${load.rows.toLocaleString('en-US')} rows`]: ['rows/s', (n) => load.bulk(n)] };
    for (const [work, [metric, measure]] of Object.entries(measures)) {
      say(work);
      const results = await interleave(rounds, ['no trigger', ...Object.keys(texts)], async (who) => {
        if (who === 'no trigger') return measure('none');
        await postgres.once('esink', `${texts[who]} TRUNCATE esink.event_0, esink.event_1`);
        return measure('esink');
      });
      rows.push(...rowsOf(work, metric, results, { to: Object.fromEntries(Object.keys(results).filter((who) => who !== asItIs).map((who) => [who, [asItIs]])) }));
    }
  } finally {
    await scope.end();
  }
  return { rows, notes: ['A ratio above 1 is what writers would gain if the protection were taken out.'] };
}
