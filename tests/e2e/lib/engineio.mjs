// Engine.IO by hand, on requests and websockets of its own, for what a client library hides or would never do. Each request
// is a connection of its own, so that with several network threads a session's requests arrive on any of them.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { request } from './clients.mjs';
import { until } from './wait.mjs';

export const RS = '\x1e';

function query(values) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of [value].flat()) if (one !== undefined) parts.append(name, one);
  }
  return parts.toString();
}

// A session by HTTP long-polling. base: http://host:port/path/
export class Polling {
  constructor(base, { headers = {}, more = {} } = {}) {
    this.base = base;
    this.headers = headers;
    this.more = more;
    this.packets = []; // all that was fetched with run()
  }

  url(changes = {}) {
    return `${this.base}?${query({ EIO: '4', transport: 'polling', sid: this.sid, ...this.more, ...changes })}`;
  }

  async open() {
    const answer = await request(this.url(), { headers: this.headers });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.text[0], '0', answer.text);
    this.handshake = JSON.parse(answer.text.slice(1));
    this.sid = this.handshake.sid;
    return this;
  }

  poll(options = {}) {
    return request(this.url(), { ...options, headers: { ...this.headers, ...options.headers } });
  }

  post(body, options = {}) {
    return request(this.url(), { method: 'POST', body, ...options, headers: { 'content-type': 'text/plain;charset=UTF-8', ...this.headers, ...options.headers } });
  }

  async send(...packets) {
    const answer = await this.post(packets.join(RS));
    assert.deepEqual([answer.status, answer.text], [200, 'ok']);
  }

  async fetch() {
    const answer = await this.poll();
    assert.equal(answer.status, 200, answer.text);
    return answer.text.split(RS);
  }

  // Polls until done() or the session is no more; answers pings unless mute.
  async run(done, { mute = false } = {}) {
    while (!done()) {
      const answer = await this.poll({ timeout: 60_000 });
      if (answer.status !== 200) {
        this.over = answer;
        return;
      }
      const packets = answer.text.split(RS);
      this.packets.push(...packets);
      if (packets.includes('2') && !mute) await this.post('3');
      if (packets.includes('1')) {
        this.over = answer;
        return;
      }
    }
  }

  // The Socket.IO events fetched so far, as [name, ...arguments].
  get events() {
    return eventsOf(this.packets);
  }

  named(event) {
    return this.events.filter(([name]) => name === event).map(([, data]) => data);
  }

  // CONNECT with that auth, up to `connected`.
  async connect(auth) {
    await this.open();
    await this.send(`40${JSON.stringify(auth)}`);
    await this.run(() => this.named('connected').length > 0 || this.packets.includes('41'));
    return this;
  }
}

export const eventsOf = (packets) => packets.filter((packet) => typeof packet === 'string' && packet.startsWith('42')).map((packet) => JSON.parse(packet.slice(2)));

// A session on a websocket, or the websocket that a polling session upgrades to (sid). pong: answers pings.
export class Wire {
  constructor(t, base, { sid, pong = false, headers, more = {}, changes = {} } = {}) {
    const url = `${base.replace(/^http/, 'ws')}?${query({ EIO: '4', transport: 'websocket', sid, ...more, ...changes })}`;
    this.packets = []; // text as strings, binary as buffers
    this.open = false;
    this.socket = new WebSocket(url, { headers, perMessageDeflate: false, rejectUnauthorized: false });
    t.defer(() => this.socket.terminate());
    this.socket.on('open', () => { this.open = true; });
    this.socket.on('message', (data, binary) => {
      this.packets.push(binary ? data : data.toString());
      if (pong && !binary && data.toString() === '2') this.socket.send('3');
    });
    this.socket.on('unexpected-response', (req, res) => {
      let text = '';
      res.on('data', (chunk) => { text += chunk; });
      res.on('end', () => { this.refusal = { status: res.statusCode, text, headers: res.headers }; this.over = true; });
    });
    this.socket.on('error', (error) => { this.failure = error; });
    this.socket.on('close', (code) => {
      this.code = code;
      this.over = true;
    });
  }

  state() {
    return `wire ${this.over ? `over (${this.code}, ${this.refusal?.status} ${this.refusal?.text})` : 'open'}, ${this.packets.length} packets, the last: ${this.packets.slice(-4).map(String)}`;
  }

  async opened() {
    await until(() => this.open || this.over, () => `a websocket; ${this.state()}`);
    assert.ok(this.open, this.state());
    return this;
  }

  send(...packets) {
    for (const packet of packets) this.socket.send(packet);
  }

  // The next packet that was not taken yet; pings are skipped unless asked for.
  async next({ pings = false } = {}) {
    for (;;) {
      await until(() => this.packets.length > (this.taken ?? 0) || this.over, () => `a packet; ${this.state()}`);
      assert.ok(this.packets.length > (this.taken ?? 0), `no more packets; ${this.state()}`);
      const packet = this.packets[this.taken ?? 0];
      this.taken = (this.taken ?? 0) + 1;
      if (pings || packet !== '2') return packet;
    }
  }

  async handshake() {
    const packet = await this.next();
    assert.equal(packet[0], '0', packet);
    return JSON.parse(packet.slice(1));
  }

  closed(timeout) {
    return until(() => this.over, () => `the end; ${this.state()}`, timeout);
  }

  get events() {
    return eventsOf(this.packets);
  }

  named(event) {
    return this.events.filter(([name]) => name === event).map(([, data]) => data);
  }

  async connect(auth) {
    await this.handshake();
    this.send(`40${JSON.stringify(auth)}`);
    await until(() => this.named('connected').length > 0 || this.over, () => `connected; ${this.state()}`);
    return this;
  }
}
