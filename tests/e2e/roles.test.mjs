// Prevents: an application whose writes fail because its role has no rights on esink's schema, and an application role that
// makes esink's functions, which run with the relay's rights, call its own.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { triggers } from './lib/catalogue.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();

test('a role with nothing but its table writes, and the events arrive', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text);
    DROP ROLE IF EXISTS plain_writer; CREATE ROLE plain_writer LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON notes TO plain_writer;
    GRANT USAGE ON SCHEMA public TO plain_writer`);
  t.defer(() => db.query('DROP OWNED BY plain_writer; DROP ROLE plain_writer'));
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' } });
  const ws = await relay.ws(token);
  const writer = await db.connect('plain_writer');
  await writer.query("INSERT INTO notes VALUES (1, 1, 'a')");
  await writer.query("UPDATE notes SET body = 'b'");
  await writer.query('DELETE FROM notes');
  await writer.query('TRUNCATE notes');
  await relay.fence(ws);
  assert.deepEqual(ws.events.map((event) => event.type), ['insert', 'update', 'delete']);
  for (const sql of ['SELECT * FROM esink.event_0', 'SELECT * FROM esink.meta', 'INSERT INTO esink.event_0 DEFAULT VALUES', "SELECT nextval('esink.rotation')",
    'SELECT esink.drain()', "SELECT esink.append('t', 'x', '{}', '{}', true, now(), 's', 'api', 1, NULL)"]) {
    await assert.rejects(writer.query(sql), /permission denied/, sql);
  }
});

test('a hostile search_path with operators and functions of the writer: nothing of it is called', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text, at timestamptz, tags text[], doc jsonb, raw bytea);
    DROP ROLE IF EXISTS hostile; CREATE ROLE hostile LOGIN; GRANT ALL ON notes TO hostile; GRANT USAGE ON SCHEMA public TO hostile;
    CREATE SCHEMA evil AUTHORIZATION hostile`);
  t.defer(() => db.query('DROP OWNED BY hostile; DROP ROLE hostile'));
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: ['user_id', 'tags'] }, env: { OLD_ROWS: '*' } });
  const ws = await relay.ws(token);
  const writer = await db.connect('hostile');
  // Each raises when it runs as anybody but the writer.
  const trap = `LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'code of the writer ran as %', current_user; END $$`;
  await writer.query(`SET search_path = evil, pg_catalog, public;
    CREATE FUNCTION evil.eq(text, text) RETURNS bool ${trap}; CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.eq);
    CREATE FUNCTION evil.eq(text[], text[]) RETURNS bool ${trap}; CREATE OPERATOR evil.= (LEFTARG = text[], RIGHTARG = text[], FUNCTION = evil.eq);
    CREATE FUNCTION evil.eq(int, int) RETURNS bool ${trap}; CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.eq);
    CREATE FUNCTION evil.eq(bigint, bigint) RETURNS bool ${trap}; CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.eq);
    CREATE FUNCTION evil.band(bigint, bigint) RETURNS bigint ${trap}; CREATE OPERATOR evil.& (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.band);
    CREATE FUNCTION evil.cat(text, text) RETURNS text ${trap}; CREATE OPERATOR evil.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.cat);
    CREATE FUNCTION evil.lower(text) RETURNS text ${trap}; CREATE FUNCTION evil.to_json(anyelement) RETURNS json ${trap};
    CREATE FUNCTION evil.concat(VARIADIC "any") RETURNS text LANGUAGE internal AS 'text_concat';`).catch((error) => {
    if (!/permission denied for language internal/.test(error.message)) throw error;
  });
  await writer.query(`CREATE FUNCTION evil.format(text, VARIADIC text[]) RETURNS text ${trap}; CREATE FUNCTION evil.array_out(text[]) RETURNS cstring LANGUAGE sql AS 'SELECT NULL::cstring'`).catch(() => {});
  await writer.query(`CREATE FUNCTION evil.encode(bytea, text) RETURNS text ${trap}; CREATE FUNCTION evil.pg_notify(text, text) RETURNS void ${trap};
    CREATE FUNCTION evil.current_setting(text, bool) RETURNS text ${trap}; CREATE FUNCTION evil.timezone(text, timestamptz) RETURNS timestamp ${trap}`);
  await writer.query(`CREATE DOMAIN evil.text AS pg_catalog.int4; CREATE DOMAIN evil.jsonb AS pg_catalog.int4`).catch(() => {});
  await writer.query(`INSERT INTO public.notes VALUES (1, 1, 'a', '2024-07-01 12:00+02', '{1}', '{"k":1}', '\\x00ff')`);
  await writer.query("UPDATE public.notes SET body = 'b'");
  await writer.query('DELETE FROM public.notes');
  await relay.fence(ws);
  assert.deepEqual(ws.events.map(({ type, incomplete, data }) => [type, incomplete, data.body]),
    [['insert', undefined, 'a'], ['update', undefined, 'b'], ['delete', undefined, 'b']]);
  assert.equal(ws.events[0].data.at, '2024-07-01T10:00:00+00:00');
});

test('temporary objects of the writer do not shadow what the functions use', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id int)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' } });
  const ws = await relay.ws(token);
  const writer = await db.connect();
  await writer.query('CREATE TEMP TABLE event_0 (LIKE esink.event_0); CREATE TEMP TABLE event_1 (LIKE esink.event_1); SET search_path = pg_temp, public');
  await writer.query('INSERT INTO public.notes VALUES (1, 1)');
  await relay.fence(ws);
  assert.equal(ws.events.length, 1);
});

test("the relay's own role needs no superuser: owner of the tables is enough", async (t) => {
  const db = await postgres.database(t, 'DROP ROLE IF EXISTS owner_only; CREATE ROLE owner_only LOGIN');
  await db.query(`CREATE SCHEMA app AUTHORIZATION owner_only; GRANT CREATE ON DATABASE ${db.name} TO owner_only; ALTER TABLE fence OWNER TO owner_only; GRANT SELECT ON auth TO owner_only`);
  t.defer(() => db.query('DROP OWNED BY owner_only; DROP ROLE owner_only'));
  const owner = await db.connect('owner_only');
  await owner.query('CREATE TABLE app.notes (id int PRIMARY KEY, user_id int)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, {
    tables: 'app.notes', routing: { 'app.notes': 'user_id' }, env: { POSTGRES_DATABASE_URL: postgres.url(db.name, 'owner_only') },
  });
  const ws = await relay.ws(token);
  await owner.query('INSERT INTO app.notes VALUES (1, 1)');
  await relay.fence(ws);
  assert.deepEqual(ws.events.map(({ table, data }) => [table, data]), [['app.notes', { id: 1, user_id: 1 }]]);
  await relay.close();
});

test('a schema esink that somebody else owns is refused', async (t) => {
  const db = await postgres.database(t, 'DROP ROLE IF EXISTS squatter; CREATE ROLE squatter LOGIN; DROP ROLE IF EXISTS honest; CREATE ROLE honest LOGIN; CREATE SCHEMA esink AUTHORIZATION squatter');
  t.defer(() => db.query('DROP OWNED BY squatter, honest; DROP ROLE squatter, honest'));
  await db.query(`GRANT CREATE ON DATABASE ${db.name} TO honest; ALTER TABLE fence OWNER TO honest; GRANT SELECT ON auth TO honest`);
  const { code, log } = await runToEnd(t, { env: { POSTGRES_DATABASE_URL: postgres.url(db.name, 'honest'), TABLE_NAMES: 'fence' } });
  assert.equal(code, 3, log);
  assert.match(log, /esink/);
  assert.match(log, /squatter/);
});

test('a relay whose role is called esink: a bare table name does not come to mean esink\'s own schema', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id int PRIMARY KEY, user_id int);
    DROP ROLE IF EXISTS esink; CREATE ROLE esink LOGIN; GRANT TRIGGER ON notes, fence TO esink; GRANT SELECT ON auth TO esink`);
  await db.query(`GRANT CREATE ON DATABASE ${db.name} TO esink`);
  t.defer(() => db.query('DROP OWNED BY esink CASCADE; DROP ROLE esink'));
  const token = await db.user(1);
  for (const id of [1, 2]) { // the first start creates the schema, the second finds it
    const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' },
      env: { POSTGRES_DATABASE_URL: postgres.url(db.name, 'esink') } });
    const ws = await relay.ws(token);
    await db.query(`INSERT INTO notes VALUES (${id}, 1)`);
    await relay.fence(ws);
    assert.deepEqual(ws.events.map(({ table, data }) => [table, data.id]), [['notes', id]]);
    await relay.stop();
  }
});

test('tables that appear without a right to make triggers on them: /ready says what to grant, all others are told', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id int, user_id int); CREATE TABLE docs (id int, user_id int);
    CREATE TABLE p (id int, user_id int) PARTITION BY LIST (id); CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);
    DROP ROLE IF EXISTS limited; CREATE ROLE limited LOGIN; GRANT TRIGGER ON notes, docs, p, p_1, fence TO limited; GRANT SELECT ON auth TO limited`);
  await db.query(`GRANT CREATE ON DATABASE ${db.name} TO limited`);
  t.defer(() => db.query('DROP OWNED BY limited CASCADE; DROP ROLE limited'));
  const relay = await startRelay(t, db, { tables: 'notes,docs,p', routing: { notes: 'user_id', docs: 'user_id', p: 'user_id' },
    env: { POSTGRES_DATABASE_URL: postgres.url(db.name, 'limited') } });
  let ws = await relay.ws(await db.user(1));
  const says = (what) => until(async () => (await relay.get('/ready')).json.message?.includes(what), `/ready to say ${what}`);
  const told = (from) => ws.events.slice(from).map(({ table, data }) => [table, data.id]);

  await db.query('CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2)');
  await says('TRUNCATEs of public.p_2 are not captured: TABLE_NAMES: no right to create triggers; run: GRANT TRIGGER ON public.p_2 TO "limited";');
  await db.query('GRANT TRIGGER ON p_2 TO limited');
  await relay.ready();
  await db.query('CREATE TABLE kid () INHERITS (notes)');
  await says('GRANT TRIGGER ON public.kid');
  await db.query('DROP TABLE docs; CREATE TABLE docs (id int, user_id int)');
  await says('GRANT TRIGGER ON public.');
  await db.query('INSERT INTO p VALUES (2, 1); INSERT INTO notes VALUES (3, 1); INSERT INTO kid VALUES (4, 1); INSERT INTO docs VALUES (5, 1)');
  await relay.fence(ws);
  assert.deepEqual(told(0), [['p', 2], ['notes', 3]]);

  // Not at a reconnect either; and who comes now is let in.
  await db.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'limited'");
  await says('GRANT TRIGGER ON public.');
  await db.query('INSERT INTO notes VALUES (6, 1)');
  const late = await relay.ws(await db.user(2));
  await relay.fence(late);
  await relay.fence(ws);
  assert.deepEqual(told(2), [['notes', 6]]);

  await db.query('GRANT TRIGGER ON kid, docs TO limited');
  await relay.ready();
  await relay.sentAway(ws);
  ws = await relay.ws(db.tokens.get(1));
  await db.query('INSERT INTO kid VALUES (7, 1); INSERT INTO docs VALUES (8, 1)');
  await relay.fence(ws);
  assert.deepEqual(told(0), [['notes', 7], ['docs', 8]]);
  assert.match(relay.log, /docs: without a trigger of esink until now/);
});

test('a partition without a right: what has left its table is not told, what changes of it is seen, and nothing waits for the grant', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id int, user_id int); CREATE TABLE p (id int, user_id int) PARTITION BY LIST (id);
    CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2);
    DROP ROLE IF EXISTS limited; CREATE ROLE limited LOGIN; GRANT TRIGGER ON notes, p, p_1, p_2, fence TO limited; GRANT SELECT ON auth TO limited`);
  await db.query(`GRANT CREATE ON DATABASE ${db.name} TO limited`);
  t.defer(() => db.query('DROP OWNED BY limited CASCADE; DROP ROLE limited'));
  const relay = await startRelay(t, db, { tables: 'notes,p', routing: { notes: 'user_id', p: 'user_id' },
    env: { POSTGRES_DATABASE_URL: postgres.url(db.name, 'limited') } });
  let ws = await relay.ws(await db.user(1));
  const says = (what) => until(async () => (await relay.get('/ready')).json.message?.includes(what), `/ready to say ${what}`);
  const functions = async () => (await db.query("SELECT string_agg(prosrc, ' ') AS all FROM pg_proc WHERE proname ~ '^capture_'")).rows[0].all;
  const told = (from) => ws.events.slice(from).map(({ data }) => data);

  await db.query('CREATE TABLE p_3 PARTITION OF p FOR VALUES IN (3); ALTER TABLE p DETACH PARTITION p_1; ALTER TABLE p ADD COLUMN note text');
  await until(async () => /TG_RELID .* ANY/.test(await functions()), 'the function to leave p_1 out');
  await says('run: GRANT TRIGGER ON public.p_3');
  await db.query("INSERT INTO p_1 VALUES (1, 1); INSERT INTO p VALUES (2, 1, 'new'), (3, 1, 'newer')");
  await relay.fence(ws);
  assert.deepEqual(told(0), [{ id: 2, user_id: 1, note: 'new' }, { id: 3, user_id: 1, note: 'newer' }]);

  await db.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'limited'");
  await db.query('INSERT INTO notes VALUES (4, 1)');
  await relay.fence(await relay.ws(await db.user(2)));
  await relay.fence(ws);
  assert.deepEqual(told(2), [{ id: 4, user_id: 1 }]);

  await db.query('CREATE TABLE q (id int, user_id int) PARTITION BY LIST (id); CREATE TABLE q_1 PARTITION OF q FOR VALUES IN (1); GRANT TRIGGER ON p_3, q TO limited');
  await db.query('DROP TABLE notes; ALTER TABLE q RENAME TO notes');
  await says('changes of public.notes are not captured: TABLE_NAMES: no right to create triggers; run: GRANT TRIGGER ON public.q_1');
  await db.query('GRANT TRIGGER ON q_1 TO limited');
  await relay.ready();
  await relay.sentAway(ws);
  ws = await relay.ws(db.tokens.get(1));
  assert.ok(!(await triggers(db)).p_1);
  assert.doesNotMatch(await functions(), /TG_RELID .* ANY/);
  await db.query('INSERT INTO notes VALUES (1, 1); INSERT INTO p VALUES (3, 1)');
  await relay.fence(ws);
  assert.deepEqual(told(0), [{ id: 1, user_id: 1 }, { id: 3, user_id: 1, note: null }]);
});

test('a start with a partition that nobody granted: it is said, and everything else goes on; of a table that is new it is asked for first', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id int, user_id int); CREATE TABLE p (id int, user_id int) PARTITION BY LIST (id);
    CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);
    DROP ROLE IF EXISTS limited; CREATE ROLE limited LOGIN; GRANT TRIGGER ON notes, p, p_1, fence TO limited; GRANT SELECT ON auth TO limited`);
  await db.query(`GRANT CREATE ON DATABASE ${db.name} TO limited`);
  t.defer(() => db.query('DROP OWNED BY limited CASCADE; DROP ROLE limited'));
  const relay = await startRelay(t, db, { tables: 'notes,p', routing: { notes: 'user_id', p: 'user_id' },
    env: { POSTGRES_DATABASE_URL: postgres.url(db.name, 'limited') } });
  await relay.stop();
  await db.query('CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2)');
  await relay.start({ ready: false });
  await until(async () => (await relay.get('/ready')).json.message?.includes('run: GRANT TRIGGER ON public.p_2'), '/ready to say what to grant');
  const checked = await runToEnd(t, { db, args: ['--check'], env: { POSTGRES_DATABASE_URL: postgres.url(db.name, 'limited'), TABLE_NAMES: 'notes,p' } });
  assert.equal(checked.code, 3);
  assert.match(checked.log, /run: GRANT TRIGGER ON public\.p_2/);
  const ws = await relay.ws(await db.user(1));
  await db.query('INSERT INTO p VALUES (1, 1), (2, 1); INSERT INTO notes VALUES (3, 1)');
  await relay.fence(ws);
  assert.deepEqual(ws.events.map(({ data }) => data.id), [1, 2, 3]);
  await db.query('GRANT TRIGGER ON p_2 TO limited');
  await relay.ready();
  await relay.stop();

  await db.query('CREATE TABLE q (id int) PARTITION BY LIST (id); CREATE TABLE q_1 PARTITION OF q FOR VALUES IN (1); GRANT TRIGGER ON q TO limited');
  const { code, log } = await runToEnd(t, { db, env: { POSTGRES_DATABASE_URL: postgres.url(db.name, 'limited'), TABLE_NAMES: 'notes,q' } });
  assert.equal(code, 3);
  assert.match(log, /run: GRANT TRIGGER ON public\.q_1/);
});

test('row security on the token table: that tokens are hidden is said before anybody is refused, and how to show them', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id int, user_id int); DROP ROLE IF EXISTS limited; CREATE ROLE limited LOGIN;
    GRANT TRIGGER ON notes, fence TO limited; GRANT SELECT ON auth TO limited; ALTER TABLE auth ENABLE ROW LEVEL SECURITY`);
  await db.query(`GRANT CREATE ON DATABASE ${db.name} TO limited`);
  t.defer(() => db.query('DROP OWNED BY limited CASCADE; DROP ROLE limited'));
  const env = { POSTGRES_DATABASE_URL: postgres.url(db.name, 'limited') };
  const check = async () => (await runToEnd(t, { db, args: ['--check'], env: { ...env, TABLE_NAMES: 'notes' } })).log;
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' }, env });
  const [, policy] = relay.log.match(/AUTH_TABLE: row security of "auth" applies to role "limited": .* run: (CREATE POLICY .*;)/);
  assert.match(await check(), /row security of "auth"/);
  await db.query("CREATE POLICY narrow ON auth FOR SELECT TO limited USING (true AND current_user <> 'limited')");
  assert.match(await check(), /row security of "auth"/);
  await db.query(policy);
  assert.doesNotMatch(await check(), /row security/);
  await relay.ws(await db.user(1));
  await db.query('CREATE POLICY strict ON auth AS RESTRICTIVE USING (id < 100)');
  assert.match(await check(), /row security of "auth" .*RESTRICTIVE/);
});

test('the owner of a watched partitioned table goes on making partitions of it, and nobody else is granted anything', async (t) => {
  const db = await postgres.database(t, `DROP ROLE IF EXISTS shop, "New Shop"; CREATE ROLE shop LOGIN; CREATE ROLE "New Shop" LOGIN; GRANT CREATE ON SCHEMA public TO shop, "New Shop";
    CREATE TABLE plain (id int PRIMARY KEY); ALTER TABLE plain OWNER TO shop;
    CREATE TABLE metrics (at int, id int, user_id int) PARTITION BY LIST (at);
    CREATE TABLE m_1 PARTITION OF metrics FOR VALUES IN (1) PARTITION BY LIST (id); ALTER TABLE metrics OWNER TO shop; ALTER TABLE m_1 OWNER TO shop`);
  t.defer(() => db.query('DROP OWNED BY "New Shop" CASCADE; DROP ROLE "New Shop"; DROP ROLE IF EXISTS shop'));
  const relay = await startRelay(t, db, { tables: 'plain,metrics', routing: { metrics: 'user_id' } });
  const ws = await relay.ws(await db.user(1));
  const as = async (role, sql) => {
    await db.query(`SET ROLE ${role}`);
    await db.query(sql).finally(() => db.query('RESET ROLE'));
  };
  const granted = async () => (await db.query(`SELECT DISTINCT a.grantee::regrole::text AS role, a.privilege_type AS may, pronargs FROM pg_proc, aclexplode(proacl) a
    WHERE proname ~ '^capture_' AND a.grantee <> proowner`)).rows;

  assert.deepEqual(await granted(), [{ role: 'shop', may: 'EXECUTE', pronargs: 0 }]);
  await as('shop', `CREATE TABLE m_2 PARTITION OF metrics FOR VALUES IN (2); CREATE TABLE m_11 PARTITION OF m_1 FOR VALUES IN (1);
    CREATE TABLE m_3 (LIKE metrics); ALTER TABLE metrics ATTACH PARTITION m_3 FOR VALUES IN (3); INSERT INTO metrics VALUES (1, 1, 1), (2, 2, 1), (3, 3, 1)`);
  await relay.fence(ws);
  assert.deepEqual(ws.events.map(({ data }) => data.at), [1, 2, 3]);

  await db.query('REASSIGN OWNED BY shop TO "New Shop"');
  await until(async () => (await granted()).every(({ role }) => role === '"New Shop"') && (await granted()).length, 'the new owner to be granted it');
  await as('"New Shop"', 'CREATE TABLE m_4 PARTITION OF metrics FOR VALUES IN (4)');
  // A member of the owner, who is a superuser: being one is not inherited.
  await db.query('CREATE TABLE owned (at int, user_id int) PARTITION BY LIST (at); DROP TABLE plain; ALTER TABLE owned RENAME TO plain; GRANT postgres TO "New Shop"');
  await relay.ready();
  await until(async () => (await triggers(db)).plain, 'the table to be watched');
  await as('"New Shop"', 'CREATE TABLE plain_1 PARTITION OF plain FOR VALUES IN (1)');
  await db.query('REVOKE postgres FROM "New Shop"');
  await db.query('REVOKE CREATE ON SCHEMA public FROM shop; DROP ROLE shop');
  await db.query(`DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc WHERE proname ~ '^capture_' LOOP EXECUTE format('REVOKE ALL ON FUNCTION %s FROM "New Shop"', f); END LOOP; END $$`);
  await until(async () => (await granted()).some(({ role }) => role === '"New Shop"'), 'what was revoked to be granted again');
  await relay.stop();
  await db.query('DROP TABLE metrics CASCADE');
  await relay.start({ tables: 'plain' });
  await until(async () => (await granted()).length === 0, 'nothing to be granted for a table that is not partitioned');
});

test('functions in public that fit our catalogue queries better than those of pg_catalog are not called', async (t) => {
  const trap = `LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'code of somebody else ran as %', current_user; END $$`;
  const db = await postgres.database(t, `CREATE TABLE notes (id int PRIMARY KEY, user_id int);
    CREATE FUNCTION public.quote_ident(name) RETURNS text ${trap}; CREATE FUNCTION public.format(text, name, name) RETURNS text ${trap};
    CREATE FUNCTION public.array_position(int2[], int2) RETURNS int ${trap}; CREATE FUNCTION public.substr(name, int) RETURNS text ${trap};
    CREATE FUNCTION public.array_remove(name[], text) RETURNS name[] ${trap}; CREATE FUNCTION public.array_remove(name[], name) RETURNS name[] ${trap};
    CREATE FUNCTION public.concat_ws(text, oid, int2, text, oid, int2[]) RETURNS text ${trap};
    CREATE FUNCTION public.matches(name, name) RETURNS bool ${trap}; CREATE OPERATOR public.~~ (LEFTARG = name, RIGHTARG = name, FUNCTION = public.matches);
    CREATE FUNCTION public.differs(oid, int) RETURNS bool ${trap}; CREATE OPERATOR public.<> (LEFTARG = oid, RIGHTARG = int, FUNCTION = public.differs);
    CREATE FUNCTION public.times(bigint, interval) RETURNS interval ${trap}; CREATE OPERATOR public.* (LEFTARG = bigint, RIGHTARG = interval, FUNCTION = public.times)`);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' }, env: { SECURITY_TOKEN: 'operator-9f8e7d6c' } });
  const ws = await relay.ws(token);
  await db.query('ALTER TABLE notes ADD COLUMN more text');
  await until(async () => {
    await db.query('INSERT INTO notes SELECT count(*), 1 FROM notes');
    await relay.fence(ws);
    return ws.events.at(-1).data.more === null;
  }, 'the drift check to see the new column');
  const body = JSON.stringify({ table: 'x', type: 'y', data: {}, userId: 1, timestamp: 1700000000123, securityToken: 'operator-9f8e7d6c' });
  assert.equal((await relay.get('/publish', { method: 'POST', headers: { 'content-type': 'application/json' }, body })).status, 200);
  await relay.fence(ws);
  assert.equal(ws.events.at(-1).timestamp, 1700000000123);
});

test('events from SQL: only who was granted it, with the actor, in the transaction', async (t) => {
  const db = await postgres.database(t, 'DROP ROLE IF EXISTS emitter; CREATE ROLE emitter LOGIN');
  t.defer(() => db.query('DROP OWNED BY emitter; DROP ROLE emitter'));
  const relay = await startRelay(t, db, {});
  const ws = await relay.ws(await db.user(7));
  const emitter = await db.connect('emitter');
  await assert.rejects(emitter.query("SELECT esink.emit('mail', 'sent', '{}', '{7}')"), /permission denied for schema esink/);
  await db.query('GRANT USAGE ON SCHEMA esink TO emitter');
  await assert.rejects(emitter.query("SELECT esink.emit('mail', 'sent', '{}', '{7}')"), /permission denied for function emit/);
  await db.query('GRANT EXECUTE ON FUNCTION esink.emit TO emitter');
  await emitter.query(`BEGIN; SET LOCAL esink.actor = 'robot'; SELECT esink.emit('mail', 'sent', '{"n": 1.50}', '{7,NULL}');
    SAVEPOINT s; SELECT esink.emit('mail', 'never', '{}', '{7}'); ROLLBACK TO s; COMMIT`);
  await emitter.query("SELECT esink.emit(topic => 'mail', type => 'all', data => '{}', broadcast => true)");
  for (const [sql, words] of [["NULL, 'x', '{}'", /topic must be text/], ["repeat('x', 65), 'x', '{}'", /topic must be text/], ["'x', '', '{}'", /type must be text/],
    ["'x', 'x', '[]'", /data must be a JSON object/], ["'x', 'x', NULL", /data must be a JSON object/]]) {
    await assert.rejects(emitter.query(`SELECT esink.emit(${sql})`), words);
  }
  await assert.rejects(emitter.query('SELECT * FROM esink.event_0'), /permission denied/);
  await relay.fence(ws);
  assert.deepEqual(ws.events.map(({ table, type, data, source, source_type, actor }) => [table, type, data, source, source_type, actor]),
    [['mail', 'sent', { n: 1.5 }, 'postgres', 'sql', 'robot'], ['mail', 'all', {}, 'postgres', 'sql', undefined]]);
  assert.match(ws.events[0].transaction_id, /^\d+$/);
});
