// Prevents: an example of a live client in docs/ or the README that does not do what it promises. The websocket and the streams run in
// a browser, the Socket.IO client in Node, all as they stand there but for the address; each misses rows while it or the relay is
// away, and the streams are refused, too, which ends an EventSource for good.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { after, before } from 'node:test';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { sqliteDatabase } from './lib/sqlite.mjs';
import { until } from './lib/wait.mjs';
import { series } from './source/suite.mjs';

const blocks = ['PROTOCOL', 'SOCKETIO'].flatMap((name) => [...readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8').matchAll(/```js\n(.*?)```/gs)].map(([, text]) => text));
const example = (mark, relay) => blocks.find((text) => text.includes(mark)).replace('s://relay.example', `://127.0.0.1:${relay.port}`);
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

const readme = (relay, token) => /<script>\n(.*?)<\/script>/s.exec(readFileSync(new URL('../../README.md', import.meta.url), 'utf8'))[1]
  .replace('http://localhost:8080', relay.origin).replace('token-of-user-7', token);

const postgres = usePostgres();
let browser;
before(async () => {
  const executablePath = execFileSync('sh', ['-c', 'command -v chromium || command -v chromium-browser || command -v google-chrome'], { encoding: 'utf8' }).trim();
  browser = await chromium.launch({ executablePath, headless: true, args: ['--no-sandbox', '--headless', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage'] });
});
after(() => browser?.close());

async function setUp(t) {
  const db = await sqliteDatabase(t, 'CREATE TABLE orders (id int PRIMARY KEY, customer int)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'orders', routing: { orders: 'customer' } });
  return { db, token, relay, insert: (first, last) => db.query(`INSERT INTO orders (id, customer) ${series(first, last, 'i, 1')}`) };
}

async function visit(t, relay) {
  const context = await browser.newContext();
  t.defer(() => context.close());
  const tab = await context.newPage();
  await tab.goto(`${relay.origin}/ping`);
  const got = () => tab.evaluate(() => window.got);
  return { tab, got, has: (n) => until(async () => (await got()).includes(n), async () => `order ${n}`) };
}

const helpers = (token) => `var token = ${JSON.stringify(token)};
  var apply = ({ table, data }) => { if (table === 'orders') got.push(data.id) };
  var refetchEverything = () => { refetched++ };`;

test('the websocket: what it missed comes when it connects again', async (t) => {
  const { relay, token, insert } = await setUp(t);
  const { tab, got, has } = await visit(t, relay);
  const run = () => tab.evaluate(`${helpers(token)} (() => { ${example('new WebSocket', relay)}; window.socket = socket })()`);
  await tab.evaluate('window.got = []; window.refetched = 0');
  await run();
  await until(() => tab.evaluate('refetched === 1'), 'a first connected');
  await insert(1, 20);
  await has(20);
  await tab.evaluate('socket.close()');
  await insert(21, 40);
  await run();
  await has(40);
  assert.deepEqual(await got(), upTo(40));
  assert.equal(await tab.evaluate('refetched'), 1, 'the second time nothing is missing');
});

test('the stream: it comes back by itself, and nothing is missing', async (t) => {
  const { relay, token, insert } = await setUp(t);
  const { tab, got, has } = await visit(t, relay);
  await tab.evaluate(`window.got = []; window.refetched = 0; ${helpers(token)} (() => { ${example('new EventSource', relay)} })()`);
  await until(() => tab.evaluate('refetched === 1'), 'a first connected');
  await insert(1, 20);
  await has(20);
  await relay.stop();
  await insert(21, 40);
  await relay.start();
  await has(40);
  assert.deepEqual(await got(), upTo(40));
  assert.equal(await tab.evaluate('refetched'), 1);
});

// The database is stopped and the relay restarted: LIVE_TIMEOUT passes, and the answer to the stream's reconnect is 503. With rows
// before the outage and without: the position that comes before the first row counts, too.
for (const [name, seen, sample] of [['docs/PROTOCOL.md', 20, (relay, token) => `${helpers(token)} (() => { ${example('new EventSource', relay)} })()`],
  ['README.md', 0, (relay, token) => `console.log = (id, table, type, row) => { if (table === 'orders') got.push(row.id) }; (() => { ${readme(relay, token)} })()`]]) {
  test(`the stream of ${name}: refused while the database is away, it is made anew, and nothing is missing`, { timeout: 120_000 }, async (t) => {
    const db = await postgres.database(t, 'CREATE TABLE orders (id int PRIMARY KEY, customer int)');
    const token = await db.user(7);
    const relay = await startRelay(t, db, { tables: 'orders', routing: { orders: 'customer' }, env: { LIVE_TIMEOUT: '300ms' } });
    const insert = (first, last) => db.query(`INSERT INTO orders (id, customer) ${series(first, last, 'i, 7')}`);
    const { tab, got, has } = await visit(t, relay);
    await tab.evaluate(`window.got = []; window.refetched = 0; window.streams = []; window.connected = 0;
      window.EventSource = class extends EventSource {
        constructor(address) {
          super(address);
          streams.push(this);
          this.addEventListener('connected', () => { connected++ });
        }
      }; ${sample(relay, token)}`);
    await until(() => tab.evaluate('connected === 1'), 'a first connected');
    if (seen) {
      await insert(1, seen);
      await has(seen);
    }
    await db.close();
    await postgres.halt();
    await relay.stop();
    await relay.start({ ready: false });
    await until(() => tab.evaluate('streams.length > 1 && streams.at(-1).readyState === 2'), 'a second stream to be refused', 30_000);
    await postgres.resume();
    await until(() => db.query('SELECT 1'), 'the database to take queries');
    await insert(seen + 1, seen + 20);
    await has(seen + 20);
    assert.deepEqual(await got(), upTo(seen + 20));
    assert.equal(await tab.evaluate('streams.filter(({ readyState }) => readyState === 1).length'), 1, 'streams that are open');
    if (seen) assert.equal(await tab.evaluate('refetched'), 1, 'nothing was missing');
  });
}

test('Socket.IO: it comes back by itself, and nothing is missing', async (t) => {
  const { relay, token, insert } = await setUp(t);
  const folder = mkdtempSync(join(tmpdir(), 'esink-example-')), file = join(folder, 'client.mjs');
  t.defer(() => rmSync(folder, { recursive: true }));
  symlinkSync(fileURLToPath(new URL('node_modules', import.meta.url)), join(folder, 'node_modules'));
  writeFileSync(file, `const token = ${JSON.stringify(token)}, refetchEverything = () => console.log('refetch'), show = ({ data }) => console.log('order ' + data.id);\n${example("from 'socket.io-client'", relay)}
    socket.on('connected', () => console.log('connected'));`);
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => { child.on('close', resolve); });
  t.defer(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let output = '';
  child.stdout.on('data', (text) => { output += text; });
  const has = (line) => until(() => output.includes(`${line}\n`), () => `${line}: ${output.slice(-200)}`);
  await has('connected');
  await insert(1, 20);
  await has('order 20');
  await relay.kill();
  await insert(21, 40);
  await relay.start();
  await has('order 40');
  assert.deepEqual([...output.matchAll(/^order (\d+)$/gm)].map(([, id]) => Number(id)), upTo(40));
  assert.ok(!output.includes('refetch'));
});
