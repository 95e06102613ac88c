// What writers pay: pgbench against a table with no trigger, with esink and its relay, and with PgQ's jsontriga and a
// consumer that fetches every event (skipped where Debian's postgresql-15-pgq3 is not installed). Everything runs in one
// scratch server, in turn, so that a machine's moods hit all alike; the medians and their ratios count, not the figures.
//
//   ESINK_BINARY=build/release/src/app/esink node tests/bench/writers.mjs [rounds] [seconds]
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Postgres } from '../e2e/lib/postgres.mjs';
import { Process } from '../e2e/lib/relay.mjs';
import { freePort } from '../e2e/lib/ports.mjs';
import { until } from '../e2e/lib/wait.mjs';

const run = promisify(execFile);
const rounds = Number(process.argv[2] ?? 5);
const seconds = Number(process.argv[3] ?? 3);
const table = `CREATE TABLE accounts (id serial PRIMARY KEY, owner int, balance int, filler text DEFAULT repeat('x', 80));
  CREATE TABLE auth (id int, token text);
  INSERT INTO accounts (owner, balance) SELECT n, 0 FROM generate_series(1, 100000) n;`;

// fsync on: the cost of a commit is part of what is compared.
const postgres = await new Postgres({ settings: { fsync: 'on', full_page_writes: 'on', shared_buffers: '256MB', max_wal_size: '4GB' } }).start();
const script = join(mkdtempSync(join(tmpdir(), 'esink-bench-')), 'update.sql');
writeFileSync(script, '\\set id random(1, 100000)\nUPDATE accounts SET balance = balance + 1 WHERE id = :id;\n');

async function database(name) {
  await postgres.once('postgres', `CREATE DATABASE ${name}`);
  await postgres.once(name, table);
  await postgres.once(name, 'VACUUM ANALYZE accounts');
}

async function pgbench(name, clients, sync) {
  const args = ['-h', '127.0.0.1', '-p', String(postgres.port), '-U', 'postgres', '-n', '-c', clients, '-j', 2, '-T', seconds, '-f', script, name];
  const { stdout } = await run(join(postgres.bin, 'pgbench'), args.map(String), { env: { ...process.env, PGOPTIONS: `-c synchronous_commit=${sync}` } });
  return Number(/tps = ([\d.]+)/.exec(stdout)[1]);
}

async function bulk(name) {
  const start = performance.now();
  await postgres.once(name, 'INSERT INTO accounts (owner, balance) SELECT n, 0 FROM generate_series(1, 50000) n');
  return 50000 / ((performance.now() - start) / 1000);
}

async function esink() {
  const relay = new Process({ PORT: String(await freePort()), POSTGRES_DATABASE_URL: postgres.url('esink'), TABLE_NAMES: 'accounts',
    TABLE_AUTH_COLUMN_ROUTING: '{"accounts": "owner"}', NETWORK_THREADS: '1', LOG_LEVEL: 'warn', LC_ALL: 'C' });
  await until(async () => (await postgres.once('esink', "SELECT FROM pg_trigger WHERE tgname = '!esink'")).rowCount === 1, 'the trigger');
  return relay;
}

// PgQ's own ticker and consumer, ten times a second; every event is fetched.
async function pgq(state) {
  await postgres.once('pgq', `CREATE EXTENSION pgq; SELECT pgq.create_queue('q'); SELECT pgq.register_consumer('q', 'c');
    CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION pgq.jsontriga('q')`);
  const { default: pg } = await import('../e2e/node_modules/pg/lib/index.js');
  const client = new pg.Client({ connectionString: postgres.url('pgq') });
  await client.connect();
  while (!state.stop) {
    await client.query("SELECT pgq.ticker('q')");
    const batch = (await client.query("SELECT pgq.next_batch('q', 'c') AS id")).rows[0].id;
    if (batch) {
      await client.query('SELECT * FROM pgq.get_batch_events($1)', [batch]);
      await client.query('SELECT pgq.finish_batch($1)', [batch]);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await client.end();
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const state = { stop: false };
const names = ['none', 'esink'];
try {
  for (const name of ['none', 'esink', 'pgq']) await database(name);
  const relay = await esink();
  const available = await postgres.once('postgres', "SELECT FROM pg_available_extensions WHERE name = 'pgq'");
  const consumer = available.rowCount ? pgq(state) : undefined;
  if (consumer) names.push('pgq');
  const results = {};
  const measures = { '16 clients, synchronous_commit on': (n) => pgbench(n, 16, 'on'), '4 clients, synchronous_commit off': (n) => pgbench(n, 4, 'off'), 'bulk insert of 50,000 rows': bulk };
  for (let round = 0; round < rounds; round++) {
    for (const [what, measure] of Object.entries(measures)) {
      for (const name of names) ((results[what] ??= {})[name] ??= []).push(await measure(name));
    }
  }
  state.stop = true;
  await consumer;
  relay.kill('SIGTERM');
  await relay.exited;
  for (const [what, by] of Object.entries(results)) {
    const of = Object.fromEntries(names.map((name) => [name, median(by[name])]));
    const ratios = [`esink/none ${(of.esink / of.none).toFixed(2)}`, of.pgq && `pgq/none ${(of.pgq / of.none).toFixed(2)}`, of.pgq && `esink/pgq ${(of.esink / of.pgq).toFixed(2)}`];
    console.log(`${what}: ${names.map((name) => `${name} ${Math.round(of[name])}`).join(', ')} per second; ${ratios.filter(Boolean).join(', ')}`);
  }
} finally {
  state.stop = true;
  await postgres.remove();
}
