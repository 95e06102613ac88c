// docs/PERFORMANCE.md's figures, made from the newest result: between <!-- bench:PART --> and <!-- /bench:PART --> the charts and
// the table of that part, between those of bench:machine what it all ran on. Everything else in the page is prose and stays.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chart } from './charts.mjs';
import { markdown } from './table.mjs';

const page = fileURLToPath(new URL('../../../docs/PERFORMANCE.md', import.meta.url));
const images = fileURLToPath(new URL('../../../docs/performance/', import.meta.url));

const when = ({ began, ended, rounds, seconds }) => `${began.date.slice(0, 10)}, commit ${began.commit ?? 'unknown'}, ${rounds} ${rounds === 1 ? 'round' : 'rounds'}, ${Math.ceil(seconds / 60)} min, load average ${began.load} at the start, ${ended.load} at the end`;

function block(name, part) {
  if (!part) return 'Not measured yet.';
  const drawn = part.charts.map((one) => `![${one.title}](performance/${one.name}.svg)`);
  return [...drawn, markdown(part), `\`tests/bench/run ${name}\`: ${when(part)}.`].join('\n\n');
}

function machines(parts) {
  const all = new Map(Object.entries(parts).map(([name, { machine }]) => [JSON.stringify(machine), machine]));
  return [...all.values()].map((m) => `${m.cpu}, ${m.cores} ${m.virtual ? 'virtual ' : ''}cores, ${m.memory}, Linux ${m.kernel}, `
    + Object.entries(m.versions).map(([what, version]) => `${what} ${version}`).join(', ')).join('\n\n');
}

export function draw({ parts }) {
  mkdirSync(images, { recursive: true });
  for (const part of Object.values(parts)) for (const one of part.charts) writeFileSync(`${images}${one.name}.svg`, chart(one));
  const text = readFileSync(page, 'utf8').replace(/(<!-- bench:([\w-]+) -->\n)[\s\S]*?(<!-- \/bench:\2 -->)/g,
    (_, open, name, close) => `${open}${name === 'machine' ? machines(parts) : block(name, parts[name])}\n${close}`);
  writeFileSync(page, text);
}
