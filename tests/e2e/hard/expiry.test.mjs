// Prevents: a session that outlives its JSON Web Token, or loses it in a renewal that came in time.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { test, usePostgres } from '../lib/harness.mjs';
import { jwt, soon } from '../lib/jwt.mjs';
import { startRelay } from '../lib/relay.mjs';
import { assertSoon, patience, until } from '../lib/wait.mjs';

const postgres = usePostgres();
const secret = 'a secret of thirty-two bytes or more';
const token = (sub, exp) => jwt({ sub, exp }, secret);

async function setUp(t) {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id text)');
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' }, env: { JWT_SECRET: secret } });
  relay.secret(secret);
  return { db, relay };
}

async function endsAtExp(t) {
  const { db, relay } = await setUp(t);
  const exp = soon(6);
  const clients = [await relay.ws(token('anna', exp)), await relay.ws(token('anna', exp), { via: 'message' }), await relay.sse(token('anna', exp))];
  await db.query("INSERT INTO notes VALUES (1, 'anna')");
  for (const client of clients) await client.count(1);
  const ends = clients.map(async (client) => {
    await until(() => client.errors.length > 0, () => `the end at exp: ${client.state()}`);
    return Date.now() - exp * 1000;
  });
  const late = await Promise.all(ends);
  assert.ok(Math.min(...late) >= 0, `${late} ms after exp`);
  for (const client of clients) assert.deepEqual([client.errors[0].code, client.errors[0].message], [401, 'The token has expired.']);
  for (const client of clients.slice(0, 2)) assert.equal(await client.closing(), 4401);
  assert.equal(relay.log.split('ended: expired').length - 1, 3);
  return Math.max(...late);
}

test('a session ends at its exp, within a second, on every transport, and is told why', async (t) => {
  await assertSoon(1000 * patience, 'the end', () => endsAtExp(t));
  const { relay } = await setUp(t);
  // A token that is within its leeway opens a session that ends with it: 30 s after exp, not later.
  await assertSoon(1000 * patience, 'the end of the leeway', async () => {
    const leeway = soon(-27);
    const brief = await relay.ws(token('anna', leeway));
    assert.equal(await brief.closing(), 4401);
    const late = Date.now() - (leeway + 30) * 1000;
    assert.ok(late >= 0, `${late} ms after the leeway`);
    return late;
  });
});

async function renewed(t) {
  const { db, relay } = await setUp(t);
  const ofTable = await db.user(7);
  const exp = soon(6);
  const ws = await relay.ws(token('7', exp));
  const byTable = await relay.ws(token('7', exp));
  const fromTable = await relay.ws(ofTable);
  const shortened = await relay.ws(token('7', soon(600)));
  ws.say('auth', { token: token('7', exp + 3) });
  byTable.say('auth', { token: ofTable });
  fromTable.say('auth', { token: token('7', exp) });
  shortened.say('auth', { token: token('7', exp) });
  let late;
  for (const client of [fromTable, shortened]) {
    assert.equal(await client.closing(), 4401);
    late = Date.now() - exp * 1000;
    assert.ok(late >= 0, `${late} ms after the exp that was renewed to`);
  }
  await db.query("INSERT INTO notes VALUES (1, '7')");
  await relay.fence(ws, byTable);
  for (const client of [ws, byTable]) assert.deepEqual([client.events.length, client.errors, client.named('connected').length], [1, [], 1]);
  assert.equal(await ws.closing(), 4401);
  assert.ok(Date.now() - (exp + 3) * 1000 >= 0, 'not before the new exp');
  await db.query('DELETE FROM auth');
  relay.secrets.add(ofTable);
  assert.ok(byTable.open);
  return late;
}

test('renewal: the same session goes on to the new exp, also by a token of another kind for the same user', (t) =>
  assertSoon(1500 * patience, 'the end that it was renewed to', () => renewed(t)));

test('renewals that race with exp: a session was renewed or was ended, never both', async (t) => {
  const { db, relay } = await setUp(t);
  const exp = soon(6);
  const racers = await Promise.all(Array.from({ length: 40 }, () => relay.ws(token('anna', exp))));
  const renewal = token('anna', soon(600));
  relay.secret(renewal);
  await Promise.all(racers.map(async (ws, i) => {
    await pause(Math.max(0, exp * 1000 - Date.now() - 100 + i * 10));
    if (ws.open) ws.say('auth', { token: renewal });
  }));
  await until(() => Date.now() > exp * 1000 + 1000 * patience, 'a second after exp');
  const kept = racers.filter((ws) => ws.open);
  await db.query("INSERT INTO notes VALUES (1, 'anna')");
  await relay.fence(...kept);
  for (const ws of kept) assert.deepEqual([ws.events.length, ws.errors], [1, []]);
  for (const ws of racers.filter((one) => !kept.includes(one))) assert.deepEqual([ws.closed, ws.errors[0].code, ws.events.length], [4401, 401, 0]);
  assert.ok(kept.length > 0, 'those who renewed before exp were kept');
});
