// Prevents: history that tells a user another one's rows, or more of a row than live sessions were told; a page that misses an
// event or tells one twice; a filter or a time that leaves out what it should not; a bad question that is answered as if it
// were another, or that costs anybody else something. The same on every database.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { after, describe } from 'node:test';
import { databaseOf } from './lib/databases.mjs';
import { test } from './lib/harness.mjs';
import { fds } from './lib/health.mjs';
import { jwt, soon } from './lib/jwt.mjs';
import { startRelay } from './lib/relay.mjs';
import { assertSoon, duration, patience, until } from './lib/wait.mjs';
import { operator, series, shareRelay, shop, step } from './source/suite.mjs';

const secret = 'a-secret-that-signs-tokens-of-tests';
const bearer = (token) => ({ headers: { authorization: `Bearer ${token}` } });
const emptyPage = { events: [], next: null };

// One answer, which must be a page.
async function page(relay, token, query = '') {
  const answer = await relay.get(`/events?${query}`, bearer(token));
  assert.equal(answer.status, 200, `${query}: ${answer.text.slice(0, 300)}`);
  assert.deepEqual(Object.keys(answer.json), ['events', 'next']);
  return answer.json;
}

// All pages of a question.
async function all(relay, token, query = 'after=0') {
  const events = [], question = new URLSearchParams(query);
  for (let next = true; next;) {
    const one = await page(relay, token, question);
    events.push(...one.events);
    next = one.next;
    if (next) assert.ok(BigInt(next) >= BigInt(one.events.at(-1)?.id ?? 0) && next !== question.get('after'));
    question.set('after', next);
  }
  return events;
}

const ids = (events) => events.map(({ id }) => id);
const told = (client) => client.named('changes');

function inShop(database, shared) {
  // Sessions of everybody, then a bit of everything.
  async function week(t) {
    const clients = await shared.joinAll(t, 1, 2, 3, 'operator');
    await shared.db.query("INSERT INTO notes VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 1, 'c')");
    await shared.db.query("INSERT INTO games VALUES (4, 1, 2, '3'), (5, 2, 2, NULL)");
    await shared.db.query("UPDATE notes SET owner = 2, body = 'd' WHERE id = 1");
    await shared.db.query('UPDATE games SET home = 3 WHERE id = 4');
    await shared.db.query("INSERT INTO news VALUES (6, 'for all'); INSERT INTO quiet VALUES (7, 1)");
    await shared.db.query("INSERT INTO users VALUES (2, 'Ben', 'hunter2-history'); UPDATE users SET password = 'hunter2-again' WHERE id = 2");
    await shared.db.query('DELETE FROM notes; DELETE FROM games; DELETE FROM news; DELETE FROM quiet; DELETE FROM users');
    for (const userId of [1, '*', 'not-here']) {
      assert.equal((await shared.relay.post('/publish', { securityToken: operator, userId, table: 'mail', type: 'sent', data: { userId } })).status, 200);
    }
    await shared.relay.fence(...clients);
    shared.relay.secret('hunter2-history');
    shared.relay.secret('hunter2-again');
    return clients;
  }

  const tokenOf = (who) => (who === 'operator' ? operator : shared.db.user(who));

  test('pages to the end are what live sessions were told, byte for byte in content, for each its own', async (t) => {
    const clients = await week(t);
    for (const [i, who] of [1, 2, 3, 'operator'].entries()) {
      const token = await tokenOf(who);
      const from = `after=${clients[i].welcome.id}`;
      for (const limit of [1, 3, 1000]) assert.deepEqual(await all(shared.relay, token, `${from}&limit=${limit}`), told(clients[i]), `${who}, pages of ${limit}`);
      const { journal, id } = clients[i].welcome;
      assert.deepEqual(await all(shared.relay, token, `after=${journal}:${id}`), told(clients[i]), 'a position of this journal');
    }
    const rerouted = told(clients[0]).find(({ table, type }) => table === 'notes' && type === 'delete');
    assert.deepEqual(rerouted.data, { id: 1 }, 'the old key alone, in history as live');
  });

  test('table, type, before, limit: what fits and nothing else; a type is what this user saw', async (t) => {
    const clients = await week(t);
    for (const [i, who] of [1, 2, 3, 'operator'].entries()) {
      const token = await tokenOf(who), events = told(clients[i]), from = `after=${clients[i].welcome.id}`;
      const fits = (condition) => events.filter(condition);
      for (const table of ['notes', 'games', 'mail', 'note', 'NOTES', 'fence']) {
        assert.deepEqual(await all(shared.relay, token, `${from}&table=${table}`), fits((event) => event.table === table));
      }
      for (const type of ['insert', 'update', 'delete', 'sent', 'Sent']) {
        assert.deepEqual(await all(shared.relay, token, `${from}&type=${type}`), fits((event) => event.type === type));
        assert.deepEqual(await all(shared.relay, token, `${from}&table=notes&type=${type}&limit=1`), fits((event) => event.table === 'notes' && event.type === type));
      }
      const middle = events[Math.floor(events.length / 2)].id;
      assert.deepEqual(await all(shared.relay, token, `${from}&before=${middle}`), fits(({ id }) => BigInt(id) < BigInt(middle)));
      assert.deepEqual(await page(shared.relay, token, `${from}&before=${events[0].id}`), emptyPage);
      assert.deepEqual(ids((await page(shared.relay, token, `${from}&limit=2`)).events), ids(events.slice(0, 2)));
    }
  });

  test('transaction_id: the events of one transaction, where the database tells which', async (t) => {
    const [client, boss] = await shared.joinAll(t, 1, 'operator');
    await shared.db.query(`INSERT INTO notes (id, owner, body) ${series(100, 105, "i, i - 99, 'x'")}`);
    await shared.db.query('DELETE FROM notes WHERE id BETWEEN 100 AND 105');
    await shared.relay.fence(client, boss);
    const { transaction_id: which } = client.events[0];
    const query = `after=${client.welcome.id}&transaction_id=${which ?? 1}`;
    const expected = ({ events }) => (which ? events.filter((event) => event.transaction_id === which) : []);
    assert.deepEqual(await all(shared.relay, operator, query), expected(boss));
    assert.deepEqual(await all(shared.relay, await shared.db.user(1), query), expected(client));
    assert.equal(expected(boss).length, database.transactionId ? 6 : 0);
  });

  test('since and until: by the time of the change, both inclusive, in ms or ISO 8601; without bounds the last day', async (t) => {
    const boss = await shared.join(t, 'operator');
    for (let i = 200; i < 206; i++) {
      const before = Date.now();
      await until(() => Date.now() > before + 1, 'another millisecond');
      await shared.db.query(`INSERT INTO notes VALUES (${i}, 1, 'x')`);
    }
    await shared.db.query('DELETE FROM notes WHERE id BETWEEN 200 AND 205');
    await shared.relay.fence(boss);
    const events = told(boss), from = `after=${boss.welcome.id}`;
    const [early, late] = [events[1].timestamp, events[4].timestamp];
    const iso = (ms) => encodeURIComponent(new Date(ms).toISOString());
    const local = (ms) => encodeURIComponent(`${new Date(ms + 7_200_000).toISOString().slice(0, -1)}+02:00`);
    for (const spell of [String, iso, local]) {
      const ask = (query) => all(shared.relay, operator, `${from}&${query}`);
      assert.deepEqual(await ask(`since=${spell(early)}`), events.filter(({ timestamp }) => timestamp >= early));
      assert.deepEqual(await ask(`until=${spell(late)}`), events.filter(({ timestamp }) => timestamp <= late));
      assert.deepEqual(await ask(`since=${spell(early)}&until=${spell(late)}`), events.filter(({ timestamp }) => timestamp >= early && timestamp <= late));
    }
    // since without an id, which is then looked for in the journal.
    const behind = (list) => list.filter(({ id }) => BigInt(id) > BigInt(boss.welcome.id));
    assert.deepEqual(behind(await all(shared.relay, operator, `since=${early}`)), events.filter(({ timestamp }) => timestamp >= early));
    assert.deepEqual(behind(await all(shared.relay, operator, 'limit=1000')), events, 'without bounds');
    assert.deepEqual(await page(shared.relay, operator, 'since=2999-01-01'), emptyPage);
    assert.deepEqual(await page(shared.relay, operator, 'until=1999-12-31T23:59'), emptyPage);
    const oldest = await page(shared.relay, operator, 'since=1999-01-01&limit=1');
    assert.deepEqual(oldest, await page(shared.relay, operator, 'after=0&limit=1'));
  });

  test('the example of docs/PROTOCOL.md, as it stands there', async (t) => {
    const boss = await shared.join(t, 'operator');
    await shared.db.query(`INSERT INTO notes (id, owner, body) ${series(500, 699, "i, 2, 'x'")}`);
    await shared.db.query("UPDATE notes SET body = 'y' WHERE owner = 2; DELETE FROM notes WHERE owner = 2");
    await shared.relay.fence(boss);
    const page = readFileSync(new URL('../../docs/PROTOCOL.md', import.meta.url), 'utf8');
    const [, example] = /```js\n(async function history\(.*?)```/s.exec(page);
    const adapted = example.replace("'http://localhost:8080', token", 'origin, token').replace('orders', 'notes');
    assert.equal(adapted.length, example.length - "'http://localhost:8080'".length + 'origin'.length - 1);
    const run = new Function('origin', 'token', `return (async () => { ${adapted} return updates; })();`);
    const updates = await run(shared.relay.origin, await shared.db.user(2));
    const mine = new Set(ids(boss.events));
    assert.deepEqual(updates.filter(({ id }) => mine.has(id)), boss.events.filter(({ type }) => type === 'update'));
    await assert.rejects(run(shared.relay.origin, 'nobody-has-this'), { message: '401: Unauthorized' });
  });

  // A bare id from before a restore was answered with an empty page for ever.
  test('the newest id: an empty page; one beyond it: 400 that tells the newest, to users, the operator and whatever else is asked', async (t) => {
    const client = await shared.join(t, 1), token = await shared.db.user(1), { id, journal } = client.welcome;
    for (const after of [id, `${journal}:${id}`]) assert.deepEqual(await page(shared.relay, token, `after=${after}`), emptyPage);
    for (const after of [BigInt(id) + 1n, `${journal}:${BigInt(id) + 1n}`, BigInt(id) + 1000000n, '18446744073709551615']) {
      for (const [who, more] of [[token, ''], [operator, ''], [token, '&since=2001-01-01'], [token, '&before=7&limit=1']]) {
        const { status, json } = await shared.relay.get(`/events?after=${after}${more}`, bearer(who));
        assert.equal(status, 400, `${after}${more}`);
        const { message, ...rest } = json;
        assert.deepEqual(rest, { code: 400, type: 'ValidationError', key: 'after' });
        assert.ok(message.startsWith(`after lies beyond the newest event, ${id}: `), message);
      }
    }
    assert.equal((await shared.relay.get(`/events/${BigInt(id) + 1000000n}`, bearer(token))).status, 404);
    assert.equal((await shared.relay.get(`/events/${BigInt(id) + 1n}`, bearer(token))).status, 404);
    assert.deepEqual((await page(shared.relay, token, `before=${BigInt(id) + 1000000n}&after=${id}`)), emptyPage);
  });

  test('/events/ID: one event, as this user sees it; what is not there, and what is another\'s, cannot be told apart', async (t) => {
    const [anna, ben, boss] = await shared.joinAll(t, 1, 2, 'operator');
    await shared.db.query("INSERT INTO notes VALUES (300, 1, 'x')");
    await shared.db.query('UPDATE notes SET owner = 2 WHERE id = 300');
    await shared.db.query('DELETE FROM notes WHERE id = 300');
    await shared.relay.fence(anna, ben, boss);
    const tokens = [await shared.db.user(1), await shared.db.user(2), operator];
    const absent = await shared.relay.get('/events/99999999999', bearer(tokens[0]));
    assert.deepEqual([absent.status, absent.json.code], [404, 404]);
    for (const [i, client] of [anna, ben, boss].entries()) {
      for (const event of boss.events) {
        const answer = await shared.relay.get(`/events/${event.id}`, bearer(tokens[i]));
        const mine = client.events.find(({ id }) => id === event.id);
        assert.deepEqual([answer.status, answer.json], mine ? [200, mine] : [404, absent.json]);
      }
    }
    const { id } = anna.events[0];
    assert.deepEqual((await shared.relay.get(`/events/${anna.welcome.journal}:${id}`, bearer(tokens[0]))).json, anna.events[0]);
    for (const path of ['0', 'x', '-1', `${id}x`, '9'.repeat(30), '9'.repeat(500), '%00', '%20', `${'f'.repeat(16)}:${id}`, `${id}%2F`]) {
      const answer = await shared.relay.get(`/events/${path}`, bearer(tokens[0]));
      assert.deepEqual([path, answer.status], [path, 404]);
    }
    assert.deepEqual((await shared.relay.get(`/events/${id}?after=1`, bearer(tokens[0]))).json.key, 'query');
  });

  test('who asks: a token of the table, a JWT, the operator; TEST is told nothing; everybody else 401', async (t) => {
    const [anna, boss] = await shared.joinAll(t, 1, 'operator');
    await shared.db.query("INSERT INTO notes VALUES (400, 1, 'x'), (401, 2, 'y'); DELETE FROM notes WHERE id IN (400, 401)");
    await shared.relay.fence(anna, boss);
    const token = await shared.db.user(1), from = `after=${anna.welcome.id}`;
    const mine = { events: told(anna), next: null };
    const signed = shared.relay.secret(jwt({ sub: '1', exp: soon(60) }, secret));
    const ask = (query, headers = {}) => shared.relay.get(`/events?${from}${query}`, { headers });
    for (const [query, headers] of [[`&token=${token}`], ['', bearer(token).headers], [`&token=${signed}`], ['', bearer(signed).headers],
      [`&token=wrong`, bearer(token).headers]]) {
      const answer = await ask(query, headers);
      assert.deepEqual([answer.status, answer.json], [200, mine]);
    }
    assert.deepEqual((await ask('', bearer(operator).headers)).json, { events: told(boss), next: null });
    assert.deepEqual((await ask('&token=TEST')).json, emptyPage);
    assert.equal((await shared.relay.get(`/events/${anna.events[0].id}?token=TEST`)).status, 404);
    const expired = jwt({ sub: '1', exp: soon(-60) }, secret), forged = jwt({ sub: '1', exp: soon(60) }, `${secret}x`);
    const bad = [[''], ['&token='], ['&token=nobody-has-this'], [`&token=${operator}`], [`&token=${expired}`], [`&token=${forged}`], ['&token=%ff%fe'],
      ['', { authorization: 'Basic eDp4' }], ['', { authorization: 'Bearer ' }], [`&token=${token}`, bearer('nobody-has-this').headers], [`&limit=0&token=x`]];
    for (const path of ['/events', `/events/${anna.events[0].id}`]) {
      for (const [query, headers] of bad) {
        const answer = await shared.relay.get(`${path}?${path === '/events' ? from : ''}${query}`, { headers });
        assert.deepEqual([query, answer.status, answer.json], [query, 401, { code: 401, message: 'Unauthorized' }]);
      }
    }
  });

  test('a question that is none: 400 and which part of it, whoever asks', async () => {
    const token = await shared.db.user(1);
    const huge = '9'.repeat(30);
    const wrong = [['limit=0', 'limit'], ['limit=1000000', 'limit'], ['limit=1001', 'limit'], ['limit=-1', 'limit'], ['limit=', 'limit'], ['limit=1e2', 'limit'],
      [`limit=${huge}`, 'limit'], ['limit', 'limit'], ['after=-1', 'after'], ['after=x', 'after'], ['after=', 'after'], [`after=${huge}`, 'after'], ['after=1.5', 'after'],
      ['after=18446744073709551616', 'after'], [`after=${'f'.repeat(16)}:1`, 'after'], [`after=${'f'.repeat(15)}:1`, 'after'],
      ['before=-1', 'before'], [`before=${huge}`, 'before'], ['since=yesterday', 'since'], ['since=', 'since'], ['since=-1', 'since'], [`since=${huge}`, 'since'],
      ['since=2024-13-01', 'since'], ['since=2023-02-29', 'since'], ['since=2024-01-01T25:00', 'since'], ['since=2024-01-01T', 'since'],
      ['until=2024-01-01T00:00:00+2:00', 'until'], ['until=NaN', 'until'], ['table=', 'table'], ['table=%ff', 'table'], [`table=${'x'.repeat(600)}`, 'table'],
      ['type=', 'type'], ['transaction_id=', 'transaction_id'], ['tabel=notes', 'query'], ['topics=notes', 'query'], ['=', 'query'], ['after=1&after=2', 'after'],
      ['table=a&table=b', 'table'], [`after=${'a'.repeat(16)}:1&before=${'b'.repeat(16)}:2`, 'before']];
    for (const who of [token, operator]) {
      for (const [query, key] of wrong) {
        const answer = await shared.relay.get(`/events?${query}`, bearer(who));
        const { code, type, key: which, message, ...rest } = answer.json;
        assert.deepEqual([query, answer.status, code, type, which, rest], [query, 400, 400, 'ValidationError', key, {}]);
        assert.ok(message.length > 10 && !message.includes(huge));
      }
    }
    await page(shared.relay, token, 'before=0');
    // Whoever misspelt it is told what, and how it is spelt.
    const { message } = (await shared.relay.get('/events?tabel=notes', bearer(token))).json;
    assert.match(message, /^"tabel" is no parameter; .*\btable\b/);
  });

  test('HEAD, OPTIONS, other methods, CORS, a body, two questions at once on one connection', async () => {
    const token = await shared.db.user(1);
    const get = await shared.relay.get('/events?after=0&limit=5', bearer(token));
    const head = await shared.relay.get('/events?after=0&limit=5', { method: 'HEAD', ...bearer(token) });
    assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', get.headers['content-length']]);
    assert.deepEqual([get.headers['access-control-allow-origin'], get.headers.vary, get.headers['cache-control']], ['*', 'Origin', 'no-store']);
    for (const path of ['/events', '/events/1']) {
      const post = await shared.relay.get(path, { method: 'POST', body: '{}' });
      assert.deepEqual([post.status, post.headers.allow], [405, 'GET, HEAD, OPTIONS']);
      const preflight = await shared.relay.get(path, { method: 'OPTIONS', headers: { origin: 'http://x.example', 'access-control-request-method': 'GET' } });
      assert.deepEqual([preflight.status, preflight.headers['access-control-allow-methods']], [204, 'GET, HEAD, OPTIONS']);
      assert.match(preflight.headers['access-control-allow-headers'], /Authorization/);
      assert.equal((await shared.relay.get(path, { method: 'GET', body: 'x', ...bearer(token) })).status, 400);
    }
    assert.equal((await shared.relay.get('/events/', bearer(token))).status, 404);
    assert.equal((await shared.relay.get('/events/1/2', bearer(token))).json.message, 'Route not found');
    const ask = (close) => `GET /events?after=0&limit=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${close}\r\n`;
    const text = await exchange(shared.relay, ask('') + ask('') + ask('Connection: close\r\n'));
    assert.equal(text.split('HTTP/1.1 200 OK').length, 4);
  });
}

// Bytes there, all that comes back.
function exchange(relay, bytes) {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = net.connect(relay.port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk) => { text += chunk; });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
}

const rules = { tables: 'users,mail', routing: { users: 'id', mail: 'owner' }, env: { SECURITY_TOKEN: operator } };
const tables = 'CREATE TABLE users (id int PRIMARY KEY, name text, secret text); CREATE TABLE mail (id int PRIMARY KEY, owner int, body text);';

// Gives the row with the id i, and its event of the same id, the time first + i * step; not the newest. MySQL's events have
// theirs from when they were written, since they are packed.
const spread = {
  postgres: (first, step) => `UPDATE esink.event_0 SET at = to_timestamp(${first / 1000} + (data::json ->> 'id')::int * ${step / 1000}) WHERE (data::json ->> 'id')::int < 48;
    UPDATE esink.tick_0 SET at = to_timestamp(${first / 1000} + (first + count - 1) * ${step / 1000}) WHERE first + count - 1 < 48`,
  mysql: (first, step) => `UPDATE esink_journal SET moved = FROM_UNIXTIME(FLOOR(${first / 1000} + id * ${step / 1000})) WHERE id < 48`,
  sqlite: (first, step) => `UPDATE esink_event SET at = 2440587.5 + (${first} + id * ${step}) / 86400000.0 WHERE id < 48`,
};

function apart(database) {
  test('FILTERS that grew, a rule that went: the journal of before is told by the rules of today', async (t) => {
    const db = await database.database(t, tables);
    const relay = await startRelay(t, db, rules);
    const [anna, ben] = [await db.user(1), await db.user(2)];
    await db.query("INSERT INTO users VALUES (1, 'Anna', 'told-before'); INSERT INTO mail VALUES (2, 1, 'a'), (3, 2, 'b')");
    await db.query('UPDATE mail SET owner = 2 WHERE id = 2');
    await db.query("UPDATE users SET name = 'Ann' WHERE id = 1");
    assert.equal((await until(async () => { const list = await all(relay, anna); return list.length === 4 && list; }, 'four events of Anna\'s')).length, 4);
    await relay.stop();
    await relay.start({ filters: 'users.secret' });
    const mine = (token) => all(relay, token).then((list) => list.filter(({ table }) => table !== 'fence').map(step));
    const anna1 = ['users', 'insert', { id: 1, name: 'Anna' }], anna2 = ['users', 'update', { id: 1, name: 'Ann' }];
    assert.deepEqual(await mine(anna), [anna1, ['mail', 'insert', { id: 2, owner: 1, body: 'a' }], ['mail', 'delete', { id: 2 }], anna2]);
    assert.deepEqual(await mine(ben), [['mail', 'insert', { id: 3, owner: 2, body: 'b' }], ['mail', 'update', { id: 2, owner: 2, body: 'a' }]]);
    await relay.stop();
    await relay.start({ routing: { users: 'id' } });
    relay.secret('told-before');
    assert.deepEqual(await mine(anna), [anna1, anna2]);
    assert.deepEqual(await mine(ben), []);
    const boss = await mine(operator);
    assert.deepEqual(boss.map(([table, type]) => `${table} ${type}`).sort(), ['mail insert', 'mail insert', 'mail update', 'users insert', 'users update']);
    for (const event of await all(relay, operator)) {
      const hidden = await relay.get(`/events/${event.id}`, bearer(anna));
      assert.deepEqual([event.table, hidden.status], [event.table, event.table === 'users' ? 200 : 404]);
      assert.ok(!hidden.text.includes('told-before'));
    }
  });

  test('since finds its place in a long journal, to the millisecond', async (t) => {
    const db = await database.database(t, tables);
    const relay = await startRelay(t, db, { ...rules, fence: false, tables: 'mail', routing: {} });
    // As if a quarter of an hour had been between any two, but for the newest.
    const first = Date.now() - 13 * 3_600_000;
    for (let i = 1; i <= 48; i++) {
      const time = database.name === 'mysql' && i < 48 ? `SET timestamp = ${first / 1000 + i * 900}` : '';
      await db.query(`${time}; INSERT INTO mail VALUES (${i}, 1, 'x'); ${time && 'SET timestamp = DEFAULT'}`.replace(/^; |; $/g, ''));
    }
    const count = async () => (await page(relay, operator, 'after=0&limit=1000')).events.length;
    await until(async () => await count() === 48, '48 events');
    await db.query(spread[database.name](first, 900_000));
    const events = await all(relay, operator);
    assert.ok(events.slice(0, -1).every(({ timestamp }, i) => Math.abs(timestamp - first - (i + 1) * 900_000) < 1000), 'the times are spread');
    for (const { timestamp } of events) {
      for (const since of [timestamp - 1, timestamp, timestamp + 1, timestamp + 450_000]) {
        assert.deepEqual(ids(await all(relay, operator, `since=${since}`)), ids(events.filter((event) => event.timestamp >= since)), `since ${since}`);
      }
    }
    assert.deepEqual(await all(relay, operator, `since=${first - 1}&before=10`), events.slice(0, 9));
  });

  test('RETENTION: what follows an id that is gone is 410 and tells the oldest; all, or since a time, begins with that', async (t) => {
    const db = await database.database(t, tables);
    const relay = await startRelay(t, db, { ...rules, env: { ...rules.env, RETENTION: '1s' } });
    const token = await db.user(1);
    let n = 0;
    const gone = await until(async () => {
      await db.query(`INSERT INTO mail VALUES (${++n}, 1, 'x')`);
      const answer = await relay.get('/events?after=1', bearer(token));
      return answer.status === 410 && answer;
    }, 'the first events to be discarded', 40_000);
    assert.deepEqual(Object.keys(gone.json), ['code', 'message', 'first']);
    assert.ok(gone.json.message.includes(gone.json.first) && BigInt(gone.json.first) > 2n);
    assert.equal((await relay.get('/events/1', bearer(token))).status, 404);
    for (const query of ['after=0', 'since=2001-01-01', '']) {
      // The journal may have gone on losing meanwhile.
      await until(async () => {
        const first = BigInt((await relay.get('/events?after=1', bearer(token))).json.first);
        const { events } = await page(relay, token, query);
        return events.length && BigInt(events[0].id) >= first && BigInt(events[0].id) <= first + 1n;
      }, `"${query}" to begin with the oldest event`);
    }
    // Also when all of them are gone, or all but the newest.
    const ws = await relay.ws(token), newest = BigInt(ws.welcome.id);
    assert.ok(newest >= BigInt(n));
    await until(async () => (await page(relay, token)).events.length <= 1, 'the events to be discarded', 40_000);
    assert.deepEqual(await page(relay, token, `after=${newest}`), emptyPage);
    assert.equal((await relay.get(`/events?after=${newest + 1n}`, bearer(token))).status, 400);
  });

  test('an id that one relay has just told is never beyond the newest event for another one', async (t) => {
    const db = await database.database(t, tables);
    const [one, other] = [await startRelay(t, db, rules), await startRelay(t, db, rules)];
    const token = await db.user(1), ws = await one.ws(token);
    for (let n = 1; n <= 50; n++) {
      await db.query(`INSERT INTO mail VALUES (${n}, 1, 'x')`);
      await until(() => ws.events.length === n, 'the event', 15_000);
      assert.deepEqual(await page(other, token, `after=${ws.events.at(-1).id}`), emptyPage);
    }
  });

  test('a transaction that began before and was committed after: told behind what was there before, under its own time', async (t) => {
    if (database.name === 'sqlite') return; // one writer at a time
    const db = await database.database(t, tables);
    const relay = await startRelay(t, db, rules);
    const [late, boss] = [await db.connect(), await relay.operator()];
    await late.query(database.begin);
    await late.query("INSERT INTO mail VALUES (1, 1, 'late')");
    const between = Date.now();
    await until(() => Date.now() > between + 1, 'another millisecond');
    await db.query("INSERT INTO mail VALUES (2, 1, 'early')");
    await boss.count(1);
    const seen = await all(relay, operator);
    await late.query('COMMIT');
    await boss.count(2);
    assert.deepEqual((await all(relay, operator, `after=${seen.at(-1).id}`)).map(({ data }) => data.id), [1]);
    const [early, after] = boss.events;
    assert.ok(after.timestamp < early.timestamp);
    for (const query of [`until=${after.timestamp}`, `since=${after.timestamp}&until=${after.timestamp}`]) {
      assert.deepEqual((await all(relay, operator, query)).map(({ data }) => data.id), [1]);
    }
    assert.deepEqual((await all(relay, operator, `since=${after.timestamp}`)).map(({ data }) => data.id), [2, 1]);
  });

  test('while the database is away: 503, soon, and pages again when it is back', async (t) => {
    if (database.name === 'sqlite') return; // it is there, or the relay is not
    const db = await database.database(t, tables);
    const relay = await startRelay(t, db, { ...rules, env: { ...rules.env, JWT_SECRET: secret, LIVE_TIMEOUT: '2s', STATEMENT_TIMEOUT: '1s' } });
    const [token, signed] = [await db.user(1), jwt({ sub: '1', exp: soon(600) }, secret)];
    await db.query("INSERT INTO mail VALUES (1, 1, 'x')");
    await until(async () => (await all(relay, token)).length, 'the event');
    const back = await database.away(db);
    for (const who of [token, signed, operator]) {
      const answer = await until(async () => {
        const one = await relay.get('/events?after=0', bearer(who));
        return one.status !== 200 && one;
      }, 'the database to be missed');
      assert.deepEqual([answer.status, answer.json.code], [503, 503], answer.text);
    }
    await back();
    for (const who of [token, signed, operator]) {
      await until(async () => (await relay.get('/events?after=0', bearer(who))).status === 200, 'pages again', 30_000);
    }
  });
}

// Where a table can be locked against readers.
function locked(database) {
  test('a database that hangs, over the token or over the page: 503 after LIVE_TIMEOUT, and nothing comes twice when it goes on', async (t) => {
    const db = await database.database(t, tables);
    const relay = await startRelay(t, db, { ...rules, env: { ...rules.env, LIVE_TIMEOUT: '500ms' } });
    const token = await db.user(1);
    await db.query("INSERT INTO mail VALUES (1, 1, 'x')");
    await until(async () => (await all(relay, token)).length, 'the event');
    const holder = await db.connect();
    for (const [table, who] of [['auth', token], ['esink.tick_0', operator]]) {
      await holder.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
      const gone = net.connect(relay.port, '127.0.0.1', () => gone.write(`GET /events?after=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${who}\r\n\r\n`));
      gone.on('error', () => {});
      await assertSoon(4000, `503 without ${table}`, () => duration(async () => {
        const answers = await Promise.all(Array.from({ length: 12 }, () => relay.get('/events?after=0', bearer(who))));
        assert.deepEqual(answers.map(({ status, headers }) => [status, headers['retry-after']]), Array(12).fill([503, '1']));
      }));
      gone.resetAndDestroy();
      await holder.query('COMMIT');
      await until(async () => (await relay.get('/events?after=0', bearer(who))).status === 200, 'pages again');
    }
    assert.equal((await all(relay, token)).length, 1);
  });
}

// What does not depend on the database.
function once(database) {
  test('a long answer whose reader stops: everybody else is answered, it gets the rest when it reads on, one who never does is cut off', async (t) => {
    const db = await database.database(t, tables);
    const relay = await startRelay(t, db, { ...rules, env: { ...rules.env, NETWORK_THREADS: '1' } });
    const [token, other] = [await db.user(1), await db.user(2)];
    await db.query("INSERT INTO mail VALUES (0, 2, 'short')");
    for (let i = 1; i <= 80; i++) await db.query(`INSERT INTO mail VALUES (${i}, 1, '${'x'.repeat(60_000)}')`);
    await until(async () => (await page(relay, token, 'after=80&limit=1')).events.length, 'the last one');
    const open = (path) => {
      const socket = net.connect(relay.port, '127.0.0.1', () => socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`));
      socket.on('error', () => {});
      t.defer(() => socket.destroy());
      return new Promise((resolve) => { socket.once('readable', () => resolve(socket)); });
    };
    const before = fds(relay);
    const slow = await open('/events?after=0&limit=1000');
    await open('/events?after=0&limit=1000'); // and never reads
    const begun = Date.now();
    for (let i = 0; i < 20; i++) {
      assert.deepEqual((await page(relay, other, 'after=0')).events.map(({ data }) => data.id), [0]);
      assert.equal((await relay.get('/ping')).text, 'pong');
    }
    assert.ok(Date.now() - begun < 5000 * patience, `20 answers took ${Date.now() - begun} ms`);
    const chunks = [];
    for await (const chunk of slow) chunks.push(chunk);
    const [head, body] = Buffer.concat(chunks).toString().split('\r\n\r\n');
    assert.match(head, new RegExp(`content-length: ${body.length}\r`, 'i'));
    const { events, next } = JSON.parse(body);
    assert.ok(events.length > 60 && next === events.at(-1).id && body.length < 4_300_000, `${events.length} events in ${body.length} bytes`);
    assert.equal((await page(relay, token, `after=${next}`)).events.length, 80 - events.length);
    await until(() => fds(relay) <= before, 'the one who does not read to be cut off', 30_000);
  });

  test('who goes while the answer is made, again and again: nothing is left, and others are answered', async (t) => {
    const db = await database.database(t, tables);
    const relay = await startRelay(t, db, rules);
    const token = await db.user(1);
    await db.query(`INSERT INTO mail (id, owner, body) ${series(1, 2000, "i, 1, 'x'")}`);
    await until(async () => (await page(relay, token, 'after=1999')).events.length, 'the last one');
    for (let i = 0; i < 100; i++) {
      const socket = net.connect(relay.port, '127.0.0.1');
      socket.on('error', () => {});
      await new Promise((resolve) => { socket.write(`GET /events?after=0&limit=1000&token=${token} HTTP/1.1\r\nHost: x\r\n\r\n`, resolve); });
      if (i % 2) socket.resetAndDestroy();
      else socket.destroy();
    }
    assert.equal((await all(relay, token)).length, 2000);
  });
}

for (const name of ['postgres', 'mysql', 'sqlite']) {
  const database = databaseOf(name);
  describe(name, () => {
    after(() => database.stop());
    describe('one relay for all', () => {
      const shared = shareRelay(database, { ...shop, env: { ...shop.env, JWT_SECRET: secret } });
      inShop(database, shared);
    });
    apart(database);
    if (name === 'postgres') locked(database);
    if (name === 'sqlite') once(database);
  });
}
