// Prevents: code of another role that runs with the relay's rights: in a schema esink that was there first, in one that others
// may create in, behind a type's casts, operators and functions.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';

const postgres = usePostgres();

// Roles are the server's: each test has its own, dropped at its end. What ran, and as whom, is in the table `ran`.
async function withRoles(t, roles, sql = '') {
  const db = await postgres.database(t, `CREATE TABLE notes (id int PRIMARY KEY, user_id int); CREATE TABLE ran (what text, who text DEFAULT current_user);
    GRANT INSERT ON ran TO PUBLIC; ${roles.map((role) => `DROP ROLE IF EXISTS ${role}; CREATE ROLE ${role} LOGIN;`).join('')} ${sql}`);
  for (const role of roles) await db.query(`GRANT CREATE ON DATABASE ${db.name} TO ${role}; GRANT SELECT ON auth TO ${role}; GRANT TRIGGER ON notes, fence TO ${role}`);
  t.defer(() => db.query(`DROP OWNED BY ${roles.join(', ')} CASCADE; DROP ROLE ${roles.join(', ')}`));
  return db;
}

const as = (db, role) => ({ POSTGRES_DATABASE_URL: postgres.url(db.name, role) });
const ran = async (db) => (await db.query('SELECT * FROM ran')).rows;

async function refusedFor(t, db, role, pattern) {
  for (const args of [[], ['--check']]) {
    const { code, log } = await runToEnd(t, { args, env: { ...as(db, role), TABLE_NAMES: 'notes,fence' } });
    assert.equal(code, 3, log);
    assert.match(log, pattern);
  }
}

test('a schema esink that a plain role made is not used by a superuser, although that is a member of every role', async (t) => {
  const db = await withRoles(t, ['squatter']);
  const theirs = await startRelay(t, db, { tables: 'notes', env: as(db, 'squatter') });
  await theirs.close(); // an esink schema with everything in it
  const squatter = await db.connect('squatter');
  for (const name of ['newest_tick', 'drain', 'claim', 'rotate', 'append']) {
    await squatter.query(`DO $$ DECLARE f regprocedure; BEGIN
      SELECT p.oid INTO f FROM pg_proc p WHERE p.pronamespace = 'esink'::regnamespace AND p.proname = '${name}';
      EXECUTE format('ALTER FUNCTION %s RENAME TO was_${name}', f);
    END $$`);
  }
  await squatter.query(`CREATE FUNCTION esink.newest_tick(OUT next bigint, OUT snapshot pg_snapshot) LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.ran VALUES ('newest_tick'); SELECT * INTO next, snapshot FROM esink.was_newest_tick(); END $$`);
  await refusedFor(t, db, 'postgres', /schema esink belongs to role "squatter", not to "postgres".*--uninstall/);
  assert.deepEqual(await ran(db), []);
  assert.equal((await runToEnd(t, { db, args: ['--uninstall'], env: { TABLE_NAMES: 'notes' } })).code, 0);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' } });
  const ws = await relay.ws(await db.user(1));
  await db.query('INSERT INTO notes VALUES (1, 1)');
  await relay.fence(ws);
  assert.equal(ws.events.length, 1);
  assert.deepEqual(await ran(db), []);
});

test('others may create in our schema, or own something in it: refused, with what to run', async (t) => {
  const db = await withRoles(t, ['honest', 'intruder']);
  const relay = await startRelay(t, db, { tables: 'notes', env: as(db, 'honest') });
  await relay.stop();
  const honest = await db.connect('honest');
  await honest.query('GRANT USAGE, CREATE ON SCHEMA esink TO intruder');
  await refusedFor(t, db, 'honest', /intruder may create in schema esink.*REVOKE CREATE ON SCHEMA esink FROM intruder;/);
  const intruder = await db.connect('intruder');
  await intruder.query(`CREATE FUNCTION esink.claim(pg_catalog.varchar) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.ran VALUES ('claim'); RETURN true; END $$`);
  await honest.query('REVOKE CREATE ON SCHEMA esink FROM intruder');
  await refusedFor(t, db, 'honest', /object "claim" that belongs to another role/);
  await intruder.query('DROP FUNCTION esink.claim(pg_catalog.varchar)');
  await honest.query('GRANT CREATE ON SCHEMA esink TO PUBLIC');
  await refusedFor(t, db, 'honest', /PUBLIC may create in schema esink.*FROM PUBLIC;/);
  await honest.query('REVOKE CREATE ON SCHEMA esink FROM PUBLIC');
  await relay.start();
  assert.deepEqual(await ran(db), []);
});

test('a role that belongs to the owner goes on with the schema', async (t) => {
  const db = await withRoles(t, ['team', 'member']);
  const relay = await startRelay(t, db, { tables: 'notes', env: as(db, 'team') });
  await relay.stop();
  await db.query('GRANT team TO member');
  await relay.start({ env: as(db, 'member') });
  await relay.stop();
});

test('types of a role without rights: none of its casts, operators, functions or checks run as the relay', async (t) => {
  const db = await withRoles(t, ['typist'], 'GRANT CREATE ON SCHEMA public TO typist');
  const typist = await db.connect('typist');
  const trap = (name, args, result, value) => `CREATE FUNCTION ${name}(${args}) RETURNS ${result} LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.ran VALUES ('${name}(${args})'); RETURN ${value}; END $$;`;
  await typist.query(`CREATE TYPE mood AS ENUM ('fine', 'low'); CREATE TYPE pair AS (n int, m mood); CREATE TYPE span AS RANGE (SUBTYPE = mood);
    ${trap('springs', 'mood', 'json', `'"sprung"'`)} ${trap('springs', 'pair', 'json', `'"sprung"'`)} ${trap('springs', 'span', 'json', `'"sprung"'`)}
    ${trap('turns', 'mood', 'text', `'turned'`)} ${trap('turns', 'pair', 'text', `'turned'`)} ${trap('turns', 'mood', 'int', '1')}
    ${trap('checks', 'int', 'bool', 'true')} ${trap('checks', 'mood', 'bool', 'true')}
    ${trap('equal', 'mood, mood', 'bool', 'true')} ${trap('equal', 'pair, pair', 'bool', 'true')} ${trap('joins', 'text, mood', 'text', `'joined'`)}
    CREATE DOMAIN small AS int CHECK (checks(VALUE)); CREATE DOMAIN feel AS mood CHECK (checks(VALUE));
    CREATE CAST (mood AS json) WITH FUNCTION springs(mood) AS IMPLICIT; CREATE CAST (pair AS json) WITH FUNCTION springs(pair) AS IMPLICIT;
    CREATE CAST (span AS json) WITH FUNCTION springs(span) AS IMPLICIT; CREATE CAST (mood AS text) WITH FUNCTION turns(mood) AS IMPLICIT;
    CREATE CAST (pair AS text) WITH FUNCTION turns(pair) AS IMPLICIT; CREATE CAST (mood AS int) WITH FUNCTION turns_int(mood) AS IMPLICIT;`.replace(
    'CREATE FUNCTION turns(mood) RETURNS int', 'CREATE FUNCTION turns_int(mood) RETURNS int'));
  await typist.query(`CREATE OPERATOR = (LEFTARG = mood, RIGHTARG = mood, FUNCTION = equal); CREATE OPERATOR <> (LEFTARG = mood, RIGHTARG = mood, FUNCTION = equal);
    CREATE OPERATOR = (LEFTARG = pair, RIGHTARG = pair, FUNCTION = equal); CREATE OPERATOR || (LEFTARG = text, RIGHTARG = mood, FUNCTION = joins)`);
  await db.query(`SET check_function_bodies = off; CREATE TABLE trapped (id int, m mood, p pair, s span, d small, f feel, ms mood[], ps pair[], ds small[], fs feel[], PRIMARY KEY (id, m))`);
  const relay = await startRelay(t, db, { tables: 'trapped', routing: { trapped: ['id', 'm', 'f', 'ms', 'd', 'fs'] }, env: { OLD_ROWS: '*' } });
  const ws = await relay.ws(await db.user(1));
  const values = `'fine', ROW(5, 'low'), '[fine,low]', 1, 'fine', '{fine,NULL}', ARRAY[ROW(6, 'fine')::pair], '{1,2}', '{low}'`;
  await db.query(`INSERT INTO trapped VALUES (1, ${values})`); // the writer's own casts to the domains check, and may
  await db.query('DELETE FROM ran');
  await db.query("UPDATE trapped SET id = 1; UPDATE trapped SET p = NULL, id = 2 WHERE id = 1; DELETE FROM trapped; TRUNCATE trapped");
  await relay.fence(ws);
  assert.deepEqual(await ran(db), []);
  const row = { id: 1, m: 'fine', p: { n: 5, m: 'low' }, s: '[fine,low]', d: 1, f: 'fine', ms: ['fine', null], ps: [{ n: 6, m: 'fine' }], ds: [1, 2], fs: ['low'] };
  assert.deepEqual(ws.events.map(({ type, incomplete, data }) => [type, incomplete, data]), [
    ['insert', undefined, row], ['update', undefined, row], ['update', undefined, { ...row, id: 2, p: null }], ['delete', undefined, { ...row, id: 2, p: null }]]);
  await relay.stop();
  await relay.start(); // the catalogue queries meet these types as well
  assert.deepEqual(await ran(db), []);
});
