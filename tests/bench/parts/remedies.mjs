// What safety costs the writers: the trigger function as it is, and with one remedy taken out or done another way, on the
// same table in turn. No relay runs meanwhile: this is the writer's side alone. A ratio above 1 is what writers would gain.
//
//   ESINK_BINARY=build/release/src/app/esink node tests/bench/remedies.mjs [rounds] [seconds]
import assert from 'node:assert/strict';
import { Load, median } from './lib/load.mjs';

const rounds = Number(process.argv[2] ?? 5);
const load = await new Load(Number(process.argv[3] ?? 3)).start();
const { postgres } = load;

// Replaces, and insists that there was something.
function edit(text, pattern, to) {
  assert.match(text, pattern);
  return text.replace(pattern, to);
}

const variants = {
  'as it is': (sql) => sql,
  'without the check of types (pg_typeof)': (sql) => edit(sql, /IF pg_catalog\.pg_typeof.*? THEN\n/g, 'IF true THEN\n'),
  'without the order of versions (replaced)': (sql) => edit(sql, /  IF TG_LEVEL[\s\S]*?\n  END IF;\n  v_seq :=/, '  v_seq :='),
  'without the block that catches what fails': (sql) => edit(edit(sql, /\nBEGIN\n  BEGIN\n/, '\nBEGIN\n'), /  EXCEPTION WHEN OTHERS THEN\n    v_data := NULL;\n    v_old := NULL;\n  END;\n/, ''),
  'without SECURITY DEFINER': (sql) => edit(sql, / SECURITY DEFINER/, ''),
  'with SET search_path': (sql) => edit(sql, / SECURITY DEFINER/, " SECURITY DEFINER SET search_path TO 'pg_catalog'"),
  'to_jsonb() of the row': (sql) => edit(sql, /v_data := pg_catalog\.concat\(pg_catalog\.concat\('\{"id":', coalesce\((NEW|OLD).*"owner".*\);/g, (_, row) => `v_data := pg_catalog.to_jsonb(${row})::pg_catalog.text;`),
};

try {
  await load.database('none');
  await load.database('esink');
  const relay = await load.relay('esink');
  relay.kill('SIGTERM');
  await relay.exited;
  const { rows: [{ sql }] } = await postgres.once('esink', `SELECT pg_get_functiondef(p.oid) AS sql FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'esink' AND p.proname ~ '^capture_'`);
  const made = Object.fromEntries(Object.entries(variants).map(([name, change]) => [name, change(sql)]));
  const measures = { '4 clients, sync off': (n) => load.pgbench(n, 4, 'off'), 'bulk insert': (n) => load.bulk(n) };
  const results = {};
  const keep = (what, name, rate) => ((results[what] ??= {})[name] ??= []).push(rate);
  for (let round = 0; round < rounds; round++) {
    for (const [what, measure] of Object.entries(measures)) keep(what, 'no trigger', await measure('none'));
    for (const [name, text] of Object.entries(made)) {
      await postgres.once('esink', text);
      for (const [what, measure] of Object.entries(measures)) keep(what, name, await measure('esink'));
      await postgres.once('esink', 'TRUNCATE esink.event_0, esink.event_1');
    }
  }
  console.log(['rate as it is = 1'.padEnd(44), ...Object.keys(measures).map((what) => what.padStart(20))].join(' | '));
  for (const name of ['no trigger', ...Object.keys(made)]) {
    const cells = Object.keys(measures).map((what) => (median(results[what][name]) / median(results[what]['as it is'])).toFixed(2).padStart(20));
    console.log([name.padEnd(44), ...cells].join(' | '));
  }
} finally {
  await postgres.remove();
}
