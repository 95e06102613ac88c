// Prevents: an example in docs/PROTOCOL.md that does not do what it promises. Both programs are run as they stand there, killed in
// the middle of their work and started again, and refused.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Consumers } from './lib/service.mjs';
import { test } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { sqliteDatabase } from './lib/sqlite.mjs';
import { until } from './lib/wait.mjs';
import { operator, series } from './source/suite.mjs';

const page = readFileSync(new URL('../../docs/PROTOCOL.md', import.meta.url), 'utf8');
const example = (name) => page.match(new RegExp(`\`\`\`js\\n(// ${name}\\.mjs:.*?)\`\`\``, 's'))[1];

function start(t, file, relay) {
  const child = spawn(process.execPath, [file], { env: { ...process.env, RELAY: relay.origin, SECURITY_TOKEN: operator }, stdio: ['ignore', 'pipe', 'inherit'] });
  const service = { child, output: '' };
  child.stdout.on('data', (text) => { service.output += text; });
  service.ended = new Promise((resolve) => { child.on('close', resolve); });
  t.defer(async () => {
    child.kill('SIGKILL');
    await service.ended;
  });
  return service;
}

async function setUp(t, name) {
  const folder = mkdtempSync(join(tmpdir(), 'esink-example-')), file = join(folder, `${name}.mjs`);
  t.defer(() => rmSync(folder, { recursive: true }));
  writeFileSync(file, example(name));
  symlinkSync(fileURLToPath(new URL('node_modules', import.meta.url)), join(folder, 'node_modules'));
  const db = await sqliteDatabase(t, 'CREATE TABLE orders (id int PRIMARY KEY, customer int)');
  const relay = await startRelay(t, db, { tables: 'orders', routing: { orders: 'customer' }, env: { SECURITY_TOKEN: operator } });
  return { file, db, relay, consumers: new Consumers(relay) };
}

for (const name of ['mail', 'push']) {
  test(`${name}.mjs: every order is told, in order, though the service and the relay are killed`, async (t) => {
    const { file, db, relay, consumers } = await setUp(t, name);
    await consumers.register('mail', { topics: ['orders$'], types: ['insert'] });
    let output = '', last = 0;
    for (const end of ['service', 'relay', 'none']) {
      const service = start(t, file, relay);
      await db.query(`INSERT INTO orders (id, customer) ${series(last + 1, last + 150, 'i, 1')}`);
      last += 150;
      await until(() => service.output.includes(` order ${last - 100}\n`), () => `mail about order ${last - 100}: ${service.output.slice(-200)}`);
      if (end === 'relay') {
        await relay.kill();
        await relay.start();
      }
      if (end !== 'service') await until(() => service.output.includes(` order ${last}\n`), () => `mail about order ${last}: ${service.output.slice(-200)}`);
      service.child.kill('SIGKILL');
      await service.ended;
      output += service.output;
    }
    const told = [...output.matchAll(/^mail \d+ about order (\d+)$/gm)].map(([, id]) => Number(id));
    assert.deepEqual([...new Set(told)], Array.from({ length: last }, (_, i) => i + 1));
  });
}

test('push.mjs: it goes on after an error: without a consumer at its start, and when that is deleted under it', async (t) => {
  const { file, db, relay, consumers } = await setUp(t, 'push');
  const service = start(t, file, relay);
  for (const id of [1, 2]) {
    await until(async () => (await consumers.ask('GET', '/consumers/mail')).status === 200, 'it to be registered');
    await db.query(`INSERT INTO orders (id, customer) VALUES (${id}, 1)`);
    await until(() => service.output.includes(` order ${id}\n`), () => `mail about order ${id}: ${service.output}`);
    await until(async () => (await consumers.get('mail')).pending === 0, 'it to be acknowledged');
    await consumers.remove('mail');
  }
});
