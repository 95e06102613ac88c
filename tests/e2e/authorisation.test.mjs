// Prevents: a row or a column that somebody sees who may not, a row that somebody misses who may see it, in any configuration, with any
// change of the columns that say whose it is, live or later, on any transport, before and after the rules have changed. Random rules
// and writes against the model of lib/model.mjs; a failure tells its seed.
//
//   ESINK_RANDOM_SEED=7 node --test authorisation.test.mjs     that round again
//   ESINK_RANDOM_SECONDS=600 ESINK_RANDOM_DATABASES=sqlite,postgres,mysql node --test authorisation.test.mjs
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { databaseOf } from './lib/databases.mjs';
import { Scope, test } from './lib/harness.mjs';
import { jwt, soon } from './lib/jwt.mjs';
import { generator } from './lib/ledger.mjs';
import { changeRow, chooseRow, chooseRules, chooseSubscription, columns, Dice, schema, show, spell, tables, users } from './lib/model.mjs';
import { startRelay } from './lib/relay.mjs';
import { Consumers } from './lib/service.mjs';
import { until } from './lib/wait.mjs';

const secret = 'a-secret-of-more-than-32-characters-for-tests';
const operator = 'operators-own-token-4711';
const seconds = Number(process.env.ESINK_RANDOM_SECONDS ?? 5);
const names = (process.env.ESINK_RANDOM_DATABASES ?? 'sqlite').split(',');
const token = (user) => jwt({ sub: user, exp: soon(3600) }, secret);
const view = ({ table, type, data, old }) => ({ table, type, data, ...(old === undefined ? {} : { old }) });
const all = { topics: [], types: [], wants: () => true };

class Round {
  constructor(t, db, seed) {
    Object.assign(this, { t, db, seed, dice: new Dice(generator(seed)), entries: [], ids: [], rows: new Map(tables.map((table) => [table, new Map()])), next: 1, clients: [] });
  }

  options() {
    this.rules = chooseRules(this.dice);
    const { columns: only, old, ...rest } = spell(this.dice, this.rules);
    return { ...rest, env: { SECURITY_TOKEN: operator, JWT_SECRET: secret, COLUMNS: only, OLD_ROWS: old, NODE_ENV: 'test' } };
  }

  // One row; the journal's entry, if its table is watched.
  async #change(session) {
    const { dice } = this, table = dice.of(tables), rows = this.rows.get(table), price = this.next++;
    const before = rows.size && !dice.chance(35) ? dice.of([...rows.values()]) : undefined;
    const set = (row) => columns.map((column, i) => `${column} = $${i + 1}`).join(', ');
    let kind = 'insert', row;
    if (!before) {
      row = chooseRow(dice, price + 1000, price);
      await session.query(`INSERT INTO ${table} (${columns.join(', ')}) VALUES ($1, $2, $3, $4, $5, $6)`, columns.map((column) => row[column]));
    } else if (dice.chance(20)) {
      [kind, row] = ['delete', before];
      await session.query(`DELETE FROM ${table} WHERE id = $1`, [before.id]);
    } else {
      [kind, row] = ['update', changeRow(dice, before, price)];
      if (dice.chance(15)) row.id = price + 5000;
      await session.query(`UPDATE ${table} SET ${set(row)} WHERE id = $7`, [...columns.map((column) => row[column]), before.id]);
    }
    if (before) rows.delete(before.id);
    if (kind !== 'delete') rows.set(row.id, row);
    return this.rules[table].watched ? [{ kind, table, row, before, rules: this.rules }] : [];
  }

  // Some changes, of which all or none count, some of them undone by a savepoint.
  async transaction() {
    const { dice, db } = this, kept = structuredClone([...this.rows]), entries = [];
    await db.query(this.database.begin);
    for (let n = 1 + dice.roll(4); n > 0; n--) {
      const saved = dice.chance(15) && structuredClone([...this.rows]);
      if (saved) await db.query('SAVEPOINT s');
      const made = dice.chance(15) ? await this.#emit(db) : await this.#change(db);
      if (saved) {
        await db.query('ROLLBACK TO SAVEPOINT s');
        this.rows = new Map(saved);
      } else {
        entries.push(...made);
      }
    }
    if (dice.chance(20)) {
      await db.query('ROLLBACK');
      this.rows = new Map(kept);
    } else {
      await db.query('COMMIT');
      this.entries.push(...entries);
    }
  }

  async publish() {
    const { dice } = this, user = dice.of([...users, 7, '*']), table = dice.of([...tables, 'news']), type = dice.of(['shipped', 'update']);
    const data = chooseRow(dice, this.next, this.next++);
    const answer = await this.relay.post('/publish', { table, type, data, userId: user, securityToken: operator });
    assert.equal(answer.status, 200, answer.text);
    this.entries.push({ kind: 'published', table, type, data, users: user === '*' || [String(user)], rules: this.rules });
  }

  // The same from SQL, where the database of the test can spell it.
  async #emit(session) {
    const { dice } = this, to = dice.chance(20) || dice.some([...users, ''], 30), table = dice.of([...tables, 'news']);
    const data = chooseRow(dice, this.next, this.next++);
    await session.query(...this.database.emit(table, 'shipped', JSON.stringify(data), to));
    return [{ kind: 'published', sql: true, table, type: 'shipped', data, users: to, rules: this.rules }];
  }

  // Everything that was written is in the operator's list, one for one, so that ids[n] is the id of entries[n].
  async settle() {
    await this.relay.fence(this.operator);
    this.ids.splice(this.origin, Infinity, ...this.operator.events.map(({ id }) => id));
    assert.deepEqual(this.operator.events.map(view), this.entries.slice(this.origin).map((entry) => show(entry, this.rules)), 'what the operator sees');
    return this.entries.length;
  }

  // Of any kind, from now on or from an id that the operator was told. Its subscription also lets fences through.
  async join(from = this.dice.chance(40)) {
    const { dice, relay } = this, user = dice.of(users), kind = dice.of(['ws', 'sse', 'io', 'polling']);
    const length = await this.settle(), subscription = dice.chance(50) ? chooseSubscription(dice) : all;
    const at = from && this.ids.length ? dice.roll(this.ids.length) : undefined;
    const after = at === undefined ? undefined : `${this.operator.welcome.journal}:${this.ids[at]}`;
    const asked = { topics: subscription.topics.length ? [...subscription.topics, 'fence$'] : [], types: subscription.types.length ? [...subscription.types, 'insert'] : [] };
    const wants = (seen) => subscription.wants(seen) || (seen.type === 'insert' && asked.types.length && subscription.wants({ ...seen, type: subscription.types[0] }));
    let client;
    if (kind === 'ws' || kind === 'sse') {
      client = await relay[kind](token(user), { query: asked, after });
    } else {
      client = await relay.io(token(user), { mode: kind === 'io' ? 'upgrade' : 'polling', version: dice.of(['newest', '4.7.2']) });
      client.say('subscribe', asked);
      await until(() => client.named('subscribed').length, 'subscribed');
    }
    const begins = kind === 'ws' || kind === 'sse' ? at === undefined ? length : at + 1 : length;
    this.clients.push({ client, user, wants, begins, kind });
  }

  seen(user, begins, wants = () => true) {
    return this.entries.slice(begins).map((entry) => show(entry, this.rules, user)).filter((one) => one && wants(one));
  }

  async judge() {
    await this.settle();
    await this.relay.fence(...this.clients.map(({ client }) => client));
    for (const { client, user, wants, begins, kind } of this.clients)
      assert.deepEqual(client.events.map(view), this.seen(user, begins, wants), `what ${user} sees by ${kind}`);
    assert.ok(this.tester.events.every(({ table }) => table === 'esink_test'), 'TEST sees nothing of the database');
  }

  // All pages of GET /events.
  async #history(who) {
    const events = [];
    for (let after = '0'; after !== null;) {
      const answer = await this.relay.get(`/events?after=${after}&limit=50`, { headers: { authorization: `Bearer ${who}` } });
      assert.equal(answer.status, 200, answer.text);
      events.push(...answer.json.events);
      after = answer.json.next;
    }
    return events.filter(({ table }) => table !== 'fence').map(view);
  }

  async judgeHistory() {
    assert.deepEqual(await this.#history(operator), this.seen(undefined, 0), 'the history that the operator sees');
    for (const user of this.dice.some(users, 50)) assert.deepEqual(await this.#history(token(user)), this.seen(user, 0), `the history that ${user} sees`);
  }

  async judgeConsumer(name) {
    const service = new Consumers(this.relay), { topics, types, wants } = chooseSubscription(this.dice), events = [];
    await service.register(name, { topics, types, from: 'start' });
    for (let answer = await service.poll(name, { limit: 50 }); answer.events.length; answer = await service.poll(name, { limit: 50, ack: answer.events.at(-1).id }))
      events.push(...answer.events);
    assert.deepEqual(events.filter(({ table }) => table !== 'fence').map(view), this.seen(undefined, 0, wants), 'what a consumer sees');
  }

  // A relay with rules of its own: what is live, and what was written before, under the rules of that day.
  async live(steps) {
    const { relay, dice } = this;
    this.origin = this.entries.length;
    this.operator = await relay.operator();
    this.tester = await relay.ws('TEST');
    for (let n = 0; n < 3; n++) await this.join(false);
    for (let n = 0; n < steps; n++) {
      if (dice.chance(15)) await this.publish();
      else await this.transaction();
      if (dice.chance(12) && this.clients.length < 9) await this.join();
    }
    await this.join(true);
    await this.judge();
    await this.judgeHistory();
    await this.judgeConsumer(`c${this.entries.length}`);
    for (const { client } of this.clients.splice(0)) await client.close();
    await this.operator.close();
    await this.tester.close();
  }
}

async function round(t, database, seed) {
  const db = await database.database(t, schema);
  const one = Object.assign(new Round(t, db, seed), { database });
  try {
    one.relay = await startRelay(t, db, one.options());
    await one.live(25);
    await one.relay.stop();
    await one.relay.start(one.options());
    await one.live(15);
  } catch (error) {
    error.message = `${error.message}\nseed ${seed}; ESINK_RANDOM_SEED=${seed} ESINK_RANDOM_DATABASES=${database.name} repeats it; the rules: ${JSON.stringify(one.relay?.options, null, 1)}`;
    throw error;
  }
  return one.entries.length;
}

for (const name of names) {
  const database = databaseOf(name), given = process.env.ESINK_RANDOM_SEED;
  after(() => database.stop());

  test(`${name}: random rules and writes (seed ${given ?? 1})`, { timeout: 120_000 }, (t) => round(t, database, Number(given ?? 1)));

  if (given === undefined) {
    const first = Date.now() % 1_000_000_000;
    test(`${name}: random rules and writes (from seed ${first} on)`, { timeout: seconds * 3000 + 120_000 }, async (t) => {
      const end = Date.now() + seconds * 1000;
      let rounds = 0, entries = 0;
      do { // each with a scope of its own, or its relay would stay
        const scope = new Scope();
        let errors = [];
        try {
          entries += await round(scope, database, first + rounds++);
        } finally {
          errors = await scope.close();
        }
        if (errors.length) throw errors[0];
      } while (Date.now() < end);
      console.log(`# ${name}: ${rounds} rounds, ${entries} entries of the journal, from seed ${first} on`);
    });
  }
}
