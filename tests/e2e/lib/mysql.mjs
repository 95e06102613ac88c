// A MariaDB of the test's own: mariadb-install-db into a scratch folder, a free port of 127.0.0.1, its unix socket in the same
// folder, gone at the end.
//
// A test's session has ANSI_QUOTES, NO_BACKSLASH_ESCAPES and a time zone that is not UTC: the suite's SQL is written in standard
// spelling, and an application's settings must not show in events.
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import mysql from 'mysql2/promise';
import { TestDatabase } from './database.mjs';
import { freePort } from './ports.mjs';
import { until, within } from './wait.mjs';

const run = promisify(execFile);
const root = process.getuid() === 0;

function program(...names) {
  const found = names.flatMap((name) => ['/usr/sbin', '/usr/bin', '/usr/local/bin'].map((dir) => `${dir}/${name}`)).find(existsSync);
  if (!found) throw new Error(`no ${names[0]}: install mariadb-server`);
  return found;
}

const defaults = {
  'innodb-flush-log-at-trx-commit': 2, // tests of durability say otherwise
  'innodb-buffer-pool-size': '64M',
  'innodb-log-file-size': '48M',
  'max-allowed-packet': '64M',
  'max-connections': 100,
  'performance-schema': 'OFF',
  'default-time-zone': '+05:30',
  'character-set-server': 'utf8mb4',
};

export class MySql {
  // settings: options of mariadbd, such as { 'log-bin': 'binlog' }. env: more of its environment.
  constructor({ settings = {}, env = {} } = {}) {
    this.env = env;
    this.settings = { ...defaults, ...settings };
    this.databases = 0;
  }

  async start() {
    this.scratch = mkdtempSync(join(tmpdir(), 'esink-mysql-'));
    this.data = join(this.scratch, 'data');
    // Its own folder for temporary tables, too: a server that starts clears away all that it finds in the common one.
    this.onExit = () => this.#killNow();
    process.on('exit', this.onExit);
    await run(program('mariadb-install-db'), ['--no-defaults', ...(root ? ['--user=root'] : []), `--datadir=${this.data}`,
      '--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve', `--tmpdir=${this.scratch}`], { env: { PATH: process.env.PATH, TMPDIR: this.scratch } });
    this.port = await freePort();
    await this.resume();
    return this;
  }

  async resume() {
    const options = Object.entries(this.settings).map(([name, value]) => `--${name}=${value}`);
    const args = ['--no-defaults', ...(root ? ['--user=root'] : []), `--datadir=${this.data}`, `--port=${this.port}`, '--bind-address=127.0.0.1',
      `--socket=${this.socket}`, `--pid-file=${join(this.scratch, 'pid')}`, '--skip-name-resolve', `--tmpdir=${this.scratch}`, ...options];
    const log = join(this.scratch, 'log');
    this.child = spawn(program('mariadbd', 'mysqld'), [...args, `--log-error=${log}`], { stdio: 'ignore', env: { ...process.env, ...this.env } });
    this.child.unref();
    this.ended = new Promise((resolve) => { this.child.on('close', resolve); });
    this.pid = this.child.pid;
    this.#guard();
    await until(async () => {
      await (await this.connect('mysql')).end();
      return true;
    }, () => `the server to answer; its log:\n${existsSync(log) ? readFileSync(log, 'utf8').slice(-2000) : ''}`, 60_000);
  }

  get socket() {
    return join(this.scratch, 's');
  }

  // signal: SIGTERM is a clean end, SIGKILL a crash.
  async halt(signal = 'SIGTERM') {
    if (!this.pid) return;
    try {
      process.kill(this.pid, signal);
    } catch {
      // gone
    }
    await within(this.ended, 'the server to end', 60_000);
    this.pid = undefined;
  }

  async remove() {
    await this.halt('SIGKILL').catch(() => {});
    this.#killNow();
    if (this.onExit) process.off('exit', this.onExit);
  }

  get log() {
    return readFileSync(join(this.scratch, 'log'), 'utf8');
  }

  // A database as a backup has it: what everybody's tool writes, with what everybody asks it for.
  async dump(name, tables = []) {
    const { stdout } = await run(program('mariadb-dump', 'mysqldump'), ['--no-defaults', `--socket=${this.socket}`, '--user=root', '--routines', '--triggers', '--single-transaction', name, ...tables],
      { maxBuffer: 1 << 28 });
    return stdout;
  }

  // The client reads it, and ends at the first error. options: more of its own.
  async load(name, sql, options = []) {
    const loading = run(program('mariadb', 'mysql'), ['--no-defaults', `--socket=${this.socket}`, '--user=root', ...options, name]);
    loading.child.stdin.on('error', () => {}); // it has ended: that is told by its status
    loading.child.stdin.end(sql);
    await loading;
  }

  #options(database, user = 'root', password = '') {
    return { host: '127.0.0.1', port: this.port, user, password, database, multipleStatements: true, charset: 'utf8mb4', supportBigNumbers: true,
      bigNumberStrings: true, dateStrings: true };
  }

  async connect(database, user, password) {
    // Its errors have a field `fatal`, which means something else to until().
    const client = new Client(await mysql.createConnection(this.#options(database, user, password)).catch((error) => {
      throw new Error(error.message, { cause: error });
    }));
    await client.query("SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'");
    return client;
  }

  // A fresh database, dropped when the test ends, with the table `fence` that clients.mjs proves absence with, and a
  // token table. sql: what the test wants in it.
  async database(t, sql = '') {
    const name = `test_${++this.databases}`;
    const client = await this.connect('mysql');
    await client.query(`CREATE DATABASE ${name}`);
    await client.end();
    t.defer(async () => {
      const last = await this.connect('mysql').catch(() => undefined);
      await last?.query(`DROP DATABASE IF EXISTS ${name}`).catch(() => {});
      await last?.end().catch(() => {});
    });
    const database = new Database(this, name);
    t.defer(() => database.close());
    await database.query(`CREATE TABLE auth (id int, token text); CREATE TABLE fence (n int PRIMARY KEY); ${sql}`);
    return database;
  }

  // Should this process be killed, its end of the pipe closes, and what it started is cleared away all the same.
  #guard() {
    const script = 'cat; kill -9 "$1"; sleep 1; rm -rf "$0"';
    this.guard?.kill('SIGKILL');
    this.guard = spawn('sh', ['-c', script, this.scratch, String(this.pid)], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    this.guard.unref();
    this.guard.stdin.unref();
  }

  #killNow() {
    this.guard?.kill('SIGKILL');
    try {
      if (this.pid) process.kill(this.pid, 'SIGKILL');
    } catch {
      // not running
    }
    if (this.scratch) rmSync(this.scratch, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

// Of the shape of pg's Client, as far as the tests go. Parameters are $1, $2, ..
class Client {
  constructor(connection) {
    this.connection = connection;
    connection.connection.on('error', () => { this.gone = true; });
    connection.connection.on('end', () => { this.gone = true; });
  }

  async query(sql, values) {
    try {
      // Bound by the server: the client's own quoting would use backslashes.
      const [rows] = values ? await this.connection.execute(sql.replace(/\$\d/g, '?'), values) : await this.connection.query(sql);
      const list = Array.isArray(rows) ? rows : [];
      return { rows: Array.isArray(list[0]) ? list.filter(Array.isArray).at(-1) : list };
    } catch (error) {
      if (error.fatal) this.gone = true;
      throw Object.assign(new Error(`${error.message.slice(0, 500)}: ${sql.slice(0, 200)}`), { code: error.code, errno: error.errno });
    }
  }

  async end() {
    await this.connection.end();
  }

  // The server ends it, as KILL does.
  destroy() {
    this.connection.destroy();
    this.gone = true;
  }
}

export class Database extends TestDatabase {
  #client;
  #others = [];

  constructor(server, name) {
    super();
    this.server = server;
    this.name = name;
  }

  // What a relay on this database has in its environment.
  get env() {
    return { MYSQL_DATABASE: this.name, MYSQL_HOST: '127.0.0.1', MYSQL_PORT: String(this.server.port), MYSQL_USERNAME: 'root', MYSQL_PASSWORD: '' };
  }

  async query(sql, values) {
    if (this.#client?.gone) this.#client = undefined;
    this.#client ??= await this.server.connect(this.name);
    return this.#client.query(sql, values);
  }

  // Another session, closed with the database.
  async connect(user, password) {
    const client = await this.server.connect(this.name, user, password);
    this.#others.push(client);
    return client;
  }

  async close() {
    for (const client of [this.#client, ...this.#others]) await client?.end().catch(() => {});
    this.#client = undefined;
  }
}
