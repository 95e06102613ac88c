// Clients that record what they receive. Absence («nobody gets it») is never proved by waiting: relay.fence() commits a
// later row that everyone hears of, and what has not come before it on the same session never will.
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { Readable } from 'node:stream';
import assert from 'node:assert/strict';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { until, within } from './wait.mjs';

// One HTTP exchange without keep-alive, so that connections do not outlive what a test means. Not fetch: it refuses
// some of the headers and methods that tests send.
export function request(url, { method = 'GET', headers = {}, body, timeout = 20_000 } = {}) {
  const { request: send } = url.startsWith('https:') ? https : http;
  const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
  const answer = new Promise((resolve, reject) => {
    const req = send(url, { method, headers: { ...length, ...headers }, agent: false, rejectUnauthorized: false }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () => resolve(new Answer(res, Buffer.concat(chunks).toString('utf8'))));
    });
    req.on('error', reject);
    req.end(body);
  });
  return within(answer, `${method} ${url}`, timeout);
}

class Answer {
  constructor(res, text) {
    this.status = res.statusCode;
    this.headers = res.headers;
    this.text = text;
  }

  get json() {
    try {
      return JSON.parse(this.text);
    } catch {
      throw new Error(`not JSON: ${this.status} ${this.text.slice(0, 200)}`);
    }
  }
}

// Bytes to a socket, everything that comes back until the peer closes (or until done(text) says that it is enough).
export function raw(port, bytes, { done = () => false, timeout = 10_000 } = {}) {
  let text = '';
  const socket = net.connect(port, '127.0.0.1');
  const ended = new Promise((resolve) => {
    socket.setEncoding('latin1');
    socket.on('connect', () => socket.write(bytes));
    socket.on('data', (chunk) => {
      text += chunk;
      if (done(text)) socket.destroy();
    });
    socket.on('error', () => {}); // a reset is an end like any other
    socket.on('close', () => resolve(text));
  });
  return within(ended, () => `the end of a raw exchange, so far ${JSON.stringify(text.slice(0, 300))}`, timeout).finally(() => socket.destroy());
}

// What every session has: the named messages in the order of their arrival.
export class Client {
  constructor(relay) {
    this.relay = relay;
    this.messages = [];
    this.received = ''; // every byte of text, for the search for secrets
    this.open = true;
  }

  record(event, text) {
    this.received += text;
    this.messages.push({ event, data: JSON.parse(text), text });
  }

  named(event) {
    return this.messages.filter((message) => message.event === event).map((message) => message.data);
  }

  // The events, without the fences; each as the client sees it. text: as it came, for exact digits.
  get events() {
    return this.named('changes').filter((event) => event.table !== 'fence');
  }

  get texts() {
    return this.messages.filter(({ event, data }) => event === 'changes' && data.table !== 'fence').map(({ text }) => text);
  }

  get welcome() {
    return this.named('connected')[0];
  }

  get errors() {
    return this.named('error');
  }

  // The resume point after what was received so far.
  get position() {
    const ids = this.messages.filter(({ event }) => event === 'changes').map(({ data }) => data.id);
    return `${this.welcome.journal}:${ids.at(-1) ?? this.welcome.id}`;
  }

  state() {
    const last = this.messages.slice(-5).map(({ event, text }) => `${event} ${text.slice(0, 160)}`);
    return `${this.constructor.name} (${this.open ? 'open' : `closed ${this.closed ?? ''}`}, ${this.messages.length} messages), the last: ${last.join('\n')}`;
  }

  async connected() {
    await until(() => {
      if (this.welcome) return true;
      if (!this.open) throw Object.assign(new Error(`the session was refused: ${this.state()}`), { fatal: true });
      return false;
    }, () => `connected; ${this.state()}\nthe relay's log:\n${this.relay.log}`);
    return this.welcome;
  }

  passed(n) {
    return until(() => this.named('changes').some((event) => event.table === 'fence' && event.data.n === n),
      () => `fence ${n}; ${this.state()}`);
  }

  // Waits until an event fits, and returns it.
  event(fits, what = 'an event that fits', timeout) {
    return until(() => this.events.find(fits), () => `${what}; ${this.state()}`, timeout);
  }

  count(n, timeout) {
    return until(() => this.events.length >= n, () => `${n} events, have ${this.events.length}; ${this.state()}`, timeout);
  }

  checkSecrets(secrets) {
    for (const secret of secrets) {
      assert.ok(!this.received.includes(secret), `a client received a secret of this test: ${this.state()}`);
    }
  }
}

// token: in the query, or as `via: 'header'` or `via: 'message'`. query: more of it; after, topics, types go there.
export class WsClient extends Client {
  constructor(relay, token, { via = 'query', query = {}, headers = {}, after, path = '/ws', origin } = {}) {
    super(relay);
    const address = new URL(`${relay.origin.replace(/^http/, 'ws')}${path}`);
    if (via === 'query' && token !== undefined) address.searchParams.set('token', token);
    appendQuery(address, query, after);
    const head = via === 'header' && token !== undefined ? { authorization: `Bearer ${token}`, ...headers } : headers;
    this.socket = new WebSocket(address, { headers: head, origin, rejectUnauthorized: false, perMessageDeflate: false });
    this.socket.on('message', (frame, binary) => {
      const text = frame.toString('utf8');
      this.received += text;
      assert.equal(binary, false, 'the relay sends text frames only');
      const { event, data } = JSON.parse(text);
      this.messages.push({ event, data, text });
    });
    this.socket.on('open', () => {
      if (via === 'message') this.say('auth', { token, ...(after ? { after } : {}) });
    });
    this.socket.on('unexpected-response', (req, res) => {
      this.refusal = res.statusCode;
      req.destroy();
      this.open = false;
    });
    this.socket.on('error', (error) => {
      this.failure = error;
    });
    this.socket.on('close', (code, reason) => {
      this.open = false;
      this.closed = code;
      this.reason = reason.toString();
    });
  }

  say(event, data) {
    this.socket.send(JSON.stringify({ event, data }));
  }

  // Waits for the other side to close, and tells the code.
  async closing(timeout) {
    await until(() => !this.open, () => `the websocket to be closed; ${this.state()}`, timeout);
    return this.closed;
  }

  async close() {
    if (this.socket.readyState === WebSocket.CLOSED) return;
    this.socket.terminate();
    await until(() => !this.open || this.socket.readyState === WebSocket.CLOSED, 'the websocket to end');
  }
}

// fetch() for an EventSource. Not Node's own: in Debian 12's version it forgets the signal once the garbage collector has been there, and
// a stream that was closed stays open, read by nobody.
function fetchStream(url, { headers, signal }) {
  const { request: send } = String(url).startsWith('https:') ? https : http;
  return new Promise((resolve, reject) => {
    const req = send(url, { headers, signal, agent: false, rejectUnauthorized: false }, (res) => {
      resolve({ status: res.statusCode, headers: new Headers(res.headers), body: Readable.toWeb(res) });
    });
    req.on('error', reject);
    req.end();
  });
}

// Through the eventsource package, which reconnects as a browser does; token in the query or `via: 'header'`.
export class SseClient extends Client {
  constructor(relay, token, { via = 'query', query = {}, headers = {}, after } = {}) {
    super(relay);
    const address = new URL(`${relay.origin}/stream`);
    if (via === 'query' && token !== undefined) address.searchParams.set('token', token);
    appendQuery(address, query, after);
    const more = via === 'header' ? { authorization: `Bearer ${token}`, ...headers } : headers;
    this.ids = [];
    this.source = new EventSource(address, {
      fetch: (url, init) => fetchStream(url, { ...init, headers: { ...init.headers, ...more } }),
    });
    for (const name of ['connected', 'changes', 'error', 'subscribed', 'position']) {
      this.source.addEventListener(name, (event) => {
        if (event.data === undefined) {
          // the package's own: the connection failed
          this.failure = event;
          if (this.source.readyState === EventSource.CLOSED) this.open = false;
          this.closed = event.code;
          return;
        }
        this.ids.push(event.lastEventId);
        this.record(name, event.data);
      });
    }
  }

  async close() {
    this.source.close();
    this.open = false;
  }
}

// The stream's bytes as they come, for what the package hides: ids, heartbeats, retry, headers.
export async function rawStream(t, url, { headers = {} } = {}) {
  const stream = { text: '', ended: false };
  await within(new Promise((resolve, reject) => {
    const req = http.get(url, { headers, agent: false }, (res) => {
      stream.status = res.statusCode;
      stream.headers = res.headers;
      res.setEncoding('utf8');
      res.on('data', (chunk) => { stream.text += chunk; });
      res.on('error', () => { stream.ended = true; });
      res.on('close', () => { stream.ended = true; });
      resolve();
    });
    req.on('error', (error) => { stream.ended = true; reject(error); });
    stream.close = () => req.destroy();
    t.defer(stream.close);
  }), `an answer of ${url}`);
  return stream;
}

function appendQuery(address, query, after) {
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) address.searchParams.append(name, one);
  }
  if (after !== undefined) address.searchParams.set('after', after);
}
