// The processes of the network benchmarks: what serves runs on one core, what loads it on another, so that a server has no more than
// its core and nobody shares it with the clients. A machine with one core: they share it, and figures are worth little.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { until } from '../../e2e/lib/wait.mjs';

function allowedCores() {
  const list = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1];
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

const cores = allowedCores();
const coreOf = { server: cores[0], client: cores[1] ?? cores[0] };
export const sharedCore = cores.length < 2;

const alive = new Set();
process.on('exit', () => { for (const one of alive) one.child.kill('SIGKILL'); });

export class Program {
  // where: 'server' or 'client'. As many open files as the system allows: ten thousand connections are the least of it.
  constructor(where, command, { env = process.env, cwd } = {}) {
    this.name = command[0];
    this.log = '';
    const limit = 'ulimit -n "$(ulimit -Hn)"; exec "$@"';
    this.child = spawn('taskset', ['-c', String(coreOf[where]), 'sh', '-c', limit, 'sh', ...command], { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdin.on('error', () => {});
    this.child.stderr.on('data', (text) => { this.log = (this.log + text).slice(-20_000); });
    this.lines = createInterface(this.child.stdout);
    this.exited = new Promise((resolve) => this.child.on('close', (code, signal) => {
      this.ended = { code, signal };
      alive.delete(this);
      resolve(this.ended);
    }));
    alive.add(this);
  }

  get pid() {
    return this.child.pid;
  }

  // Until condition() holds; a program that has ended will not.
  async until(condition, what, timeout) {
    await until(async () => {
      if (this.ended) throw Object.assign(new Error(`${this.name} ended (${JSON.stringify(this.ended)}): ${this.log}`), { fatal: true });
      return condition();
    }, () => `${what}; its log: ${this.log}`, timeout);
    return this;
  }

  // Until it has printed a line.
  async says() {
    let said = false;
    this.lines.once('line', () => { said = true; });
    return this.until(() => said, `${this.name} to say that it listens`);
  }

  async stop(signal = 'SIGTERM') {
    this.child.kill(signal);
    const late = setTimeout(() => this.child.kill('SIGKILL'), 15_000);
    await this.exited;
    clearTimeout(late);
  }
}

const read = (path) => { try { return readFileSync(path, 'utf8'); } catch { return ''; } };
const list = (path) => { try { return readdirSync(path); } catch { return []; } };

// A process and those that it began.
function family(pid) {
  return [pid, ...list(`/proc/${pid}/task`).flatMap((task) => read(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number).flatMap(family))];
}

// Nanoseconds on a processor, of all threads, in the kernel and out of it.
export const cpuOf = (pid) => family(pid).reduce((sum, one) => sum + list(`/proc/${one}/task`).reduce(
  (all, task) => all + Number(read(`/proc/${one}/task/${task}/schedstat`).split(' ')[0]), 0), 0);

// Bytes of its own and its share of what it shares (PSS).
export const memoryOf = (pid) => family(pid).reduce((sum, one) => sum + 1024 * Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${one}/smaps_rollup`))?.[1] ?? 0), 0);
