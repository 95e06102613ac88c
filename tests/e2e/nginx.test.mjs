// Prevents: a configuration of nginx in docs/ that refuses the relay's own page, writes tokens into a log, turns a rolling restart
// into an outage or lets no more than six streams through. The blocks are run as they stand there, but for addresses and paths.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import { WsClient, request } from './lib/clients.mjs';
import { test, usePostgres } from './lib/harness.mjs';
import { freePort } from './lib/ports.mjs';
import { startRelay } from './lib/relay.mjs';
import { SioClient } from './lib/socketio.mjs';
import { until, within } from './lib/wait.mjs';

const postgres = usePostgres();
const block = (name) => /```nginx\n(.*?)```/s.exec(readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8'))[1];
let browser;
before(async () => {
  const executablePath = execFileSync('sh', ['-c', 'command -v chromium || command -v chromium-browser || command -v google-chrome'], { encoding: 'utf8' }).trim();
  browser = await chromium.launch({ executablePath, headless: true, args: ['--no-sandbox', '--headless', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage'] });
});
after(() => browser?.close());

// server: what is in a server of nginx's; without it the block has one of its own.
async function startNginx(t, text, relays, server) {
  const folder = mkdtempSync(join(tmpdir(), 'esink-nginx-')), port = await freePort(), at = (name) => join(folder, name);
  t.defer(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=relay.example', '-keyout', at('relay.key'), '-out', at('relay.pem')], { stdio: 'ignore' });
  const [first, second] = relays.map((relay) => `127.0.0.1:${relay.port}`);
  const own = (server === undefined ? text : `${text.replace(/^location .*^}$/ms, '')}\nserver {\nlisten 443;\n${server}\n}`)
    .replace(/10\.0\.0\.11:\d+/, first).replace(/10\.0\.0\.12:\d+/, second).replaceAll(/\/(etc\/ssl\/(certs|private)|var\/log\/nginx)\//g, `${folder}/`)
    .replace('listen 443', `listen 127.0.0.1:${port}`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${at(name)};`).join(' ');
  writeFileSync(at('nginx.conf'), `${process.getuid() === 0 ? 'user root; ' : ''}daemon off; worker_processes 1; pid ${at('pid')}; error_log ${at('main.log')};
events { worker_connections 1000; }
http { access_log ${at('usual.log')}; ${temporary}
${own}
}
`);
  const child = spawn('/usr/sbin/nginx', ['-p', folder, '-e', at('main.log'), '-c', at('nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk) => { said += chunk; });
  const ended = new Promise((resolve) => { child.on('close', resolve); });
  t.defer(async () => {
    child.kill('SIGTERM');
    await within(ended, 'the end of nginx');
  });
  const proxy = { origin: `${/^listen.* ssl/m.test(own.replaceAll(/^\s+/gm, '')) ? 'https' : 'http'}://127.0.0.1:${port}`, secrets: new Set(), at,
    log: (name) => (existsSync(at(name)) ? readFileSync(at(name), 'utf8') : '') };
  await until(async () => (await request(`${proxy.origin}/ping`)).status === 200, () => `nginx to answer; ${said}${proxy.log('main.log')}`);
  return proxy;
}

async function twoRelays(t) {
  const db = await postgres.database(t, 'CREATE TABLE orders (id int PRIMARY KEY, customer int)');
  const options = () => ({ tables: 'orders', routing: { orders: 'customer' }, env: { CORS_ORIGIN: 'https://shop.example' } });
  return { db, token: await db.user(1), relays: [await startRelay(t, db, options()), await startRelay(t, db, options())] };
}

// The one after the other, while requests and a websocket's attempts go on: what was not answered as usual.
async function rolling(proxy, relays) {
  const odd = [];
  let asked = 0, going = true;
  const ask = async () => {
    while (going) {
      const answer = await request(`${proxy.origin}/ping`).catch((error) => ({ status: error.message }));
      asked++;
      if (answer.status !== 200) odd.push(answer.status);
    }
  };
  const asking = [ask(), ask(), ask()];
  for (const relay of relays) {
    await relay.stop();
    const before = asked;
    await until(() => asked > before + 50, 'requests while a relay is away');
    await relay.start();
  }
  going = false;
  await Promise.all(asking);
  return odd;
}

test('docs/OPERATIONS.md: the page, seven streams, a rolling restart, and no token in a log', async (t) => {
  const { db, token, relays } = await twoRelays(t);
  const proxy = await startNginx(t, block('OPERATIONS'), relays);
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  t.defer(() => context.close());
  const tab = await context.newPage();
  await tab.goto(`${proxy.origin}/`);
  await tab.evaluate(`window.got = []; window.streams = Array.from({ length: 7 }, () => new EventSource('/stream?token=${token}'));
    window.socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws?token=${token}');
    socket.onmessage = ({ data }) => got.push(JSON.parse(data).event); 0`);
  await until(() => tab.evaluate("got[0] === 'connected'"), 'a websocket of the relay\'s own page');
  await until(async () => await tab.evaluate('streams.map(({ readyState }) => readyState).join("")') === '1111111', 'seven streams');
  await db.query('INSERT INTO orders VALUES (1, 1)');
  await until(() => tab.evaluate("got.includes('changes')"), 'an event');
  await tab.evaluate('streams.forEach((stream) => stream.close()); socket.close()');
  assert.deepEqual(await rolling(proxy, relays), []);
  for (const relay of relays) await relay.stop();
  assert.equal((await request(`${proxy.origin}/stream?token=${token}`)).status, 502);
  await until(() => /"GET \/stream" 502/.test(proxy.log('relay.log')), () => `a line of the log: ${proxy.log('relay.log').slice(-300)}`);
  assert.match(proxy.log('relay.log'), /"GET \/ws" 101/);
  for (const name of ['relay.log', 'relay-error.log', 'usual.log', 'main.log']) assert.ok(!proxy.log(name).includes(token), name);
});

test('docs/SOCKETIO.md: a page of its origin, polling through two relays, and a rolling restart', async (t) => {
  const { db, token, relays } = await twoRelays(t);
  const text = block('SOCKETIO');
  const proxy = await startNginx(t, text, relays, /^location .*^}$/ms.exec(text)[0].replace('/socket.io/', '/')); // /ping, too
  for (const mode of ['polling', 'websocket', 'upgrade']) {
    const client = new SioClient(proxy, token, { mode, extraHeaders: { origin: proxy.origin } });
    t.defer(() => client.close());
    await client.connected();
    await db.query('DELETE FROM orders; INSERT INTO orders VALUES (1, 1)');
    await client.event(({ type }) => type === 'insert');
    await client.close();
  }
  assert.deepEqual(await rolling(proxy, relays), []);
});

test('docs/PAGE.md: the page below a path, at a port of its own', async (t) => {
  const { token, relays } = await twoRelays(t);
  const common = block('OPERATIONS').replace(/^server .*^}$/ms, '');
  const proxy = await startNginx(t, common, relays, `location = /ping { return 200; }\n${block('PAGE')}`);
  const page = await request(`${proxy.origin}/relay/`);
  assert.deepEqual([page.status, /<title>/.test(page.text)], [200, true]);
  const client = new WsClient(proxy, token, { path: '/relay/ws', origin: proxy.origin });
  t.defer(() => client.close());
  await client.connected();
});
