// Prevents: 1,000 clients among 10,000 that stop reading and cost more memory than their bound, or lose something when they read on.
// The same work is done in turn, all reading and a tenth of them stalled. The others' delivery times are told, too, as one Node
// process with all ten thousand of them sees them; stalled-latency.mjs judges what stalled clients do to them.
import { cpu, rss, sanitized } from '../e2e/lib/health.mjs';
import { databaseOf } from '../e2e/lib/databases.mjs';
import { startRelay } from '../e2e/lib/relay.mjs';
import { rawSession } from '../e2e/lib/sessions.mjs';
import { series } from '../e2e/source/suite.mjs';
import { until } from '../e2e/lib/wait.mjs';
import { setTimeout as pause } from 'node:timers/promises';
import { part } from './lib/part.mjs';

const users = 450; // of those who read: a row goes to some twenty sessions
const bulk = 20_000; // bytes of a row that fills the buffers of those who stall
const queue = 16_384, tail = 8e6; // SESSION_QUEUE_BYTES, TAIL_BYTES

async function open(t, relay, count, query) {
  const sessions = [];
  while (sessions.length < count) {
    const some = Array.from({ length: Math.min(100, count - sessions.length) }, (_, i) => rawSession(t, relay, 'ws', query(sessions.length + i)));
    for (const session of some) await session.connected(60_000);
    sessions.push(...some);
  }
  return sessions;
}

const percentile = (list, p) => [...list].sort((a, b) => a - b)[Math.floor(list.length * p)];
const percentage = (phases) => `${(median(phases.map(({ share }) => share)) * 100).toFixed(1)} %`;
const median = (list) => percentile(list, 0.5);

const run = (name) => async (t, { times, quick }) => {
  const all = quick ? 2000 : 10_000, few = all / 10, seconds = quick ? 2 : 6;
  const database = databaseOf(name);
  t.defer(() => database.stop());
  const db = await database.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text, sent bigint)');
  const tokens = [];
  for (let user = 0; user <= users; user++) tokens.push(await db.user(user)); // 0 is who stalls
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' }, env: {
    MAX_SESSIONS_PER_USER: '0', MAX_CONNECTIONS: String(all + 100), SLOW_TIMEOUT: '10m', HEARTBEAT_TIMEOUT: '10m', TAIL_BYTES: `${tail}`,
    SEND_BUFFER_BYTES: '32kB', SESSION_QUEUE_BYTES: `${queue}`, LOG_LEVEL: 'warn' } });
  if (/MAX_CONNECTIONS is/.test(relay.log)) return { skipped: `${all} connections need more open files: ulimit -n` };
  const readers = await open(t, relay, all - few, (i) => `token=${tokens[1 + i % users]}`);
  const stalled = await open(t, relay, few, () => `token=${tokens[0]}`);
  let id = 0, waits;
  for (const session of readers) session.onEvent = (text) => { waits?.push(Date.now() - Number(/"sent":(\d+)/.exec(text)[1])); };
  const own = new Array(users + 1).fill(0);
  const many = async (count, size) => {
    await db.query(`INSERT INTO notes (id, user_id, body, sent) ${series(id + 1, id + count, `i, 0, '${'s'.repeat(size)}', 0`)}`);
    id += count;
    own[0] += count;
  };
  // So many seconds of rows for single users, each with its time, and one for those who stall each second.
  const phase = async (seconds) => {
    waits = [];
    const begun = Date.now(), spent = cpu(relay);
    for (let n = 0; Date.now() - begun < seconds * 1000; n++) {
      const user = 1 + n % users;
      await db.query(`INSERT INTO notes VALUES (${++id}, ${user}, 'x', ${Date.now()})`);
      own[user]++;
      if (n % 50 === 0) await many(1, 200);
      await pause(Math.max(0, begun + (n + 1) * 20 - Date.now()));
    }
    await until(() => readers.every((session, i) => session.count === own[1 + i % users]), () => 'all of it at the readers', 60_000);
    const taken = waits, share = (cpu(relay) - spent) / (Date.now() - begun);
    waits = undefined;
    return { p50: percentile(taken, 0.5), p99: percentile(taken, 0.99), share };
  };
  await phase(2);
  const free = [], held = [];
  let grown = 0;
  for (let n = 0; n < times; n++) {
    free.push(await phase(seconds));
    const before = rss(relay);
    for (const session of stalled) session.stop();
    await many(40, bulk); // fills every buffer on the way
    await phase(1);
    held.push(await phase(seconds));
    grown = Math.max(grown, rss(relay) - before);
    for (const session of stalled) session.go();
    await until(() => stalled.every((session) => session.count === own[0]), () => `the rest at those who had stopped: ${stalled.find((session) => session.count !== own[0])?.state()}`, 120_000);
  }
  for (const session of [...readers, ...stalled]) if (!session.open || session.out.length) throw new Error(session.state());
  const [a, b] = [median(free.map(({ p99 }) => p99)), median(held.map(({ p99 }) => p99))];
  const bound = Math.round((few * (queue + bulk) + 2 * tail) / 1e6);
  const figures = `${all} clients, ${few} stalled: the others' p50 ${median(free.map(({ p50 }) => p50))} and ${median(held.map(({ p50 }) => p50))} ms, p99 ${free.map(({ p99 }) => p99)} and ${held.map(({ p99 }) => p99)} ms, ratio of medians ${(b / a).toFixed(2)}; the relay used ${percentage(free)} and ${percentage(held)} of a processor; ${Math.round(grown)} MB, bound ${bound} MB`;
  if (!sanitized() && grown > bound) throw new Error(`they cost more than their bound: ${figures}`);
  return `${figures}; none lost`;
};

await part(import.meta, { quick: 3, full: 9 }, [['postgres', run('postgres')]]);
