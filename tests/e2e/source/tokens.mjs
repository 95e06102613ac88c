// Prevents: a stranger who is let in by a token that is only similar, shared by two rows, or nobody's; a user whose id has
// another type than the application expects; a token that goes on working after it was taken away.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';

async function refused(relay, token) {
  for (const via of ['query', 'message']) {
    const client = relay.openWs(token, { via });
    relay.secrets.delete(token); // some are words that a log may hold
    await client.closing();
    assert.equal(client.welcome, undefined, `let in: ${client.state()}`);
    assert.deepEqual([client.closed, client.errors.length, client.errors[0]?.code, client.errors[0]?.message], [4401, 1, 401, 'Unauthorized'], client.state());
  }
  const stream = await relay.get(`/stream?token=${encodeURIComponent(token)}`);
  assert.deepEqual([stream.status, stream.json.code, stream.json.message], [401, 401, 'Unauthorized'], JSON.stringify(token));
}

export function inShop(database, shop) {
  test('a good token is let in, one that is wrong, only similar, or SQL, is not', async (t) => {
    const token = await shop.db.user(601);
    const { welcome, ...client } = await shop.relay.ws(token);
    assert.deepEqual([welcome.userId, welcome.code, welcome.message], [601, 200, 'Successfully connected.'], client);
    const wrong = ['nobody-has-this', '', `${token} `, ` ${token}`, token.toUpperCase(), token.slice(0, -1), '%', "' OR '1'='1", 'ü', '_'.repeat(token.length),
      'null', 'x'.repeat(2000)];
    for (const one of wrong) await refused(shop.relay, one);
    const nul = shop.relay.openWs(`${token}\u0000`, { via: 'message' });
    await nul.closing();
    assert.equal(nul.welcome, undefined);
  });

  test('a token of two rows, of the same user even, or of no user, lets nobody in', async () => {
    await shop.db.query(`INSERT INTO auth (id, token) VALUES (1, 'twice-for-two'), (2, 'twice-for-two'), (3, 'twice-for-one'), (3, 'twice-for-one'),
      (NULL, 'nobodys-token'), (4, NULL)`);
    for (const token of ['twice-for-two', 'twice-for-one', 'nobodys-token']) await refused(shop.relay, token);
  });
}

export function apart(database) {
  // Type, literal, userId, and another user whose rows it must not see although a number or a collation says equal.
  for (const [type, literal, shown] of [['smallint', '-5', -5], ['int', '7', 7], ['bigint', '9007199254740993', '9007199254740993'],
    ['text', "'7'", '7'], ['text', "'o''Brien ä😀'", "o'Brien ä😀"]]) {
    test(`userId: ${type} ${literal} is ${JSON.stringify(shown)}, and its rows find it`, async (t) => {
      const db = await database.database(t, `CREATE TABLE people ("User" ${type}, "Key" text); CREATE TABLE things (n int PRIMARY KEY, owner ${type});
        INSERT INTO people VALUES (${literal}, 'token-of-the-user')`);
      const relay = await startRelay(t, db, { tables: 'things', routing: { things: 'owner' }, env: { AUTH_TABLE: 'people', AUTH_COLUMN: 'Key', AUTH_USER_COLUMN: 'User' } });
      const client = await relay.ws('token-of-the-user');
      assert.strictEqual(client.welcome.userId, shown);
      await db.query(`INSERT INTO things VALUES (1, ${literal}), (2, NULL)`);
      await relay.fence(client);
      assert.deepEqual(client.events.map(({ data }) => data.n), [1]);
    });
  }

  test('LOG_LEVEL=debug says why a token is refused, and never the token', async (t) => {
    const db = await database.database(t, 'CREATE TABLE people (num int, word text)');
    const relay = await startRelay(t, db, { env: { LOG_LEVEL: 'debug', AUTH_TABLE: 'people', AUTH_COLUMN: 'word', AUTH_USER_COLUMN: 'num' } });
    await db.query("INSERT INTO people VALUES (1, 'token-of-two-rows'), (1, 'token-of-two-rows'), (NULL, 'token-of-no-user')");
    for (const [token, why] of [['token-of-no-row', 'no row of "people" has it in "word", byte for byte'], ['token-of-no-user', 'its row of "people" has no user in "num"'],
      ['token-of-two-rows', 'more than one row of "people" has it in "word", and exactly one must']]) {
      relay.secret(token);
      assert.equal((await relay.get(`/stream?token=${token}`)).status, 401);
      await until(() => relay.log.includes(` debug source: a token is refused: AUTH_TABLE: ${why}\n`), () => `${why}: ${relay.log}`);
    }
  });

  test('AUTH_RECHECK: a token that is gone, or another user\'s by now, ends its sessions', async (t) => {
    const db = await database.database(t);
    const [gone, given, kept] = [await db.user(1), await db.user(2), await db.user(3)];
    const relay = await startRelay(t, db, { env: { AUTH_RECHECK: '1s' } });
    const [ws, sse, other, stays] = [await relay.ws(gone), await relay.sse(gone), await relay.ws(given), await relay.ws(kept)];
    await db.query('DELETE FROM auth WHERE id = 1; UPDATE auth SET id = 9 WHERE id = 2');
    assert.equal(await ws.closing(), 4401);
    assert.equal(await other.closing(), 4401);
    await until(() => !sse.open && sse.closed === 401, () => `the stream to end with 401: ${sse.state()}`);
    await relay.fence(stays);
  });
}
