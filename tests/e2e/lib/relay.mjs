// The real binary ($ESINK_BINARY) on a free port, with an environment of its own. At the test's end it gets SIGTERM and
// must end with status 0; a sanitizer's report, or a token or filtered value anywhere in its log, fails the test.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import assert from 'node:assert/strict';
import { SseClient, WsClient, request } from './clients.mjs';
import { freePort } from './ports.mjs';
import { SioClient } from './socketio.mjs';
import { until, within } from './wait.mjs';

export function binary() {
  const path = process.env.ESINK_BINARY ?? fileURLToPath(new URL('../../../build/test/src/app/esink', import.meta.url));
  if (!existsSync(path)) throw new Error(`no binary at ${path}: build it (tests/run e2e does), or set ESINK_BINARY`);
  return path;
}

const sanitizers = {
  ASAN_OPTIONS: 'detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  TSAN_OPTIONS: `second_deadlock_stack=1:suppressions=${fileURLToPath(new URL('../../tsan.supp', import.meta.url))}`,
};
const report = /AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|Assertion .* failed|SUMMARY: \w+Sanitizer/;

// A process of the binary: its log, its end.
export class Process {
  constructor(env, args = []) {
    this.log = '';
    this.stdout = '';
    this.child = spawn(binary(), args, {
      env: { PATH: process.env.PATH, ...sanitizers, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout.on('data', (chunk) => {
      this.stdout += chunk;
      this.log += chunk;
    });
    this.child.stderr.on('data', (chunk) => {
      this.log += chunk;
    });
    this.exited = new Promise((resolve) => {
      this.child.on('close', (code, signal) => {
        this.status = { code, signal };
        resolve(this.status);
      });
    });
    this.onExit = () => this.child.kill('SIGKILL');
    process.on('exit', this.onExit);
    this.exited.then(() => process.off('exit', this.onExit));
  }

  get running() {
    return this.status === undefined;
  }

  kill(signal) {
    if (signal === 'SIGTERM' || signal === 'SIGINT') this.asked = true;
    this.child.kill(signal);
  }

  // What no log may hold: no sanitizer's report, none of the secrets.
  check(secrets) {
    assert.ok(!report.test(this.log), `a sanitizer or an assertion spoke:\n${this.log}`);
    for (const secret of secrets) {
      assert.ok(!this.log.includes(secret), `the log holds a secret of this test (${secret.length} characters):\n${this.log}`);
    }
  }
}

// How a relay is told of a database: lib/sqlite.mjs' know by themselves.
const environmentOf = (db) => (db ? db.env ?? { POSTGRES_DATABASE_URL: db.url } : {});

// Runs the binary to its end: for --check, --uninstall, and starts that must fail. Secrets are checked as everywhere.
export async function runToEnd(t, { env = {}, args = [], db, secrets = [], timeout = 20_000 } = {}) {
  const base = environmentOf(db);
  const child = new Process({ PORT: String(await freePort()), HOST: '127.0.0.1', ...base, ...env }, args);
  t.defer(() => child.kill('SIGKILL'));
  try {
    await within(child.exited, 'the process to end by itself', timeout);
  } catch (error) {
    throw new Error(`${error.message}; its log:\n${child.log}`);
  }
  child.check(secrets);
  return { ...child.status, log: child.log, stdout: child.stdout };
}

export class Relay {
  constructor(t, db, options) {
    this.t = t;
    this.db = db;
    this.options = options;
    this.secrets = new Set();
    this.clients = [];
    this.pastLogs = '';
  }

  get log() {
    return this.pastLogs + (this.process?.log ?? '');
  }

  get origin() {
    return `${this.options.tls ? 'https' : 'http'}://${this.options.host ?? '127.0.0.1'}:${this.port}`;
  }

  #environment() {
    const { tables = '', routing = {}, filters, env = {}, fence = true } = this.options;
    const names = [tables, fence ? 'fence' : ''].filter(Boolean).join(',');
    return {
      PORT: String(this.port),
      HOST: this.options.host ?? '127.0.0.1',
      NETWORK_THREADS: process.env.ESINK_TEST_THREADS ?? '2',
      ...environmentOf(this.db),
      TABLE_NAMES: names,
      TABLE_AUTH_COLUMN_ROUTING: JSON.stringify(fence ? { fence: '*', ...routing } : routing),
      ...(filters ? { FILTERS: filters } : {}),
      ...env,
    };
  }

  // Starts the process; ready: waits until capture is live.
  async start({ ready = true, ...changes } = {}) {
    Object.assign(this.options, changes);
    this.port ??= await freePort();
    this.process = new Process(this.#environment(), this.options.args);
    if (ready) await this.ready();
    else await this.listening();
    return this;
  }

  async #answer(path, wanted) {
    await until(async () => {
      if (!this.process.running) {
        throw Object.assign(new Error(`the relay ended (${JSON.stringify(this.process.status)}); its log:\n${this.log}`), { fatal: true });
      }
      const answer = await this.get(path);
      return answer.status === wanted && answer;
    }, () => `${path} to answer ${wanted}; the relay's log:\n${this.log}`, 30_000);
    // What it logged before that answer lies in the pipe: two turns of the loop read it.
    await nextTurn();
    await nextTurn();
  }

  ready() {
    return this.#answer('/ready', 200);
  }

  notReady() {
    return this.#answer('/ready', 503);
  }

  listening() {
    return this.#answer('/ping', 200);
  }

  // A value that may appear neither in the log nor in anything that a client receives.
  secret(value) {
    this.secrets.add(String(value));
    return value;
  }

  get(path, options) {
    return request(this.origin + path, options);
  }

  post(path, body, options = {}) {
    const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
    const headers = { 'content-type': 'application/json', ...options.headers };
    return request(this.origin + path, { method: 'POST', body: text, ...options, headers });
  }

  // A websocket or stream whose `connected` has arrived. open*: the same without waiting.
  async ws(token, options) {
    const client = this.openWs(token, options);
    await client.connected();
    return client;
  }

  openWs(token, options = {}) {
    return this.#adopt(new WsClient(this, token, options), token);
  }

  async sse(token, options) {
    const client = this.openSse(token, options);
    await client.connected();
    return client;
  }

  openSse(token, options = {}) {
    return this.#adopt(new SseClient(this, token, options), token);
  }

  // Through socket.io-client.
  async io(token, options) {
    const client = this.openIo(token, options);
    await client.connected();
    return client;
  }

  openIo(token, options = {}) {
    return this.#adopt(new SioClient(this, token, options), token);
  }

  // Until websockets were sent away because a watched table had lost its triggers: whoever is to see what follows comes after that.
  async sentAway(...clients) {
    for (const client of clients) {
      await client.closing();
      assert.equal(client.reason, 'journal', client.state());
    }
  }

  // One that was not sent away, and will not be for a table whose triggers are there by now.
  async settled(make) {
    for (;;) {
      const client = await make(), n = await this.db.fence();
      await until(() => !client.open || client.named('changes').some((event) => event.table === 'fence' && event.data.n === n), () => `fence ${n}; ${client.state()}`);
      if (client.open) return client;
    }
  }

  // The operator's websocket; needs env.SECURITY_TOKEN.
  operator(options = {}) {
    return this.ws(this.options.env.SECURITY_TOKEN, { via: 'header', ...options });
  }

  #adopt(client, token) {
    if (typeof token === 'string' && token.length > 8) this.secrets.add(token);
    this.clients.push(client);
    return client;
  }

  // Commits a row that every session hears of, and waits until these clients did: what they have not received by then
  // of earlier commits, they never will.
  async fence(...clients) {
    const n = await this.db.fence();
    for (const client of clients) await client.passed(n);
  }

  // SIGTERM, exit status 0, clean log.
  async stop({ timeout = 15_000 } = {}) {
    if (!this.process) return;
    const { process: child } = this;
    if (child.running && !child.asked) child.kill('SIGTERM'); // a second one would end it at once
    try {
      await within(child.exited, 'the relay to end after SIGTERM', timeout);
    } catch (error) {
      child.kill('SIGKILL');
      throw new Error(`${error.message}; its log:\n${child.log}`);
    }
    this.#retire();
    assert.deepEqual(child.status, { code: 0, signal: null }, `the relay's exit status; its log:\n${child.log}`);
  }

  async kill() {
    this.process.kill('SIGKILL');
    await this.process.exited;
    this.#retire();
  }

  #retire() {
    const { process: child } = this;
    this.pastLogs += child.log;
    this.process = undefined;
    for (const token of this.db?.tokens.values() ?? []) this.secrets.add(token);
    child.check(this.secrets);
  }

  async close() {
    const clients = this.clients.splice(0);
    for (const client of clients) await client.close();
    await this.stop();
    for (const client of clients) client.checkSecrets(this.secrets);
  }
}

// options: tables, routing, filters (the three variables, `fence` is added), env (any variable), args, tls, host (where it
// listens), fence: false (no such table), ready: false (do not wait for capture).
export async function startRelay(t, db, options = {}) {
  const { ready = true, ...rest } = options;
  const relay = new Relay(t, db, rest);
  t.defer(() => relay.close());
  return relay.start({ ready });
}
