// Prevents: sessions of a relay being told by the rules of another: because a relay that stood still while it made its triggers goes
// on making them after another has taken over, because one relay's end gave away what others with its rules still hold, or because
// a replaced trigger function is never looked at.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();

const waits = (relay) => until(async () => /other rules/.test((await relay.get('/ready')).json.message), () => `a relay to wait; its log:\n${relay.log}`);

test('a relay stands still in the middle of its triggers; another one with other rules takes over: none of the first come after it', { timeout: 120_000 }, async (t) => {
  const names = Array.from({ length: 150 }, (_, n) => `t${n}`);
  const db = await postgres.database(t, names.map((name) => `CREATE TABLE ${name} (id int, first int, second int, third int)`).join(';'));
  const options = (column) => ({ tables: names.join(), routing: Object.fromEntries(names.map((name) => [name, column])) });
  const tokens = [await db.user(1), await db.user(2)];
  await (await startRelay(t, db, options('third'))).stop(); // the triggers are there then, and functions are all that is made
  const first = await startRelay(t, db, { ...options('first'), ready: false });
  t.defer(() => first.process?.child.kill('SIGCONT'));
  const { child } = first.process;
  const stop = () => first.log.includes('trigger function of t') && child.kill('SIGSTOP');
  for (const pipe of [child.stdout, child.stderr]) pipe.on('data', stop);
  await until(() => first.log.includes('trigger function of t'), 'its first trigger');
  const made = (await db.query(`SELECT count(*)::int AS n FROM pg_proc WHERE proname LIKE 'capture\\_%' AND prosrc LIKE '%ARRAY[NEW."first"%'`)).rows[0].n;
  assert.ok(made > 0 && made < names.length, `it had made ${made}`);
  const second = await startRelay(t, db, options('second'));
  for (const pipe of [child.stdout, child.stderr]) pipe.off('data', stop);
  child.kill('SIGCONT');
  await waits(first);
  const clients = [await second.ws(tokens[0]), await second.ws(tokens[1])];
  for (const name of names) await db.query(`INSERT INTO ${name} VALUES (1, 1, 2, 3)`);
  await second.fence(...clients);
  assert.deepEqual(clients.map(({ events }) => events.length), [0, names.length]);
});

test('a trigger function is replaced by hand: made again', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int, first int, second int)');
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'first' } });
  const source = async () => (await db.query("SELECT pg_get_functiondef(p.oid) AS text FROM pg_proc p WHERE proname = 'capture_' || 'notes'::regclass::oid")).rows[0].text;
  const before = await source();
  await db.query(before.replaceAll('"first"', '"second"'));
  assert.notEqual(await source(), before);
  await until(async () => await source() === before, () => `the function to be as it was; the relay's log:\n${relay.log}`);
});

test('of two relays with the same rules one ends, or fails: one with others goes on waiting, until both have ended', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int, first int, second int)');
  const options = { tables: 'notes', routing: { notes: 'first' } };
  const pair = [await startRelay(t, db, options), await startRelay(t, db, options)];
  t.defer(() => pair[1].process?.child.kill('SIGCONT'));
  const other = await startRelay(t, db, { ...options, routing: { notes: 'second' }, ready: false });
  await waits(other);
  const { rows: [{ configuration }] } = await db.query('SELECT configuration FROM esink.relay');
  // As the one that waits asks, but in that very moment.
  const word = `'${configuration.replaceAll(/./g, '0')}'`;
  const { rows: [{ args }] } = await db.query("SELECT pronargs AS args FROM pg_proc WHERE pronamespace = 'esink'::regnamespace AND proname = 'claim'");
  const claim = async () => (await db.query(`SELECT esink.claim(${[word, word].slice(0, args)}) AS got`)).rows[0].got;
  pair[1].process.child.kill('SIGSTOP'); // it does not renew its claim meanwhile
  await pair[0].stop();
  assert.equal(await claim(), false, 'the claim of the one that is left is gone');
  pair[1].process.child.kill('SIGCONT');
  await pair[1].fence(await pair[1].ws(await db.user(1)));
  assert.equal((await other.get('/ready')).status, 503);
  // What a fetch meets now makes it begin anew, over and over.
  const { rows: [{ text }] } = await db.query("SELECT pg_get_functiondef('esink.drain()'::regprocedure) AS text");
  await db.query(text.replace('BEGIN\n', "BEGIN RAISE EXCEPTION 'no'; \n"));
  await until(async () => {
    assert.equal(await claim(), false, 'a failed fetch gave the claim away');
    return (await pair[1].get('/ready')).status === 503;
  }, 'a fetch to fail');
  await db.query(text);
  await pair[1].ready();
  assert.equal((await other.get('/ready')).status, 503);
  await pair[1].stop();
  await other.ready();
});
