// What writers pay. The same work on a table without a trigger and on one that is watched, by esink and by what one would use
// instead, in turn; what counts is the ratio in each round. All relays and consumers run all the time, and nobody's turn begins
// before everybody has done what the turn before left to do.
import { join } from 'node:path';
import { Scope } from '../../e2e/lib/harness.mjs';
import { Load, watched } from '../lib/load.mjs';
import { MySqlLoad } from '../lib/mysql-load.mjs';
import { SqliteLoad, sqliteRelay } from '../lib/sqlite-load.mjs';
import { notifyRelay, notifyTrigger, pgq } from '../lib/peers.mjs';
import { quiet } from '../lib/processes.mjs';
import { atLeast, interleave, rowsOf } from '../lib/rows.mjs';

export const title = 'what writers pay: throughput beside a table without a trigger';
export const packages = ['postgresql-15-pgq3', 'pgqd'];

const none = 'no trigger', notify = 'NOTIFY, Node relay', pgqName = 'PgQ and consumer';

async function scoped(fn) {
  const scope = new Scope();
  try {
    return await fn(scope);
  } finally {
    await scope.end();
  }
}

// PostgreSQL: pgbench with 1, 4 and 16 clients, then statements of 100,000 rows.
function postgres({ rounds, quick, wants, say }) {
  const bulk = quick ? 20_000 : 100_000, works = [];
  for (const sync of ['on', 'off']) {
    for (const clients of [1, 4, 16]) {
      for (const what of ['update', 'insert']) {
        const targets = [...(clients >= 4 ? [atLeast(1, pgqName)] : []), ...(clients === 16 && sync === 'on' ? [atLeast(3, notify)] : [])];
        works.push({ work: `PostgreSQL: one ${what.toUpperCase()} a transaction, ${clients} client${clients > 1 ? 's' : ''}, synchronous_commit ${sync}`, metric: 'transactions/s',
          targets, small: clients === 16 || what === 'update', once: (load, name) => load.pgbench(name, { what, clients, sync }) });
      }
    }
  }
  for (const what of ['insert', 'update']) {
    works.push({ work: `PostgreSQL: one ${what.toUpperCase()} of ${bulk.toLocaleString('en-US')} rows`, metric: 'rows/s', targets: [atLeast(1.3, pgqName)], small: true,
      once: (load, name) => load.bulk(name, what) });
  }
  const wanted = works.filter(({ work, small }) => wants(work) && (small || !quick));
  return wanted.length === 0 ? [] : scoped(async (scope) => {
    const load = await new Load({ seconds: quick ? 1 : 2, bulk }).start(scope);
    const names = { [none]: 'none', esink: 'esink', [pgqName]: 'pgq', [notify]: 'notify' };
    for (const name of Object.values(names)) await load.database(name);
    const relay = await load.relay(scope, 'esink');
    await load.postgres.once('notify', notifyTrigger(watched, 'ARRAY[r.owner]'));
    const node = await notifyRelay(scope, load.postgres, 'notify');
    const pids = [relay.child.pid, node.pid, ...(await pgq(scope, load.postgres, 'pgq', watched)).pids];
    const rows = [];
    for (const { work, metric, targets, once } of wanted) {
      say(work);
      const results = await interleave(rounds, [none, 'esink', pgqName, notify], async (who) => {
        await quiet(pids);
        return once(load, names[who]);
      });
      rows.push(...rowsOf(work, metric, results, { to: { esink: [none, pgqName, notify], [pgqName]: [none], [notify]: [none] }, targets: { esink: targets } }));
    }
    return rows;
  });
}

function mariadb({ rounds, quick, wants, say }) {
  const bulk = quick ? 10_000 : 50_000;
  const wanted = [
    ...[[1, 'flushed'], [2, 'not flushed']].map(([flush, words]) => ({ work: `MariaDB: one UPDATE a transaction, 16 clients, log ${words} at commit`, metric: 'transactions/s',
      targets: [atLeast(0.73, none)], once: (load, name) => load.slap(name, { flush }) })),
    { work: `MariaDB: one UPDATE of ${bulk.toLocaleString('en-US')} rows`, metric: 'rows/s', targets: [], once: (load, name) => load.bulk(name, bulk) },
  ].filter(({ work }) => wants(work));
  const time = 'MariaDB: one UPDATE a transaction, 16 clients, log not flushed at commit: processor time';
  return wanted.length === 0 && !wants(time) ? [] : scoped(async (scope) => {
    const load = await new MySqlLoad({ queries: quick ? 4000 : 16_000 }).start(scope);
    const relay = await load.relay(scope);
    const least = 'a constant into a second table', tables = { [none]: 'plain', esink: 'watched', [least]: 'least' };
    const rows = [];
    for (const { work, metric, targets, once } of wanted) {
      say(work);
      const results = await interleave(rounds, Object.keys(tables), async (who) => {
        await quiet([relay.child.pid, load.server.pid], { share: 0.03 });
        return once(load, tables[who]);
      });
      rows.push(...rowsOf(work, metric, results, { to: { esink: [none], [least]: [none] }, targets: { esink: targets } }));
    }
    return wants(time) ? [...rows, ...await mariadbTime({ load, relay, rounds, say, time, tables: { ...tables, 'an empty trigger': 'idle', "esink's trigger alone": 'alone' } })] : rows;
  });
}

// Where it goes: of the server and of the relay.
async function mariadbTime({ load, relay, rounds, say, time, tables }) {
  say(time);
  await load.copyTrigger();
  const results = await interleave(rounds, Object.keys(tables), async (who) => {
    await quiet([relay.child.pid, load.server.pid], { share: 0.03 });
    return load.cost(tables[who], relay, { flush: 2 });
  });
  const of = (field, names) => Object.fromEntries(names.map((who) => [who, results[who].map((one) => one[field])]));
  return [...rowsOf(time, 'us of the server a transaction', of('server', Object.keys(tables)), { to: Object.fromEntries(Object.keys(tables).filter((who) => who !== none).map((who) => [who, [none]])) }),
    ...rowsOf(time, 'us of the relay a transaction', of('relay', ['esink']), {})];
}

// SQLite: besides esink its triggers with no relay, and a relay that copies nothing of the log for its writers: they say where the
// time goes.
function sqlite({ folder, rounds, quick, wants, say }) {
  const wanted = [
    ['SQLite: one UPDATE a transaction, synchronous=NORMAL', 'transactions/s', [atLeast(0.55, none)], 'update', 'NORMAL', 3000],
    ['SQLite: one UPDATE a transaction, synchronous=FULL', 'transactions/s', [atLeast(0.9, none)], 'update', 'FULL', 900],
    ['SQLite: one UPDATE a transaction, synchronous=NORMAL, prepared anew each time', 'transactions/s', [], 'uncached', 'NORMAL', 1500],
    ['SQLite: one INSERT of 20,000 rows', 'rows/s', [], 'bulk', 'NORMAL', 20_000],
  ].filter(([work]) => wants(work));
  return wanted.length === 0 ? [] : scoped(async (scope) => {
    const load = new SqliteLoad(scope);
    const alone = "esink's triggers alone", whole = 'esink, SQLITE_CHECKPOINT=false';
    const files = { [none]: join(folder, 'none.db'), esink: join(folder, 'esink.db'), [alone]: join(folder, 'alone.db'), [whole]: join(folder, 'whole.db') };
    for (const path of Object.values(files)) await load.ask('make', path);
    await scoped((installing) => sqliteRelay(installing, files[alone]));
    const pruned = { RETENTION: '3s' }; // while it is measured, as after a day
    const pids = [await sqliteRelay(scope, files.esink, pruned), await sqliteRelay(scope, files[whole], { ...pruned, SQLITE_CHECKPOINT: 'false' })].map(({ child }) => child.pid);
    const rows = [];
    for (const [work, metric, targets, call, synchronous, count] of wanted) {
      say(work);
      const results = await interleave(rounds, Object.keys(files), async (who) => {
        await quiet(pids);
        return load.ask(call, files[who], synchronous, quick && call !== 'bulk' ? count / 3 : count);
      });
      const of = (field) => Object.fromEntries(Object.entries(results).map(([who, list]) => [who, list.map((one) => one[field])]));
      const to = { esink: [none], [alone]: [none], [whole]: [none] };
      rows.push(...rowsOf(work, metric, of('rate'), { to, targets: { esink: targets } }), ...rowsOf(`${work}: processor time of the writer`, 'us a row', of('cpu'), { to }));
    }
    return rows;
  });
}

// The share of what there is without a trigger. On PostgreSQL transactions of one INSERT look like those of one UPDATE, and are in the
// table only.
function shares(rows, database) {
  const works = [...new Set(rows.filter(({ work, metric }) => work.startsWith(`${database}: `) && metric.endsWith('/s') && !work.includes('one INSERT a transaction')).map(({ work }) => work))];
  return works.map((work) => ({ label: work.slice(database.length + 2), bars: rows.filter((row) => row.work === work && row.who !== none).map(({ who, ratios: [{ value, low, high }] }) => ({ who, value, low, high })) }));
}

export async function run(options) {
  const databases = { PostgreSQL: postgres, MariaDB: mariadb, SQLite: sqlite }, rows = [];
  for (const measure of Object.values(databases)) rows.push(...await measure(options));
  const charts = Object.keys(databases).map((database) => ({ name: `capture-${database.toLowerCase()}`, kind: 'bars',
    title: `Writers on ${database}: throughput as a share of that without a trigger`, unit: 'no trigger = 1', groups: shares(rows, database) })).filter(({ groups }) => groups.length);
  const notes = [
    'PgQ: jsontriga, pgqd as its ticker ten times a second, and a consumer in psql that fetches every event and throws it away, the cheapest there is. esink: its relay, with nobody connected.',
    'NOTIFY: a trigger that sends the row as JSON, and a Node.js process that listens, with nobody connected.',
    "SQLite's writer is one Python process; MariaDB's are mariadb-slap's.",
  ];
  return { rows, notes, charts };
}
