// PgBouncer between a relay and a test's PostgreSQL, in transaction mode: what a session sets or takes stays behind for
// whoever is given its server connection next.
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.mjs';
import { until } from './wait.mjs';

const program = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find((path) => existsSync(path));

// Ends with the test. url(database): where to connect to.
export async function startPgbouncer(t, postgres, { size }) {
  if (!program) throw new Error('no pgbouncer: install the package pgbouncer');
  const folder = mkdtempSync(join(tmpdir(), 'esink-bouncer-'));
  t.defer(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  const port = await freePort();
  const file = join(folder, 'pgbouncer.ini');
  writeFileSync(join(folder, 'users'), '"postgres" ""\n');
  writeFileSync(file, `[databases]
* = host=127.0.0.1 port=${postgres.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${folder}/users
pool_mode = transaction
default_pool_size = ${size}
max_client_conn = 500
`);
  // As root it insists on another user.
  const [command, args] = process.getuid() === 0 ? ['runuser', ['-u', 'postgres', '--', program, '-q', file]] : [program, ['-q', file]];
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
  const bouncer = { port, log: '', url: (database, user = 'postgres') => `postgresql://${user}@127.0.0.1:${port}/${database}` };
  child.stderr.on('data', (chunk) => { bouncer.log += chunk; });
  const ended = new Promise((resolve) => { child.on('close', resolve); });
  const onExit = () => child.kill('SIGTERM');
  process.on('exit', onExit);
  t.defer(async () => {
    child.kill('SIGTERM'); // runuser passes it on
    await ended;
    process.off('exit', onExit);
  });
  await until(() => new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', reject);
  }), () => `pgbouncer to listen; its log:\n${bouncer.log}`);
  return bouncer;
}
