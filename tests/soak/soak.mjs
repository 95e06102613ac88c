// Prevents: memory, descriptors or journals that grow with time and not with work, and whatever gets lost once in a thousand
// times: a relay on each database at once, clients that churn, and every ten seconds a look. The first quarter is for warming up; the
// averages of the second and of the last quarter are compared.
import { Scope } from '../e2e/lib/harness.mjs';
import { fds, rss } from '../e2e/lib/health.mjs';
import { storeOf } from '../e2e/lib/consumers.mjs';
import { setTimeout as pause } from 'node:timers/promises';
import { World, summary } from '../faults/lib/world.mjs';
import { Churn, recheck } from './churn.mjs';

const minutes = Number(process.argv[2] ?? 30);
const names = ['postgres', 'mysql', 'sqlite'];
const every = 10_000; // ms
const retention = Math.round(Math.min(60, Math.max(15, minutes * 3))); // seconds: the journal is soon as large as it gets; a client is away for less

// What the pages of esink's tables hold, or of their files.
const outbox = {
  postgres: (db) => storeOf('postgres').disk(db),
  mysql: async (db) => Number((await db.query("SELECT sum(DATA_LENGTH + INDEX_LENGTH) AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE 'esink%'")).rows[0].n),
  sqlite: async (db) => Number((await db.query("SELECT sum(pgsize) AS n FROM dbstat WHERE name LIKE 'esink%'")).rows[0].n),
};

// By how much averages of n looks lie apart by chance alone, at most: one in a few hundred is further. Measured by how much a look
// differs from the next, so that what grows slowly is not taken for chance.
function chance(values, n) {
  const steps = values.slice(1).map((value, i) => (value - values[i]) ** 2);
  return 3 * Math.sqrt(average(steps) / 2) * Math.sqrt(2 / n);
}

// What is looked at: how much may the last quarter's average lie above the second's. Descriptors are mostly those of clients, who come and go.
const metrics = {
  'memory, MB': { bound: (before) => before * 0.05 + 1, digits: 1 },
  descriptors: { bound: (_, values, n) => 4 + chance(values, n), digits: 0 },
  'journal, events': { bound: (before) => before * 0.25 + 500, digits: 0 },
  'journal, MB': { bound: (before) => before * 0.25 + 1, digits: 1 },
};

async function look({ relay, db, database }) {
  const [{ events }, bytes] = [await storeOf(database.name).journal(db), await outbox[database.name](db)];
  return { 'memory, MB': rss(relay), descriptors: fds(relay), 'journal, events': events, 'journal, MB': bytes / 1e6 };
}

const average = (list) => list.reduce((sum, n) => sum + n, 0) / list.length;

function judge(name, samples) {
  const quarter = Math.max(1, Math.floor(samples.length / 4));
  return Object.entries(metrics).map(([metric, { bound, digits }]) => {
    const values = samples.map((sample) => sample[metric]);
    const [before, after] = [average(values.slice(quarter, 2 * quarter)), average(values.slice(-quarter))];
    const may = bound(before, values, quarter);
    return { relay: name, what: metric, 'second quarter': before.toFixed(digits), 'last quarter': after.toFixed(digits), 'may grow by': may.toFixed(digits), most: Math.max(...values).toFixed(digits), flat: after - before <= may };
  });
}

const scope = new Scope();
const failures = [], lines = [];
try {
  const worlds = [];
  for (const name of names) {
    worlds.push(await World.make(scope, name, { users: 5, application: { pace: 100 }, silence: 40_000,
      env: { RETENTION: `${retention}s`, AUTH_RECHECK: `${recheck}ms`, TAIL_BYTES: '500kB', POSITION_INTERVAL: '2s', SLOW_TIMEOUT: '20s' } }));
  }
  const churns = [];
  for (const world of worlds) churns.push(await new Churn(scope, world).start());
  const samples = names.map(() => []);
  const begun = Date.now(), end = begun + minutes * 60_000;
  console.log(`minute  ${names.map((name) => `${name}: MB, descriptors, events`).join('   ')}`);
  for (let next = begun + every; next <= end; next += every) {
    await pause(Math.max(0, next - Date.now()));
    for (const [i, world] of worlds.entries()) samples[i].push(await look(world));
    const broken = churns.flatMap(({ faults }) => faults);
    if (broken.length) throw new Error(broken[0]);
    if (samples[0].length % 6 === 0 || minutes < 5) {
      const last = samples.map((list) => list.at(-1));
      console.log(`${((Date.now() - begun) / 60_000).toFixed(1).padStart(6)}  ${last.map((one) => `${one['memory, MB'].toFixed(1)} ${one.descriptors} ${one['journal, events']}`.padStart(30)).join('   ')}`);
    }
  }
  for (const churn of churns) await churn.stop();
  for (const [i, world] of worlds.entries()) {
    try {
      lines.push(`${names[i]}: ${churns[i].told}; nothing lost: ${summary(await world.settle())}, the consumer had ${churns[i].service.count}`);
    } catch (error) {
      failures.push(`${names[i]}: ${error.message}`);
    }
  }
  const table = names.flatMap((name, i) => judge(name, samples[i]));
  console.table(table);
  failures.push(...table.filter(({ flat }) => !flat).map((row) => `${row.relay}: ${row.what} grew from ${row['second quarter']} to ${row['last quarter']}`));
  console.log(lines.join('\n'));
  for (const churn of churns) churn.service.over = true;
} catch (error) {
  failures.push(error.stack);
}
for (const error of await scope.close()) failures.push(error.message);
for (const failure of failures) console.log(`FAILED  ${failure}`);
const checks = names.length * (Object.keys(metrics).length + 1);
console.log(`${Math.max(0, checks - failures.length)} passed, ${failures.length} failed`);
process.exit(failures.length ? 1 : 0);
