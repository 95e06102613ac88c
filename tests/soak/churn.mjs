// What clients do all day, done to one relay: they vanish and resume, stall, come for a moment, subscribe and go; tokens are
// withdrawn and given anew; a consumer works. Nothing here is unusual, and nothing of it may leave a trace.
import { setTimeout as pause } from 'node:timers/promises';
import { Consumers } from '../e2e/lib/service.mjs';
import { rawSession } from '../e2e/lib/sessions.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { Listener } from '../faults/lib/listener.mjs';

export const recheck = 2000; // AUTH_RECHECK, ms

// A service that reads the journal by polling, and acknowledges: what came again is known by its id.
class Service extends Listener {
  constructor(relay) {
    super(relay, 'operator', undefined, 'consumer');
    this.consumers = new Consumers(relay);
    this.sessions = 1;
  }

  async start() {
    const { cursor } = await this.consumers.register('soak', { from: 'start' });
    this.last = Number(String(cursor).split(':').at(-1));
    this.running = this.#work();
    return this;
  }

  tick() {}

  async #work() {
    let ack;
    while (!this.over) {
      const { events, journal } = await this.consumers.poll('soak', { ack, limit: 500, wait: 2 }, { timeout: 40_000 });
      for (const event of events) if (Number(event.id) > this.last) this.note(event);
      if (events.length) ack = `${journal}:${events.at(-1).id}`;
    }
  }
}

export class Churn {
  constructor(t, world) {
    Object.assign(this, { t, world, vanished: 0, stalled: 0, visits: 0, withdrawn: 0, faults: [] });
  }

  async start() {
    const { listeners, relay } = this.world;
    this.service = await new Service(relay).start();
    listeners.add(this.service);
    this.loops = [this.#vanish(), this.#stall(), this.#visit(), this.#withdraw(), this.service.running];
    for (const loop of this.loops) loop.catch((error) => { this.faults.push(`${this.world.database.name}: ${error.stack}`); });
    return this;
  }

  // The consumer works on: it has to see the end.
  async stop() {
    this.over = true;
    await Promise.allSettled(this.loops.slice(0, -1));
  }

  #anyone(...kinds) {
    const some = this.world.listeners.all.filter((one) => one !== this.service && (!kinds.length || kinds.includes(one.kind)));
    return some[Math.floor(Math.random() * some.length)];
  }

  async #vanish() {
    while (!this.over) {
      await pause(Math.random() * 400);
      const one = this.#anyone();
      if (one.live) {
        one.vanish(Math.random() * (Math.random() < 0.1 ? 5000 : 500));
        this.vanished++;
      }
    }
  }

  async #stall() {
    while (!this.over) {
      await pause(Math.random() * 2000);
      const one = this.#anyone('ws', 'operator');
      if (!one.live) continue;
      const { client } = one;
      one.stalls = true;
      client.socket.pause();
      await pause(Math.random() * 5000);
      client.socket.resume();
      one.stalls = false;
      this.stalled++;
    }
  }

  async #visit() {
    const { relay, db } = this.world;
    while (!this.over) {
      await pause(Math.random() * 100);
      const [user, token] = [...db.tokens][Math.floor(Math.random() * db.tokens.size)];
      const kind = Math.random() < 0.5 ? 'ws' : 'sse';
      const scope = { defer() {} };
      const session = rawSession(scope, relay, kind, `token=${Math.random() < 0.1 ? `nobody${user}` : token}`);
      await until(() => session.welcome || session.error || session.status >= 400 || !session.open, () => session.state());
      if (session.welcome && session.say) {
        session.say('subscribe', { topics: ['cells', 'news*'], types: ['insert', 'update'] });
        await pause(Math.random() * 300);
      }
      if (Math.random() < 0.5) session.socket.resetAndDestroy();
      else session.socket.destroy();
      this.visits++;
    }
  }

  // A token goes: nobody may hear anything by it for longer than AUTH_RECHECK and a little. Then its user gets another.
  async #withdraw() {
    const { db, listeners } = this.world;
    const ids = [...db.tokens.keys()];
    while (!this.over) {
      await pause(5000 + Math.random() * 5000);
      const user = ids[Math.floor(Math.random() * ids.length)];
      const his = listeners.all.filter((one) => one.who === user);
      await db.query(`DELETE FROM auth WHERE id = ${user}`);
      const begun = Date.now();
      // Who has stopped reading cannot know; an EventSource keeps to itself that its stream has ended, and tries again after two seconds.
      const gone = (one) => !one.live || one.stalls || one.kind === 'sse';
      await until(() => his.every(gone), () => `the sessions of user ${user}, whose token is gone, to end: ${his.map((one) => one.state()).join('\n')}`, recheck + 3000);
      this.latest = Math.max(this.latest ?? 0, Date.now() - begun);
      await until(() => his.every((one) => !one.live), () => `the sessions of user ${user}, whose token is gone, to be refused: ${his.map((one) => one.state()).join('\n')}`, 10_000);
      const token = await db.user(user);
      for (const one of his) one.token = token;
      this.withdrawn++;
    }
  }

  get told() {
    return `${this.vanished} vanished, ${this.stalled} stalled, ${this.visits} visited, ${this.withdrawn} tokens withdrawn (ended within ${this.latest} ms)`;
  }
}
