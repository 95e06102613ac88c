// Prevents: a message to one user that another one reads, a filtered value that is published all the same, and events made in
// SQL that are told though their transaction was rolled back.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.mjs';
import { operator, steps } from './suite.mjs';

const message = { data: { text: 'hello' }, type: 'greeting', table: 'mail', securityToken: operator };
const fields = ({ id, table, type, data, source, source_type: kind, version }) => ({ id, table, type, data, source, source_type: kind, version });

export function inShop(database, shop) {
  test('/publish to a user: on all of its sessions, which sentTo names, and to the operator', async (t) => {
    const [one, two, boss] = await shop.joinAll(t, 1, 2, 'operator');
    const second = await shop.join(t, 1, { via: 'sse' });
    const answer = await shop.relay.post('/publish', { ...message, userId: 1 });
    assert.equal(answer.status, 200, answer.text);
    const { id, sentTo, ...rest } = answer.json;
    assert.deepEqual(rest, { code: 200, message: 'Message queued for publishing' });
    for (const { welcome } of [one, second]) assert.ok(sentTo.includes(welcome.sessionId));
    assert.ok(!sentTo.includes(two.welcome.sessionId));
    await shop.relay.fence(one, second, two, boss);
    const expected = { id, table: 'mail', type: 'greeting', data: { text: 'hello' }, source: 'API', source_type: 'api', version: 1 };
    for (const client of [one, second, boss]) assert.deepEqual(client.events.map(fields), [expected]);
    assert.deepEqual(two.events, []);
  });

  test('/publish to "*": everyone but TEST; to a user called *, or who is not there: nobody else', async (t) => {
    const clients = await shop.joinAll(t, 1, 2);
    const tester = await shop.relay.ws('TEST');
    t.defer(() => tester.close());
    const answer = await shop.relay.post('/publish', { ...message, userId: '*' });
    const nobody = await shop.relay.post('/publish', { ...message, userId: '__proto__' });
    assert.deepEqual([nobody.status, nobody.json.sentTo], [200, []]);
    assert.ok(BigInt(nobody.json.id) > BigInt(answer.json.id));
    await shop.relay.fence(...clients);
    for (const client of clients) assert.deepEqual(client.events.map(({ id }) => id), [answer.json.id]);
    assert.ok(!answer.json.sentTo.includes(tester.welcome.sessionId));
    assert.ok(tester.events.every(({ table }) => table === 'esink_test'));
  });

  test('published rows and events stand in one journal: FILTERS apply, numbers keep their digits, names what they are given', async (t) => {
    const client = await shop.join(t, 1);
    shop.relay.secret('hunter2-published');
    await shop.db.query("INSERT INTO notes VALUES (401, 1, 'before')");
    const answer = await shop.relay.post('/publish', `{"securityToken":"${operator}","userId":1,"table":"users","type":"it's","source":"billing",
      "timestamp":1700000000123,"version":3,"data":{"password":"hunter2-published","n":12345678901234567890.10,"i":9007199254740993,"s":"a\\u00e4\\"\\\\"}}`);
    assert.equal(answer.status, 200, answer.text);
    await shop.db.query("INSERT INTO notes VALUES (402, 1, 'after')");
    await shop.relay.fence(client);
    const [first, event, last] = client.events;
    assert.deepEqual([event.type, event.source, event.timestamp, event.version], ["it's", 'billing', 1700000000123, 3]);
    assert.deepEqual(Object.keys(event.data), ['n', 'i', 's']);
    assert.equal(event.data.s, 'aä"\\');
    for (const digits of ['12345678901234567890.10', '9007199254740993']) assert.ok(client.texts[1].includes(digits), client.texts[1]);
    assert.deepEqual([first.id, event.id, last.id].map((id) => BigInt(id) - BigInt(first.id)), [0n, 1n, 2n]);
  });

  test('events from SQL: part of the transaction, filtered, for whom they name', async (t) => {
    const clients = await shop.joinAll(t, 1, 2, 'operator');
    shop.relay.secret('hunter2-emitted');
    const emit = (...event) => shop.db.query(...database.emit(...event));
    await emit('users', 'shipped', '{"id": 1, "password": "hunter2-emitted", "n": 1.50}', ['1']);
    await shop.db.query(database.begin);
    await emit('mail', 'never', '{}', ['1']);
    await shop.db.query('ROLLBACK');
    await emit('mail', 'two', '{}', [1, '2']);
    await emit('mail', 'all', '{}', true);
    await emit('mail', 'none', '{}', null);
    await assert.rejects(emit('mail', 'x', '[]', null));
    await assert.rejects(emit('', 'x', '{}', null));
    await shop.relay.fence(...clients);
    const shipped = ['users', 'shipped', { id: 1, n: 1.5 }];
    const [two, all, none] = ['two', 'all', 'none'].map((type) => ['mail', type, {}]);
    assert.deepEqual(clients.map(steps), [[shipped, two, all], [two, all], [shipped, two, all, none]]);
    assert.deepEqual([clients[2].events[0].source_type, clients[2].events[0].source], ['sql', database.source]);
  });
}
