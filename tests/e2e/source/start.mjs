// Prevents: a misconfigured esink that starts and leaks or misses rows, an operator who cannot tell from the message what to
// mend, a restart that takes locks for nothing, and something of esink that stays behind.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.mjs';
import { runToEnd, startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';

const schema = 'CREATE TABLE orders (id int PRIMARY KEY, customer int, secret text); CREATE TABLE other (id int PRIMARY KEY, customer int)';
const rules = { tables: 'orders', routing: { orders: 'customer' }, filters: 'orders.secret' };
const env = { TABLE_NAMES: 'orders', TABLE_AUTH_COLUMN_ROUTING: '{"orders":"customer"}', FILTERS: 'orders.secret' };

export function apart(database) {
  test('a bad value: exit status 2; a table or column that is missing: 3; one line that says what, and nothing is touched', async (t) => {
    const db = await database.database(t, `${schema}; CREATE VIEW seen AS SELECT id FROM orders`);
    const before = await database.everything(db);
    const cases = [
      [{ FILTERS: 'password' }, 2, /^esink: FILTERS: "password" is not table\.column$/m],
      [{ PORT: 'eighty' }, 2, /^esink: PORT: "eighty" is not /m],
      [{ RETENTION: 'long' }, 2, /^esink: RETENTION: "long" is not /m],
      [{ TABLE_AUTH_COLUMN_ROUTING: '{"orders":7}' }, 2, /^esink: TABLE_AUTH_COLUMN_ROUTING: .*orders/m],
      [{ TABLE_NAMES: 'ordesr' }, 3, /^esink: TABLE_NAMES.*ordesr.*orders/m],
      [{ TABLE_NAMES: 'seen' }, 3, /^esink: TABLE_NAMES.*seen.*view/m],
      [{ FILTERS: 'orders.secrt' }, 3, /^esink: FILTERS.*orders\.secrt.*secret/m],
      [{ COLUMNS: 'orders.nothing' }, 3, /^esink: COLUMNS.*orders\.nothing/m],
      [{ TABLE_AUTH_COLUMN_ROUTING: '{"orders":"costumer"}' }, 3, /^esink: TABLE_AUTH_COLUMN_ROUTING.*costumer.*customer/m],
      [{ AUTH_TABLE: 'auths' }, 3, /^esink: AUTH_TABLE.*auths.*JWT_SECRET/m],
      [{ AUTH_COLUMN: 'tokn' }, 3, /^esink: AUTH_COLUMN: table "auth" has no column "tokn"; did you mean "token"\?/m],
      [{ AUTH_USER_COLUMN: 'ids' }, 3, /^esink: AUTH_USER_COLUMN: table "auth" has no column "ids"/m],
      ...database.wrong(db),
    ];
    for (const [wrong, status, sentence] of cases) {
      for (const args of status === 3 ? [[], ['--check']] : [[]]) {
        const { code, log } = await runToEnd(t, { db, args, env: { TABLE_NAMES: 'orders', ...wrong } });
        assert.equal(code, status, `${JSON.stringify(wrong)} ${args}: ${log}`);
        assert.match(log, sentence);
        assert.equal(log.split('\n').filter((line) => line.startsWith('esink: ')).length, 1, log);
      }
    }
    assert.deepEqual(await database.everything(db), before);
    assert.deepEqual(await database.ours(db), []);
  });

  // Without a word every token would be refused, and a watched table's tokens be sent.
  test('a token table that is not there, where a JWT key is: said by --check and by the start', async (t) => {
    const db = await database.database(t, schema);
    const wrong = { AUTH_TABLE: 'auths', JWT_SECRET: 'a secret of more than 32 bytes, for JWT' };
    const sentence = /AUTH_TABLE: there is no table "auths": no token of a table is accepted, only JSON Web Tokens/;
    const { code, log } = await runToEnd(t, { db, args: ['--check'], env: { TABLE_NAMES: 'orders', ...wrong } });
    assert.equal(code, 0, log);
    assert.match(log, sentence);
    const relay = await startRelay(t, db, { ...rules, env: wrong });
    assert.match(relay.log, sentence);
  });

  test('FILTERS and COLUMNS that name no watched table are warned of, at the start and by --check; those that protect one are not', async (t) => {
    const db = await database.database(t, schema);
    const named = { FILTERS: 'nothere.a,nothere.b,orders.secret,Orders.secret,"other".customer', COLUMNS: 'orders.id,elsewhere.id' };
    const { code, log } = await runToEnd(t, { db, args: ['--check'], env: { TABLE_NAMES: 'orders', ...named } });
    assert.equal(code, 0, log);
    const relay = await startRelay(t, db, { tables: 'orders', env: named });
    for (const said of [log, relay.log]) {
      assert.equal(said.match(/warn.*FILTERS: table "nothere" is not in TABLE_NAMES/g).length, 1, said);
      assert.match(said, /warn.*FILTERS: table ""other"" is not in TABLE_NAMES: its columns are withheld from published events/);
      assert.match(said, /warn.*COLUMNS: table "elsewhere" is not in TABLE_NAMES: naming it does nothing/);
      assert.doesNotMatch(said, /(FILTERS|COLUMNS): table "[Oo]rders"|"auth"/);
    }
  });

  // The tokens lie in the table behind the view, of which the configuration says nothing.
  test('a view as AUTH_TABLE lets in whom it shows; the token column of a watched table is warned of, at the start and by --check', async (t) => {
    const db = await database.database(t, `CREATE TABLE users (id int PRIMARY KEY, api_token varchar(100), deleted int);
      CREATE VIEW active_users AS SELECT id, api_token FROM users WHERE deleted = 0`);
    await db.query("INSERT INTO users VALUES (1, 'token-of-the-first-user', 0), (2, 'token-of-the-second-user', 1)");
    const view = { AUTH_TABLE: 'active_users', AUTH_COLUMN: 'api_token' };
    const sentence = /warn.*AUTH_COLUMN: column users\.api_token has the name of the token column and is sent: .* add users\.api_token to FILTERS/;
    const check = async (env) => runToEnd(t, { db, args: ['--check'], env: { TABLE_NAMES: 'users', ...env } });
    assert.match((await check(view)).log, sentence);
    for (const env of [{ ...view, FILTERS: 'users.api_token' }, { ...view, AUTH_TABLE: 'users' }, { ...view, COLUMNS: 'users.id' },
      { AUTH_TABLE: 'nowhere', AUTH_COLUMN: 'api_token', JWT_SECRET: 'a secret of more than 32 bytes, for JWT' }]) {
      const { code, log } = await check(env);
      assert.deepEqual([code, /AUTH_COLUMN/.test(log)], [0, false], log);
    }
    const relay = await startRelay(t, db, { tables: 'users', routing: { users: 'id' }, env: view });
    assert.match(relay.log, sentence);
    await relay.ws('token-of-the-first-user');
    const gone = relay.openWs('token-of-the-second-user');
    assert.equal(await gone.closing(), 4401);
    await relay.stop();
    await relay.start({ filters: 'users.api_token' });
    assert.doesNotMatch(relay.process.log, /AUTH_COLUMN/);
    const again = await relay.ws('token-of-the-first-user');
    await db.query("UPDATE users SET api_token = 'another-token-of-the-first' WHERE id = 1");
    await relay.fence(again);
    assert.deepEqual(again.events.map(({ data }) => Object.keys(data)), [['id', 'deleted']]);
  });

  test('a database that is away at start is waited for: listening, /ready 503, then capture', async (t) => {
    const db = await database.database(t, schema);
    const token = await db.user(1);
    const back = await database.away(db);
    let relay;
    try {
      relay = await startRelay(t, db, { ...rules, ready: false });
      await relay.notReady();
      assert.ok((await relay.get('/ready')).json.message.length > 0);
      assert.equal((await relay.get('/ping')).text, 'pong');
    } finally {
      await back();
    }
    await relay.ready();
    await relay.fence(await relay.ws(token));
  });

  test('--check prints the plan and changes nothing', async (t) => {
    const db = await database.database(t, schema);
    const plan = async (...how) => {
      const before = await database.ddl(db);
      const { code, log, stdout } = await runToEnd(t, { db, env, args: ['--check', ...how] });
      assert.equal(code, 0, log);
      assert.deepEqual(await database.ddl(db), before);
      return stdout;
    };
    const first = await plan();
    assert.match(first, /CREATE TRIGGER[^;]*orders/);
    assert.equal(first.match(/^would create: .*orders/gm)?.length, 2, 'in short, before and after all the statements');
    assert.match(first.split('\n')[0], /^would create: /);
    assert.ok(first.indexOf('orders: the users in customer; sends id customer\n') > first.lastIndexOf('CREATE TRIGGER'), 'who sees what does not scroll away');
    const brief = await plan('--brief');
    assert.doesNotMatch(brief, /CREATE /);
    assert.ok(first.endsWith(brief), 'the same less the statements');
    assert.match(brief, /^orders: the users in customer; sends id customer\n\nwould create: .*orders/);
    assert.deepEqual(await database.ours(db), []);
    const relay = await startRelay(t, db, { ...rules, fence: false });
    await relay.stop();
    const second = await plan();
    assert.doesNotMatch(second, /CREATE TRIGGER/);
    assert.match(second, /^triggers: all in place, nothing to do$/m);
    await relay.start({ tables: 'orders,other' });
    await relay.stop();
    const less = await plan();
    assert.match(less, /\bother\b/);
    assert.match(less, /^DROP /m, 'what would go');
    assert.equal(less.match(/^would drop: .*other/gm)?.length, 2, less);
  });

  test('--uninstall removes everything of esink, and the tables go on working', async (t) => {
    const db = await database.database(t, schema);
    const before = await database.everything(db);
    const relay = await startRelay(t, db, rules);
    await db.query("INSERT INTO orders VALUES (1, 1, 'x')");
    await relay.stop();
    assert.notDeepEqual(await database.ours(db), []);
    const { code, log } = await runToEnd(t, { db, args: ['--uninstall'] });
    assert.equal(code, 0, log);
    assert.match(log, /^removed /m);
    assert.deepEqual(await database.ours(db), []);
    assert.deepEqual(await database.everything(db), before);
    await db.query("INSERT INTO orders VALUES (2, 1, 'x')");
    const again = await runToEnd(t, { db, args: ['--uninstall'] });
    assert.equal(again.code, 0, 'again does no harm');
    assert.match(again.log, /^nothing to remove/m);
  });

  // It removed the journal and the consumers, and then said that a relay is running, which installed all of it again.
  test('--uninstall beside a relay is refused and removes nothing; beside one that was killed it is not', async (t) => {
    const db = await database.database(t, schema);
    const relay = await startRelay(t, db, { ...rules, env: { SECURITY_TOKEN: 'operators-own-token-4711' } });
    const ws = await relay.operator();
    const ours = await database.ours(db);
    const refused = await runToEnd(t, { db, args: ['--uninstall'] });
    assert.equal(refused.code, 1, refused.log);
    assert.match(refused.log, /^esink: \w+: a relay is at work on .*, which would install all of it again: stop it, .*; nothing was removed$/m);
    assert.doesNotMatch(refused.stdout, /^remov/m);
    const look = await runToEnd(t, { db, args: ['--uninstall', '--check'] });
    assert.equal(look.code, 0, look.log);
    assert.match(look.stdout, /^a relay is at work on .*: --uninstall would be refused$/m);
    assert.deepEqual(await database.ours(db), ours);
    await relay.fence(ws);
    assert.equal(ws.named('connected').length, 1, 'the same journal goes on');
    await ws.close();
    await relay.kill();
    const { code, log } = await runToEnd(t, { db, args: ['--uninstall'] });
    assert.equal(code, 0, log);
    assert.deepEqual(await database.ours(db), []);
  });

  test('--uninstall says what goes before it goes, and with --check removes nothing', async (t) => {
    const db = await database.database(t, schema);
    const headers = { authorization: 'Bearer operators-own-token-4711' };
    const relay = await startRelay(t, db, { ...rules, env: { SECURITY_TOKEN: 'operators-own-token-4711' } });
    assert.equal((await relay.get('/consumers/mail', { method: 'PUT', headers })).status, 201);
    await relay.stop();
    const before = await database.everything(db);
    const look = await runToEnd(t, { db, args: ['--uninstall', '--check'] });
    assert.equal(look.code, 0, look.log);
    assert.match(look.stdout, /^would remove from .*:$/m);
    assert.match(look.stdout, /^ {2}.*esink.* on .*orders/m);
    assert.match(look.stdout, /^ {2}consumer "mail"/m);
    assert.doesNotMatch(look.log, /relay is at work/);
    assert.deepEqual(await database.everything(db), before);
    assert.equal((await runToEnd(t, { db, args: ['--check', '--uninstall'] })).stdout, look.stdout);
    const { code, log, stdout } = await runToEnd(t, { db, args: ['--uninstall'] });
    assert.equal(code, 0, log);
    assert.equal(stdout.replace('removing from', 'would remove from').replace(/^removed .*\n/m, ''), look.stdout);
    assert.match(stdout, /^removing from [^]*^removed /m);
    assert.match((await runToEnd(t, { db, args: ['--uninstall', '--check'] })).stdout, /^nothing to remove/m);
  });

  test('a restart with unchanged configuration does no DDL, after a clean end and after a kill', async (t) => {
    const db = await database.database(t, schema);
    const relay = await startRelay(t, db, rules);
    const installed = await database.ddl(db);
    for (const end of ['stop', 'kill']) {
      await relay[end]();
      await relay.start();
      assert.deepEqual(await database.ddl(db), installed, `after ${end}`);
    }
  });

  test('a table taken out of TABLE_NAMES is told no more, and again when it is named again', async (t) => {
    const db = await database.database(t, schema);
    const token = await db.user(1);
    const relay = await startRelay(t, db, { ...rules, tables: 'orders,other', routing: { orders: 'customer', other: 'customer' } });
    assert.deepEqual(await database.watched(db), ['fence', 'orders', 'other']);
    for (const [n, tables, told] of [[1, 'other', ['other']], [2, 'orders,other', ['orders', 'other']], [3, '', []]]) {
      await relay.stop();
      await relay.start({ tables, ...(tables ? {} : { routing: {}, filters: undefined }) });
      assert.deepEqual(await database.watched(db), ['fence', ...told], 'no other table pays for a trigger');
      const client = await relay.ws(token);
      await db.query(`INSERT INTO orders VALUES (${n}, 1, NULL); INSERT INTO other VALUES (${n}, 1)`);
      await relay.fence(client);
      assert.deepEqual(client.events.map((event) => event.table), told);
    }
  });

  test('two relays with the same rules both deliver, every event under one id', async (t) => {
    const db = await database.database(t, schema);
    const token = await db.user(1);
    const relays = [await startRelay(t, db, rules), await startRelay(t, db, rules)];
    const clients = [await relays[0].ws(token), await relays[1].ws(token)];
    for (let n = 0; n < 50; n++) await db.query(`INSERT INTO orders VALUES (${n}, 1, NULL)`);
    await relays[0].fence(...clients);
    assert.equal(clients[0].events.length, 50);
    assert.deepEqual(clients[0].events, clients[1].events);
    await relays[0].stop();
    await db.query('INSERT INTO orders VALUES (50, 1, NULL)');
    await relays[1].fence(clients[1]);
    assert.equal(clients[1].events.length, 51, 'the other goes on alone');
  });

  test('one with other rules waits, says so, and takes over when the first has ended; nothing withheld leaks', async (t) => {
    const db = await database.database(t, schema);
    const token = await db.user(1);
    const first = await startRelay(t, db, rules);
    const client = await first.ws(token);
    const second = await startRelay(t, db, { ...rules, filters: undefined, ready: false });
    await until(async () => /other rules/.test((await second.get('/ready')).json.message), 'the second to say why it waits');
    await db.query("INSERT INTO orders VALUES (1, 1, 'withheld-by-the-first')");
    await first.fence(client);
    assert.deepEqual(client.events.map(({ data }) => data), [{ id: 1, customer: 1 }]);
    assert.deepEqual([(await first.get('/ready')).status, (await second.get('/ready')).status], [200, 503]);
    await first.stop();
    await second.ready();
  });
}
