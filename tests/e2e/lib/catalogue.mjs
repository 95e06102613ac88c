// What of esink is in a database.

// Table -> names of its triggers that call a function of schema esink.
export async function triggers(db) {
  const { rows } = await db.query(`
    SELECT c.oid::regclass::text AS table, array_agg(t.tgname::text ORDER BY t.tgname) AS names
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
      JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname = 'esink' GROUP BY 1`);
  return Object.fromEntries(rows.map(({ table, names }) => [table, names]));
}

// Everything that any DDL of ours would change: identities, so that «replaced by the same» shows as well.
export async function fingerprint(db) {
  const { rows } = await db.query(`
    SELECT 'class ' || oid || ' ' || relname || ' ' || xmin AS line FROM pg_class WHERE relnamespace = to_regnamespace('esink') AND relkind IN ('r', 'S', 'i')
    UNION ALL SELECT 'proc ' || oid || ' ' || proname || ' ' || xmin FROM pg_proc WHERE pronamespace = to_regnamespace('esink')
    UNION ALL SELECT 'trigger ' || oid || ' ' || tgname || ' ' || xmin FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'schema ' || oid || ' ' || nspname || ' ' || xmin FROM pg_namespace WHERE nspname !~ '^pg_'
    ORDER BY 1`);
  return rows.map(({ line }) => line);
}

export async function leftovers(db) {
  const { rows } = await db.query(`
    SELECT 'schema ' || nspname AS what FROM pg_namespace WHERE nspname ~ 'esink'
    UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgname ~ 'esink'
    UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger WHERE evtname ~ 'esink'`);
  return rows.map(({ what }) => what);
}
