// Prevents: a back-end service that misses an event although it acknowledged everything that it was told: one that was in
// flight when the service or the relay was killed, one whose transaction committed late, one that another poller was told, one
// behind a mark that was made out of order; a poll that waits and is not woken, or that costs the relay its end; a consumer of
// a rare topic that reads the same for ever; a bad question that is taken for another one; what was acknowledged of an old journal,
// or to a consumer that was deleted since, and skips what nobody was told; consumers, or answers that nobody reads, without end.
import assert from 'node:assert/strict';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { after, describe } from 'node:test';
import { Consumers } from './lib/service.mjs';
import { storeOf } from './lib/consumers.mjs';
import { databaseOf } from './lib/databases.mjs';
import { test } from './lib/harness.mjs';
import { fds } from './lib/health.mjs';
import { startRelay } from './lib/relay.mjs';
import { assertSoon, duration, until, within } from './lib/wait.mjs';
import { operator, series, shareRelay } from './source/suite.mjs';

const schema = 'CREATE TABLE notes (id int PRIMARY KEY, owner int, body text); CREATE TABLE orders (id int PRIMARY KEY, owner int)';
const rules = { tables: 'notes,orders', routing: { notes: 'owner', orders: 'owner' }, env: { SECURITY_TOKEN: operator, ALLOW_REPUBLISHING: 'true' } };
const ids = (events) => events.map(({ id }) => id);
const rows = (events) => events.map(({ data }) => data.id);
const range = (first, last) => Array.from({ length: last - first + 1 }, (_, i) => first + i);
const notes = (first, last) => `INSERT INTO notes (id, owner) ${series(first, last, 'i, 1')}`;

function shared(database, shop) {
  let made = 100; // names of one length: sorted as they were made
  const name = () => `c${++made}`;
  const consumers = () => new Consumers(shop.relay);
  // Whatever was written so far is in the journal.
  const settled = async (t) => shop.relay.fence(await shop.join(t, 'operator'));

  test('registered, listed, replaced, removed; from now, from the start, from an id', async (t) => {
    const c = consumers(), [a, b, third] = [name(), name(), name()];
    await shop.db.query(notes(1, 3));
    await settled(t);
    const made = await c.register(a, { topics: ['notes'], types: ['insert'] });
    assert.deepEqual(Object.keys(made), ['name', 'topics', 'types', 'cursor', 'lag', 'pending', 'updated_at']);
    assert.deepEqual([made.name, made.topics, made.types, made.lag, made.pending], [a, ['notes'], ['insert'], 0, 0]);
    assert.ok(Math.abs(made.updated_at - Date.now()) < 60_000);
    await shop.db.query(notes(4, 6));
    await settled(t);
    const state = await c.get(a);
    assert.deepEqual([state.cursor, state.pending, state.lag], [made.cursor, 3, 4]);
    const { cursor } = await c.register(b, { from: 'start' });
    const all = (await c.poll(b, { limit: 1000 })).events;
    assert.deepEqual(rows(all.filter(({ table }) => table === 'notes')).slice(-6), range(1, 6));
    assert.equal(BigInt(all[0].id), BigInt(cursor) + 1n);
    await c.register(third, { from: made.cursor });
    assert.deepEqual(rows((await c.poll(third)).events).slice(0, 3), range(4, 6));
    const replaced = await c.replace(a, { topics: ['orders'], from: 'start' });
    assert.deepEqual([replaced.topics, replaced.types, replaced.pending], [['orders'], [], 0]);
    assert.ok(BigInt(replaced.cursor) >= BigInt(made.cursor), 'the position is kept');
    assert.deepEqual((await c.list()).map((one) => one.name).filter((one) => [a, b, third].includes(one)), [a, b, third]);
    for (const one of [a, b, third]) await c.remove(one);
    for (const question of [['GET', `/consumers/${a}`], ['DELETE', `/consumers/${a}`], ['POST', `/consumers/${a}/poll`, {}], ['POST', `/consumers/${a}/mark`, { id: '1', outcome: 'skipped' }]]) {
      const answer = await c.ask(...question);
      assert.deepEqual([answer.status, answer.json.code, answer.json.type], [404, 404, 'NotRegistered'], question[1]);
    }
  });

  test('the same events come until they are acknowledged, to every poller; a lower ack moves nothing back', async (t) => {
    const c = consumers(), a = name();
    await c.register(a, { topics: ['notes'] });
    await shop.db.query(notes(101, 130));
    await settled(t);
    const first = await c.poll(a, { limit: 10 });
    assert.deepEqual(rows(first.events), range(101, 110));
    const both = await Promise.all([c.poll(a, { limit: 20 }), c.poll(a, { limit: 20 })]);
    for (const { events } of both) assert.deepEqual(rows(events), range(101, 120));
    const ack = first.events.at(-1).id;
    const next = await c.poll(a, { limit: 10, ack });
    assert.deepEqual([rows(next.events), next.cursor], [range(111, 120), ack]);
    const lower = await c.poll(a, { limit: 1, ack: first.events[0].id });
    assert.deepEqual([rows(lower.events), lower.cursor], [[111], ack]);
    const rest = await c.poll(a, { limit: 1000, ack: Number(ack) });
    assert.deepEqual(rows(rest.events), range(111, 130));
    await c.poll(a, { ack: rest.events.at(-1).id });
    assert.equal((await c.get(a)).pending, 0);
  });

  test('positions: acknowledged, marked and begun from with the journal that answers and chunks name', async (t) => {
    const c = consumers(), [a, b] = [name(), name()];
    await c.register(a, { topics: ['notes'] });
    await shop.db.query(notes(151, 156));
    await settled(t);
    const service = await shop.join(t, 'operator', { query: { topics: 'nothing' } });
    const { events, journal } = await c.poll(a);
    assert.match(journal, /^[0-9a-f]{16}$/);
    assert.equal(journal, service.welcome.journal);
    assert.deepEqual(rows((await c.poll(a, { ack: `${journal}:${events[1].id}` })).events), range(153, 156));
    assert.equal((await c.mark(a, `${journal}:${events[2].id}`)).cursor, events[2].id);
    await c.register(b, { topics: ['notes'], from: `${journal}:${events[3].id}` });
    assert.deepEqual(rows((await c.poll(b)).events), [155, 156]);
    // What nobody was told is not skipped by what was told of another journal, and one that is lower is not taken for late.
    for (const ack of [`0123456789abcdef:${events[4].id}`, '0123456789abcdef:1']) {
      const answer = await c.ask('POST', `/consumers/${a}/poll`, { ack });
      assert.deepEqual([answer.status, answer.json.type, answer.json.key], [409, 'OtherJournal', 'ack']);
    }
    assert.deepEqual(rows((await c.poll(a)).events), range(154, 156));
    service.say('ready', { consumer: a });
    await until(() => service.named('events').length, () => `a chunk; ${service.state()}`);
    assert.equal(service.named('events')[0].journal, journal);
  });

  test('push: a chunk is acknowledged for the registration that it was told to', async (t) => {
    const c = consumers(), a = name();
    const { cursor } = await c.register(a, { topics: ['notes'] });
    await shop.db.query(notes(161, 165));
    await settled(t);
    const service = await shop.join(t, 'operator', { query: { topics: 'nothing' } });
    service.say('ready', { consumer: a });
    await until(() => service.named('events').length, () => `a chunk; ${service.state()}`);
    await c.remove(a);
    await c.register(a, { topics: ['notes'], from: cursor });
    service.say('ack', { seq: 0 });
    await until(() => service.errors.length, () => `an error; ${service.state()}`);
    assert.deepEqual([service.errors[0].code, service.errors[0].type], [404, 'NotRegistered']);
    assert.deepEqual(rows((await c.poll(a)).events), range(161, 165));
  });

  test('topics, types, and what clients sent to each other only for those who ask for it', async (t) => {
    const c = consumers(), [a, b, all] = [name(), name(), name()];
    await c.register(a, { topics: ['ord.rs$', 'chat'], types: ['insert', 'said'] });
    const asked = await c.register(b, { types: ['said'], source_types: ['websocket', 'socketio'] });
    assert.deepEqual([asked.types, asked.source_types], [['said'], ['websocket', 'socketio']]);
    await c.register(all);
    const user = await shop.join(t, 1);
    await shop.db.query('INSERT INTO notes (id, owner) VALUES (201, 1); INSERT INTO orders VALUES (202, 1); UPDATE orders SET owner = 2 WHERE id = 202');
    user.say('event', { table: 'chat', type: 'said', data: { id: 203 } });
    await user.event(({ table }) => table === 'chat');
    assert.equal((await shop.relay.post('/publish', { table: 'chat', type: 'said', data: { id: 204 }, userId: 1, securityToken: operator })).status, 200);
    await settled(t);
    const seen = async (consumer) => rows((await c.poll(consumer)).events.filter(({ table }) => table !== 'fence'));
    assert.deepEqual(await seen(a), [202, 204]);
    assert.deepEqual(await seen(b), [203]);
    assert.deepEqual(await seen(all), [201, 202, 202, 204]);
  });

  test('a consumer of a rare topic: its cursor passes what it does not want', async (t) => {
    const c = consumers(), a = name();
    await c.register(a, { topics: ['orders'] });
    for (const first of [301, 1301, 2301]) await shop.db.query(notes(first, first + 999));
    await settled(t);
    await until(async () => (await c.poll(a)).events.length === 0 && (await c.get(a)).lag === 0, 'a cursor at the newest event');
    await shop.db.query('INSERT INTO orders VALUES (301, 1)');
    assert.deepEqual(rows((await c.poll(a, { wait: 10 })).events), [301]);
  });

  test('marks in any order: not polled again, and the cursor goes as far as all is settled; who has seen an event', async (t) => {
    const c = consumers(), [a, b] = [name(), name()];
    for (const one of [a, b]) await c.register(one, { topics: ['notes'] });
    await shop.db.query(notes(4001, 4006));
    await settled(t);
    const { events, cursor } = await c.poll(a);
    const [n1, n2, n3, n4, n5, n6] = ids(events);
    assert.equal((await c.mark(a, n3)).cursor, cursor);
    assert.equal((await c.mark(a, n2, 'skipped')).cursor, cursor);
    assert.deepEqual(ids((await c.poll(a)).events), [n1, n4, n5, n6]);
    assert.equal((await c.get(a)).pending, 4);
    assert.equal((await c.mark(a, n1)).cursor, n3);
    assert.equal((await c.mark(a, n1)).cursor, n3, 'a second time it says the same');
    assert.equal((await c.mark(a, n5)).cursor, n3);
    assert.deepEqual(ids((await c.poll(a)).events), [n4, n6]);
    await c.poll(a, { ack: n4 });
    assert.equal((await c.get(a)).cursor, n5);
    assert.deepEqual(ids((await c.poll(a)).events), [n6]);
    const watched = async (id) => {
      const { subscribers, completers, skippers } = await c.watch(id);
      return [subscribers, completers, skippers].map((list) => list.filter((one) => [a, b].includes(one)).join());
    };
    assert.deepEqual(await watched(n1), [`${a},${b}`, a, '']);
    assert.deepEqual(await watched(n2), [`${a},${b}`, '', a]);
    assert.deepEqual(await watched(n6), [`${a},${b}`, '', '']);
    await c.mark(a, n2);
    assert.deepEqual(await watched(n2), [`${a},${b}`, a, ''], 'the last outcome counts');
    for (const id of [n6, n1, n2, n3, n4, n5]) await c.mark(b, id, 'skipped');
    assert.deepEqual([(await c.get(b)).pending, await watched(n6)], [0, [`${a},${b}`, '', b]]);
  });

  test('a poll that waits: woken by an event that it wants, by no other; answered empty when its time is over', async (t) => {
    const c = consumers(), a = name();
    let ack;
    await c.register(a, { topics: ['orders'] });
    const began = performance.now();
    assert.deepEqual((await c.poll(a, { wait: 0.5 })).events, []);
    assert.ok(performance.now() - began >= 490);
    await assertSoon(2000, 'to be woken rather than to look', async (i) => {
      const waiting = c.poll(a, { wait: 20, ack });
      await shop.db.query(notes(5001 + 10 * i, 5003 + 10 * i));
      await settled(t);
      return duration(async () => {
        await shop.db.query(`INSERT INTO orders VALUES (${5001 + i}, 1)`);
        const { journal, events } = await waiting;
        assert.deepEqual(rows(events), [5001 + i]);
        ack = `${journal}:${events[0].id}`;
      });
    });
  });

  test('deleted, or replaced, while a poll waits', async () => {
    const c = consumers(), [a, b] = [name(), name()];
    for (const one of [a, b]) await c.register(one, { topics: ['orders'] });
    const [gone, changed] = [c.ask('POST', `/consumers/${a}/poll`, { wait: 1 }), c.poll(b, { wait: 10 })];
    await c.remove(a);
    await c.replace(b, { topics: ['notes'] });
    await shop.db.query(notes(5101, 5101));
    const answer = await gone;
    assert.deepEqual([answer.status, answer.json.type], [404, 'NotRegistered']);
    assert.deepEqual(rows((await changed).events), [5101]);
  });

  test('dropped after a long silence: 410 until it is registered anew', async (t) => {
    const c = consumers(), a = name();
    await c.register(a, { topics: ['notes'], from: 'start' });
    await shop.db.query(`UPDATE ${storeOf(database.name).table.consumer} SET dropped = ${database.name === 'postgres' ? 'true' : 1} WHERE name = '${a}'`);
    const service = await shop.join(t, 'operator', { query: { topics: 'nothing' } });
    service.say('ready', { consumer: a });
    await until(() => service.errors.length, () => `an error; ${service.state()}`);
    assert.deepEqual([service.errors[0].code, service.errors[0].type], [410, 'Gone']);
    for (const question of [['GET', `/consumers/${a}`], ['POST', `/consumers/${a}/poll`, { wait: 10 }], ['POST', `/consumers/${a}/mark`, { id: '1', outcome: 'completed' }]]) {
      const answer = await c.ask(...question);
      assert.deepEqual([answer.status, answer.json.code, answer.json.type], [410, 410, 'Gone'], question[1]);
    }
    assert.equal((await c.list()).find((one) => one.name === a).dropped, true);
    const anew = await c.register(a, { topics: ['notes'] });
    assert.deepEqual([anew.lag, anew.pending, 'dropped' in anew], [0, 0, false]);
    await shop.db.query(notes(5201, 5201));
    assert.deepEqual(rows((await c.poll(a, { wait: 10 })).events), [5201]);
  });

  test('bad questions: the codes of the contract, and nothing changes', async (t) => {
    const c = consumers(), a = name();
    await shop.db.query(notes(6001, 6001));
    await settled(t);
    const { cursor } = await c.register(a, { topics: ['orders'] });
    const newest = String(BigInt(cursor) + 1000n);
    const put = (body) => ['PUT', `/consumers/${a}x`, body], poll = (body) => ['POST', `/consumers/${a}/poll`, body], mark = (body) => ['POST', `/consumers/${a}/mark`, body];
    const bad = [
      [poll({ limit: 0 }), 400, 'limit'], [poll({ limit: 1_000_000 }), 400, 'limit'], [poll({ limit: 1.5 }), 400, 'limit'], [poll({ limit: '10' }), 400, 'limit'],
      [poll({ ack: newest }), 400, 'ack'], [poll({ ack: '9'.repeat(30) }), 400, 'ack'], [poll('{"ack":999999999999999999999999999999}'), 400, 'ack'],
      [poll({ ack: -1 }), 400, 'ack'], [poll({ ack: '-1' }), 400, 'ack'], [poll({ ack: 'x' }), 400, 'ack'], [poll({ ack: [1] }), 400, 'ack'], [poll({ ack: '' }), 400, 'ack'],
      [poll({ ack: `0123456789abcdef:${cursor}` }), 409, 'ack', 'OtherJournal'], [poll({ ack: `0123:${cursor}` }), 400, 'ack'], [poll({ wait: 31 }), 400, 'wait'], [poll({ wait: -1 }), 400, 'wait'], [poll({ wait: 'x' }), 400, 'wait'],
      [poll({ aks: cursor }), 400, 'body'], [poll('[]'), 400, 'body'], [poll('{'), 400, 'body'], [poll('null'), 400, 'body'], [poll('{"limit":1,"limit":2}'), 400, 'body'],
      [mark({ id: newest, outcome: 'completed' }), 404], [mark({ id: '0', outcome: 'completed' }), 404], [mark({ id: cursor, outcome: 'done' }), 400, 'outcome'],
      [mark({ id: '0123456789abcdef:1', outcome: 'completed' }), 409, 'id', 'OtherJournal'], [put({ from: '0123456789abcdef:1' }), 409, 'from', 'OtherJournal'],
      [mark({ id: cursor }), 400, 'outcome'], [mark({ outcome: 'skipped' }), 400, 'id'], [mark({ id: 'x', outcome: 'skipped' }), 400, 'id'],
      [put({ topics: ['(a+)+$'] }), 400, 'topics'], [put({ topics: ['('] }), 400, 'topics'], [put({ topics: 'orders' }), 400, 'topics'], [put({ topics: [1] }), 400, 'topics'],
      [put({ topics: Array(1000).fill('a') }), 400, 'topics'], [put({ types: ['x'.repeat(5000)] }), 400, 'types'], [put({ types: {} }), 400, 'types'],
      [put({ source_types: ['web'] }), 400, 'source_types'], [put({ topic: ['orders'] }), 400, 'body'], [put({ from: newest }), 400, 'from'], [put({ from: 'then' }), 400, 'from'],
      [put({ from: -1 }), 400, 'from'], [put('x'), 400, 'body'], [put(`{"topics":["${'x'.repeat(200_000)}"]}`), 413],
      [['PUT', '/consumers/LIVE', {}], 400, undefined, 'LiveNotAllowed'], [['POST', '/consumers/LIVE/poll', {}], 400, undefined, 'LiveNotAllowed'],
      [['PUT', `/consumers/${'x'.repeat(65)}`, {}], 400, 'name'], [['PUT', '/consumers/a%20b', {}], 400, 'name'], [['PUT', '/consumers/a%2Fb', {}], 404],
      [['PUT', '/consumers/a%2eb', {}], 400, 'name'], [['PUT', '/consumers/caf%c3%a9', {}], 400, 'name'], [['PUT', '/consumers/a%2525', {}], 400, 'name'],
      [['GET', '/consumers/'], 404], [['GET', '/consumers/a/b/c'], 404], [['GET', `/consumers/${a}/state`], 404],
      [['GET', `/events/${newest}/watch`], 404], [['GET', '/events/x/watch'], 404], [['GET', '/events/0/watch'], 404], [['GET', `/events/${'9'.repeat(30)}/watch`], 404],
    ];
    for (const [question, status, key, type] of bad) {
      const answer = await c.ask(...question).catch((error) => {
        throw new Error(question.join(' ').slice(0, 100), { cause: error });
      });
      const what = `${question.join(' ').slice(0, 100)}: ${answer.text}`;
      assert.equal(answer.status, status, what);
      assert.deepEqual([answer.json.code, answer.json.key, typeof answer.json.message], [status, key, 'string'], what);
      if (key || type) assert.equal(answer.json.type, type ?? 'ValidationError', what);
    }
    // Whoever misspelt something is told what, where, and what to do.
    const told = async (question) => (await c.ask(...question)).json.message;
    assert.equal(await told(poll({ aks: cursor })), '"aks" is not known here: the body takes ack, limit and wait.');
    assert.match(await told(put({ topic: ['orders'] })), /^"topic" .* topics, /);
    assert.match(await told(poll('{"limit":1,}')), /line 1, column 1[12]/);
    assert.match(await told(poll({ ack: `0123456789abcdef:${cursor}` })), /0123456789abcdef.*poll without ack/);
    assert.match(await told(put({ from: '0123456789abcdef:1' })), /"start"/);
    assert.match(await told(['POST', '/consumers/nobody/poll', {}]), /PUT \/consumers\/NAME/);
    for (const [method, path, allow] of [['PATCH', `/consumers/${a}`, 'GET, HEAD, PUT, DELETE, OPTIONS'], ['GET', `/consumers/${a}/poll`, 'POST, OPTIONS'], ['PUT', `/consumers/${a}/mark`, 'POST, OPTIONS'],
      ['POST', '/consumers', 'GET, HEAD, OPTIONS'], ['DELETE', '/events/1/watch', 'GET, HEAD, OPTIONS']]) {
      const answer = await c.ask(method, path, '{}');
      assert.deepEqual([answer.status, answer.headers.allow], [405, allow], `${method} ${path}`);
    }
    for (const [method, path, body] of [['GET', '/consumers'], ['PUT', `/consumers/${a}`, '{}'], ['POST', `/consumers/${a}/poll`, '{'], ['DELETE', '/consumers/LIVE'], ['GET', '/events/1/watch']]) {
      for (const token of [undefined, 'wrong', await shop.db.user(1)]) {
        const answer = await new Consumers(shop.relay, token ?? '').ask(method, path, body);
        assert.deepEqual([answer.status, answer.json], [401, { code: 401, message: 'Unauthorized' }], `${method} ${path}`);
      }
    }
    const preflight = await shop.relay.get(`/consumers/${a}`, { method: 'OPTIONS', headers: { origin: 'http://shop.test', 'access-control-request-method': 'PUT' } });
    assert.deepEqual([preflight.status, preflight.headers['access-control-allow-methods']], [204, 'GET, HEAD, PUT, DELETE, OPTIONS']);
    const state = await c.get(a);
    assert.deepEqual([state.topics, state.cursor, state.pending], [['orders'], cursor, 0]);
    const { journal } = await c.poll(a);
    assert.deepEqual(await c.poll(a, ''), { events: [], cursor, journal }, 'an empty body asks for what is usual');
  });

  test('push over a websocket: chunk by chunk, each acknowledged before the next, again after a reconnect', async (t) => {
    const c = consumers(), a = name();
    await c.register(a, { topics: ['notes'] });
    await shop.db.query(notes(7001, 7025));
    await settled(t);
    const service = await shop.join(t, 'operator', { query: { topics: 'nothing' } });
    const chunks = () => service.named('events').map(({ seq, events }) => [seq, rows(events)]);
    service.say('ready', { consumer: a, limit: 10 });
    await until(() => chunks().length === 1, () => `the first chunk; ${service.state()}`);
    await settled(t);
    assert.deepEqual(chunks(), [[0, range(7001, 7010)]], 'one in flight');
    service.say('ack', { seq: 1 });
    service.say('ack', { seq: 0 });
    service.say('ack', { seq: 0 });
    await until(() => chunks().length === 2, () => `the second chunk; ${service.state()}`);
    assert.deepEqual(service.errors.map(({ code }) => code), [400, 400]);
    assert.equal((await c.get(a)).pending, 15, 'the first chunk is acknowledged in the database');
    await service.close();
    const again = await shop.join(t, 'operator', { query: { topics: 'nothing' } });
    again.say('ready', { consumer: a });
    await until(() => again.named('events').length === 1, () => `what was not acknowledged; ${again.state()}`);
    assert.deepEqual(again.named('events').map(({ seq, events }) => [seq, rows(events)]), [[0, range(7011, 7025)]]);
    again.say('ready', { consumer: a, limit: 3 });
    await until(() => again.named('events').length === 2, () => `the first chunk of a second ready; ${again.state()}`);
    assert.deepEqual([again.named('events')[1].seq, rows(again.named('events')[1].events)], [0, range(7011, 7013)]);
    again.say('ack', { seq: 0 });
    for (let seq = 1; seq < 5; seq++) {
      await until(() => again.named('events').at(-1).seq === seq, () => `chunk ${seq}; ${again.state()}`);
      again.say('ack', { seq });
    }
    await until(async () => (await c.get(a)).pending === 0, 'all acknowledged');
    await shop.db.query(notes(7026, 7026));
    await until(() => rows(again.named('events').at(-1).events).includes(7026), () => `what comes later; ${again.state()}`);
  });

  test('push: not for users, not without a consumer; what is wrong is told and nothing else happens', async (t) => {
    const c = consumers(), a = name();
    await c.register(a);
    const [user, boss] = [await shop.join(t, 1), await shop.join(t, 'operator')];
    for (const [client, event, data, code, type] of [[user, 'ready', { consumer: a }, 403], [user, 'ack', { seq: 0 }, 403], [boss, 'ack', { seq: 0 }, 400], [boss, 'ready', {}, 400],
      [boss, 'ready', { consumer: 7 }, 400], [boss, 'ready', { consumer: 'a b' }, 400], [boss, 'ready', { consumer: 'LIVE' }, 400, 'LiveNotAllowed'],
      [boss, 'ready', { consumer: a, limit: 0 }, 400], [boss, 'ready', { consumer: a, limit: 1_000_000 }, 400], [boss, 'ready', { consumer: 'nobody' }, 404, 'NotRegistered'],
      [boss, 'ack', { seq: 'x' }, 400]]) {
      const before = client.errors.length;
      client.say(event, data);
      await until(() => client.errors.length > before, () => `an error for ${event} ${JSON.stringify(data)}; ${client.state()}`);
      assert.deepEqual([client.errors.at(-1).code, client.errors.at(-1).type], [code, type], JSON.stringify(data));
    }
    assert.ok(user.open && boss.open);
    assert.deepEqual(boss.named('events'), []);
  });

  test('push over Socket.IO, polling and upgraded, with a reconnect in the middle', async (t) => {
    for (const [i, mode] of ['polling', 'upgrade', 'websocket'].entries()) {
      const c = consumers(), a = name(), first = 8001 + 100 * i;
      await c.register(a, { topics: ['notes'] });
      await shop.db.query(notes(first, first + 29));
      await settled(t);
      const got = [];
      let client;
      const connect = async () => {
        client = await shop.relay.io(operator, { mode, more: { topics: ['nothing'] } });
        t.defer(() => client.close());
        client.socket.on('events', ({ seq, events }) => {
          got.push(...rows(events));
          client.say('ack', { seq });
        });
        client.say('ready', { consumer: a, limit: 7 });
      };
      await connect();
      await until(() => got.length >= 7, () => `the first chunk; ${client.state()}`);
      await client.close();
      await connect();
      await until(() => got.includes(first + 29), () => `the rest; ${client.state()}`);
      assert.deepEqual([...new Set(got)], range(first, first + 29), mode);
      await until(async () => (await c.get(a)).pending === 0, 'all acknowledged');
    }
  });
}

function apart(database) {
  test('two relays: polled through either, a waiting poll is woken by what the other sequences', async (t) => {
    const db = await database.database(t, schema);
    const relays = [await startRelay(t, db, rules), await startRelay(t, db, rules)];
    const [one, two] = relays.map((relay) => new Consumers(relay));
    await one.register('both');
    await db.query(notes(1, 60));
    const got = [];
    let ack;
    while (got.length < 60) {
      const { events } = await (got.length % 20 ? one : two).poll('both', { limit: 10, ack, wait: 5 });
      got.push(...events);
      ack = events.at(-1).id;
    }
    assert.deepEqual(rows(got), range(1, 60));
    await one.poll('both', { ack });
    assert.equal((await two.get('both')).pending, 0);
    const waiting = [one.poll('both', { wait: 20 }), two.poll('both', { wait: 20 })];
    await db.query(notes(61, 61));
    for (const poll of waiting) assert.deepEqual(rows((await poll).events), [61]);
  });

  test('kill -9 of relay, service and database at any moment: everything at least once, in order', async (t) => {
    const db = await database.database(t, schema);
    const relay = await startRelay(t, db, rules);
    const c = new Consumers(relay);
    await c.register('steady', { topics: ['notes'] });
    const total = 600, got = [];
    let over = false, last = 0, hole;
    // One statement a transaction; one whose outcome is not known is told by its key.
    const write = (i) => until(() => db.query(notes(i, i + 4)).then(() => true, (error) => {
      if (/duplicate|unique/i.test(error.message)) return true;
      throw error;
    }), `rows from ${i}`, 30_000);
    const writing = (async () => {
      for (let i = 1; i <= total; i += 5) {
        await write(i);
        await pause(3);
      }
    })();
    // A life of the service: what it was told it has done, what it would have acknowledged next is lost with it.
    const serve = async () => {
      let ack;
      for (let n = 0; !over && n < 8; n++) {
        const answer = await c.ask('POST', '/consumers/steady/poll', { ack, limit: 20, wait: 0.2 }).catch(() => undefined);
        if (answer?.status !== 200) {
          await pause(10);
          continue;
        }
        const told = rows(answer.json.events);
        if (told.length && told[0] > last + 1) hole ??= `${told[0]} came after ${last}`;
        if (told.some((id, i) => i && id !== told[i - 1] + 1)) hole ??= `${told}`;
        got.push(...told);
        last = Math.max(last, ...told);
        ack = answer.json.events.at(-1)?.id ?? ack;
        over = last === total;
      }
    };
    const serving = (async () => {
      while (!over) await serve();
    })();
    for (let kills = 0; kills < 4 && !over; kills++) {
      await pause(150);
      if (kills % 2 && database.name !== 'sqlite') {
        const back = await database.away(db, { hard: true });
        await back();
      } else {
        await relay.kill();
        await relay.start();
      }
    }
    await writing;
    await within(serving, () => `the last row; ${last} was told; ${relay.log.slice(-1000)}`, 30_000);
    assert.equal(hole, undefined, 'in order');
    assert.deepEqual([...new Set(got)].sort((x, y) => x - y), range(1, total));
  });

  // The poll reads the consumer, and waits for the table of marks; behind the lock another relay deletes and registers it.
  if (database.name === 'postgres')
    test('deleted and registered anew while a poll with an ack is under way: the new one does not move', async (t) => {
      const db = await database.database(t, schema);
      const relay = await startRelay(t, db, rules);
      const c = new Consumers(relay);
      const { cursor } = await c.register('mail', { topics: ['notes'] });
      await db.query(notes(1, 10));
      const { events } = await c.poll('mail', { wait: 10 });
      await until(async () => (await c.get('mail')).pending === 10, 'ten events');
      const other = await db.connect();
      await other.query('BEGIN; LOCK TABLE esink.mark IN ACCESS EXCLUSIVE MODE');
      const under = c.ask('POST', '/consumers/mail/poll', { ack: events[0].id, limit: 5 });
      await until(async () => (await other.query("SELECT FROM pg_locks WHERE NOT granted AND relation = 'esink.mark'::regclass")).rows.length, 'a poll that waits');
      const { rows: [old] } = await other.query("SELECT generation FROM esink.consumer WHERE name = 'mail'");
      await other.query(`SELECT esink.delete_consumer('mail'); SELECT esink.put_consumer('mail', '["notes"]', '[]', ${cursor}, 1, NULL, 1000); COMMIT`);
      assert.ok(BigInt(old.generation) > 1n);
      const answer = await under;
      assert.deepEqual([answer.status, answer.json.type], [404, 'NotRegistered']);
      assert.deepEqual(rows((await c.poll('mail')).events), range(1, 10));
    });

  if (database.name !== 'sqlite') {
    test('late commit: an event whose transaction began before and committed after the acknowledged one is still delivered', async (t) => {
      const db = await database.database(t, schema);
      const relay = await startRelay(t, db, rules);
      const c = new Consumers(relay);
      await c.register('late', { topics: ['notes'] });
      const late = await db.connect();
      await late.query(database.begin);
      await late.query(notes(1, 1));
      await db.query(notes(2, 2));
      const { events } = await c.poll('late', { wait: 10 });
      assert.deepEqual(rows(events), [2]);
      assert.deepEqual((await c.poll('late', { ack: events[0].id })).events, []);
      const waiting = c.poll('late', { wait: 10 });
      await late.query('COMMIT');
      assert.deepEqual(rows((await waiting).events), [1]);
    });

    test('the database goes away and comes back: 503 meanwhile, a poll that waits goes on waiting', async (t) => {
      const db = await database.database(t, schema);
      const relay = await startRelay(t, db, { ...rules, env: { ...rules.env, STATEMENT_TIMEOUT: '500ms' } });
      const c = new Consumers(relay);
      await c.register('patient', { topics: ['notes'] });
      const waiting = c.poll('patient', { wait: 30 }, { timeout: 40_000 });
      await until(async () => (await c.get('patient')).lag === 0, 'a poll that is parked');
      const back = await database.away(db);
      await until(async () => (await c.ask('POST', '/consumers/patient/poll', {}, { timeout: 30_000 })).status === 503, '503');
      await back();
      await relay.ready();
      await until(() => db.query(notes(1, 1)).then(() => true), 'a row');
      assert.deepEqual(rows((await waiting).events), [1]);
    });
  }

  test('polls that wait: forgotten when their clients go, answered when the process ends', async (t) => {
    const db = await database.database(t, schema);
    const relay = await startRelay(t, db, rules);
    const c = new Consumers(relay);
    const { cursor } = await c.register('idle', { topics: ['notes'] });
    const { journal } = await c.poll('idle');
    const before = fds(relay), body = JSON.stringify({ wait: 30 });
    const head = `POST /consumers/idle/poll HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${operator}\r\nContent-Length: ${body.length}\r\n\r\n`;
    const gone = Array.from({ length: 10 }, () => net.connect(relay.port, '127.0.0.1'));
    for (const socket of gone) socket.write(head + body);
    await until(() => fds(relay) >= before + 6, 'ten connections, less what was closing before');
    for (const [i, socket] of gone.entries()) socket[i % 2 ? 'destroy' : 'resetAndDestroy']();
    await until(() => fds(relay) <= before + 1, () => `${before} descriptors, there are ${fds(relay)}`);
    const waiting = [c.poll('idle', { wait: 30 }), c.poll('idle', { wait: 30 })];
    for (let i = 0; i < 20; i++) await c.get('idle'); // on each network thread behind theirs
    const began = performance.now();
    relay.process.kill('SIGTERM');
    for (const poll of waiting) assert.deepEqual(await poll, { events: [], cursor, journal });
    assert.ok(performance.now() - began < 2000);
  });
}

test('without a SECURITY_TOKEN there are no consumers: 403', async (t) => {
  const database = databaseOf('sqlite');
  const relay = await startRelay(t, await database.database(t, schema), { tables: 'notes' });
  for (const [method, path, body] of [['GET', '/consumers'], ['PUT', '/consumers/a', '{}'], ['POST', '/consumers/a/poll', '{}'], ['GET', '/events/1/watch']]) {
    const answer = await new Consumers(relay, 'x').ask(method, path, body);
    assert.deepEqual([answer.status, answer.json.code], [403, 403], path);
  }
});

test('push: acknowledgements are no flood, whatever MAX_MESSAGES_PER_SECOND; wrong ones are', async (t) => {
  const db = await databaseOf('sqlite').database(t, schema);
  const relay = await startRelay(t, db, { ...rules, env: { ...rules.env, MAX_MESSAGES_PER_SECOND: '3' } });
  const c = new Consumers(relay), service = await relay.operator({ query: { topics: 'nothing' } });
  await c.register('a', { topics: ['notes'] });
  await db.query(notes(1, 40));
  service.say('ready', { consumer: 'a', limit: 1 });
  for (let seq = 0; seq < 40; seq++) {
    await until(() => service.named('events').length > seq, () => `chunk ${seq}; ${service.state()}`);
    service.say('ack', { seq });
  }
  await until(async () => (await c.get('a')).pending === 0, 'all acknowledged');
  assert.deepEqual(service.errors, []);
  for (let i = 0; i < 10; i++) service.say('ack', { seq: 7 });
  await until(() => service.closed === 4429, () => `the end; ${service.state()}`);
});

test('MAX_CONSUMERS: one more is told 429, those that are there are not concerned', async (t) => {
  const database = databaseOf('sqlite');
  const relay = await startRelay(t, await database.database(t, schema), { ...rules, env: { ...rules.env, MAX_CONSUMERS: '2' } });
  const c = new Consumers(relay);
  for (const one of ['a', 'b']) await c.register(one);
  const answer = await c.ask('PUT', '/consumers/c', {});
  assert.deepEqual([answer.status, answer.json.code], [429, 429]);
  assert.match(answer.json.message, /There are 2 consumers already.*MAX_CONSUMERS/);
  await c.replace('a', { topics: ['notes'] });
  await c.remove('b');
  await c.register('c');
});

test('long answers that nobody reads: no others are made beyond a bound, and again once those have gone', { timeout: 180_000 }, async (t) => {
  const db = await databaseOf('sqlite').database(t, schema);
  const relay = await startRelay(t, db, { ...rules, env: { ...rules.env, NETWORK_THREADS: '1' } });
  const c = new Consumers(relay);
  await c.register('a', { topics: ['notes'] });
  await db.query('INSERT INTO notes (id, owner, body) VALUES (1, 1, hex(zeroblob(4500000)))');
  await until(async () => (await c.get('a')).pending === 1, 'a long event');
  const body = JSON.stringify({ limit: 1 });
  const sockets = Array.from({ length: 12 }, () => net.connect(relay.port, '127.0.0.1'));
  for (const socket of sockets) {
    t.defer(() => socket.destroy());
    socket.on('error', () => {});
    socket.pause();
    socket.write(`POST /consumers/a/poll HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${operator}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  }
  await until(async () => {
    const answer = await c.ask('POST', '/consumers/a/poll', { limit: 1 });
    return answer.status === 503 && /Too many answers/.test(answer.json.message);
  }, '503', 60_000); // with ThreadSanitizer an answer takes seconds
  // What is short is answered; the lane may have long ones to make before.
  await until(async () => (await c.ask('GET', '/consumers/a')).json?.pending === 1, 'a short answer');
  for (const socket of sockets) socket.destroy();
  await until(async () => (await c.ask('POST', '/consumers/a/poll', { limit: 1 })).status === 200, 'an answer again');
});

for (const name of (process.env.ESINK_TEST_DATABASES ?? 'sqlite,postgres,mysql').split(',')) {
  const database = databaseOf(name);
  describe(name, () => {
    after(() => database.stop());
    describe('one relay for all', () => shared(database, shareRelay(database, { schema, ...rules })));
    describe('apart', () => apart(database));
  });
}
