// What writes to PostgreSQL for the parts that ask what writers pay: a scratch server with fsync on, a table that is updated and
// one that is inserted into, pgbench for transactions of one row, and statements of 100,000 rows. Rates are per second.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Postgres } from '../../e2e/lib/postgres.mjs';
import { Process } from '../../e2e/lib/relay.mjs';
import { freePort } from '../../e2e/lib/ports.mjs';
import { until } from '../../e2e/lib/wait.mjs';

const run = promisify(execFile);
const rows = 100_000;
const table = `CREATE TABLE accounts (id serial PRIMARY KEY, owner int, balance int, filler text DEFAULT repeat('x', 80));
  CREATE TABLE entries (id serial PRIMARY KEY, owner int, balance int, filler text DEFAULT repeat('x', 80));
  CREATE TABLE auth (id int, token text);
  INSERT INTO accounts (owner, balance) SELECT n, 0 FROM generate_series(1, ${rows}) n;`;
const scripts = {
  update: `\\set id random(1, ${rows})\nUPDATE accounts SET balance = balance + 1 WHERE id = :id;\n`,
  insert: '\\set owner random(1, 1000)\nINSERT INTO entries (owner, balance) VALUES (:owner, 0);\n',
};
const bulks = {
  insert: (n) => `INSERT INTO entries (owner, balance) SELECT n, 0 FROM generate_series(1, ${n}) n`,
  update: (n) => `UPDATE accounts SET balance = balance + 1 WHERE id <= ${n}`,
};

export const watched = ['accounts', 'entries'];

export class Load {
  constructor({ seconds = 2, bulk = rows } = {}) {
    Object.assign(this, { seconds, rows: bulk });
  }

  // fsync on: the cost of a commit is part of what is compared.
  async start(scope) {
    this.postgres = await new Postgres({ settings: { fsync: 'on', full_page_writes: 'on', shared_buffers: '256MB', max_wal_size: '4GB' } }).start();
    scope.defer(() => this.postgres.remove());
    for (const [name, text] of Object.entries(scripts)) writeFileSync(join(this.postgres.scratch, `${name}.sql`), text);
    return this;
  }

  async database(name) {
    await this.postgres.once('postgres', `CREATE DATABASE ${name}`);
    await this.postgres.once(name, table);
    await this.postgres.once(name, 'VACUUM ANALYZE accounts');
  }

  // Transactions a second. what: update or insert.
  async pgbench(name, { what = 'update', clients, sync }) {
    await this.postgres.once(name, 'CHECKPOINT');
    const args = ['-h', '127.0.0.1', '-p', this.postgres.port, '-U', 'postgres', '-n', '-c', clients, '-j', Math.min(2, clients), '-T', this.seconds,
      '-f', join(this.postgres.scratch, `${what}.sql`), name];
    const { stdout } = await run(join(this.postgres.bin, 'pgbench'), args.map(String), { env: { ...process.env, PGOPTIONS: `-c synchronous_commit=${sync}` } });
    return Number(/tps = ([\d.]+)/.exec(stdout)[1]);
  }

  // Rows a second of one statement. The tables are as they were before each.
  async bulk(name, what = 'insert') {
    await this.postgres.once(name, 'TRUNCATE entries');
    await this.postgres.once(name, 'VACUUM accounts');
    await this.postgres.once(name, 'CHECKPOINT');
    const start = performance.now();
    await this.postgres.once(name, bulks[what](this.rows));
    return this.rows / ((performance.now() - start) / 1000);
  }

  // Its relay, once the triggers are there.
  async relay(scope, name, env = {}) {
    const relay = new Process({ PORT: String(await freePort()), HOST: '127.0.0.1', POSTGRES_DATABASE_URL: this.postgres.url(name), TABLE_NAMES: watched.join(),
      TABLE_AUTH_COLUMN_ROUTING: JSON.stringify(Object.fromEntries(watched.map((table) => [table, 'owner']))), NETWORK_THREADS: '1', LC_ALL: 'C', ...env });
    scope.defer(async () => {
      relay.kill('SIGTERM');
      await relay.exited;
    });
    await until(() => relay.log.includes('capture is live'), () => `capture; ${relay.log}`);
    return relay;
  }
}
