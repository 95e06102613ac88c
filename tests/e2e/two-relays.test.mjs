// Prevents: a relay that is started beside another with fewer FILTERS, as in a rolling deploy, replacing the triggers under
// it, so that the first one's sessions are told what its own configuration withholds.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();

test('one with other rules waits, says so, and takes over when the first has ended; nothing withheld leaks', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE users (id int PRIMARY KEY, name text, password text)');
  const token = await db.user(1);
  const options = { tables: 'users', routing: { users: 'id' } };
  const first = await startRelay(t, db, { ...options, filters: 'users.password' });
  const ws = await first.ws(token);
  const second = await startRelay(t, db, { ...options, ready: false });
  await until(async () => /other rules/.test((await second.get('/ready')).json.message), 'the second to say why it waits');
  await db.query("INSERT INTO users VALUES (1, 'Anna', 'withheld-by-the-first')");
  await first.fence(ws);
  assert.deepEqual(ws.events.map(({ data }) => data), [{ id: 1, name: 'Anna' }]);
  assert.equal((await first.get('/ready')).status, 200);
  assert.equal((await second.get('/ready')).status, 503);
  await first.stop();
  await second.ready();
});

test('two with the same rules both deliver, every event with one id', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE orders (id serial PRIMARY KEY, customer int)');
  const token = await db.user(1);
  const options = { tables: 'orders', routing: { orders: 'customer' } };
  const relays = [await startRelay(t, db, options), await startRelay(t, db, options)];
  const clients = [await relays[0].ws(token), await relays[1].ws(token)];
  for (let n = 0; n < 50; n++) await db.query('INSERT INTO orders (customer) VALUES (1)');
  await relays[0].fence(...clients);
  const seen = clients.map((client) => client.events.map(({ id, data }) => [id, data.id]));
  assert.equal(seen[0].length, 50);
  assert.deepEqual(seen[0], seen[1]);
});
