// A database, a relay, an application that writes and users who listen: what each fault is done to, and the verdict.
import { databaseOf } from '../../e2e/lib/databases.mjs';
import { startRelay } from '../../e2e/lib/relay.mjs';
import { Application, rules, schema, secret } from './application.mjs';
import { Listener, Listeners, kinds, operator } from './listener.mjs';
import { committed, judge } from './oracle.mjs';
import { Waits } from './waits.mjs';

const patience = 500; // ms that a writer may wait for a lock of ours, on a machine that is busy

export class World {
  // server: options of the database's server. env, host: of the relay.
  // prepare(world): what is to be done before the relay starts; it may return more of its options. application: options of
  // Application. users: each has one client of every kind. silence: of listeners.
  static async make(t, name, { server, env = {}, host, users = 6, application = {}, prepare, silence } = {}) {
    const world = new World();
    world.t = t;
    world.database = databaseOf(name, server);
    t.defer(() => world.database.stop());
    world.db = await world.database.database(t, schema);
    const tokens = [];
    for (let user = 1; user <= users; user++) tokens.push(await world.db.user(user));
    const more = await prepare?.(world) ?? {};
    world.relay = await startRelay(t, world.db, { ...rules, host, ...more, env: { SECURITY_TOKEN: operator, ...env, ...more.env } });
    world.relay.secret(secret);
    world.listeners = new Listeners(t);
    for (const [i, token] of tokens.entries()) for (const kind of kinds) world.listeners.add(new Listener(world.relay, i + 1, token, kind));
    world.listeners.add(new Listener(world.relay, 'operator', operator, 'operator'));
    for (const one of world.listeners.all) one.silence = silence ?? Infinity;
    await world.listeners.connected();
    world.application = new Application(world.database, world.db, { users, ...(name === 'sqlite' ? { held: 40 } : {}), ...application }).start();
    t.defer(() => { world.application.stopped = true; });
    if (name === 'postgres') world.waits = new Waits(t, world.db);
    return world;
  }

  // Ends the writing, waits until everybody has seen what is the last, and tells what happened; throws what is wrong.
  async settle({ timeout } = {}) {
    await this.application.stop();
    await this.relay.ready();
    await this.listeners.passed(await this.db.fence(), timeout);
    const ops = await committed(this.db);
    const faults = judge(ops, this.listeners.all);
    if (faults.length) throw new Error(`${faults.length} faults among ${ops.length} changes:\n${faults.slice(0, 20).join('\n')}`);
    if (this.waits?.longest > patience) throw new Error(`a writer waited ${this.waits.longest} ms for ${this.waits.said}`);
    return { changes: ops.length, waited: this.waits?.longest, told: this.listeners.sum('count'), sessions: this.listeners.sum('sessions'), slowest: Math.round(this.application.slowest) };
  }
}

export const summary = ({ changes, told, sessions, slowest, waited }) =>
  `${changes} changes, ${told} deliveries over ${sessions} sessions, slowest write ${slowest} ms${waited === undefined ? '' : `, at most ${waited} ms for a lock of esink's`}`;
