// Prevents: a relay that takes more connections of the database than docs/OPERATIONS.md says, by which people size a role's
// limit and max_connections.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { databaseOf } from './lib/databases.mjs';
import { test } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { Consumers } from './lib/service.mjs';
import { until } from './lib/wait.mjs';
import { operator, series } from './source/suite.mjs';

const servers = ['postgres', 'mysql'].map((name) => [name, databaseOf(name)]);
after(() => Promise.all(servers.map(([, server]) => server.stop())));

// Counted by the account, which is the relay's alone.
const account = {
  postgres: async (db) => {
    const url = new URL(db.url);
    url.username = 'counted';
    await db.query(`DROP ROLE IF EXISTS counted; CREATE ROLE counted SUPERUSER LOGIN`);
    return { env: { POSTGRES_DATABASE_URL: url.href }, sql: "SELECT count(*) AS n FROM pg_stat_activity WHERE usename = 'counted'" };
  },
  mysql: async (db) => {
    await db.query(`CREATE USER counted IDENTIFIED BY 'p'; GRANT ALL ON ${db.name}.* TO counted`);
    return { env: { MYSQL_USERNAME: 'counted', MYSQL_PASSWORD: 'p' }, sql: "SELECT count(*) AS n FROM information_schema.processlist WHERE user = 'counted'" };
  },
};

for (const [name, server] of servers) {
  test(`${name}: one connection for capture, one more for each kind of question, and no others`, async (t) => {
    const db = await server.database(t, 'CREATE TABLE orders (id int PRIMARY KEY, customer int)');
    const token = await db.user(1), { env, sql } = await account[name](db);
    const relay = await startRelay(t, db, { tables: 'orders', routing: { orders: 'customer' }, env: { ...env, SECURITY_TOKEN: operator } });
    const count = async () => Number((await db.query(sql)).rows[0].n);
    assert.equal(await count(), 1, 'capture');
    const first = await relay.ws(token);
    assert.equal(await count(), 2, 'and look-ups of tokens');
    await db.query(`INSERT INTO orders (id, customer) ${series(1, 20, 'i, 1')}`);
    await relay.fence(first);
    await relay.kill(); // what a resume asks for is then not in memory
    await relay.start();
    const consumers = new Consumers(relay);
    const everything = async (i) => {
      const client = await relay.ws(token, { after: `${first.welcome.journal}:0` });
      await client.count(20);
      await consumers.ask('PUT', `/consumers/c${i}`, {});
      assert.equal((await relay.get('/events?after=0', { headers: { authorization: `Bearer ${token}` } })).json.events.length >= 20, true);
      assert.equal((await relay.post('/publish', { table: 'x', type: 'y', data: {}, userId: 'nobody', securityToken: operator })).status, 200);
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => everything(i)));
    await until(async () => await count() === 6, 'six: those of the relay that was killed end, too');
  });
}
