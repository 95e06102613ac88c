// A PostgreSQL of the test's own: initdb into a scratch folder, a free port of 127.0.0.1, its unix socket in the same
// folder, gone at the end. As root it runs as the user postgres, which PostgreSQL insists on.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, appendFileSync, chmodSync, chownSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { TestDatabase } from './database.mjs';
import { freePort } from './ports.mjs';

const run = promisify(execFile);
const root = process.getuid() === 0;

function bindir() {
  const base = '/usr/lib/postgresql';
  const versions = existsSync(base) ? readdirSync(base).sort((a, b) => b - a) : [];
  const found = versions.map((v) => `${base}/${v}/bin`).find((dir) => existsSync(`${dir}/initdb`));
  if (!found) throw new Error('no initdb under /usr/lib/postgresql: install postgresql-15');
  return found;
}

function asPostgres(command, args) {
  return root ? ['runuser', ['-u', 'postgres', '--', command, ...args]] : [command, args];
}

const defaults = {
  fsync: 'off', // tests of durability say otherwise
  full_page_writes: 'off',
  shared_buffers: '32MB',
  max_connections: '100',
  timezone: 'UTC',
};

export class Postgres {
  // settings: of postgresql.conf, such as { max_prepared_transactions: 10 }. backup: another one, which this begins as a
  // base backup of; options of pg_basebackup, such as -R, follow. env: more of its environment.
  constructor({ settings = {}, backup, env = {} } = {}) {
    this.env = env;
    this.settings = { ...defaults, ...settings };
    this.backup = backup;
    this.databases = 0;
  }

  async start() {
    await this.create();
    await this.resume();
    return this;
  }

  // Its folder, ready to be started.
  async create() {
    this.bin = bindir();
    this.scratch = mkdtempSync(join(tmpdir(), 'esink-pg-'));
    this.data = join(this.scratch, 'data');
    chmodSync(this.scratch, 0o755);
    if (root) chownSync(this.scratch, Number(execFileSync('id', ['-u', 'postgres'])), 0);
    this.onExit = () => this.#killNow();
    process.on('exit', this.onExit);
    this.#guard();
    if (this.backup) {
      const [from, ...options] = this.backup;
      await this.command('pg_basebackup', ['-D', this.data, '-d', from.url('postgres'), '-c', 'fast', ...options]);
    } else {
      await this.command('initdb', ['-D', this.data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '-N']);
    }
    this.port = await freePort();
    this.configure({ port: this.port, listen_addresses: "'127.0.0.1'", unix_socket_directories: `'${this.scratch}'`, ...this.settings });
  }

  // Takes effect at the next start.
  configure(settings) {
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
    appendFileSync(join(this.data, 'postgresql.conf'), lines.join(''));
  }

  // mode: fast disconnects everyone, immediate is a crash.
  async halt(mode = 'fast') {
    await this.command('pg_ctl', ['stop', '-w', '-D', this.data, '-m', mode]);
  }

  async resume() {
    await this.command('pg_ctl', ['start', '-w', '-t', '60', '-D', this.data, '-l', join(this.scratch, 'log')]);
  }

  async restart(mode = 'fast') {
    await this.halt(mode);
    await this.resume();
  }

  async remove() {
    if (this.data) await this.halt('immediate').catch(() => {});
    this.#killNow();
    process.off('exit', this.onExit);
  }

  get log() {
    return readFileSync(join(this.scratch, 'log'), 'utf8');
  }

  url(database, user = 'postgres') {
    return `postgresql://${user}@127.0.0.1:${this.port}/${database}`;
  }

  // A fresh database, dropped when the test ends, with the table `fence` that clients.mjs proves absence with, and a
  // token table. sql: what the test wants in it. options: of CREATE DATABASE.
  async database(t, sql = '', options = '') {
    const name = `test_${++this.databases}`;
    await this.once('postgres', `CREATE DATABASE ${name} ${options}`);
    t.defer(() => this.once('postgres', `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`).catch(() => {}));
    const database = new Database(this, name);
    await database.query(`
      CREATE TABLE auth (id int, token text);
      CREATE TABLE fence (n int PRIMARY KEY);
      ${sql}`);
    t.defer(() => database.close());
    return database;
  }

  async once(database, sql) {
    const client = await connect(this.url(database));
    try {
      return await client.query(sql);
    } finally {
      await client.end();
    }
  }

  // One of the server's programs, as its owner.
  async command(name, args) {
    const [file, rest] = asPostgres(join(this.bin, name), args);
    // Not this.scratch as cwd only: the server must not hold the caller's folder, which postgres may not even read.
    const child = run(file, rest, { cwd: '/', env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', ...this.env } });
    child.child.stdout.resume();
    return child;
  }

  // Should this process be killed, its end of the pipe closes, and what it started is cleared away all the same.
  #guard() {
    const script = 'cat; pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid"; sleep 1; rm -rf "$0"';
    const guard = spawn('sh', ['-c', script, this.scratch], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    guard.unref();
    guard.stdin.unref();
  }

  #killNow() {
    try {
      const pid = Number(readFileSync(join(this.data, 'postmaster.pid'), 'utf8').split('\n')[0]);
      if (pid > 1) process.kill(pid, 'SIGQUIT');
    } catch {
      // not running
    }
    if (this.scratch) rmSync(this.scratch, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

async function connect(url) {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => { client.gone = true; }); // the server was stopped under it
  client.on('end', () => { client.gone = true; });
  await client.connect();
  return client;
}

export class Database extends TestDatabase {
  #client;
  #others = [];

  constructor(server, name) {
    super();
    this.server = server;
    this.name = name;
    this.url = server.url(name);
  }

  // On the test's own connection, made anew when the server was restarted.
  async query(sql, values) {
    if (this.#client?.gone) this.#client = undefined;
    this.#client ??= await connect(this.url);
    return this.#client.query(sql, values);
  }

  // Another session, closed with the database.
  async connect(user) {
    const client = await connect(this.server.url(this.name, user));
    this.#others.push(client);
    return client;
  }

  async close() {
    for (const client of [this.#client, ...this.#others]) await client?.end().catch(() => {});
  }
}
