// What writes to MariaDB: mariadb-slap, to a table that is not watched, to one that is, to one with the cheapest trigger there is, which
// puts a constant into a second table, to one whose trigger does nothing, and to one with a copy of esink's trigger whose rows nobody moves.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MySql } from '../../e2e/lib/mysql.mjs';
import { Process } from '../../e2e/lib/relay.mjs';
import { freePort } from '../../e2e/lib/ports.mjs';
import { until } from '../../e2e/lib/wait.mjs';
import { cpuOf, quiet } from './processes.mjs';

const run = promisify(execFile);
const table = (name) => `CREATE TABLE ${name} (id int PRIMARY KEY, owner int, balance int, note varchar(100));
  INSERT INTO ${name} SELECT seq, seq % 1000, 0, REPEAT('n', 60) FROM seq_1_to_50000;`;

export class MySqlLoad {
  constructor({ queries = 16_000 } = {}) {
    this.queries = queries;
  }

  async start(scope) {
    this.server = new MySql({ settings: { 'innodb-flush-log-at-trx-commit': 1, 'innodb-buffer-pool-size': '512M', 'innodb-log-file-size': '256M' } });
    scope.defer(() => this.server.remove());
    await this.server.start();
    this.db = await this.server.database(scope, `${table('plain')} ${table('watched')} ${table('least')} ${table('idle')} ${table('alone')} CREATE TABLE constants (id bigint AUTO_INCREMENT PRIMARY KEY, n int)`);
    await this.db.query('CREATE TRIGGER constant AFTER UPDATE ON least FOR EACH ROW INSERT INTO constants (n) VALUES (1)');
    await this.db.query('CREATE TRIGGER idle AFTER UPDATE ON idle FOR EACH ROW BEGIN END');
    await this.db.query("INSERT INTO auth VALUES (1, 'token-of-user-1')");
    for (const name of ['plain', 'watched', 'least', 'idle', 'alone']) {
      const statements = Array.from({ length: 2000 }, (_, i) => `UPDATE ${name} SET balance = balance + 1 WHERE id = ${1 + ((i * 7919) % 50_000)}`);
      writeFileSync(this.#script(name), statements.join(';\n'));
    }
    return this;
  }

  #script(name) {
    return join(this.server.scratch, `${name}.sql`);
  }

  // Transactions a second: one UPDATE of one row each.
  async slap(name, { clients = 16, flush = 1 } = {}) {
    await this.db.query(`SET GLOBAL innodb_flush_log_at_trx_commit = ${flush}`);
    const { stdout } = await run('mariadb-slap', ['--no-defaults', '-uroot', `--socket=${this.server.socket}`, `--create-schema=${this.db.name}`, '--no-drop', `--concurrency=${clients}`,
      '--csv', `--query=${this.#script(name)}`, '--delimiter=;', `--number-of-queries=${this.queries}`]);
    return this.queries / Number(stdout.split(',')[2]);
  }

  // Processor time of a transaction, in microseconds, with all that is left to do when it has committed: of the server, and of the relay.
  async cost(name, relay, options) {
    const pids = [this.server.pid, relay.child.pid], before = pids.map((pid) => cpuOf(pid));
    await this.slap(name, options);
    await quiet(pids, { share: 0.03 });
    const [server, ours] = pids.map((pid, i) => (cpuOf(pid) - before[i]) / 1000 / this.queries);
    return { server, relay: ours };
  }

  // esink's trigger, into an outbox that nobody empties.
  async copyTrigger() {
    await this.db.query('CREATE TABLE IF NOT EXISTS esink_alone LIKE esink_pubsub');
    const { rows: [{ body }] } = await this.db.query("SELECT ACTION_STATEMENT AS body FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = 'watched' AND EVENT_MANIPULATION = 'UPDATE'");
    const copy = await this.db.connect(); // quoted as esink's session has it
    await copy.query("SET SESSION sql_mode = ''");
    await copy.query(`CREATE OR REPLACE TRIGGER alone AFTER UPDATE ON alone FOR EACH ROW ${body.replaceAll('`esink_pubsub`', '`esink_alone`').replace(/\/\* esink \w+ \*\//, '')}`);
  }

  // Rows a second of one statement.
  async bulk(name, rows) {
    const start = performance.now();
    await this.db.query(`UPDATE ${name} SET balance = balance + 1 WHERE id <= ${rows}`);
    return rows / ((performance.now() - start) / 1000);
  }

  async relay(scope, env = {}) {
    const port = await freePort();
    const relay = new Process({ PORT: String(port), HOST: '127.0.0.1', ...this.db.env, TABLE_NAMES: 'watched', NETWORK_THREADS: '1',
      TABLE_AUTH_COLUMN_ROUTING: '{"watched":"owner"}', ...env });
    scope.defer(async () => {
      relay.kill('SIGTERM');
      await relay.exited;
    });
    await until(() => relay.log.includes('capture is live'), () => relay.log);
    return Object.assign(relay, { port });
  }
}
