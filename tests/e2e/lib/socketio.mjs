// Socket.IO clients that record what they receive: the library that browsers use, in two versions and every way to connect.
// What the library hides (sids, payloads, the upgrade's packets) is in engineio.mjs.
import assert from 'node:assert/strict';
import { io as newest } from 'socket.io-client';
import { io as older } from 'socket.io-client-4.7.2';
import { Client } from './clients.mjs';
import { test } from './harness.mjs';
import { sanitized } from './health.mjs';
import { sqliteDatabase } from './sqlite.mjs';
import { until } from './wait.mjs';

const libraries = { newest, '4.7.2': older };
export const versions = Object.keys(libraries);
const transports = { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] };
export const modes = Object.keys(transports);
// Every version in every mode.
export const combinations = versions.flatMap((version) => modes.map((mode) => ({ version, mode })));

// A test once with one network thread and once with four: a session's requests may then arrive on any of them. With a sanitizer
// only with four, where there is more to find.
export function threaded(name, ...rest) {
  const fn = rest.pop();
  for (const threads of sanitized() ? [4] : [1, 4]) test(`${name} [${threads} threads]`, ...rest, (t) => fn(t, threads));
}

export const notes = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text);';
export const rules = { tables: 'notes', routing: { notes: 'user_id' } };

// An SQLite file, because it starts fastest, and users 1 to `users`. env: for the relay, besides the number of threads.
export async function database(t, { sql = notes, users = 1 } = {}) {
  const db = await sqliteDatabase(t, sql);
  const tokens = [];
  for (let id = 1; id <= users; id++) tokens.push(await db.user(id));
  return { db, tokens, token: tokens[0] };
}

// Rows first..last of `notes` for that user, in one transaction.
export function insert(db, first, last, user = 1, body = "'n'") {
  return db.query(`WITH RECURSIVE s(n) AS (SELECT ${first} UNION ALL SELECT n + 1 FROM s WHERE n < ${last}) INSERT INTO notes SELECT n, ${user}, ${body} FROM s`);
}

// auth: instead of {token, after}: any value, or a function as the library takes it. more: further fields of auth. The
// rest goes to the library. It reconnects only where a test says so.
export class SioClient extends Client {
  constructor(relay, token, { version = 'newest', mode = 'upgrade', after, more = {}, auth, reconnection = false, ...options } = {}) {
    super(relay);
    this.disconnects = []; // reasons, in the library's words
    this.failures = []; // of connecting
    this.refusals = []; // the same, as the library's errors
    this.packets = []; // of Engine.IO, as [type, data]
    this.socket = libraries[version](relay.origin, {
      transports: transports[mode], forceNew: true, reconnection, rejectUnauthorized: false, timeout: 60_000,
      auth: auth ?? { token, ...(after === undefined ? {} : { after }), ...more },
      reconnectionDelay: 20, reconnectionDelayMax: 200, ...options,
    });
    this.socket.onAny((event, data, ...rest) => {
      assert.equal(rest.length, 0, `${event} has one argument`);
      const text = JSON.stringify(data);
      this.received += text;
      this.messages.push({ event, data, text });
    });
    this.socket.on('connect', () => {
      this.open = true;
      this.sid = this.socket.id;
    });
    this.socket.on('disconnect', (reason) => {
      this.open = false;
      this.closed = reason;
      this.disconnects.push(reason);
    });
    this.socket.on('connect_error', (error) => {
      this.failures.push(error.message);
      this.refusals.push(error);
      if (!reconnection) this.open = false;
    });
    this.socket.io.on('open', () => this.#watch());
  }

  #watch() {
    this.socket.io.engine.on('packet', ({ type, data }) => this.packets.push([type, data]));
  }

  state() {
    return `socket.io ${this.transport}, disconnects: ${this.disconnects}, failures: ${this.failures}; ${super.state()}`;
  }

  get transport() {
    return this.socket.io.engine?.transport.name;
  }

  get welcomes() {
    return this.named('connected');
  }

  // What would make the library believe that it should not come back.
  get wasToldToGo() {
    return this.packets.some(([type, data]) => type === 'message' && data === '1');
  }

  say(event, ...data) {
    this.socket.emit(event, ...data);
  }

  upgraded() {
    return until(() => this.transport === 'websocket', () => `the upgrade; ${this.state()}`);
  }

  async closing(timeout) {
    await until(() => !this.open, () => `the end of the session; ${this.state()}\n${this.relay.log}`, timeout);
    return this.closed;
  }

  async close() {
    this.socket.disconnect();
    await until(() => ['closed', undefined].includes(this.socket.io.engine?.readyState), 'the connection to close');
    this.open = false;
  }
}
