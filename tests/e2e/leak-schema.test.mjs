// Prevents: code of another role that runs with the relay's rights: in a schema esink that was there first, in one that others
// may create in, behind a type's casts, operators and functions.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, usePostgres } from './lib/harness.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

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
  await refusedFor(t, db, 'postgres', /schema esink belongs to role "squatter", not to "postgres".*DROP SCHEMA esink CASCADE;/);
  assert.deepEqual(await ran(db), []);
  assert.equal((await runToEnd(t, { db, args: ['--uninstall'], env: { TABLE_NAMES: 'notes' } })).code, 0);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' } });
  const ws = await relay.ws(await db.user(1));
  await db.query('INSERT INTO notes VALUES (1, 1)');
  await relay.fence(ws);
  assert.equal(ws.events.length, 1);
  assert.deepEqual(await ran(db), []);
});

test('a dump restored without owners: what the refusal says to run mends it', async (t) => {
  const db = await withRoles(t, ['honest']);
  const relay = await startRelay(t, db, { tables: 'notes', env: as(db, 'honest') });
  await relay.kill();
  const dump = join(postgres.scratch, 'without-owners.dump'), copy = await postgres.database(t, 'DROP TABLE auth, fence');
  await postgres.command('pg_dump', ['-Fc', '-d', db.url, '-f', dump]);
  await postgres.command('pg_restore', ['--exit-on-error', '--no-owner', '-d', copy.url, dump]);
  await copy.query(`GRANT CREATE ON DATABASE ${copy.name} TO honest`);
  t.defer(() => copy.query('DROP OWNED BY honest CASCADE'));
  const said = /schema esink belongs to role "postgres", not to "honest".*run as "postgres" or a superuser: (DROP SCHEMA esink CASCADE;)/;
  await refusedFor(t, copy, 'honest', said);
  const { log } = await runToEnd(t, { args: ['--check'], env: { ...as(copy, 'honest'), TABLE_NAMES: 'notes,fence' } });
  await copy.query(said.exec(log)[1]);
  const again = await startRelay(t, copy, { tables: 'notes', routing: { notes: 'user_id' }, env: as(copy, 'honest') });
  const ws = await again.ws(await copy.user(1));
  await copy.query('INSERT INTO notes VALUES (1, 1)');
  await again.fence(ws);
  assert.equal(ws.events.length, 1);
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

// In the moment between the change of a column's type and the drift check, in a session that plans the function anew.
test('a column gets a type of a role without rights just before a write: none of its casts run as the relay', { timeout: 120_000 }, async (t) => {
  const db = await withRoles(t, ['typist'], 'GRANT CREATE ON SCHEMA public TO typist');
  const typist = await db.connect('typist');
  const trap = (name, result, value) => `CREATE FUNCTION ${name}(mood) RETURNS ${result} LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    PERFORM pg_catalog.nextval('public.traps'); RETURN ${value}; END $$;`;
  await db.query('CREATE SEQUENCE traps; GRANT ALL ON traps TO PUBLIC');
  await typist.query(`CREATE TYPE mood AS ENUM ('fine', 'low'); ${trap('turns', 'text', `'turned'`)} ${trap('springs', 'json', `'"sprung"'`)} ${trap('counts', 'int', '1')}
    CREATE CAST (mood AS text) WITH FUNCTION turns(mood) AS IMPLICIT; CREATE CAST (mood AS json) WITH FUNCTION springs(mood) AS IMPLICIT;
    CREATE CAST (mood AS int) WITH FUNCTION counts(mood) AS IMPLICIT; CREATE DOMAIN uid AS int`);
  const cases = [];
  for (const [kind, type] of [['domain', 'uid'], ['plain', 'int'], ['missing', 'int']]) {
    for (const column of ['id', 'owner', 'n']) for (const what of ['insert', 'update', 'delete']) cases.push({ table: `${kind}_${column}_${what}`, type, column, what, missing: kind === 'missing' });
  }
  const names = cases.map(({ table }) => table);
  for (const { table, type } of cases) {
    await typist.query(`CREATE TABLE ${table} (id ${type} PRIMARY KEY, owner ${type}, n ${type}, raw bytea[], secret text, other text); INSERT INTO ${table} VALUES (1, 1, 1, '{}', 's', 'o')`);
  }
  const relay = await startRelay(t, db, { tables: names.join(), routing: Object.fromEntries(names.map((name) => [name, 'owner'])), filters: names.map((name) => `${name}.secret`).join(), env: { OLD_ROWS: '*', SECURITY_TOKEN: 'operators-own-token-4711' } });
  const client = await relay.operator();
  const source = async (table) => (await db.query("SELECT prosrc FROM pg_proc WHERE proname = 'capture_' || $1::regclass::oid", [table])).rows[0].prosrc;
  for (const { table } of cases.filter(({ missing }) => missing)) await typist.query(`ALTER TABLE ${table} RENAME secret TO hidden; ALTER TABLE ${table} RENAME hidden TO kept`);
  for (const { table } of cases.filter(({ missing }) => missing)) await until(async () => !/array_to_string[^;]*"other"/.test(await source(table)), () => `${table} to be made again`);
  for (const { table, column, what } of cases) {
    const fresh = await db.connect('typist');
    const write = { insert: `INSERT INTO ${table} SELECT * FROM ${table} LIMIT 0; INSERT INTO ${table} (${['id', 'owner', 'n'].join()}) VALUES (${['id', 'owner', 'n'].map((name) => (name === column ? "'low'" : 2)).join()})`,
      update: `UPDATE ${table} SET ${column} = 'low'`, delete: `DELETE FROM ${table}` }[what];
    await fresh.query(`BEGIN; ALTER TABLE ${table} ALTER ${column} TYPE mood USING 'fine'; ${write}; COMMIT`);
    assert.equal((await db.query('SELECT is_called FROM traps')).rows[0].is_called, false, `${what} after ${column} of ${table} became a mood`);
  }
  await relay.fence(client);
  const told = client.events.filter(({ table }) => names.includes(table));
  assert.deepEqual(told.map(({ table, type }) => [table, type]), cases.map(({ table, what }) => [table, what]));
  for (const { table, incomplete, data } of told) {
    assert.equal(incomplete, true, table);
    assert.ok(Object.keys(data).every((name) => name === 'id'), `${table}: ${JSON.stringify(data)}`);
  }
});
