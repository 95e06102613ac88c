// The suite that every source passes: the same cases on each database, in plain SQL that all of them take, with a snippet of
// lib/databases.mjs where they differ. docs/ADDING-A-SOURCE.md says which promise each shows. ../source-NAME.test.mjs runs it.
//
// Most cases share one relay and one database, the shop below: they tell their rows apart by ids of their own, and a session
// hears nothing from before it came, as long as each case ends with all that it wrote seen by somebody. A case that needs other rules, or restarts its relay, makes its own.
import { after, before, describe } from 'node:test';
import { databaseOf } from '../lib/databases.mjs';
import { Scope } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';

export const operator = 'operators-own-token-4711';

export const shop = {
  schema: `CREATE TABLE users (id int PRIMARY KEY, name text, password text);
    CREATE TABLE notes (id int PRIMARY KEY, owner int, body text);
    CREATE TABLE games (id int PRIMARY KEY, home int, guest int, referee text);
    CREATE TABLE news (id int PRIMARY KEY, headline text);
    CREATE TABLE quiet (id int PRIMARY KEY, owner int);
    CREATE TABLE brief (id int PRIMARY KEY, owner int, shown text, hidden text);
    CREATE TABLE pairs (a int, b int, owner int, PRIMARY KEY (b, a));
    CREATE TABLE keyless (n int, owner int);`,
  tables: 'users,notes,games,news,quiet,brief,pairs,keyless',
  routing: { users: 'id', notes: 'owner', games: ['home', 'guest', 'referee'], news: '*', brief: 'owner', pairs: 'owner', keyless: 'owner' },
  filters: 'users.password,pairs.b',
  env: { SECURITY_TOKEN: operator, OLD_ROWS: 'games,users', COLUMNS: 'brief.id,brief.shown' },
};

// Numbers from first to last as rows of a query, in a spelling that all databases take: INSERT INTO t (columns) ${series(1, 9, 'i, 7')}.
export const series = (first, last, columns = 'i') =>
  `WITH RECURSIVE series (i) AS (SELECT ${first} UNION ALL SELECT i + 1 FROM series WHERE i < ${last}) SELECT ${columns} FROM series`;

export const step = ({ table, type, data }) => [table, type, data];
export const steps = (client) => client.events.map(step);

const seen = ({ clients }) => clients.flatMap((client) => client.named('changes').slice(-1)).reduce((most, { id }) => (BigInt(id) > most ? BigInt(id) : most), 0n);

// A relay for all tests of the enclosing describe(): { db, relay, join }.
export function shareRelay(database, options) {
  const scope = new Scope();
  const shared = {
    // Sessions that end with the test: of users by their ids, or 'operator'. via: sse instead of ws.
    async join(t, who, { via = 'ws', ...rest } = {}) {
      const token = who === 'operator' ? operator : await shared.db.user(who);
      const way = who === 'operator' ? { via: 'header', ...rest } : rest;
      return until(async () => {
        const client = await shared.relay[via](token, way);
        t.defer(() => client.close());
        // Its network thread may be behind another one's, and would then tell it of rows of the test before.
        return BigInt(client.welcome.id) >= seen(shared.relay) && client;
      }, 'a session that begins behind what others have seen');
    },
    joinAll: (t, ...all) => Promise.all(all.map((who) => shared.join(t, who))),
  };
  before(async () => {
    const { schema, ...rules } = options;
    shared.db = await database.database(scope, schema);
    shared.relay = await startRelay(scope, shared.db, rules);
  });
  after(() => scope.end());
  return shared;
}

export async function suite(name) {
  const cases = ['routing', 'moved', 'withheld', 'transactions', 'sight', 'published', 'values', 'names', 'tokens', 'resume', 'killed', 'drift', 'start'];
  const modules = await Promise.all(cases.map((file) => import(`./${file}.mjs`)));
  const database = databaseOf(name);
  describe(name, () => {
    after(() => database.stop());
    describe('one relay for all', () => {
      const poll = database.wakesUp ? { POLL_INTERVAL_MS: '60000' } : {};
      const shared = shareRelay(database, { ...shop, env: { ...shop.env, ...poll } });
      for (const { inShop } of modules) inShop?.(database, shared);
    });
    for (const [i, { apart }] of modules.entries()) if (apart) describe(cases[i], () => apart(database));
  });
}
