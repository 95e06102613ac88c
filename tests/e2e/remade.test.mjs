// Prevents: a client that is told `recovered: true`, or is left connected, over changes that nobody captured: a watched table was made
// anew under its name (as migration tools do: another one, copied, the old one dropped, renamed) and written to before a relay had made
// its triggers again, while none ran or in the second between two looks of one. And the reverse, clients that fetch their state anew
// for nothing, at a plain restart or because one more table is watched.
import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { databaseOf } from './lib/databases.mjs';
import { test } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const schema = 'CREATE TABLE notes (id int PRIMARY KEY, owner int, body text)';
const remake = (write) => `CREATE TABLE remade (id int PRIMARY KEY, owner int, body text); INSERT INTO remade SELECT * FROM notes; DROP TABLE notes;
  ALTER TABLE remade RENAME TO notes; ${write}`;
const rules = { tables: 'notes', routing: { notes: 'owner' } };
const warned = /notes: without a trigger of esink until now.*what was written since is not captured/g;
const ids = (client) => client.events.map(({ data }) => data.id);

// An event of its own behind the hole, and somebody who resumes from there: told so, once.
async function goesOn(relay, db, token, id) {
  const client = await relay.ws(token);
  await db.query(`INSERT INTO notes VALUES (${id}, 1, 'told'), (${id + 1}, 1, 'told')`);
  await relay.fence(client);
  assert.deepEqual(ids(client), [id, id + 1]);
  const { position } = client;
  await client.close();
  await db.query(`INSERT INTO notes VALUES (${id + 2}, 1, 'told')`);
  const resumed = await relay.ws(token, { after: position });
  assert.equal(resumed.welcome.recovered, true, resumed.state());
  await relay.fence(resumed);
  assert.deepEqual(ids(resumed), [id + 2]);
  await resumed.close();
  return position;
}

// As an application does it: auth is asked for at every connection.
function resuming(relay, token, mode) {
  let position;
  const client = relay.openIo(token, { mode, reconnection: true, auth: (give) => give({ token, after: position }) });
  relay.secret(token);
  client.socket.on('connected', ({ journal, id, recovered }) => { position = recovered ? position : `${journal}:${id}`; });
  return client;
}

for (const name of ['sqlite', 'postgres', 'mysql']) {
  const database = databaseOf(name);
  describe(name, () => {
    after(() => database.stop());

    test('a watched table is made anew while no relay runs: whoever resumes from before is not told that all is there', async (t) => {
      const db = await database.database(t, schema);
      const token = await db.user(1);
      const relay = await startRelay(t, db, rules);
      const first = await relay.ws(token);
      await db.query("INSERT INTO notes VALUES (1, 1, 'told')");
      await relay.fence(first);
      const { position } = first;
      await relay.stop();
      await db.query(remake("INSERT INTO notes VALUES (2, 1, 'by nobody')"));
      await relay.start();
      for (const client of [await relay.ws(token, { after: position }), await relay.sse(token, { after: position }), await relay.io(token, { after: position }),
        await relay.ws(token, { after: position.split(':')[1] })]) {
        assert.equal(client.welcome.recovered, false, `${client.state()}\n${relay.log}`);
        await client.close();
      }
      assert.equal(relay.log.match(warned)?.length, 1, relay.log);
      await goesOn(relay, db, token, 10);
    });

    test('a watched table is made anew while a relay runs: who is connected is sent away to fetch, again each time', async (t) => {
      const db = await database.database(t, schema);
      const token = await db.user(1);
      const relay = await startRelay(t, db, rules);
      const sse = await relay.sse(token), polling = resuming(relay, token, 'polling'), io = resuming(relay, token, 'upgrade');
      await polling.connected();
      await io.connected();
      for (let n = 1; n <= 3; n++) { // nothing is told between the first two
        const ws = await relay.ws(token);
        await db.query(remake(`INSERT INTO notes VALUES (${n}, 1, 'by nobody')`));
        assert.equal(await ws.closing(), 1012, `${ws.state()}\n${relay.log}`);
        assert.equal(ws.reason, 'journal');
        for (const client of [sse, polling, io]) {
          await until(() => client.named('connected').length > n, () => `${n} reconnects; ${client.state()}\n${relay.log}`);
          assert.equal(client.named('connected')[n].recovered, false, client.state());
        }
        const back = await relay.ws(token, { after: ws.position });
        assert.equal(back.welcome.recovered, false, back.state());
        await back.close();
        assert.equal(relay.log.match(warned)?.length, n, relay.log);
        if (n === 2) await goesOn(relay, db, token, 10);
      }
      const position = await goesOn(relay, db, token, 20);
      // What the journal has is told, the hole or not.
      assert.deepEqual((await relay.ws(token, { after: position })).welcome.recovered, true);
    });

    test('a relay that was stopped or killed, one more table, one less: everything is there, and said so', async (t) => {
      const db = await database.database(t, schema);
      const token = await db.user(1);
      const relay = await startRelay(t, db, rules);
      let client = await relay.ws(token), n = 0;
      const change = { stop: {}, kill: {}, more: { tables: 'notes,more' }, less: {} };
      for (const [what, rest] of Object.entries(change)) {
        await relay.fence(client);
        const { position } = client;
        await client.close();
        await relay[what === 'kill' ? 'kill' : 'stop']();
        if (what === 'more') await db.query('CREATE TABLE more (id int PRIMARY KEY, owner int); INSERT INTO more VALUES (1, 1)');
        await db.query(`INSERT INTO notes VALUES (${++n}, 1, 'told')`);
        await relay.start({ tables: 'notes', ...rest });
        client = await relay.ws(token, { after: position });
        assert.equal(client.welcome.recovered, true, `${what}: ${client.state()}`);
        await relay.fence(client);
        assert.deepEqual(ids(client), [n], what);
      }
      assert.doesNotMatch(relay.log, /without a trigger/);
    });
  });
}
