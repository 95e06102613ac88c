// Runs the parts that tests/bench/run was asked for, one after the other, prints a table of each and keeps the result.
//
// A part is a file parts/NAME.mjs that exports
//   title      what it measures, one line
//   packages   Debian packages that it needs beyond PostgreSQL, MariaDB and the build's: tests/lib/packages.sh knows how to
//              see that one is there; where that is more than a command of the package's name, it is taught there
//   run({ binary, folder, rounds, quick, wants, say, tools }) -> { rows, notes, charts, rounds }
// with binary: the release binary; folder: a scratch folder; rounds: how often the things compared are run in turn; quick: a small
// smoke run; wants(work): whether --only lets this work be done (a part may do without asking); say(line): progress; tools: the folder of the compiled tools/*.c.
// The rounds of the answer: how many there were, where a part makes fewer than it is asked for.
//
// A row:
//   { work: 'one UPDATE a transaction, 16 clients, synchronous_commit on',   what all the rows of a group did
//     who: 'esink',                                                          or PgQ, nchan, no trigger, ..
//     metric: 'transactions/s', value, low, high,                            median, least, greatest of the rounds
//     all: [..],                                                             each round's
//     ratios: [{ against: 'no trigger', value, low, high }],                 median and range of each round's own ratio
//     targets: [{ what: 'at least 1 times PgQ', met: true }] }
// rowOf() in lib/rows.mjs makes one from the rounds' values. `notes` are sentences that stand below the table. `charts` are drawn
// by lib/charts.mjs and stored with the rows:
//   { name: 'capture-16', title, kind: 'bars', unit, groups: [{ label, bars: [{ who, value, low, high }] }] }
//   { name: 'scale-rules', title, kind: 'lines', x: { label }, y: { label }, series: [{ who, points: [[x, y], ..] }] }   (both axes logarithmic;
//     lines with the same `of` have one colour, of which some may be `dashed`)
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { draw } from './lib/document.mjs';
import { keep, load, machine, momentOf } from './lib/results.mjs';
import { table } from './lib/table.mjs';

const folder = fileURLToPath(new URL('parts', import.meta.url));
// In the order in which they are run and shown.
const known = ['fanout', 'capture', 'latency', 'memory', 'accept', 'resume', 'backlog', 'consumers', 'history', 'scale', 'scale-network', 'remedies'];
const there = readdirSync(folder).filter((name) => name.endsWith('.mjs')).map((name) => name.slice(0, -4));
const parts = [...known.filter((name) => there.includes(name)), ...there.filter((name) => !known.includes(name)).sort()];

function options(words) {
  const found = { wanted: [], rounds: undefined };
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (word === '--rounds') found.rounds = Number(words[++i]);
    else if (word === '--only') found.only = new RegExp(words[++i], 'i');
    else if (word.startsWith('--')) found[word.slice(2)] = true;
    else found.wanted.push(word);
  }
  const strange = Object.keys(found).filter((name) => !['wanted', 'rounds', 'quick', 'only', 'draw', 'list', 'packages'].includes(name));
  const unknown = found.wanted.filter((name) => !parts.includes(name));
  if (strange.length || unknown.length || (found.rounds !== undefined && !(found.rounds > 0))) {
    console.error(`tests/bench/run: ${[...strange.map((name) => `--${name}`), ...unknown].join(', ') || '--rounds'}: see tests/bench/run --help; parts: ${parts.join(', ')}`);
    process.exit(2);
  }
  if (!found.wanted.length) found.wanted = parts;
  return found;
}

// An interrupted run ends what it started, as any end of this process does.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

const say = (line) => console.log(`   ${line}`);

async function one(name, { quick, rounds, only }) {
  const part = await import(`./parts/${name}.mjs`);
  console.log(`\n== ${name}: ${part.title}`);
  mkdirSync(process.env.ESINK_BENCH_ROOT, { recursive: true });
  const scratch = mkdtempSync(join(process.env.ESINK_BENCH_ROOT, `${name}-`));
  const began = momentOf(), start = performance.now();
  try {
    const result = await part.run({ binary: process.env.ESINK_BINARY, folder: scratch, rounds, quick, say, wants: (work) => !only || only.test(work), tools: join(process.env.ESINK_BENCH_ROOT, 'tools') });
    const { rows, notes = [], charts = [] } = result;
    return { title: part.title, rounds: result.rounds ?? rounds, began, ended: momentOf(), seconds: Math.round((performance.now() - start) / 1000), rows, notes, charts };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const asked = options(process.argv.slice(2));
if (asked.packages) {
  const lists = asked.draw || asked.list ? [] : await Promise.all(asked.wanted.map(async (name) => (await import(`./parts/${name}.mjs`)).packages));
  console.log(asked.draw || asked.list ? 'none' : [...new Set(lists.flat())].join(' '));
} else if (asked.list) {
  for (const name of parts) console.log(`${name.padEnd(13)} ${(await import(`./parts/${name}.mjs`)).title}`);
} else if (asked.draw) {
  draw(load());
} else {
  const settings = { quick: asked.quick === true, only: asked.only, rounds: asked.rounds ?? (asked.quick ? 2 : 7) };
  const missed = [];
  let targets = 0;
  for (const name of asked.wanted) {
    try {
      const result = await one(name, settings);
      console.log(`\n${table(result)}\n`);
      targets += result.rows.reduce((sum, row) => sum + (row.targets ?? []).length, 0);
      missed.push(...result.rows.flatMap((row) => (row.targets ?? []).filter(({ met }) => !met).map(({ what }) => `${name}: ${row.work}: ${row.who}: ${what}`)));
      if (!settings.quick && !settings.only) keep(name, result, machine());
    } catch (error) {
      process.exitCode = 1;
      console.error(`FAILED  ${name}: ${error.stack}`);
    }
  }
  if (!settings.quick && !settings.only) draw(load());
  if (targets) console.log(missed.length ? `${targets - missed.length} of ${targets} targets were met; not met:\n${missed.map((line) => `  ${line}`).join('\n')}` : `all ${targets} targets were met`);
  if (process.exitCode) console.log('a part failed: see FAILED above');
  if (settings.quick) console.log('(a quick run: the figures mean little, and nothing was kept)');
  else if (settings.only) console.log('(only some of it: nothing was kept)');
  // A part that failed may have left something that keeps the process alive; at exit it is killed.
  process.exit();
}
