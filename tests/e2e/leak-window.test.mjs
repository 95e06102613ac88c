// Prevents: a filtered column's content leaving under another column's name in the moment between a rename and the drift
// check that makes a new trigger function, or while no relay runs that could look.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { rawStream } from './lib/clients.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();
const operator = 'operators-own-token-4711';
const secret = 'hunter2-window';

const swap = (table, a = 'name', b = 'secret') =>
  `ALTER TABLE ${table} RENAME ${a} TO tmp; ALTER TABLE ${table} RENAME ${b} TO ${a}; ALTER TABLE ${table} RENAME tmp TO ${b};`;
// Every kind of write, by place and not by name: the secret goes where the secrets are, whatever that column is called now.
const writes = (table, { key = '', extra = '' } = {}) => `INSERT INTO ${table} VALUES (10, 1, 'n', '${secret}-10'${extra}), (11, 1, 'n', '${secret}-11'${extra});
  UPDATE ${table} SET owner = owner WHERE id IN (1, 10); UPDATE ${table} SET owner = 2 WHERE id IN (2, 11); ${key} DELETE FROM ${table} WHERE id = 1;`;

const columns = 'id int PRIMARY KEY, owner int, name text, secret text';
const schema = `CREATE TABLE swapped (${columns}); CREATE TABLE back (${columns}); CREATE TABLE lost (${columns});
  CREATE TABLE parent (${columns}); CREATE TABLE kid (PRIMARY KEY (id)) INHERITS (parent);
  CREATE TABLE parts (${columns.replace(' PRIMARY KEY', '')}) PARTITION BY LIST (id);
  CREATE TABLE part PARTITION OF parts FOR VALUES IN (1, 2, 3, 10, 11, 20); CREATE TABLE rest PARTITION OF parts DEFAULT;
  CREATE TABLE routed (${columns}); CREATE TABLE keyed (id int, owner int, name text, secret text, PRIMARY KEY (secret, id));
  CREATE TABLE many (${columns}); CREATE TABLE marker (id int PRIMARY KEY);`;
const tables = ['swapped', 'back', 'lost', 'parent', 'parts', 'routed', 'keyed', 'many'];
const filled = ['swapped', 'back', 'lost', 'kid', 'part', 'routed', 'keyed', 'many'];

async function begin(t, without = []) {
  const db = await postgres.database(t, schema);
  const watched = tables.filter((name) => !without.includes(name));
  const routing = Object.fromEntries(watched.map((name) => [name, name === 'routed' ? ['owner', 'secret'] : 'owner']));
  const relay = await startRelay(t, db, { tables: [...watched, 'marker'].join(','), routing, filters: watched.map((name) => `${name}.secret`).join(','),
    env: { OLD_ROWS: '*', SECURITY_TOKEN: operator } });
  relay.secret(secret);
  const tokens = [await db.user(1), await db.user(2)];
  const boss = await relay.operator();
  for (const name of filled.filter((table) => !without.includes(table))) {
    await db.query(`INSERT INTO ${name} VALUES (1, 1, 'n', '${secret}-1'), (2, 1, 'n', '${secret}-2'), (3, 1, 'n', '${secret}-3')`);
  }
  // Told by now: who comes from here on is told of nothing that the test has not done since.
  await relay.fence(boss);
  await boss.close();
  return { db, relay, tokens };
}

// One transaction a table, so that each is drained as it comes.
async function change(db, without = []) {
  const steps = {
    swapped: `${swap('swapped')} ${writes('swapped')}`,
    back: `${swap('back')} ${writes('back')} ${swap('back')}`,
    lost: `ALTER TABLE lost DROP COLUMN name; ALTER TABLE lost RENAME secret TO name; INSERT INTO lost VALUES (10, 1, '${secret}-10'); UPDATE lost SET owner = 2 WHERE id = 2; DELETE FROM lost WHERE id = 1;`,
    parent: `ALTER TABLE kid NO INHERIT parent; ${swap('kid')} ${writes('kid')}`,
    parts: `ALTER TABLE parts DETACH PARTITION part; ${swap('part')} ${writes('part')} TRUNCATE part;`,
    routed: `${swap('routed')} ${writes('routed')}`,
    keyed: `${swap('keyed')} ${writes('keyed', { key: `UPDATE keyed SET name = '${secret}-new' WHERE id = 10;` })} ${swap('keyed')}`,
    many: `${swap('many')} INSERT INTO many SELECT n, 1, 'n', '${secret}-' || n FROM generate_series(100, 2600) n; ${swap('many')}`,
  };
  for (const [name, sql] of Object.entries(steps)) if (!without.includes(name)) await db.query(`BEGIN; ${sql} COMMIT`);
}

// By every way: what was received live, and what a resumed session is told. The end of the test looks for the secret.
async function everything(t, relay, tokens, after, live) {
  const resumed = [];
  for (const token of tokens) resumed.push(await relay.ws(token, { after }), await relay.sse(token, { after }));
  resumed.push(await relay.operator({ after }));
  const stream = await rawStream(t, `${relay.origin}/stream`, { headers: { authorization: `Bearer ${tokens[0]}`, 'last-event-id': after } });
  await relay.fence(...live, ...resumed);
  await until(() => stream.text.includes(`{"n":${resumed[0].named('changes').at(-1).data.n}}`), 'the raw stream to be at the fence');
  stream.close();
  assert.ok(!stream.text.includes(secret), 'the raw stream holds the secret');
  for (const client of [...live, ...resumed]) client.checkSecrets([secret]);
  return resumed;
}

// Nothing is lost either: every write is told, with its key at least.
function told(boss, table, id) {
  const found = boss.events.filter((event) => event.table === table && event.data.id === id);
  assert.ok(found.length > 0, `no event of ${table} ${id}`);
  return found;
}

async function rightAgain(db, relay, tokens, table) {
  const ws = await relay.ws(tokens[0]);
  await until(async () => {
    await db.query(`DELETE FROM ${table} WHERE id = 20; INSERT INTO ${table} VALUES (20, 1, 'shown', '${secret}-20')`);
    await relay.fence(ws);
    return !ws.events.at(-1).incomplete;
  }, `complete events of ${table} again`);
  assert.deepEqual(ws.events.at(-1).data, { id: 20, owner: 1, name: 'shown' });
}

test('under the running relay: swaps, with and without the way back, children, partitions, keys, routing columns', async (t) => {
  const { db, relay, tokens } = await begin(t);
  const live = [await relay.ws(tokens[0]), await relay.sse(tokens[0]), await relay.ws(tokens[1]), await relay.operator()];
  const after = live[0].position;
  await change(db);
  const resumed = await everything(t, relay, tokens, after, live);
  const boss = resumed.at(-1);
  assert.deepEqual(boss.events, live[3].events, 'the same, whenever it is read');
  for (const table of ['swapped', 'back', 'routed', 'keyed']) for (const id of [10, 11, 2]) told(boss, table, id);
  assert.deepEqual(boss.events.filter((event) => event.table === 'many').map((event) => event.data.id), Array.from({ length: 2501 }, (_, n) => 100 + n), 'each once');
  assert.ok(boss.events.filter((event) => ['back', 'keyed', 'many'].includes(event.table)).every((event) => event.incomplete));
  await relay.notReady();
  await db.query("UPDATE swapped SET owner = owner; UPDATE lost SET owner = owner; UPDATE routed SET owner = owner; INSERT INTO kid VALUES (40, 1, 'n', 'n')");
  for (const table of ['back', 'keyed']) await rightAgain(db, relay, tokens, table);
  await db.query(`${swap('routed')} ${swap('swapped')} ALTER TABLE lost RENAME name TO secret; ALTER TABLE lost ADD COLUMN name text`);
  await db.query('UPDATE swapped SET owner = owner; UPDATE lost SET owner = owner; UPDATE routed SET owner = owner');
  await everything(t, relay, tokens, after, live);
});

for (const mode of ['stop', 'kill']) {
  test(`while no relay runs (${mode}): told after the start, the secret is not`, async (t) => {
    const without = ['lost']; // a FILTERS column that is missing refuses the start
    const { db, relay, tokens } = await begin(t, without);
    const first = await relay.ws(tokens[0]);
    const after = first.position;
    await relay[mode]();
    await change(db, without);
    await relay.start({ ready: false });
    const live = [await relay.ws(tokens[0]), await relay.operator()];
    await relay.notReady(); // swapped and routed still are
    const resumed = await everything(t, relay, tokens, after, live);
    for (const table of ['swapped', 'back', 'routed', 'keyed']) for (const id of [10, 11, 2]) told(resumed.at(-1), table, id);
    for (const table of ['back', 'keyed']) await rightAgain(db, relay, tokens, table);
    await db.query('UPDATE swapped SET owner = owner; UPDATE routed SET owner = owner');
    await everything(t, relay, tokens, after, live);
  });
}

test('a transaction that renamed, wrote and stayed open: it commits after other drift checks have run', async (t) => {
  const { db, relay, tokens } = await begin(t);
  const live = [await relay.ws(tokens[0]), await relay.sse(tokens[0]), await relay.operator()];
  const after = live[0].position;
  const late = [await db.connect(), await db.connect()];
  await late[0].query(`BEGIN; ${swap('swapped')} ${writes('swapped')}`);
  await late[1].query(`BEGIN; SAVEPOINT s; ${swap('back')} ${writes('back')} ${swap('back')} RELEASE s`);
  await db.query('ALTER TABLE marker ADD COLUMN more text');
  await until(async () => {
    await db.query('INSERT INTO marker SELECT count(*) FROM marker');
    await relay.fence(live[2]);
    return live[2].events.filter((event) => event.table === 'marker').at(-1)?.data.more === null;
  }, 'a drift check');
  for (const client of late) await client.query('COMMIT');
  const resumed = await everything(t, relay, tokens, after, live);
  for (const table of ['swapped', 'back']) for (const id of [10, 11, 2]) told(resumed.at(-1), table, id);
  await rightAgain(db, relay, tokens, 'back');
});

test('written while the new function is being made: 150 swaps back and forth under load', async (t) => {
  const { db, relay, tokens } = await begin(t);
  const live = [await relay.ws(tokens[0]), await relay.sse(tokens[0])];
  const after = live[0].position;
  const [mover, writer] = [await db.connect(), await db.connect()];
  let stop = false;
  let written = 0;
  const writing = (async () => {
    while (!stop) await writer.query(`INSERT INTO many VALUES (${10_000 + written++}, 1, 'n', '${secret}')`);
  })();
  for (let n = 0; n < 150; n++) await mover.query(`BEGIN; ${swap('many')} ${n % 3 ? '' : swap('many')} COMMIT`);
  stop = true;
  await writing;
  const resumed = await everything(t, relay, tokens, after, live);
  assert.equal(resumed.at(-1).events.filter((event) => event.table === 'many').length, written);
});

test('a publication FOR ALL TABLES, which wants a key where anything is updated, stops neither that nor a new journal', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE people (${columns}); CREATE PUBLICATION everything FOR ALL TABLES`);
  const relay = await startRelay(t, db, { tables: 'people', filters: 'people.secret', env: { SECURITY_TOKEN: operator } });
  const boss = await relay.operator();
  await db.query(`BEGIN; ${swap('people')} INSERT INTO people VALUES (1, 1, 'n', '${secret}-1'); ${swap('people')} COMMIT`);
  await relay.fence(boss);
  assert.deepEqual(boss.events.filter(({ table }) => table === 'people').map(({ data, incomplete }) => [data, incomplete]), [[{ id: 1 }, true]]);
  await relay.stop();
  await db.query("INSERT INTO people VALUES (2, 1, 'n', 'n'); UPDATE esink.meta SET timeline = 0");
  await relay.start();
  await relay.fence(await relay.operator());
});
