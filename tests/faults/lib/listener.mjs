// One user's client, as real ones are: it notes its position, and after every loss it comes back with `after` (an EventSource by
// itself, with Last-Event-ID). Of what it receives the essence is kept: per row the steps that it was shown, in order.
import { execFileSync } from 'node:child_process';
import { SseClient, WsClient } from '../../e2e/lib/clients.mjs';
import { SioClient } from '../../e2e/lib/socketio.mjs';
import { until } from '../../e2e/lib/wait.mjs';
import { secret } from './application.mjs';

export const operator = 'operators-own-token-4711';

// socket.io-client says nothing of a websocket that ends between the answer 101 and the first packet, until its time for a connection is over.
const timeout = 5000;

const opens = {
  ws: (relay, token, after) => new WsClient(relay, token, { after }),
  operator: (relay, token, after) => new WsClient(relay, token, { via: 'header', after }),
  sse: (relay, token, after) => new SseClient(relay, token, { after }),
  io: (relay, token, after) => new SioClient(relay, token, { after, mode: 'websocket', timeout }),
  polling: (relay, token, after) => new SioClient(relay, token, { after, mode: 'upgrade', timeout }),
};
export const kinds = ['ws', 'sse', 'io', 'polling'];

// What a step looks like: oracle.mjs spells what should have come the same way. One string for all that look alike: millions are kept.
const spelt = new Map();
export function stepOf(type, version) {
  const step = type === 'delete' ? type : `${type} ${version}`;
  if (!spelt.has(step)) spelt.set(step, step);
  return spelt.get(step);
}

export class Listener {
  // who: a user's number, or 'operator'.
  constructor(relay, who, token, kind) {
    Object.assign(this, { relay, who, token, kind });
    this.steps = new Map(); // per row, as `table id`
    this.count = 0;
    this.last = -1;
    this.fence = 0; // the newest that was seen
    this.sessions = 0;
    this.losses = 0;
    this.errors = new Map(); // by code
    this.faults = [];
    this.backoff = 0;
    this.notBefore = 0;
    this.silence = Infinity; // ms after which it takes its connection for dead
  }

  #fault(text) {
    if (this.faults.length < 10) this.faults.push(`${this.name}: ${text}`);
  }

  get name() {
    return `${this.who} by ${this.kind}`;
  }

  // Looks at what came, and comes back if the session has ended. Called every few milliseconds.
  tick(now = Date.now()) {
    if (this.over) return;
    if (this.client) {
      if (this.#take()) this.heard = now;
      if (this.client.open && now - this.heard < this.silence) return;
      this.#leave();
      this.backoff = Math.min(this.backoff * 2 + 10, 500);
      this.notBefore = now + Math.random() * this.backoff;
    } else if (now >= this.notBefore) {
      this.client = opens[this.kind](this.relay, this.token, this.position);
      this.client.open = true; // until it says otherwise
      this.heard = now;
    }
  }

  // Vanishes without a word, with whatever was on its way to it; comes back after ms.
  vanish(ms) {
    if (!this.client) return;
    this.#take();
    this.#leave();
    this.notBefore = Date.now() + ms;
  }

  #leave() {
    const { client } = this;
    this.client = undefined;
    this.live = false;
    this.losses++;
    Promise.resolve(client.close()).catch(() => {});
  }

  // Tells how many messages there were.
  #take() {
    const { client } = this;
    client.received = '';
    const messages = client.messages.splice(0);
    for (const { event, data, text } of messages) {
      if (text.includes(secret)) this.#fault(`was shown a withheld value: ${text}`);
      if (event === 'connected') this.#connected(data);
      else if (event === 'changes') this.note(data);
      else if (event === 'position') this.#reach(data.id);
      else if (event === 'error') this.errors.set(data.code, (this.errors.get(data.code) ?? 0) + 1);
    }
    return messages.length;
  }

  #connected({ journal, id, recovered }) {
    this.sessions++;
    this.live = true; // until it leaves
    this.backoff = 0;
    if (this.journal === undefined) {
      this.journal = journal;
      this.#reach(id);
    } else if (journal !== this.journal || recovered !== true) {
      this.#fault(`not recovered from ${this.position}: journal ${journal}, recovered ${recovered}`);
    }
  }

  #reach(id) {
    const n = Number(id);
    if (n < this.last) this.#fault(`position ${n} after ${this.last}`);
    this.last = Math.max(n, this.last);
    this.position = `${this.journal}:${id}`;
  }

  // An event.
  note({ id, table, type, data, incomplete }) {
    const n = Number(id);
    if (n <= this.last) this.#fault(`event ${n} after ${this.last}`);
    this.last = n;
    this.position = `${this.journal}:${id}`;
    if (table === 'fence') {
      this.fence = Math.max(this.fence, data.n);
      return;
    }
    if (incomplete) this.#fault(`event ${id} is incomplete`);
    this.count++;
    const row = `${table} ${data.id}`;
    const list = this.steps.get(row);
    const step = stepOf(type, data.version);
    if (list) list.push(step);
    else this.steps.set(row, [step]);
  }

  state() {
    return `${this.name}: ${this.client ? `session ${this.client.open ? 'open' : 'ended'}` : 'away'}${this.live ? ', live' : ''}, last heard ${Date.now() - this.heard} ms ago, ${this.sessions} sessions, up to ${this.last}, fence ${this.fence}, errors ${JSON.stringify([...this.errors])}; ${this.client?.state() ?? ''}${this.client?.packets ? `; packets ${JSON.stringify(this.client.packets.slice(-6)).slice(0, 600)}; connected ${this.client.socket.connected}, engine ${this.client.socket.io.engine?.readyState}` : ''}`;
  }

  async close() {
    if (this.over) return;
    this.over = true;
    await Promise.resolve(this.client?.close()).catch(() => {});
  }
}

// All of them, looked at in turn.
export class Listeners {
  constructor(t) {
    this.all = [];
    const timer = setInterval(() => { for (const one of this.all) one.tick(); }, 10);
    t.defer(() => clearInterval(timer));
    t.defer(() => Promise.all(this.all.map((one) => one.close())));
  }

  add(...listeners) {
    this.all.push(...listeners);
  }

  async connected(timeout = 30_000) {
    await until(() => this.all.every((one) => one.sessions > 0), () => `first sessions; ${this.#missing((one) => one.sessions > 0)}`, timeout);
  }

  async passed(n, timeout = 60_000) {
    await until(() => this.all.every((one) => one.fence >= n), () => `fence ${n}; ${this.#missing((one) => one.fence >= n)}`, timeout);
  }

  #missing(has) {
    const rest = this.all.filter((one) => !has(one));
    const sockets = rest.length ? execFileSync('ss', ['-tanp', `( sport = :${rest[0].relay.port} or dport = :${rest[0].relay.port} )`], { encoding: 'utf8' }) : '';
    return `${rest.length} of ${this.all.length} lack it:\n${rest.slice(0, 4).map((one) => one.state()).join('\n')}\nits connections:\n${sockets}\nthe relay's log ends: ${rest[0]?.relay.log.slice(-3000)}`;
  }

  sum(what) {
    return this.all.reduce((n, one) => n + one[what], 0);
  }
}
