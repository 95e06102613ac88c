// Sessions on bare sockets, for what client libraries hide: a peer that reads in sips or not at all, that breaks the
// framing, and thousands of them at once. Of events only the last id is kept, and whether each followed the one before.
import net from 'node:net';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { until } from './wait.mjs';

// A frame as a client sends it. length: another than the payload's.
export function frame(opcode, payload, { fin = true, masked = true, rsv = 0, length } = {}) {
  const body = Buffer.from(payload);
  const size = length ?? body.length;
  const bit = masked ? 0x80 : 0;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  if (size < 126) head.push(bit | size);
  else if (size < 65_536) head.push(bit | 126, size >> 8, size & 255);
  else head.push(bit | 127, 0, 0, 0, 0, (size >>> 24) & 255, (size >> 16) & 255, (size >> 8) & 255, size & 255);
  const mask = masked ? randomBytes(4) : Buffer.alloc(0);
  const out = masked ? body.map((byte, i) => byte ^ mask[i % 4]) : body;
  return Buffer.concat([Buffer.from(head), mask, out]);
}

class Session {
  constructor(relay, path, head) {
    this.relay = relay;
    this.open = true;
    this.count = 0; // events
    this.last = undefined; // id of the last one
    this.out = []; // ids that did not follow the one before
    this.gaps = true; // events of others lie between: only the order is looked at
    this.largest = 0; // characters of a message
    this.sizes = []; // of events
    this.buffer = Buffer.alloc(0);
    this.socket = net.connect({ port: relay.port, host: '127.0.0.1' });
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk) => this.#take(chunk));
    this.socket.on('close', () => { this.open = false; });
    this.socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${head}\r\n`);
  }

  #take(chunk) {
    this.buffer = this.buffer.length ? Buffer.concat([this.buffer, chunk]) : chunk;
    if (this.status === undefined) {
      const end = this.buffer.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.status = Number(/ (\d{3})/.exec(this.buffer.toString('latin1', 0, 20))[1]);
      this.buffer = this.buffer.subarray(end + 4);
    }
    this.parse();
  }

  message(event, text) {
    if (event === 'changes') {
      const id = BigInt(/"id":"(\d+)"/.exec(text.slice(0, 80))[1]);
      if (this.last !== undefined && (this.gaps ? id <= this.last : id !== this.last + 1n)) this.out.push(id);
      this.last = id;
      this.count++;
      if (text.length > this.largest) this.largest = text.length;
      this.onEvent?.(text);
    } else {
      const data = JSON.parse(text);
      if (event === 'connected') this.welcome = data;
      if (event === 'error') this.error = data;
    }
  }

  // Takes nothing from now on.
  stop() {
    this.socket.pause();
  }

  go() {
    this.socket.resume();
  }

  // Reads on for a moment now and then, on average so many bytes a turn.
  sip(t, bytes = 32_768, every = 4) {
    this.socket.removeAllListeners('data');
    this.socket.pause();
    const timer = setInterval(() => {
      if (this.halted) return;
      const chunk = this.socket.read(Math.min(bytes, this.socket.readableLength)) ?? this.socket.read();
      if (chunk) this.#take(chunk);
    }, every);
    t.defer(() => clearInterval(timer));
    return () => {
      clearInterval(timer);
      this.socket.on('data', (chunk) => this.#take(chunk));
      this.socket.resume();
    };
  }

  get position() {
    return `${this.welcome.journal}:${this.last ?? this.welcome.id}`;
  }

  connected(timeout) {
    return until(() => this.welcome ?? (!this.open && Promise.reject(Object.assign(new Error(`refused: ${this.state()}`), { fatal: true }))), () => `connected; ${this.state()}`, timeout);
  }

  ended(timeout) {
    return until(() => !this.open, () => `the end of ${this.state()}`, timeout);
  }

  state() {
    return `${this.constructor.name} ${this.open ? 'open' : 'closed'} ${this.status} ${this.code ?? ''} ${JSON.stringify(this.error ?? '')} ${this.count} events up to ${this.last}, ${this.out.length} out of order`;
  }
}

const upgrade = () => `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n`;

export class RawWs extends Session {
  constructor(relay, query) {
    super(relay, `/ws?${query}`, upgrade());
    this.pieces = [];
    this.pongs = 0;
  }

  send(bytes) {
    this.socket.write(bytes);
  }

  say(event, data) {
    this.send(frame(1, JSON.stringify({ event, data })));
  }

  // Answers, as it should; `mute`: does not.
  #closed(payload) {
    this.code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
    if (!this.mute) this.socket.end(frame(8, payload));
  }

  parse() {
    if (this.status !== 101) return;
    let at = 0;
    const { buffer } = this;
    for (;;) {
      if (buffer.length - at < 2) break;
      const size = buffer[at + 1] & 127;
      const head = size < 126 ? 2 : size === 126 ? 4 : 10;
      if (buffer.length - at < head) break;
      const len = size < 126 ? size : size === 126 ? buffer.readUInt16BE(at + 2) : Number(buffer.readBigUInt64BE(at + 2));
      if (buffer.length - at < head + len) break;
      this.frame(buffer[at], buffer.subarray(at + head, at + head + len));
      at += head + len;
    }
    this.buffer = at ? buffer.subarray(at) : buffer;
  }

  frame(first, payload) {
    const opcode = first & 15;
    if (opcode === 9) this.socket.write(frame(10, payload));
    else if (opcode === 10) this.pongs++;
    else if (opcode === 8) this.#closed(payload);
    else if ((opcode === 0) !== (this.pieces.length > 0) || opcode > 1) throw new Error(`a frame of opcode ${opcode} out of place`);
    else {
      this.pieces.push(first & 0x80 && !this.pieces.length ? payload : Buffer.from(payload));
      if (!(first & 0x80)) return;
      const text = (this.pieces.length > 1 ? Buffer.concat(this.pieces) : this.pieces[0]).toString('utf8');
      this.pieces = [];
      const name = /^\{"event":"(\w+)","data":/.exec(text);
      this.message(name[1], text.slice(name[0].length, -1));
    }
  }
}

export class RawSse extends Session {
  constructor(relay, query) {
    super(relay, `/stream?${query}`, '');
  }

  parse() {
    for (;;) {
      const end = this.buffer.indexOf('\n\n');
      if (end < 0) return;
      const text = this.buffer.toString('utf8', 0, end);
      this.buffer = this.buffer.subarray(end + 2);
      const name = /^event: (\w+)$/m.exec(text);
      if (name) this.message(name[1], text.slice(text.indexOf('\ndata: ') + 7));
    }
  }
}

export function rawSession(t, relay, kind, query) {
  const session = new (kind === 'sse' ? RawSse : RawWs)(relay, query);
  t.defer(() => session.socket.destroy());
  return session;
}

// MB of memory that the relay holds.
export function rss(relay) {
  const status = readFileSync(`/proc/${relay.process.child.pid}/status`, 'latin1');
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024;
}

// Looks at it all the while; returns a function that tells the most that was seen.
export function watchRss(t, relay) {
  let most = rss(relay);
  const look = () => {
    try {
      most = Math.max(most, rss(relay));
    } catch {
      // the process has ended
    }
  };
  const timer = setInterval(look, 20);
  t.defer(() => clearInterval(timer));
  return () => {
    look();
    return most;
  };
}

export const ended = (relay, reason) => relay.log.split('\n').filter((line) => line.includes(`ended: ${reason} (`)).length;
// A figure of memory means something on a plain build only.
export const measured = Number(process.env.ESINK_PATIENCE ?? 1) === 1;
