// The load that the benchmarks of writers share: a scratch server with fsync on, one table, pgbench's updates of single rows
// and a bulk insert; rates per second.
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
const table = `CREATE TABLE accounts (id serial PRIMARY KEY, owner int, balance int, filler text DEFAULT repeat('x', 80));
  CREATE TABLE auth (id int, token text);
  INSERT INTO accounts (owner, balance) SELECT n, 0 FROM generate_series(1, 100000) n;`;
const script = join(mkdtempSync(join(tmpdir(), 'esink-bench-')), 'update.sql');
writeFileSync(script, '\\set id random(1, 100000)\nUPDATE accounts SET balance = balance + 1 WHERE id = :id;\n');

export const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

export class Load {
  constructor(seconds) {
    this.seconds = seconds;
  }

  // fsync on: the cost of a commit is part of what is compared.
  async start() {
    this.postgres = await new Postgres({ settings: { fsync: 'on', full_page_writes: 'on', shared_buffers: '256MB', max_wal_size: '4GB' } }).start();
    return this;
  }

  async database(name) {
    await this.postgres.once('postgres', `CREATE DATABASE ${name}`);
    await this.postgres.once(name, table);
    await this.postgres.once(name, 'VACUUM ANALYZE accounts');
  }

  async pgbench(name, clients, sync) {
    const args = ['-h', '127.0.0.1', '-p', String(this.postgres.port), '-U', 'postgres', '-n', '-c', clients, '-j', 2, '-T', this.seconds, '-f', script, name];
    const { stdout } = await run(join(this.postgres.bin, 'pgbench'), args.map(String), { env: { ...process.env, PGOPTIONS: `-c synchronous_commit=${sync}` } });
    return Number(/tps = ([\d.]+)/.exec(stdout)[1]);
  }

  async bulk(name) {
    const start = performance.now();
    await this.postgres.once(name, 'INSERT INTO accounts (owner, balance) SELECT n, 0 FROM generate_series(1, 50000) n');
    return 50000 / ((performance.now() - start) / 1000);
  }

  // Its relay, once the trigger is there.
  async relay(name) {
    const relay = new Process({ PORT: String(await freePort()), POSTGRES_DATABASE_URL: this.postgres.url(name), TABLE_NAMES: 'accounts',
      TABLE_AUTH_COLUMN_ROUTING: '{"accounts": "owner"}', NETWORK_THREADS: '1', LOG_LEVEL: 'warn', LC_ALL: 'C' });
    await until(async () => (await this.postgres.once(name, "SELECT FROM pg_trigger WHERE tgname = '!esink'")).rowCount === 1, 'the trigger');
    return relay;
  }
}
