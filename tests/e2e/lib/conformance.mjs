// The conformance server: the relay's wire and transport code without a relay, serving what the public protocol test suites
// expect. pingInterval 300 ms, pingTimeout 200 ms, maxPayload 1000000. $ESINK_CONFORMANCE: another command, with which the tests
// themselves can be tried against the reference implementation.
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import assert from 'node:assert/strict';
import { request } from './clients.mjs';
import { freePort } from './ports.mjs';
import { binary } from './relay.mjs';
import { until, within } from './wait.mjs';

const command = () => process.env.ESINK_CONFORMANCE?.split(' ') ?? [resolve(binary(), '../../../tests/unit/transport/transport_conformance')];
const options = ['--ping-interval', '--ping-timeout', '--connect-timeout'];
const paths = { engineio: '/engine.io/', socketio: '/socket.io/' };

// Tells the base address of the protocol (engineio: echoes messages; socketio: `/` and `/custom`).
// pings: [interval, timeout, CONNECT's timeout] in ms, other than above.
export async function startConformance(t, protocol, threads, pings = []) {
  const port = await freePort();
  const [program, ...args] = command();
  const child = spawn(program, [...args, `--${protocol}`, String(port), ...pings.flatMap((ms, i) => [options[i], String(ms)])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NETWORK_THREADS: String(threads), ASAN_OPTIONS: 'detect_leaks=1:detect_stack_use_after_return=1', UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1' },
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { log += chunk; });
  let status;
  const ended = new Promise((done) => {
    child.on('close', (code, signal) => { status = { code, signal }; done(status); });
    child.on('error', (error) => { log += error.message; status = { error: error.code }; done(status); });
  });
  const onExit = () => child.kill('SIGKILL');
  process.on('exit', onExit);
  t.defer(async () => {
    if (!status) child.kill('SIGTERM');
    await within(ended, () => `the conformance server to end after SIGTERM; its log:\n${log}`).catch((error) => { child.kill('SIGKILL'); throw error; });
    process.off('exit', onExit);
    assert.ok(!/Sanitizer|runtime error:|Assertion .* failed/.test(log), `a sanitizer or an assertion spoke:\n${log}`);
    assert.ok(status.code === 0 || status.signal === 'SIGTERM', `${JSON.stringify(status)}: ${log}`);
  });
  const base = `http://127.0.0.1:${port}${paths[protocol]}`;
  await until(() => {
    if (status) throw Object.assign(new Error(`the conformance server ended: ${JSON.stringify(status)}\n${log}`), { fatal: true });
    return request(base);
  }, () => `the conformance server to answer; ${log}`);
  return base;
}
