// The newest result, tests/bench/results/latest.json: for each part its rows, when and on what it ran. A part that is run alone
// replaces its own and leaves the others.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const home = fileURLToPath(new URL('../../..', import.meta.url));
const file = fileURLToPath(new URL('../results/latest.json', import.meta.url));

function ask(command, ...args) {
  try {
    return execFileSync(command, args, { cwd: home, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

const read = (path, pattern) => (existsSync(path) ? pattern.exec(readFileSync(path, 'utf8'))?.[1] : undefined);
const debian = (name) => ask('dpkg-query', '-W', '-f=${Version}', name);

// What a reader needs to place the figures.
export function machine() {
  const versions = Object.fromEntries(Object.entries({ debian: read('/etc/debian_version', /(.*)/), node: process.versions.node,
    postgresql: debian('postgresql-15'), mariadb: debian('mariadb-server'), sqlite: debian('libsqlite3-0'), libwebsockets: debian('libwebsockets17'),
    pgq: debian('postgresql-15-pgq3'), nchan: debian('libnginx-mod-nchan'), nats: debian('nats-server') }).filter(([, version]) => version));
  return { cpu: cpus()[0]?.model.trim(), cores: cpus().length, memory: `${Math.round(totalmem() / 2 ** 30)} GiB`, kernel: release(),
    virtual: read('/proc/cpuinfo', /^flags.*\b(hypervisor)\b/m) !== undefined, versions };
}

// commit: of what was measured, with a mark when the tree differed from it.
export function momentOf() {
  const dirty = ask('git', 'status', '--porcelain', '--untracked-files=no', '--', 'src', 'triggers', 'include', 'tests/bench');
  const commit = ask('git', 'rev-parse', '--short=12', 'HEAD');
  return { date: new Date().toISOString(), load: Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]), commit: commit && (dirty ? `${commit}, changed` : commit) };
}

export const load = () => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { parts: {} });

const rounded = (key, value) => (typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value);

// A row a line: what changes from one result to the next is seen in a diff.
function pretty(value, depth = 0) {
  if (depth === 4 || value === null || typeof value !== 'object') return JSON.stringify(value, rounded);
  const [open, close] = Array.isArray(value) ? '[]' : '{}', indent = ' '.repeat(depth + 1);
  const items = Object.entries(value).filter(([, item]) => item !== undefined)
    .map(([key, item]) => `${indent}${Array.isArray(value) ? '' : `${JSON.stringify(key)}: `}${pretty(item, depth + 1)}`);
  return items.length ? `${open}\n${items.join(',\n')}\n${' '.repeat(depth)}${close}` : open + close;
}

export function keep(name, result, machine) {
  const all = load();
  all.parts[name] = { ...result, machine };
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${pretty(all)}\n`);
}
