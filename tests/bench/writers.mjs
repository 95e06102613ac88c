// What writers pay: pgbench against a table with no trigger, with esink and its relay, and with PgQ's jsontriga and a
// consumer that fetches every event (skipped where Debian's postgresql-15-pgq3 is not installed). Everything runs in one
// scratch server, in turn, so that a machine's moods hit all alike; the medians and their ratios count, not the figures.
//
//   ESINK_BINARY=build/release/src/app/esink node tests/bench/writers.mjs [rounds] [seconds]
import { Load, median } from './load.mjs';

const rounds = Number(process.argv[2] ?? 5);
const load = await new Load(Number(process.argv[3] ?? 3)).start();
const { postgres } = load;

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

const state = { stop: false };
const names = ['none', 'esink'];
try {
  for (const name of ['none', 'esink', 'pgq']) await load.database(name);
  const relay = await load.relay('esink');
  const available = await postgres.once('postgres', "SELECT FROM pg_available_extensions WHERE name = 'pgq'");
  const consumer = available.rowCount ? pgq(state) : undefined;
  if (consumer) names.push('pgq');
  const results = {};
  const measures = { '16 clients, synchronous_commit on': (n) => load.pgbench(n, 16, 'on'), '4 clients, synchronous_commit off': (n) => load.pgbench(n, 4, 'off'), 'bulk insert of 50,000 rows': (n) => load.bulk(n) };
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
