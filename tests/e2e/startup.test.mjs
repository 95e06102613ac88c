// Prevents: a misconfigured esink that starts and leaks or misses rows, an operator who cannot tell from the message what
// to mend, and a restart that takes locks on busy tables for nothing.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, usePostgres } from './lib/harness.mjs';
import { fingerprint, leftovers, triggers } from './lib/catalogue.mjs';
import { freePort } from './lib/ports.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();

test('a bad value: exit status 2 and one line that names the variable, what it holds and what was expected', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE users (id int PRIMARY KEY, password text)');
  const cases = [
    [{ FILTERS: 'password' }, 'esink: FILTERS: "password" is not table.column'],
    [{ PORT: 'eighty' }, /^esink: PORT: "eighty" is not /],
    [{ PORT: '0' }, /^esink: PORT: "0" is not /],
    [{ PORT: '65536' }, /^esink: PORT: "65536" is not /],
    [{ PORT: '80 ' }, /^esink: PORT: /],
    [{ USE_SSL: 'maybe' }, /^esink: USE_SSL: "maybe" is not /],
    [{ TABLE_AUTH_COLUMN_ROUTING: '{"users":' }, /^esink: TABLE_AUTH_COLUMN_ROUTING: /],
    [{ TABLE_AUTH_COLUMN_ROUTING: '[]' }, /^esink: TABLE_AUTH_COLUMN_ROUTING: /],
    [{ TABLE_AUTH_COLUMN_ROUTING: '{"users":7}' }, /^esink: TABLE_AUTH_COLUMN_ROUTING: .*users/],
    [{ TABLE_AUTH_COLUMN_ROUTING: '{"users":["id",7]}' }, /^esink: TABLE_AUTH_COLUMN_ROUTING: .*users/],
    [{ POLL_INTERVAL_MS: '-1' }, /^esink: POLL_INTERVAL_MS: "-1" is not /],
    [{ JWT_SECRET: 'x'.repeat(40), JWT_ALGORITHM: 'none' }, /^esink: JWT_ALGORITHM: "none" is not /],
    [{ JWT_SECRET: 'x'.repeat(40), JWT_ALGORITHM: 'RS256' }, /^esink: JWT_ALGORITHM: "RS256" is not /],
    [{ JWT_PUBLIC_KEY_FILE: '/nowhere/key.pem', JWT_ALGORITHM: 'RS256' }, /^esink: JWT_PUBLIC_KEY_FILE: .*\/nowhere\/key\.pem/],
    [{ JWT_SECRET: '-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----' }, /^esink: JWT_SECRET: /],
    [{ LOG_LEVEL: 'loud' }, /^esink: LOG_LEVEL: "loud" is not /],
    [{ LOG_FORMAT: 'xml' }, /^esink: LOG_FORMAT: "xml" is not /],
    [{ RETENTION: 'long' }, /^esink: RETENTION: "long" is not /],
    [{ NETWORK_THREADS: '0' }, /^esink: NETWORK_THREADS: "0" is not /],
    [{ NODE_ENV: 'production', POSTGRES_DATABASE_URL: '' }, /^esink: .*(NODE_ENV|POSTGRES_DATABASE_URL)/],
    [{ SECURITY_TOKEN_FILE: '/nowhere/token' }, /^esink: SECURITY_TOKEN_FILE: .*\/nowhere\/token/],
    [{ POSTGRES_DATABASE_URL: 'mysql://x' }, /^esink: POSTGRES_DATABASE_URL: /],
  ];
  for (const [env, message] of cases) {
    const { code, log } = await runToEnd(t, { db, env: { TABLE_NAMES: 'users', ...env } });
    const what = `${JSON.stringify(env)}: status ${code}, log: ${log}`;
    assert.equal(code, 2, what);
    const lines = log.trim().split('\n').filter((line) => line.startsWith('esink: '));
    assert.equal(lines.length, 1, what);
    if (typeof message === 'string') assert.equal(lines[0], message);
    else assert.match(lines[0], message, what);
  }
  assert.deepEqual(await leftovers(db), [], 'nothing was touched');
});

test('an address whose password was not percent-encoded ends the start, and no piece of it is shown', async (t) => {
  const cases = ['postgresql://me:pi%zzle@127.0.0.1/x', 'postgresql://me:q@pizzle@127.0.0.1/x', 'postgresql://me:pizzle/q@127.0.0.1/x',
    'host=127.0.0.1 password=q pizzle', 'host=127.0.0.1 password=q pizzle=1', "host=127.0.0.1 password='pizzle",
    'postgresql://me@127.0.0.1/x?pizzle=1'];
  for (const url of cases) {
    for (const args of [[], ['--check'], ['--uninstall']]) {
      const { code, log } = await runToEnd(t, { env: { POSTGRES_DATABASE_URL: url }, args, secrets: ['zle', 'pizzle'] });
      assert.equal(code, 2, `${url} ${args}: ${log}`);
      assert.match(log, /^esink: POSTGRES_DATABASE_URL: .*not shown.*: .*%40/m);
    }
  }
});

test('secrets in a bad value are not shown', async (t) => {
  const db = await postgres.database(t);
  const secret = 'the-password-of-the-database';
  for (const env of [{ POSTGRES_DATABASE_URL: `mysql://me:${secret}@x/y` }, { JWT_SECRET: secret, JWT_ALGORITHM: 'RS256' },
    { JWT_SECRET: `-----BEGIN PUBLIC KEY-----\n${secret}`, TABLE_NAMES: 'nothing' }, { SECURITY_TOKEN: secret, PORT: 'x' }]) {
    const { code } = await runToEnd(t, { db, env, secrets: [secret] });
    assert.equal(code, 2);
  }
});

test('a table, column or right that is missing: exit status 3, naming it and what comes close', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE orders (id int PRIMARY KEY, customer int); CREATE VIEW order_list AS SELECT * FROM orders;
    CREATE MATERIALIZED VIEW order_cache AS SELECT * FROM orders; CREATE SEQUENCE counter; CREATE TABLE people (id int, name text);
    DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN`);
  await db.query(`GRANT CREATE ON DATABASE ${db.name} TO poor; GRANT SELECT ON orders, auth TO poor`);
  t.defer(() => db.query('DROP OWNED BY poor; DROP ROLE poor'));
  const cases = [
    [{ TABLE_NAMES: 'order' }, /TABLE_NAMES.*"?order"?.*orders/s],
    [{ TABLE_NAMES: 'ordesr' }, /ordesr.*orders/s],
    [{ TABLE_NAMES: 'shop.orders' }, /shop\.orders/],
    [{ TABLE_NAMES: 'order_list' }, /order_list.*view/s],
    [{ TABLE_NAMES: 'order_cache' }, /order_cache.*view/s],
    [{ TABLE_NAMES: 'counter' }, /counter/],
    [{ TABLE_NAMES: 'orders', FILTERS: 'orders.custmer' }, /FILTERS.*orders\.custmer.*customer/s],
    [{ TABLE_NAMES: 'orders', TABLE_AUTH_COLUMN_ROUTING: '{"orders":"costumer"}' }, /TABLE_AUTH_COLUMN_ROUTING.*costumer.*customer/s],
    [{ TABLE_NAMES: 'orders', COLUMNS: 'orders.nothing' }, /COLUMNS.*orders\.nothing/s],
    [{ TABLE_NAMES: 'orders', AUTH_TABLE: 'people' }, /AUTH_COLUMN.*token|token.*people/s],
    [{ TABLE_NAMES: 'orders', AUTH_COLUMN: 'tokn' }, /AUTH_COLUMN: table "auth" has no column "tokn"; did you mean "token"\?/],
    [{ TABLE_NAMES: 'orders', AUTH_TABLE: 'orders', AUTH_COLUMN: 'id', AUTH_USER_COLUMN: 'custmoer' }, /AUTH_USER_COLUMN: table "orders" has no column "custmoer"; did you mean "customer"\?/],
    [{ TABLE_NAMES: 'orders', AUTH_TABLE: 'auths' }, /AUTH_TABLE.*auths.*JWT_SECRET/s],
    [{ TABLE_NAMES: 'orders', POSTGRES_DATABASE_URL: postgres.url(db.name, 'poor') }, /GRANT/],
  ];
  for (const [env, message] of cases) {
    const { code, log } = await runToEnd(t, { db, env }).catch((error) => { throw new Error(`${JSON.stringify(env)}: ${error.message}`); });
    assert.equal(code, 3, `${JSON.stringify(env)}: status ${code}, log: ${log}`);
    assert.match(log, message, JSON.stringify(env));
  }
  assert.deepEqual(Object.keys(await triggers(db)), []);
});

test('a schema without USAGE: status 3 and the GRANT, from --check as well', async (t) => {
  const db = await postgres.database(t, `CREATE SCHEMA "Shop"; CREATE TABLE "Shop".items (id int PRIMARY KEY); CREATE TABLE "Shop".tokens (id int, token text);
    DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN; GRANT SELECT ON "Shop".tokens, auth TO stranger; GRANT TRIGGER ON "Shop".items TO stranger`);
  await db.query(`GRANT CREATE ON DATABASE ${db.name} TO stranger`);
  t.defer(() => db.query('DROP OWNED BY stranger; DROP ROLE stranger'));
  for (const [env, name] of [[{ TABLE_NAMES: 'Shop.items' }, 'TABLE_NAMES'], [{ AUTH_TABLE: 'Shop.tokens' }, 'AUTH_TABLE']]) {
    for (const args of [[], ['--check']]) {
      const { code, log } = await runToEnd(t, { args, env: { POSTGRES_DATABASE_URL: postgres.url(db.name, 'stranger'), ...env } });
      assert.equal(code, 3, `${name}: ${log}`);
      assert.match(log, new RegExp(`^esink: ${name}: .*GRANT USAGE ON SCHEMA "Shop" TO "stranger";$`, 'm'));
    }
  }
});

test('a rule that misses its table by the case of a letter is warned of; one that fits another table is not', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE "ChatMessages" (id int PRIMARY KEY, sender int); CREATE TABLE "Notes" (id int PRIMARY KEY, sender int);
    CREATE TABLE notes (id int PRIMARY KEY, sender int)`);
  const env = { TABLE_NAMES: 'ChatMessages,Notes,notes', TABLE_AUTH_COLUMN_ROUTING: '{"chatmessages":"sender","notes":"sender"}' };
  const { code, log } = await runToEnd(t, { db, env, args: ['--check'] });
  assert.equal(code, 0, log);
  assert.match(log, /warn.*TABLE_AUTH_COLUMN_ROUTING: "chatmessages" is no rule for table ChatMessages/);
  assert.doesNotMatch(log, /"notes" is no rule/);
  const relay = await startRelay(t, db, { tables: env.TABLE_NAMES, routing: { chatmessages: 'sender' } });
  assert.match(relay.log, /"chatmessages" is no rule for table ChatMessages/);
  await relay.stop();
  const mended = await startRelay(t, db, { tables: env.TABLE_NAMES, routing: { ChatMessages: 'sender', elsewhere: 'sender' }, env: { OLD_ROWS: 'Notes,zzz' } });
  assert.doesNotMatch(mended.log, /is no rule/);
  assert.match(mended.log, /warn.*TABLE_AUTH_COLUMN_ROUTING: table "elsewhere" is not in TABLE_NAMES: its rule does nothing/);
  assert.match(mended.log, /warn.*OLD_ROWS: table "zzz" is not in TABLE_NAMES: naming it does nothing/);
  assert.doesNotMatch(mended.log, /"(ChatMessages|Notes)" is not in/);
});

test('--check says whether a relay is at work, however many connections that has', async (t) => {
  const db = await postgres.database(t);
  const check = async () => (await runToEnd(t, { db, args: ['--check'], env: { TABLE_NAMES: 'fence' } })).stdout;
  assert.match(await check(), /^a relay is at work on this database: no$/m);
  await startRelay(t, db);
  assert.match(await check(), /^a relay is at work on this database: yes \(connections of relays: \d+\)$/m);
});

test('FILTERS of a partition protect its table, and are not warned of', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE parts (id int, secret text) PARTITION BY RANGE (id); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)`);
  const { code, log, stdout } = await runToEnd(t, { db, env: { TABLE_NAMES: 'parts', FILTERS: '"parts_1".secret' }, args: ['--check'] });
  assert.equal(code, 0, log);
  assert.match(stdout, /^parts: .*; sends id$/m);
  assert.doesNotMatch(log, /warn.*FILTERS/);
});

test('a token table may be missing when a JWT key is set', async (t) => {
  const db = await postgres.database(t, 'DROP TABLE auth');
  await startRelay(t, db, { env: { JWT_SECRET: 'a secret of thirty-two bytes or more' } });
});

test('secrets from files, booleans in every spelling', async (t) => {
  const db = await postgres.database(t);
  const folder = mkdtempSync(join(tmpdir(), 'esink-secret-'));
  t.defer(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'token'), 'token-from-a-file\n');
  writeFileSync(join(folder, 'url'), `${db.url}\n`);
  for (const [spelling, allowed] of [['TRUE', true], ['1', true], ['Yes', true], ['on', true], ['False', false], ['0', false], ['no', false], ['OFF', false], ['', false]]) {
    const relay = await startRelay(t, db, {
      env: { SECURITY_TOKEN_FILE: join(folder, 'token'), POSTGRES_DATABASE_URL_FILE: join(folder, 'url'), POSTGRES_DATABASE_URL: '', ALLOW_TEST_TOKEN: spelling },
    });
    relay.secret('token-from-a-file');
    const client = relay.openWs('TEST');
    await until(() => client.welcome || !client.open, 'an answer to TEST');
    assert.equal(Boolean(client.welcome), allowed, spelling);
    const answer = await relay.post('/publish', { securityToken: 'token-from-a-file', userId: 1, table: 't', type: 'x', data: {} });
    assert.equal(answer.status, 200, answer.text);
    await relay.close();
  }
});

test('a restart with unchanged configuration does no DDL', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE orders (id int PRIMARY KEY, customer int, secret text); CREATE TABLE parts (id int) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)`);
  const relay = await startRelay(t, db, { tables: 'orders,parts', routing: { orders: 'customer' }, filters: 'orders.secret' });
  const installed = await fingerprint(db);
  // A long transaction that reads and writes the table: any DDL on it would have to wait for this.
  const holder = await db.connect();
  await holder.query('BEGIN; INSERT INTO orders VALUES (1, 1)');
  for (const end of ['stop', 'kill']) {
    await relay[end]();
    await relay.start();
    assert.deepEqual(await fingerprint(db), installed, `after ${end}`);
  }
  await holder.query('COMMIT');
});

test('a changed configuration replaces the triggers without a write that fails', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE orders (id int PRIMARY KEY, customer int, secret text)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'orders', routing: { orders: 'customer' } });
  const writer = await db.connect();
  let stop = false;
  let n = 0;
  const writing = (async () => {
    while (!stop) await writer.query("INSERT INTO orders VALUES ($1, 1, 'hunter2-replaced')", [n++]);
  })();
  await relay.stop();
  await relay.start({ filters: 'orders.secret' });
  const ws = await relay.ws(token);
  relay.secret('hunter2-replaced');
  await ws.count(20);
  stop = true;
  await writing;
  await relay.fence(ws);
  assert.ok(ws.events.every((event) => !('secret' in event.data)));
});

test('while its tables are locked by somebody, the start waits for them and says so; writers do not queue behind it', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE orders (id int PRIMARY KEY, customer int)');
  const holder = await db.connect();
  await holder.query('BEGIN; INSERT INTO orders VALUES (1, 1)');
  const relay = await startRelay(t, db, { tables: 'orders', ready: false });
  await until(async () => /orders/.test((await relay.get('/ready')).json.message), () => `/ready to name the table: ${relay.log}`);
  for (let n = 2; n < 20; n++) {
    const start = Date.now();
    await db.query('INSERT INTO orders VALUES ($1, 1)', [n]);
    assert.ok(Date.now() - start < 1000, `a write waited ${Date.now() - start} ms`);
  }
  await holder.query('COMMIT');
  await relay.ready();
});

test('--help, --version, and arguments that do not exist', async (t) => {
  const help = await runToEnd(t, { args: ['--help'] });
  assert.equal(help.code, 0);
  for (const name of ['PORT', 'TABLE_AUTH_COLUMN_ROUTING', 'SLOW_TIMEOUT', '--check', '--uninstall']) assert.ok(help.stdout.includes(name), name);
  const version = await runToEnd(t, { args: ['--version'] });
  assert.equal(version.code, 0);
  assert.match(version.stdout, /^esink \d+\.\d+\.\d+\n$/);
  const unknown = await runToEnd(t, { args: ['--start'] });
  assert.equal(unknown.code, 2);
  assert.match(unknown.log, /--start/);
});

test('an unknown variable that looks like one of ours is warned of', async (t) => {
  const relay = await startRelay(t, await postgres.database(t), { env: { FILTER: 'a.b', TABLE_NAME: 'x', UNRELATED_THING: '1' } });
  assert.match(relay.log, /FILTER\b.*FILTERS/);
  assert.match(relay.log, /TABLE_NAME\b.*TABLE_NAMES/);
  assert.doesNotMatch(relay.log, /UNRELATED_THING/);
});

test('logs as JSON are one object a line', async (t) => {
  const db = await postgres.database(t);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { env: { LOG_FORMAT: 'json', LOG_LEVEL: 'debug' } });
  await relay.fence(await relay.ws(token));
  await relay.stop();
  const lines = relay.log.trim().split('\n');
  assert.ok(lines.length > 0);
  for (const line of lines) assert.equal(typeof JSON.parse(line), 'object', line);
});

test('HOST limits where it listens; --check says of HOST and PORT what a start would', async (t) => {
  const db = await postgres.database(t);
  const port = await freePort();
  const { code, log } = await runToEnd(t, { db, env: { HOST: 'not an address', PORT: String(port) } });
  assert.notEqual(code, 0);
  assert.match(log, /not an address/);
  const check = (env) => runToEnd(t, { db, args: ['--check'], env });
  for (const host of ['not an address', '192.0.2.1']) {
    const refused = await check({ HOST: host });
    assert.deepEqual([refused.code, refused.log], [2, refused.log.match(/^esink: HOST: ".*" is no address of this machine.*\n$/)?.[0]], host);
  }
  const relay = await startRelay(t, db); // whose port is as good as any
  const taken = await check({ PORT: String(relay.port) });
  assert.deepEqual([taken.code, /warn.*PORT: \d+ is taken on 127\.0\.0\.1: if not by the esink that runs already, /.test(taken.log)], [0, true], taken.log);
  assert.doesNotMatch((await check({})).log, /PORT|HOST/);
  await relay.ready();
});
