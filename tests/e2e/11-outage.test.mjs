// Prevents: rows written while the relay's connection was down that no browser ever hears of, or hears of twice, and a
// /ready that says all is well meanwhile.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { ascending } from './lib/shapes.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres({ settings: { fsync: 'on', full_page_writes: 'on' } });
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int)';
const rules = { tables: 'notes', routing: { notes: 'user_id' } };
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);
const operator = 'operators-own-token-4711';
const ids = (client) => client.events.map((event) => event.data.id);

// The relay's connections are known by their application_name or, failing that, by not being the test's own.
const killAll = `SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`;

for (const mode of ['fast', 'immediate']) {
  test(`the database restarted (${mode}): sessions stay, everything arrives once, in order, and /ready tells the truth`, async (t) => {
    const db = await postgres.database(t, schema);
    const token = await db.user(1);
    const relay = await startRelay(t, db, { ...rules, env: { SECURITY_TOKEN: operator } });
    const ws = await relay.ws(token);
    const sse = await relay.sse(token);
    const asked = async () => [
      await relay.get('/events', { headers: { authorization: `Bearer ${operator}` } }), await relay.get('/consumers', { headers: { authorization: `Bearer ${operator}` } }),
      await relay.post('/publish', { table: 'x', type: 'y', data: {}, userId: 2, securityToken: operator })].map(({ status }) => status);
    assert.deepEqual(await asked(), [200, 200, 200]);
    for (let n = 1; n <= 250; n++) await db.query('INSERT INTO notes VALUES ($1, 1)', [n]);
    await postgres.halt(mode);
    const away = await relay.get('/ready').then(async (answer) => (answer.status === 503 ? answer : (await relay.notReady(), relay.get('/ready'))));
    assert.equal(away.status, 503);
    assert.equal(away.json.code, 503);
    assert.ok(away.json.message.length > 0);
    assert.equal((await relay.get('/ping')).status, 200);
    await postgres.resume();
    await until(() => db.query('SELECT 1'), 'the database to take queries');
    for (let n = 251; n <= 500; n++) await db.query('INSERT INTO notes VALUES ($1, 1)', [n]);
    await relay.ready();
    assert.deepEqual(await asked(), [200, 200, 200], 'the first question finds a connection that is one');
    await relay.fence(ws, sse);
    for (const client of [ws, sse]) {
      assert.deepEqual(ids(client), upTo(500));
      ascending(client.events);
      assert.equal(client.named('connected').length, 1, 'the session outlived the outage');
    }
  });
}

test("the relay's connections killed while 500 rows are written: all arrive, in order, once", async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  const ws = await relay.ws(token);
  let killed = 0;
  for (let n = 1; n <= 500; n++) {
    await db.query('INSERT INTO notes VALUES ($1, 1)', [n]);
    if (n % 100 === 50) killed += Number((await db.query(killAll)).rows[0].n);
  }
  assert.ok(killed > 0, 'nothing was killed, so nothing was tested');
  await relay.ready();
  await relay.fence(ws);
  assert.deepEqual(ids(ws), upTo(500));
  ascending(ws.events);
});

test('a session that comes while the database is away waits for it', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  await postgres.halt('fast');
  await relay.notReady();
  const waiting = relay.openWs(token);
  await until(() => waiting.socket.readyState === waiting.socket.OPEN, 'the websocket to open');
  await postgres.resume();
  await waiting.connected();
  await db.query('INSERT INTO notes VALUES (1, 1)');
  await relay.fence(waiting);
  assert.deepEqual(ids(waiting), [1]);
});

test('and is told 503 when it stays away', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { LIVE_TIMEOUT: '500ms' } });
  await postgres.halt('fast');
  try {
    await relay.notReady();
    const ws = relay.openWs(token);
    await ws.closing();
    assert.equal(ws.errors.at(-1)?.code, 503, ws.state());
    assert.equal(ws.welcome, undefined);
  } finally {
    await postgres.resume();
  }
});

// Each session looks its own token up again: hundreds were as many lines a second, for as long as the database was away.
test('token look-ups that fail for every session are one line a reason, and one when they work again', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { AUTH_RECHECK: '1s', LIVE_TIMEOUT: '1500ms' } });
  const sessions = await Promise.all(Array.from({ length: 20 }, () => relay.ws(token)));
  await postgres.halt('fast');
  for (let time = 0; time < 2; time++) {
    const late = relay.openWs(token);
    await late.closing();
    assert.equal(late.errors[0]?.code, 503, late.state());
  }
  await postgres.resume();
  await until(() => /token look-ups work again/.test(relay.log), () => relay.log);
  const [, failed] = relay.log.match(/token look-ups work again; (\d+) failed meanwhile/);
  assert.ok(Number(failed) > 20, `${failed} failed`);
  const lines = relay.log.split('\n').filter((line) => / token look-up: /.test(line));
  assert.ok(lines.length > 0 && lines.length <= 4, lines.join('\n'));
  assert.equal(new Set(lines.map((line) => line.replace(/^\S+/, ''))).size, lines.length, lines.join('\n'));
  await relay.ready();
  await relay.fence(...sessions);
});

const withoutRight = (env) => async (t) => {
  const db = await postgres.database(t, `${schema}; DROP ROLE IF EXISTS "the Relay"; CREATE ROLE "the Relay" LOGIN; GRANT TRIGGER ON notes, fence TO "the Relay"; GRANT SELECT ON auth TO "the Relay"`);
  await db.query(`GRANT CREATE ON DATABASE ${db.name} TO "the Relay"`);
  t.defer(() => db.query('DROP OWNED BY "the Relay" CASCADE; DROP ROLE "the Relay"'));
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { AUTH_RECHECK: '1s', ...env, POSTGRES_DATABASE_URL: postgres.url(db.name, 'the Relay') } });
  const ws = await relay.ws(token);
  await db.query('REVOKE SELECT ON auth FROM "the Relay"');
  await until(() => / token look-up: /.test(relay.log), 'a re-check that fails');
  return { db, relay, token, ws };
};

// Nobody could log in, /ready said 200, and the log neither which table it was about nor what to do.
test('the right to read the token table is taken away: the log and /ready say so with the GRANT, until it is back, whoever asks or not', async (t) => {
  const { db, relay, token, ws } = await withoutRight({})(t);
  assert.match(relay.log, / token look-up: AUTH_TABLE: no right to read "auth"; run: (GRANT SELECT ON "public"."auth" TO "the Relay";)\n/);
  assert.equal((await relay.get('/ready')).status, 200, 'not at once: a table may be swapped');
  await relay.notReady();
  const { message } = (await relay.get('/ready')).json;
  assert.match(message, /^AUTH_TABLE: no right to read "auth"; run: GRANT /);
  assert.ok(ws.open);
  await ws.close();
  await db.query(message.slice(message.indexOf('GRANT')));
  await relay.ready();
  await until(() => /token look-ups work again; \d+ failed meanwhile/.test(relay.log), () => relay.log);
  assert.equal(relay.log.split(' token look-up: ').length, 2, relay.log);
  await relay.fence(await relay.ws(token));
});

// Capture had the only connection of the role: every login was 503, and /ready said 200 for as long as that went on.
test('no connection is left for look-ups: /ready says so, until there is one, whoever asks or not', async (t) => {
  const db = await postgres.database(t, `${schema}; DROP ROLE IF EXISTS "the Relay"; CREATE ROLE "the Relay" LOGIN CONNECTION LIMIT 1; GRANT TRIGGER ON notes, fence TO "the Relay"; GRANT SELECT ON auth TO "the Relay"`);
  await db.query(`GRANT CREATE ON DATABASE ${db.name} TO "the Relay"`);
  t.defer(() => db.query('DROP OWNED BY "the Relay" CASCADE; DROP ROLE "the Relay"'));
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { LIVE_TIMEOUT: '1s', POSTGRES_DATABASE_URL: postgres.url(db.name, 'the Relay') } });
  const late = relay.openWs(token);
  await late.closing();
  assert.equal(late.errors[0]?.code, 503, late.state());
  await relay.notReady();
  assert.match((await relay.get('/ready')).json.message, /too many connections for role "the Relay"/);
  await db.query('ALTER ROLE "the Relay" CONNECTION LIMIT -1');
  await relay.ready();
  await relay.fence(await relay.ws(token));
});

// A table that somebody rewrites: look-ups wait for its lock until their time is over.
test('look-ups that take too long each time: /ready says so, until the table is free again', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { LIVE_TIMEOUT: '1s', STATEMENT_TIMEOUT: '500ms' } });
  const ws = await relay.ws(token);
  const locker = await db.connect();
  await locker.query('BEGIN; LOCK TABLE auth IN ACCESS EXCLUSIVE MODE');
  const late = relay.openWs(token);
  await late.closing();
  assert.equal(late.errors[0]?.code, 503, late.state());
  await relay.notReady();
  assert.match((await relay.get('/ready')).json.message, /^token look-up: PostgreSQL did not answer in time/);
  await relay.fence(ws);
  await locker.query('ROLLBACK');
  await relay.ready();
  await relay.fence(await relay.ws(token));
});

test('where JSON Web Tokens are another way in, the relay stays ready', async (t) => {
  const { relay, token } = await withoutRight({ JWT_SECRET: 'a secret of thirty-two bytes or more', LIVE_TIMEOUT: '7s' })(t);
  const late = relay.openWs(token);
  await late.closing();
  assert.equal(late.errors[0]?.code, 503);
  assert.equal((await relay.get('/ready')).status, 200);
});

// Clients that ask again and again were a line each time, for as long as the database was away.
test('questions about the past and polls that fail are one line a reason, one when they work again, and told anew after that', async (t) => {
  const db = await postgres.database(t, schema);
  const securityToken = 'operators-own-token-4711';
  const relay = await startRelay(t, db, { ...rules, env: { SECURITY_TOKEN: securityToken } });
  const headers = { authorization: `Bearer ${securityToken}` };
  const history = () => relay.get('/events?after=0', { headers });
  const poll = () => relay.post('/consumers/mail/poll', {}, { headers });
  const fail = async (times) => {
    for (let i = 0; i < times; i++) for (const { status } of await Promise.all([history(), poll()])) assert.equal(status, 503);
  };
  const lines = (pattern) => relay.log.split('\n').filter((line) => pattern.test(line)).map((line) => line.replace(/^\S+/, ''));
  const told = (reason, times) => {
    for (const what of ['history', 'consumers']) assert.equal(lines(new RegExp(` ${what}: .*${reason}`)).length, times, `${what}, ${reason}:\n${relay.log}`);
  };
  assert.equal((await relay.get('/consumers/mail', { method: 'PUT', headers })).status, 201);

  await postgres.once('postgres', `ALTER DATABASE ${db.name} ALLOW_CONNECTIONS false`);
  await postgres.once('postgres', `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${db.name}'`);
  await fail(100);
  told('not currently accepting connections', 1);
  await postgres.halt('fast');
  await fail(100);
  told('Connection refused', 1);
  assert.ok(lines(/ (history|consumers): /).length <= 8, 'and the ends of connections');

  await postgres.resume();
  await postgres.once('postgres', `ALTER DATABASE ${db.name} ALLOW_CONNECTIONS true`);
  await relay.ready();
  for (const ask of [history, poll]) await until(async () => (await ask()).status === 200, 'an answer');
  const again = () => lines(/ (history works|consumers are served) again; \d\d\d failed meanwhile/);
  await until(() => again().length === 2, () => relay.log);
  await postgres.halt('fast');
  await fail(10);
  told('Connection refused', 2);
  await postgres.resume();
  await relay.ready();
});
