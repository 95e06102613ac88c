// An SQLite file of the test's own in a scratch folder, gone at the end. Sessions are python3 processes (sqlite-session.py):
// writers in another process than the relay and the test, as an application is.
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { TestDatabase } from './database.mjs';

const script = fileURLToPath(new URL('sqlite-session.py', import.meta.url));

// Of the shape of pg's Client, as far as the tests go. Parameters are $1, $2, ..
export class Session {
  #waiting = [];

  constructor(path, { busyTimeout = 10_000 } = {}) {
    this.child = spawn('python3', [script, path, String(busyTimeout)], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdin.on('error', () => {});
    createInterface(this.child.stdout).on('line', (line) => this.#waiting.shift()?.resolve(JSON.parse(line)));
    this.ended = new Promise((resolve) => this.child.on('close', resolve));
    this.ended.then(() => {
      this.gone = true;
      for (const { reject } of this.#waiting) reject(new Error('the session has ended'));
    });
  }

  async query(sql, values, limits) {
    if (this.gone) throw new Error('the session has ended');
    const answer = new Promise((resolve, reject) => { this.#waiting.push({ resolve, reject }); });
    this.child.stdin.write(`${JSON.stringify({ sql, values, limits })}\n`);
    const { error, ...result } = await answer;
    if (error) throw new Error(`${error}: ${sql.slice(0, 200)}`);
    return result;
  }

  // sqlite3_limit(), by the names without SQLITE_LIMIT_.
  async limit(limits) {
    return this.query('SELECT 1', [], limits);
  }

  async end() {
    this.child.stdin.end();
    await this.ended;
  }

  async kill() {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

export class Database extends TestDatabase {
  #session;
  #others = [];

  constructor(folder, name = 'shop.db') {
    super();
    this.folder = folder;
    this.path = join(folder, name);
  }

  // What a relay on this database has in its environment.
  get env() {
    return { SQLITE_PATH: this.path };
  }

  async query(sql, values) {
    this.#session ??= new Session(this.path);
    return this.#session.query(sql, values);
  }

  connect(options) {
    const session = new Session(this.path, options);
    this.#others.push(session);
    return session;
  }

  // The test's own session, so that the file can be deleted or replaced.
  async release() {
    await this.#session?.end();
    this.#session = undefined;
  }

  async close() {
    await this.release();
    for (const session of this.#others) await session.end();
  }
}

// A fresh file with the table `fence` that clients.mjs proves absence with, and a token table. sql: what the test wants in it.
export async function sqliteDatabase(t, sql = '', { name } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'esink-sqlite-'));
  t.defer(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  const database = new Database(folder, name);
  t.defer(() => database.close());
  await database.query(`CREATE TABLE auth (id INT, token TEXT); CREATE TABLE fence (n INT PRIMARY KEY); ${sql}`);
  return database;
}

// For what takes a server: harness.mjs' usePostgres().database(t, sql).
export const sqlite = { database: sqliteDatabase };
