// What writes to SQLite: a python3 process, as an application is, to files of its own. Its clock is the machine's monotonic one,
// as process.hrtime() is.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Process } from '../../e2e/lib/relay.mjs';
import { freePort } from '../../e2e/lib/ports.mjs';
import { until } from '../../e2e/lib/wait.mjs';

const script = fileURLToPath(new URL('sqlite-writer.py', import.meta.url));

export class SqliteLoad {
  constructor(scope) {
    this.child = spawn('python3', [script], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => { this.child.on('close', resolve); });
    this.answers = createInterface(this.child.stdout)[Symbol.asyncIterator]();
    scope.defer(() => { this.child.stdin.end(); return ended; });
  }

  // A function of sqlite-writer.py.
  async ask(...words) {
    this.child.stdin.write(`${JSON.stringify(words)}\n`);
    const { value } = await this.answers.next();
    if (value === undefined) throw new Error('the writer has ended');
    return JSON.parse(value);
  }
}

// The relay of a file, once the triggers are there.
export async function sqliteRelay(scope, path, env = {}) {
  const port = await freePort();
  const relay = new Process({ PORT: String(port), HOST: '127.0.0.1', SQLITE_PATH: path, TABLE_NAMES: 'accounts', NETWORK_THREADS: '1',
    TABLE_AUTH_COLUMN_ROUTING: '{"accounts":"owner"}', ...env });
  scope.defer(async () => {
    relay.kill('SIGTERM');
    await relay.exited;
  });
  await until(() => relay.log.includes('capture is live'), () => relay.log);
  return Object.assign(relay, { port });
}
