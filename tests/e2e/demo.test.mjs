// Prevents: a first command that does not work. A stranger has only what deploy/demo prints.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { test } from './lib/harness.mjs';
import { request } from './lib/clients.mjs';
import { freePort } from './lib/ports.mjs';
import { until } from './lib/wait.mjs';

const demo = fileURLToPath(new URL('../../deploy/demo', import.meta.url));

function start(t, command, args, env = {}) {
  const { ESINK_BINARY: _, ...inherited } = process.env; // the demo builds its own
  const child = spawn(command, args, { env: { ...inherited, ...env }, detached: true });
  const state = { text: '', status: undefined, child };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { state.text += chunk; });
  child.on('close', (code, signal) => { state.status = { code, signal }; });
  t.defer(async () => {
    if (state.status === undefined) {
      process.kill(-child.pid, 'SIGTERM');
      await until(() => state.status !== undefined, `${command} to end`, 20_000);
    }
  });
  return state;
}

const read = (path) => { try { return readFileSync(path, 'utf8'); } catch { return ''; } };
const comm = (pid) => read(`/proc/${pid}/comm`).trim();
const parent = (pid) => Number(read(`/proc/${pid}/stat`).replace(/.*\) \S+ (\d+) .*/s, '$1'));

test('its printed lines show an event arrive; a relay that is killed comes back; Ctrl-C ends everything', { timeout: 300_000 }, async (t) => {
  const port = await freePort();
  const run = start(t, demo, [], { PORT: String(port) });
  await until(() => {
    if (run.status) throw Object.assign(new Error(`the demo ended: ${run.text}`), { fatal: true });
    return run.text.includes('Ctrl-C here ends it all');
  }, () => `the demo to be up: ${run.text}`, 240_000);
  const line = (start_) => run.text.split('\n').map((text) => text.trim()).find((text) => text.startsWith(start_));
  const page = await request(line('Open').split(/\s+/)[1]);
  assert.equal(page.status, 200);
  assert.match(page.headers['content-type'], /text\/html/);
  const stream = start(t, 'bash', ['-c', line('curl -N')]);
  await until(() => /event: *connected/.test(stream.text), () => `the printed stream: ${stream.text}`);
  const insert = start(t, 'bash', ['-c', line('sqlite3')]);
  await until(() => insert.status, 'the printed insert');
  assert.equal(insert.status.code, 0, insert.text);
  await until(() => stream.text.includes('white tea'), () => `the order on the stream: ${stream.text}`);
  const publish = start(t, 'bash', ['-c', line('curl -X POST')]);
  await until(() => publish.status, 'the printed publish');
  assert.match(publish.text, /"code": *200/);
  await until(() => stream.text.includes('Tea is cheap'), () => `the message on the stream: ${stream.text}`);
  await until(() => stream.text.includes('"prices"'), () => `a price that changes by itself: ${stream.text}`);
  assert.ok(!stream.text.includes('margin'), 'the filtered column');
  const relays = () => readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && parent(pid) === run.child.pid && comm(pid) === 'esink');
  await until(() => run.text.includes('Ctrl-C') && relays().length === 1, 'its relay');
  await pause(2000); // one that dies at once again and again is not started for ever
  const [relay] = relays();
  process.kill(Number(relay), 'SIGKILL');
  await until(() => stream.status, 'the end of the stream');
  await until(() => run.text.includes('it is started again'), () => `a line that says so: ${run.text}`);
  const back = start(t, 'bash', ['-c', line('curl -N').replace('curl', 'curl --retry 30 --retry-delay 1 --retry-connrefused')]);
  await until(() => /event: *connected/.test(back.text), () => `the stream again: ${back.text}`, 30_000);
  await until(() => back.text.includes('"prices"'), () => `a price after that: ${back.text}`);
  const scratch = /in (\S*esink-demo-\w+)\/shop\.db/.exec(run.text)[1];
  assert.ok(existsSync(scratch));
  process.kill(-run.child.pid, 'SIGINT');
  await until(() => run.status, () => `the end after Ctrl-C: ${run.text}`, 20_000);
  assert.ok(!existsSync(scratch), 'the scratch folder is gone');
  await assert.rejects(request(`http://127.0.0.1:${port}/ping`), 'nobody listens any more');
});

test('--once tries its own lines', { timeout: 300_000 }, async (t) => {
  const run = start(t, demo, ['--once'], { PORT: String(await freePort()) });
  await until(() => run.status, () => `its end: ${run.text}`, 240_000);
  assert.equal(run.status.code, 0, run.text);
  assert.match(run.text, /the demo works/);
});

test('a taken port is told at once, with the way out', async (t) => {
  const server = createServer();
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.defer(() => server.close());
  const { port } = server.address();
  const run = start(t, demo, [], { PORT: String(port) });
  await until(() => run.status, () => `its end: ${run.text}`);
  assert.equal(run.status.code, 1);
  assert.match(run.text, new RegExp(`port ${port} is taken`));
  assert.match(run.text, /PORT=/);
});
