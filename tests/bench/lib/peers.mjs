// What writers are compared with on PostgreSQL: nothing, NOTIFY with the row as payload and a Node relay, PgQ's jsontriga with
// its ticker and a consumer. Each is installed into a database of its own and stays running.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../e2e/lib/ports.mjs';
import { until } from '../../e2e/lib/wait.mjs';

// A child process that is ended with the scope.
export function child(scope, command, args, options = {}) {
  const process = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
  const made = { process, pid: process.pid, output: '' };
  for (const stream of [process.stdout, process.stderr]) stream.on('data', (chunk) => { made.output = (made.output + chunk).slice(-10_000); });
  const ended = new Promise((resolve) => { process.on('close', resolve); });
  process.stdin.on('error', () => {});
  scope.defer(async () => {
    process.kill('SIGTERM');
    const hard = setTimeout(() => process.kill('SIGKILL'), 5000);
    await ended;
    clearTimeout(hard);
  });
  return made;
}

// users: an SQL expression of the row for who may see it, an array.
export const notifyTrigger = (tables, users) => `CREATE FUNCTION notify_change() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE r record := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
  BEGIN
    PERFORM pg_notify('changes', json_build_object('users', ${users}, 'table', TG_TABLE_NAME, 'type', lower(TG_OP), 'data', to_json(r))::text);
    RETURN NULL;
  END $$;
  ${tables.map((table) => `CREATE TRIGGER notify AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION notify_change();`).join('\n')}`;

export async function notifyRelay(scope, postgres, name) {
  const port = await freePort();
  const relay = child(scope, process.execPath, [fileURLToPath(new URL('notify-relay.mjs', import.meta.url)), postgres.url(name), String(port)]);
  await until(() => relay.output.includes('ready'), () => `the Node relay; ${relay.output}`);
  return { ...relay, port };
}

// The ticker is pgqd, ten times a second; the consumer is psql, which throws away what it fetches: there is none cheaper.
export async function pgq(scope, postgres, name, tables) {
  await postgres.once(name, `CREATE EXTENSION pgq; SELECT pgq.create_queue('q'); SELECT pgq.register_consumer('q', 'c');
    SELECT pgq.set_queue_config('q', 'ticker_max_lag', '100 milliseconds');
    ${tables.map((table) => `CREATE TRIGGER pgq AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION pgq.jsontriga('q');`).join('\n')}`);
  const settings = join(postgres.scratch, 'pgqd.ini');
  writeFileSync(settings, `[pgqd]
base_connstr = host=127.0.0.1 port=${postgres.port} user=postgres
initial_database = postgres
database_list = ${name}
ticker_period = 0.1
syslog = 0
`);
  const ticker = child(scope, 'pgqd', [settings]);
  const consumer = child(scope, join(postgres.bin, 'psql'), ['-X', '-q', '-t', '-d', postgres.url(name)]);
  const turn = setInterval(() => consumer.process.stdin.write(`SELECT coalesce(pgq.next_batch('q', 'c'), 0) AS batch, 0 AS have \\gset
SELECT :batch <> 0 AS have \\gset
\\if :have
\\o /dev/null
COPY (SELECT * FROM pgq.get_batch_events(:batch)) TO STDOUT;
SELECT pgq.finish_batch(:batch);
\\o
\\endif
`), 100);
  scope.defer(() => clearInterval(turn));
  const consumed = async () => (await postgres.once(name, "SELECT last_tick > 1 AS ok FROM pgq.get_consumer_info('q', 'c')")).rows[0]?.ok;
  await until(consumed, () => `PgQ's consumer; ${ticker.output}\n${consumer.output}`);
  return { pids: [ticker.pid, consumer.pid] };
}
