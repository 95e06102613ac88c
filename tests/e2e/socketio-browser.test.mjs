// Prevents: a relay that works with socket.io-client in Node and not in a browser, whose XMLHttpRequest, WebSocket and CORS are
// its own. The page is one as written for the original: its script, its io(host, {auth: {token}}), not a line for this relay.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import { startRelay } from './lib/relay.mjs';
import { combinations, database, modes, rules, threaded } from './lib/socketio.mjs';
import { until } from './lib/wait.mjs';

const bundle = (name) => readFileSync(new URL(`node_modules/${name}/dist/socket.io.min.js`, import.meta.url));
const scripts = { '/newest.js': bundle('socket.io-client'), '/4.7.2.js': bundle('socket.io-client-4.7.2') };

const page = (version) => `<!doctype html><meta charset="utf-8"><title>a shop</title><script src="/${version}.js"></script><script>
const given = new URLSearchParams(location.hash.slice(1));
window.got = { messages: [], disconnects: [], failures: [], transports: [] };
const socket = io(given.get('host'), { auth: { token: given.get('token') }, ...JSON.parse(given.get('options')) });
socket.on('connected', (data) => got.messages.push(['connected', data]));
socket.on('error', (data) => got.messages.push(['error', data]));
socket.on('notes', (data) => got.messages.push(['notes', data]));
socket.on('changes', (data) => got.messages.push(['changes', data]));
socket.on('disconnect', (reason) => got.disconnects.push(reason));
socket.on('connect_error', (error) => got.failures.push(String(error)));
socket.io.on('open', () => { got.transports.push(socket.io.engine.transport.name); socket.io.engine.on('upgrade', (transport) => got.transports.push(transport.name)); });
window.send = (event) => socket.emit('event', event);
</script>`;

let browser;
before(async () => {
  const executablePath = execFileSync('sh', ['-c', 'command -v chromium || command -v chromium-browser || command -v google-chrome'], { encoding: 'utf8' }).trim();
  browser = await chromium.launch({
    executablePath, headless: true,
    args: ['--no-sandbox', '--headless', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage'],
  });
});
after(() => browser?.close());

async function shop(t) {
  const server = createServer((request, response) => {
    const script = scripts[request.url];
    response.setHeader('content-type', script ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(script ?? page(request.url.slice(1)));
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.defer(() => { server.closeAllConnections(); server.close(); });
  return `http://localhost:${server.address().port}`; // another host name than the relay's, too
}

const options = { polling: { transports: ['polling'] }, websocket: { transports: ['websocket'] }, upgrade: {} };

async function visit(t, relay, origin, { version, mode, token, more = {} }) {
  const context = await browser.newContext();
  t.defer(() => context.close());
  const tab = await context.newPage();
  const complaints = [];
  tab.on('pageerror', (error) => complaints.push(String(error)));
  tab.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()); });
  await tab.goto(`${origin}/${version}#${new URLSearchParams({ host: relay.origin, token, options: JSON.stringify({ ...options[mode], reconnectionDelay: 50, reconnectionDelayMax: 300, ...more }) })}`);
  return { tab, complaints, got: () => tab.evaluate(() => window.got) };
}

const seen = ({ messages }) => messages.filter(([, data]) => data.table !== 'fence').map(([name, data]) => (data.data ? [name, data.type, data.data] : [name]));

for (const { version, mode } of combinations) {
  threaded(`a page of another origin, ${version} over ${mode}`, { timeout: 90_000 }, async (t, threads) => {
    const { db, token } = await database(t);
    const origin = await shop(t);
    const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads), CORS_ORIGIN: origin, ALLOW_REPUBLISHING: 'true' } });
    relay.secret(token);
    const { tab, complaints, got } = await visit(t, relay, origin, { version, mode, token, more: threads === 1 ? { withCredentials: true } : {} });
    const state = async () => JSON.stringify([await got(), complaints]);
    const wait = async (condition, what) => {
      await until(async () => condition(await got()), what).catch(async (error) => { throw new Error(`${error.message}; ${await state()}`); });
    };
    await wait(({ messages }) => messages.length > 0, 'connected');
    if (mode === 'upgrade') await wait(({ transports }) => transports.includes('websocket'), 'the upgrade');
    await db.query("INSERT INTO notes VALUES (1, 1, 'tea — grün 😀'), (2, 2, 'not ours')");
    await wait(({ messages }) => messages.length >= 3, 'the row');
    await tab.evaluate(() => window.send({ table: 'notes', type: 'seen', data: { id: 1 } }));
    await wait(({ messages }) => messages.length >= 5, 'its own event');
    await db.fence();
    await wait(({ messages }) => messages.some(([, { table }]) => table === 'fence'), 'the fence');
    const row = { id: 1, user_id: 1, body: 'tea — grün 😀' };
    assert.deepEqual(seen(await got()), [['connected'], ['notes', 'insert', row], ['changes', 'insert', row], ['notes', 'seen', { id: 1 }], ['changes', 'seen', { id: 1 }]]);
    const { disconnects, failures, transports } = await got();
    assert.deepEqual([disconnects, failures, complaints], [[], [], []]);
    assert.deepEqual(transports, { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] }[mode]);
  });
}

for (const mode of modes) {
  threaded(`a page survives a restart of the relay, and is sent away with a bad token: ${mode}`, { timeout: 90_000 }, async (t, threads) => {
    const { db, token } = await database(t);
    const origin = await shop(t);
    const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads) } });
    relay.secret(token);
    const good = await visit(t, relay, origin, { version: 'newest', mode, token });
    const bad = await visit(t, relay, origin, { version: 'newest', mode, token: 'nobody-has-this-token' });
    const state = async () => JSON.stringify([await good.got(), good.complaints, await bad.got(), bad.complaints]);
    const wait = async (condition, what) => {
      await until(condition, what, 30_000).catch(async (error) => { throw new Error(`${error.message}; ${await state()}`); });
    };
    await wait(async () => (await good.got()).messages.length === 1, 'connected');
    await wait(async () => (await bad.got()).disconnects.length > 0, 'the bad token to be refused');
    const refused = await bad.got();
    assert.deepEqual(refused.messages, [['error', { code: 401, message: 'Unauthorized' }]]);
    assert.deepEqual(refused.disconnects, ['io server disconnect']);
    await relay.stop();
    await wait(async () => (await good.got()).disconnects.length > 0, 'the end of the connection');
    await relay.start();
    await wait(async () => (await good.got()).messages.filter(([name]) => name === 'connected').length === 2, 'the page to be back');
    assert.ok(['transport close', 'transport error'].includes((await good.got()).disconnects[0]));
    await db.query("INSERT INTO notes VALUES (1, 1, 'after')");
    await wait(async () => (await good.got()).messages.some(([name]) => name === 'changes'), 'a row after the restart');
    assert.equal((await bad.got()).messages.length, 1, 'it did not come back');
  });

  threaded(`a page of an origin that may not: nothing arrives, and it is no crash: ${mode}`, async (t, threads) => {
    const { db, token } = await database(t);
    const origin = await shop(t);
    const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads), CORS_ORIGIN: 'https://a.example' } });
    relay.secret(token);
    const { got } = await visit(t, relay, origin, { version: 'newest', mode, token });
    await until(async () => (await got()).failures.length >= 2, 'connect_error');
    assert.deepEqual((await got()).messages, []);
    await relay.ready();
  });
}
