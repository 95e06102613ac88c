// Prevents: a relay that works with every test client and with no browser: CORS, framing, MIME types and the browser's own
// WebSocket and EventSource decide. And a page of an origin that is not allowed, but has a token, that can read something.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();

function executable() {
  return execFileSync('sh', ['-c', 'command -v chromium || command -v chromium-browser || command -v google-chrome'], { encoding: 'utf8' }).trim();
}

const page = `<!doctype html><meta charset="utf-8"><title>a shop</title><script>
const given = new URLSearchParams(location.hash.slice(1)), relay = given.get('relay'), token = given.get('token');
window.got = { ws: [], sse: [], failures: [] };
const ws = new WebSocket(relay.replace('http', 'ws') + '/ws');
ws.onopen = () => ws.send(JSON.stringify({ event: 'auth', data: { token } }));
ws.onmessage = (message) => got.ws.push(JSON.parse(message.data));
ws.onerror = () => got.failures.push('websocket');
const sse = new EventSource(relay + '/stream?token=' + token);
for (const name of ['connected', 'changes']) sse.addEventListener(name, (e) => got.sse.push({ event: name, data: JSON.parse(e.data) }));
sse.onerror = () => got.failures.push('stream');
window.post = (body) => fetch(relay + '/publish', { method: 'POST', headers: { 'content-type': 'application/json', authorization: 'Bearer ' + body.bearer },
  body: JSON.stringify(body.event) }).then((answer) => answer.json());
</script>`;

const launch = () => chromium.launch({
  executablePath: executable(), headless: true,
  args: ['--no-sandbox', '--headless', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage'],
});

test('a page of an origin that is not allowed reads nothing, by WebSocket, EventSource or fetch', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE orders (id int PRIMARY KEY, customer int)');
  const token = await db.user(7);
  const evil = createServer((request, response) => response.setHeader('content-type', 'text/html; charset=utf-8').end(page));
  await new Promise((resolve) => { evil.listen(0, '127.0.0.1', resolve); });
  t.defer(() => evil.close());
  const relay = await startRelay(t, db, { tables: 'orders', routing: { orders: 'customer' }, env: { CORS_ORIGIN: 'https://shop.example' } });
  relay.secret(token);
  const browser = await launch();
  t.defer(() => browser.close());
  const tab = await browser.newPage();
  await tab.goto(`http://localhost:${evil.address().port}/#${new URLSearchParams({ relay: relay.origin, token })}`);
  await until(() => tab.evaluate("got.failures.includes('websocket') && got.failures.includes('stream')"), 'both to fail');
  await db.query('INSERT INTO orders VALUES (1, 7)');
  await relay.fence(await relay.ws(token));
  const read = (mode) => tab.evaluate(([origin, secret, how]) => fetch(`${origin}/events?token=${secret}`, { mode: how }).then((answer) => answer.text(), (error) => error.name), [relay.origin, token, mode]);
  assert.deepEqual([await read('cors'), await read('no-cors')], ['TypeError', ''], 'refused; opaque');
  assert.deepEqual(await tab.evaluate('[got.ws, got.sse, ws.readyState, sse.readyState]'), [[], [], 3, 2]);
});

test("a page of another origin hears of its user's rows, by WebSocket and EventSource, and may publish", { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE orders (id int PRIMARY KEY, customer int, item text, margin numeric)');
  const token = await db.user(7);
  const operator = 'operators-own-token-4711';
  const shop = createServer((request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(page);
  });
  await new Promise((resolve) => { shop.listen(0, '127.0.0.1', resolve); });
  t.defer(() => shop.close());
  const origin = `http://localhost:${shop.address().port}`;
  const relay = await startRelay(t, db, {
    tables: 'orders', routing: { orders: 'customer' }, filters: 'orders.margin', env: { CORS_ORIGIN: origin, SECURITY_TOKEN: operator },
  });
  relay.secret(token);
  const browser = await launch();
  t.defer(() => browser.close());
  const tab = await browser.newPage();
  await tab.goto(`${origin}/#${new URLSearchParams({ relay: relay.origin, token })}`);
  const got = () => tab.evaluate(() => window.got);
  await until(async () => {
    const { ws, sse } = await got();
    return ws.some(({ event }) => event === 'connected') && sse.some(({ event }) => event === 'connected');
  }, () => `connected on both; ${relay.log}`, 20_000).catch(async (error) => { throw new Error(`${error.message} ${JSON.stringify(await got())}`); });
  await db.query("INSERT INTO orders VALUES (1, 7, 'tea — grün', 0.35), (2, 8, 'not ours', 0.5)");
  await until(async () => {
    const { ws, sse } = await got();
    return [ws, sse].every((list) => list.some(({ event, data }) => event === 'changes' && data.table === 'orders'));
  }, 'the row on both');
  const answer = await tab.evaluate((body) => window.post(body), { bearer: operator, event: { table: 'hint', type: 'sale', userId: 7, data: { now: true } } });
  assert.equal(answer.code, 200);
  await relay.db.fence();
  await until(async () => {
    const { ws, sse } = await got();
    return [ws, sse].every((list) => list.some(({ data }) => data.table === 'fence'));
  }, 'the fence on both');
  const { ws, sse, failures } = await got();
  for (const list of [ws, sse]) {
    assert.deepEqual(list.filter(({ event, data }) => event === 'changes' && data.table !== 'fence').map(({ data }) => [data.table, data.data]),
      [['orders', { id: 1, customer: 7, item: 'tea — grün' }], ['hint', { now: true }]]);
  }
  assert.deepEqual(failures, []);
});
