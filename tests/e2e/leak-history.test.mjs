// Prevents: a journal that tells tomorrow what the rules of tomorrow forbid: a column that FILTERS names by then, rows of a
// table that is not watched any more or has no rule, rows that went to everyone before the rule named a column.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { rawStream } from './lib/clients.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();
const operator = 'operators-own-token-4711';
const brief = (client) => client.events.map(({ table, type, data, old }) => [table, type, data, ...(old ? [old] : [])]);

// Every way to read the journal: what each receives, and nothing of it is a secret (the relay's end looks).
async function readBack(t, relay, token, after) {
  const ws = await relay.ws(token, { after });
  const sse = await relay.sse(token, { after });
  const late = await relay.ws(token, { via: 'message', after });
  const stream = await rawStream(t, `${relay.origin}/stream`, { headers: { authorization: `Bearer ${token}`, 'last-event-id': after } });
  await relay.fence(ws, sse, late);
  const { n } = ws.named('changes').at(-1).data;
  await until(() => stream.text.includes(`{"n":${n}}`), 'the raw stream to be at the fence');
  for (const client of [ws, sse, late]) {
    assert.equal(client.welcome.recovered, true);
    assert.deepEqual(client.events, ws.events);
  }
  stream.close();
  for (const secret of relay.secrets) assert.ok(!stream.text.includes(secret) || secret === token, stream.text);
  return ws;
}

test('FILTERS grew: the journal no longer tells what they name, in data, old, keys and published events', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE users (id int, ssn text, name text, secret text, doc jsonb, owner int, PRIMARY KEY (id, ssn));
    CREATE TABLE "Odd.Name" (id int PRIMARY KEY, "Secret" text, owner int); CREATE SCHEMA shop;
    CREATE TABLE shop.users (id int PRIMARY KEY, secret text, owner int)`);
  const rules = { tables: 'users,"Odd.Name",shop.users', routing: { users: 'owner', '"Odd.Name"': 'owner', 'shop.users': 'owner' } };
  const relay = await startRelay(t, db, { ...rules, env: { SECURITY_TOKEN: operator, OLD_ROWS: '*' } });
  const [anna, ben] = [await db.user(1), await db.user(2)];
  const first = await relay.ws(anna);
  const after = first.position;
  await first.close();
  relay.clients.length = 0; // it may see the secret: the rules did not name it yet
  const secret = relay.secret('hunter2-history');
  await db.query(`INSERT INTO users VALUES (1, '${secret}-ssn', 'a","secret":"b\\"', '${secret}', '{"secret": "inner", "x": ["]}", "\\""]}', 1)`);
  await db.query(`UPDATE users SET name = 'Ann'`);
  await db.query(`UPDATE users SET owner = 2, secret = '${secret}-2'`);
  await db.query(`INSERT INTO "Odd.Name" VALUES (1, '${secret}', 1); INSERT INTO shop.users VALUES (1, 'shown', 1)`);
  await relay.post('/publish', { securityToken: operator, userId: 1, table: 'users', type: 'x', data: { n: 1, secret } });
  await relay.stop();
  await db.query(`INSERT INTO users VALUES (2, '${secret}-ssn', 'undrained', '${secret}', NULL, 1)`); // by the old trigger
  await relay.start({ filters: 'users.secret,users.ssn,"Odd.Name".secret' });
  const doc = { secret: 'inner', x: [']}', '"'] };
  const row = { id: 1, name: 'a","secret":"b\\"', doc, owner: 1 };
  const ws = await readBack(t, relay, anna, after);
  assert.deepEqual(brief(ws), [
    ['users', 'insert', row], ['users', 'update', { ...row, name: 'Ann' }, row], ['users', 'delete', { id: 1 }],
    ['Odd.Name', 'insert', { id: 1, owner: 1 }], ['shop.users', 'insert', { id: 1, secret: 'shown', owner: 1 }], ['users', 'x', { n: 1 }],
    ['users', 'insert', { id: 2, name: 'undrained', doc: null, owner: 1 }],
  ]);
  const other = await readBack(t, relay, ben, after);
  assert.deepEqual(brief(other), [['users', 'update', { ...row, name: 'Ann', owner: 2 }]]);
  const boss = await relay.operator({ after });
  await relay.fence(boss);
  assert.equal(boss.events.length, 7);
  await relay.stop();
  await relay.start({ filters: 'users.secret,users.ssn,"Odd.Name".secret', env: { SECURITY_TOKEN: operator, COLUMNS: 'users.name,users.owner' } });
  const fewer = await readBack(t, relay, anna, after);
  assert.deepEqual(brief(fewer)[0], ['users', 'insert', { name: row.name, owner: 1 }]);
  assert.deepEqual(brief(fewer)[2], ['users', 'delete', {}], 'the key is withheld by COLUMNS');
});

test('a table that is unwatched, has lost its rule, or is not for everyone any more: its rows of before are told to no user', async (t) => {
  const db = await postgres.database(t, ['gone', 'ruleless', 'news', 'stays'].map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY, owner int, body text);`).join(''));
  const relay = await startRelay(t, db, { tables: 'gone,ruleless,news,stays', env: { SECURITY_TOKEN: operator },
    routing: { gone: 'owner', ruleless: 'owner', news: '*', stays: 'owner' } });
  const token = await db.user(1);
  const first = await relay.ws(token);
  const after = first.position;
  await first.close();
  relay.clients.length = 0;
  const secret = 'not-for-you-any-more';
  await db.query(`INSERT INTO gone VALUES (1, 1, '${secret}'); INSERT INTO ruleless VALUES (2, 1, '${secret}'); INSERT INTO news VALUES (3, 1, '${secret}')`);
  await db.query(`INSERT INTO stays VALUES (4, 1, 'stays'); UPDATE gone SET owner = 2; TRUNCATE news`);
  await relay.stop();
  await db.query(`INSERT INTO gone VALUES (5, 1, '${secret}'); INSERT INTO news VALUES (6, 1, '${secret}'); INSERT INTO stays VALUES (7, 1, 'stays')`);
  await relay.start({ tables: 'ruleless,news,stays', routing: { gone: 'owner', news: 'owner', stays: 'owner' } });
  const boss = await relay.operator({ after });
  await relay.fence(boss);
  assert.equal(boss.events.length, 9, 'the operator sees all');
  await boss.close();
  relay.clients.length = 0;
  relay.secret(secret);
  const ws = await readBack(t, relay, token, after);
  assert.deepEqual(ws.events.map(({ table, data }) => [table, data.id]), [['stays', 4], ['stays', 7]]);
  await db.query(`INSERT INTO news VALUES (8, 1, 'mine'), (9, 2, '${secret}')`);
  await relay.fence(ws);
  assert.deepEqual(ws.events.slice(2).map(({ table, data }) => [table, data.id]), [['news', 8]]);
});

test('what was routed by one column is not told by another: the audience of its day counts', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, author int, reader int)');
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'author' } });
  const [anna, ben] = [await db.user(1), await db.user(2)];
  const after = (await relay.ws(anna)).position;
  await db.query('INSERT INTO notes VALUES (1, 1, 2)');
  await relay.stop();
  await relay.start({ routing: { notes: 'reader' } });
  const clients = [await relay.ws(anna, { after }), await relay.ws(ben, { after })];
  await db.query('INSERT INTO notes VALUES (2, 1, 2)');
  await relay.fence(...clients);
  assert.deepEqual(clients.map((client) => client.events.map(({ data }) => data.id)), [[1], [2]]);
});
