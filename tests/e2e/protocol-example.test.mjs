// Prevents: an example of a live client in docs/ or the README that does not do what it promises. The websocket and the streams run in
// a browser, the Socket.IO client in Node, all as they stand there but for the address; each misses rows while it or the relay is
// away, and the streams are refused, too, which ends an EventSource for good. Other tabs and users go on meanwhile.
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

async function visit(t, relay, beside) {
  const context = beside ?? await browser.newContext();
  if (!beside) t.defer(() => context.close());
  const tab = await context.newPage();
  await tab.goto(`${relay.origin}/ping`);
  const got = () => tab.evaluate(() => window.got);
  return { tab, got, has: (n) => until(async () => (await got()).includes(n), async () => `order ${n}`) };
}

const helpers = (token) => `var token = ${JSON.stringify(token)};
  var apply = ({ table, data }) => { if (table === 'orders') got.push(data.id) };
  var refetchEverything = () => { refetched++ };`;

test('the websocket: it comes back by itself, and nothing is missing', async (t) => {
  const { relay, token, insert } = await setUp(t);
  const { tab, got, has } = await visit(t, relay);
  await tab.evaluate(`window.got = []; window.refetched = 0; ${helpers(token)} (() => { ${example('new WebSocket', relay)} })()`);
  await until(() => tab.evaluate('refetched === 1'), 'a first connected');
  await insert(1, 20);
  await has(20);
  await relay.stop();
  await insert(21, 40);
  await relay.start();
  await has(40);
  assert.deepEqual(await got(), upTo(40));
  assert.equal(await tab.evaluate('refetched'), 1, 'the second time nothing is missing');
});

// Of one browser: another tab goes on while this one is away; a page that was loaded anew shows nothing yet, and may be another user's.
for (const kind of ['WebSocket', 'EventSource']) {
  test(`${kind}: a position is its page's own`, async (t) => {
    const { db, relay, token, insert } = await setUp(t);
    const away = await visit(t, relay), other = await visit(t, relay, away.tab.context());
    // Its connections can be ended, and are made only while there is a network.
    const begin = ({ tab }, user) => tab.evaluate(`window.got = []; window.refetched = 0; window.gate ??= { open: true }; ${helpers(user)}
      var later = setTimeout; window.setTimeout = (fn, ms) => (gate.open ? later(fn, ms) : (gate.held = fn));
      ${kind} = class extends ${kind} { constructor(...a) { super(...a); window.latest = this; } };
      (() => { ${example(`new ${kind}`, relay)} })()`);
    for (const page of [away, other]) {
      await begin(page, token);
      await until(() => page.tab.evaluate('refetched === 1'), 'a first connected');
    }
    await insert(1, 20);
    for (const page of [away, other]) await page.has(20);
    await away.tab.evaluate(kind === 'WebSocket' ? 'gate.open = false; latest.close()' : "gate.open = false; latest.close(); latest.onerror()");
    await until(() => away.tab.evaluate('Boolean(gate.held)'), 'it to wait');
    await insert(21, 40);
    await other.has(40);
    await away.tab.evaluate('gate.open = true; gate.held()');
    await away.has(40);
    assert.deepEqual(await away.got(), upTo(40));
    for (const user of [token, await db.user(2)]) {
      await away.tab.reload();
      await begin(away, user);
      await until(() => away.tab.evaluate('refetched === 1'), 'a page that was loaded anew to be told to fetch');
    }
  });
}

// What docs/PROTOCOL.md says of streams over HTTP/1.1.
test('six streams are all that a browser opens to a host; websockets are not counted', async (t) => {
  const { relay, token } = await setUp(t);
  const first = await visit(t, relay), second = await visit(t, relay, first.tab.context());
  const states = ({ tab }) => tab.evaluate('streams.map(({ readyState }) => readyState).join("")');
  await first.tab.evaluate(`window.streams = Array.from({ length: 6 }, () => new EventSource('/stream?token=${token}')); 0`);
  await until(async () => await states(first) === '111111', 'six streams');
  await second.tab.evaluate(`window.streams = [new EventSource('/stream?token=${token}')]; window.got = [];
    window.socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws?token=${token}'); socket.onmessage = () => got.push('told'); 0`);
  await second.has('told');
  assert.equal(await states(second), '0', 'the seventh');
  await first.tab.evaluate('streams[0].close()');
  await until(async () => await states(second) === '1', 'the seventh in the place of the first');
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
  await has('refetch\nconnected');
  await insert(1, 20);
  await has('order 20');
  await relay.kill();
  await insert(21, 40);
  await relay.start();
  await has('order 40');
  assert.deepEqual([...output.matchAll(/^order (\d+)$/gm)].map(([, id]) => Number(id)), upTo(40));
  assert.equal(output.split('refetch').length, 2, 'once, at the first connection');
});
