// Prevents: an application that cannot write because somebody dropped schema esink, or a part of it, until an operator looks;
// and clients that go on as if nothing had been missed.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { leftovers, triggers } from './lib/catalogue.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();

async function watch(t) {
  const db = await postgres.database(t, 'CREATE TABLE notes (id serial PRIMARY KEY, user_id int DEFAULT 1)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' } });
  const ws = await relay.ws(token);
  await db.query('INSERT INTO notes DEFAULT VALUES');
  await relay.fence(ws);
  return { db, token, relay, ws };
}

const write = (db) => db.query('INSERT INTO notes DEFAULT VALUES RETURNING id').then(({ rows }) => rows[0].id);
const journal = (db) => db.query('SELECT journal FROM esink.meta').then(({ rows }) => rows[0].journal, () => undefined);

// The relay is live on another journal, and who resumes is told that something is missing.
async function recovered({ db, token, relay, ws }) {
  const before = ws.welcome.journal;
  await until(async () => ![before, undefined].includes(await journal(db)), () => `a new journal; ${relay.log}`);
  await relay.ready();
  const back = await relay.ws(token, { after: ws.position });
  assert.equal(back.welcome.recovered, false);
  assert.notEqual(back.welcome.journal, before);
  await until(async () => (await triggers(db)).notes?.length === 2, 'the triggers');
  const id = await write(db);
  await relay.fence(back);
  // What was written just before may be the new journal's first event, and be told after `connected` too.
  assert.equal(back.events.filter((event) => event.data.id === id).length, 1, back.state());
  assert.equal(new Set(back.events.map((event) => event.data.id)).size, back.events.length, back.state());
  // Who was connected all the while is told as well: closed, to come back and be told, or sent a new position.
  await until(() => !ws.open || ws.named('connected').length > 1 || ws.named('position').some((p) => p.journal !== before), () => `the client to be told; ${ws.state()}`);
}

test('DROP SCHEMA esink CASCADE under a running relay: no write fails, it is made anew by itself, clients are told', async (t) => {
  const all = await watch(t);
  const { db } = all;
  await db.query('DROP SCHEMA esink CASCADE');
  for (let n = 0; n < 20; n++) await write(db);
  await recovered(all);
});

for (const [what, name, fails] of [['TABLE', 'event_0', true], ['TABLE', 'meta', false], ['SEQUENCE', 'rotation', true], ['TABLE', 'tick_1', false]]) {
  test(`DROP ${what} esink.${name} CASCADE: the relay says what is gone, makes all of it anew, and writes succeed again`, async (t) => {
    const all = await watch(t);
    const { db, relay } = all;
    await db.query(`DROP ${what} esink.${name} CASCADE`);
    if (!fails) await write(db);
    await until(() => new RegExp(`esink\\.${name} is gone`).test(relay.log), () => `the log to name it; ${relay.log}`);
    await until(() => write(db).then(() => true, () => false), 'writes to succeed again');
    await recovered(all);
  });
}

test('DROP FUNCTION esink.drain: made again, the journal goes on', async (t) => {
  const { db, relay, ws } = await watch(t);
  await db.query('DROP FUNCTION esink.drain()');
  await write(db);
  await until(() => ws.events.length === 2, () => `the event; ${relay.log}`);
  assert.equal(await journal(db), ws.welcome.journal);
});

test('parts dropped while no relay runs: --uninstall mends the writes, and so does a start', async (t) => {
  const all = await watch(t);
  const { db, relay } = all;
  await relay.stop();
  await db.query('DROP TABLE esink.event_0, esink.event_1 CASCADE');
  await assert.rejects(write(db), /esink\.event_[01]/);
  const { code, log } = await runToEnd(t, { db, args: ['--uninstall'] });
  assert.equal(code, 0, log);
  assert.deepEqual(await leftovers(db), []);
  await write(db);
  await relay.start();
  await recovered(all);
  await relay.stop();
  await db.query('DROP TABLE esink.event_0, esink.event_1 CASCADE');
  await relay.start();
  await write(db);
});

test('a schema esink that is somebody else\'s is left alone', async (t) => {
  const db = await postgres.database(t, 'CREATE SCHEMA esink; CREATE TABLE esink.event_0 (n int)');
  const { code, log } = await runToEnd(t, { db, env: { TABLE_NAMES: 'fence' } });
  assert.equal(code, 3, log);
  assert.match(log, /not esink's/);
  // It was dropped, with all that was in it.
  const removal = await runToEnd(t, { db, args: ['--uninstall'] });
  assert.equal(removal.code, 3, removal.log);
  assert.match(removal.log, /not esink's: nothing was removed/);
  await db.query('SELECT n FROM esink.event_0');
});

test('what users made of the tables of esink, which would go with them, is listed', async (t) => {
  const { db, relay } = await watch(t);
  await relay.stop();
  await db.query('CREATE VIEW latest AS SELECT * FROM esink.event_0; CREATE TABLE kept (k text REFERENCES esink.consumer (name))');
  const { code, log, stdout } = await runToEnd(t, { db, args: ['--uninstall', '--check'] });
  assert.equal(code, 0, log);
  assert.match(stdout, /^ {2}view latest$/m);
  assert.match(stdout, /^ {2}constraint kept_k_fkey on table kept$/m);
  assert.doesNotMatch(stdout, /esink\.\w/, 'what is in the schema goes with it');
});
