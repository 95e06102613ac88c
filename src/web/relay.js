// The connection to the relay: one websocket at a time, the token in its first message, the resume point in mind. It tells
// what happens through the handlers that it was given:
//
//   state({name, ...})      idle | connecting {again} | live | stalled {ready} | waiting {at, code, reason, detail} | refused {...}
//   session(connected, gap) `connected` came; gap: how a resume went, undefined on a first connection
//   event(event), subscribed({topics, types}), rejected(message, {topics, types}: what holds instead)
import { readEvent, readMessage } from './event.js';
import { rawOf } from './json.js';

const CONNECT_MS = 25_000; // a relay whose database is away answers after 10 s by itself
const PATIENCE_MS = 2_000;  // then the reader is told why it takes so long
const SILENCE_MS = 75_000; // it speaks at least every 30 s
const LOOK_MS = 5_000;     // so often a quiet connection is asked whether the relay still sees the database
const STEADY_MS = 10_000;  // what lasted so long begins again with short delays

async function readiness() {
  try {
    const response = await fetch('ready', { cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(5000) });
    return { status: response.status, message: (await response.json()).message };
  } catch {
    return { status: 0 };
  }
}

export class Relay {
  #handlers;
  #token;
  #socket;
  #session;
  #position;        // {journal, id}: everything up to there has arrived
  #wanted = { topics: [], types: [] }; // as the relay confirmed it
  #next;            // a subscription to ask for once the one under way is answered
  #asked = false;   // one is under way
  #failure;         // the last `error` of this socket
  #attempts = 0;
  #ready;           // what /ready said since the connection was lost: {status, message}
  #stalled = false; // live, but nothing can arrive: the relay is not ready
  #timer;
  #watchdog;
  #heard = 0;       // when the relay last said something
  #told = 0;        // when it last told an event
  #since = 0;       // when this session began

  constructor(handlers) {
    this.#handlers = handlers;
    window.addEventListener('online', () => this.retry());
    setInterval(() => this.#look(), LOOK_MS);
  }

  // What the relay was asked for and has confirmed.
  get wanted() {
    return this.#wanted;
  }

  // {journal, id}: where it would resume.
  get position() {
    return this.#position;
  }

  // With another token the resume point is another's, too.
  connect(token) {
    this.#drop();
    this.#token = token;
    this.#position = undefined;
    this.#wanted = { topics: [], types: [] };
    this.#attempts = 0;
    this.#open(false);
  }

  disconnect() {
    this.#drop();
    this.#token = undefined;
    this.#handlers.state({ name: 'idle' });
  }

  // Now rather than when the time is up.
  retry() {
    if (!this.#timer) return;
    this.#drop();
    this.#open(true);
  }

  // One at a time; of those that were asked for meanwhile the last counts.
  subscribe(wanted) {
    this.#next = wanted;
    this.#ask();
  }

  #ask() {
    if (!this.#next || this.#asked || !this.#session) return;
    const { topics, types } = this.#next;
    this.#next = undefined;
    this.#asked = true;
    if (topics.length + types.length === 0) this.#send('unsubscribe', {});
    else this.#send('subscribe', { topics, types });
  }

  #send(event, data) {
    this.#socket.send(JSON.stringify({ event, data }));
  }

  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    this.#timer = undefined;
    const socket = this.#socket;
    this.#socket = this.#session = this.#next = this.#failure = undefined;
    this.#asked = this.#stalled = false;
    socket?.close(1000);
  }

  #address() {
    const url = new URL('ws', location.href.replace(/[?#].*$/, ''));
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const parts = [['topics', this.#wanted.topics], ['types', this.#wanted.types]]
      .flatMap(([name, values]) => values.map((value) => `${name}=${encodeURIComponent(value)}`));
    return url.href + (parts.length > 0 ? `?${parts.join('&')}` : '');
  }

  #open(again) {
    this.#handlers.state({ name: 'connecting', again });
    const socket = new WebSocket(this.#address());
    this.#socket = socket;
    this.#watch(CONNECT_MS);
    setTimeout(() => { if (socket === this.#socket && !this.#session) this.#inquire({ name: 'connecting', again }); }, PATIENCE_MS);
    const after = this.#position && `${this.#position.journal}:${this.#position.id}`;
    socket.onopen = () => {
      if (socket === this.#socket) this.#send('auth', { token: this.#token, ...(after ? { after } : {}) });
    };
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#received(data);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.#socket) this.#closed(code, reason);
    };
  }

  // A connection whose other end has vanished says nothing by itself.
  #watch(ms) {
    clearTimeout(this.#watchdog);
    const socket = this.#socket;
    this.#watchdog = setTimeout(() => {
      if (socket !== this.#socket) return;
      socket.close();
      this.#closed(1006, 'silent');
    }, ms);
  }

  #received(text) {
    this.#heard = Date.now();
    const { name, data } = readMessage(text);
    if (name === 'changes') this.#event(readEvent(data));
    else if (name === 'connected') this.#connected(JSON.parse(rawOf(data)));
    else if (name === 'position') this.#position = JSON.parse(rawOf(data));
    else if (name === 'subscribed') this.#subscribed(JSON.parse(rawOf(data)));
    else if (name === 'error') this.#refused(JSON.parse(rawOf(data)));
  }

  #event(event) {
    this.#told = Date.now();
    if (this.#position) this.#position = { journal: this.#session.journal, id: event.id };
    this.#handlers.event(event);
  }

  // `recovered` false after a position was named is a hole that cannot be filled: it is told, and the new head is where we are.
  #connected(session) {
    const from = this.#position;
    const test = session.userId === '-1' && this.#token === 'TEST'; // no part in the journal, nothing to resume
    this.#session = session;
    this.#ready = undefined;
    this.#since = Date.now();
    if (!from || !session.recovered) this.#position = test ? undefined : { journal: session.journal, id: session.id };
    this.#patrol();
    this.#handlers.session({ ...session, test }, from && { recovered: session.recovered, from });
    this.#handlers.state({ name: 'live' });
    this.#ask();
  }

  #patrol() {
    clearTimeout(this.#watchdog);
    const socket = this.#socket;
    this.#watchdog = setTimeout(() => {
      if (socket !== this.#socket) return;
      if (Date.now() - this.#heard < SILENCE_MS) {
        this.#patrol();
        return;
      }
      socket.close();
      this.#closed(1006, 'silent');
    }, SILENCE_MS / 3);
  }

  #subscribed(wanted) {
    this.#wanted = wanted;
    this.#asked = false;
    this.#handlers.subscribed(wanted);
    this.#ask();
  }

  #refused(error) {
    this.#failure = error;
    if (!this.#asked || error.code !== 400) return;
    this.#asked = false;
    this.#handlers.rejected(error.message, this.#wanted);
    this.#ask();
  }

  #closed(code, reason) {
    const was = this.#session;
    const failure = this.#failure;
    const steady = was && Date.now() - this.#since > STEADY_MS;
    this.#drop();
    if (code === 4401 || code === 4400) {
      this.#handlers.state({ name: 'refused', code, reason, detail: failure?.message, was, test: this.#token === 'TEST' });
      return;
    }
    this.#attempts = steady ? 1 : this.#attempts + 1;
    const longest = Math.min(30_000, 250 * 2 ** Math.min(this.#attempts, 8));
    const wait = Math.max(code === 4429 ? 5_000 : 0, longest * (0.5 + Math.random() / 2));
    const state = { name: 'waiting', at: Date.now() + wait, code, reason, detail: failure?.message, attempts: this.#attempts, ready: this.#ready };
    this.#timer = setTimeout(() => this.retry(), wait);
    this.#handlers.state(state);
    if (!was) this.#inquire(state);
  }

  // A websocket that fails or waits says nothing of why; the relay's readiness may.
  async #inquire(state) {
    const [timer, socket] = [this.#timer, this.#socket];
    const answer = await readiness();
    if (this.#token && !this.#session && timer === this.#timer && socket === this.#socket) {
      this.#ready = answer;
      this.#handlers.state({ ...state, ready: answer });
    }
  }

  // The websocket of a relay that has lost its database stays, and is as quiet as one where nothing happens.
  async #look() {
    const socket = this.#socket;
    if (!this.#session || document.hidden || (!this.#stalled && Date.now() - this.#told < LOOK_MS)) return;
    const ready = await readiness();
    const stalled = ready.status === 503;
    if (socket !== this.#socket || !this.#session || ready.status === 0 || (!stalled && !this.#stalled)) return;
    this.#stalled = stalled;
    this.#handlers.state(stalled ? { name: 'stalled', ready } : { name: 'live' });
  }
}
