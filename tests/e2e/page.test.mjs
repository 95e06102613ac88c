// Prevents: a live page that shows a rounded number, runs what a row holds, forgets or tells the token, misses what happened
// while the relay was away, or leaves somebody before an empty screen. In a real Chromium, as a reader uses it.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { execFileSync, spawn } from 'node:child_process';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import { request } from './lib/clients.mjs';
import { test, usePostgres } from './lib/harness.mjs';
import { freePort } from './lib/ports.mjs';
import { startRelay } from './lib/relay.mjs';
import { secureHeaders } from './lib/shapes.mjs';
import { patience, until } from './lib/wait.mjs';

const postgres = usePostgres();
const ORDERS = 'CREATE TABLE orders (id bigint PRIMARY KEY, customer int, item text, total numeric, meta jsonb)';
const routed = { tables: 'orders', routing: { orders: 'customer' } };

let browser;
let profile;
before(async () => {
  const executablePath = execFileSync('sh', ['-c', 'command -v chromium || command -v chromium-browser || command -v google-chrome'], { encoding: 'utf8' }).trim();
  profile = mkdtempSync(join(tmpdir(), 'esink-page-'));
  browser = await chromium.launch({
    executablePath, headless: true, env: { ...process.env, HOME: profile },
    args: ['--no-sandbox', '--headless', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage'],
  });
});
after(async () => {
  await browser?.close();
  if (profile) rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
});

// A tab on the page. What it asks for, says and where it goes is kept, and looked through when the test ends: no address
// holds the token, none is another host's, nothing breaks the policy and nothing throws.
async function open(t, relay, { width = 1440, height = 900, scheme = 'light', path = '/', secrets = [], ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, ...options });
  context.setDefaultTimeout(20_000 * patience);
  const tab = await context.newPage();
  const seen = { addresses: [], complaints: [] };
  tab.on('request', (request_) => seen.addresses.push(request_.url()));
  tab.on('websocket', (socket) => seen.addresses.push(socket.url()));
  tab.on('framenavigated', (frame) => seen.addresses.push(frame.url()));
  tab.on('pageerror', (error) => seen.complaints.push(String(error.stack)));
  tab.on('dialog', (dialog) => { seen.complaints.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  tab.on('console', (message) => {
    if (message.type() === 'error' && !/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|503 \(Service/.test(message.text())) seen.complaints.push(message.text());
  });
  t.defer(async () => {
    seen.addresses.push(tab.url(), await tab.evaluate(() => JSON.stringify([location.href, document.cookie, { ...localStorage }, document.referrer])));
    await context.close();
    assert.deepEqual(seen.complaints, [], 'the page complained');
    const { host } = new URL(relay.origin);
    for (const address of seen.addresses) {
      for (const secret of secrets) assert.ok(!address.includes(secret), `a token in ${address}`);
      if (/^(https?|wss?):/.test(address)) assert.equal(new URL(address).host, host, address);
    }
  });
  await tab.goto(relay.origin + path);
  return Object.assign(tab, { seen });
}

async function signIn(tab, token) {
  await tab.fill('#token', token);
  await tab.press('#token', 'Enter');
  await tab.waitForSelector('#state[data-state=live]');
}

// User 7 before a page of orders, connected.
async function visit(t, { sql = ORDERS, config = routed, ...view } = {}) {
  const db = await postgres.database(t, sql);
  const token = await db.user(7);
  const relay = await startRelay(t, db, config);
  const tab = await open(t, relay, { ...view, secrets: [token] });
  await signIn(tab, token);
  return { db, token, relay, tab };
}

const rows = (tab) => tab.locator('.row').evaluateAll((all) => all.map((row) => row.textContent));
const rowWith = (tab, text) => tab.waitForSelector(`.row:has-text(${JSON.stringify(text)})`);

test('every part is served with its type, a policy and an ETag that saves it the second time', async (t) => {
  const relay = await startRelay(t, await postgres.database(t));
  const page = await relay.get('/');
  const parts = [...page.text.matchAll(/(?:src|href)="(page\/[^"]+)"/g)].map(([, path]) => `/${path}`);
  const modules = (await relay.get('/page/page.js')).text.matchAll(/from '\.\/([^']+)'/g);
  const types = { css: /^text\/css/, js: /^text\/javascript/, svg: /^image\/svg\+xml/ };
  for (const path of new Set(['/', ...parts, ...[...modules].map(([, name]) => `/page/${name}`)])) {
    const answer = await relay.get(path);
    assert.equal(answer.status, 200, path);
    assert.match(answer.headers['content-type'], types[path.split('.')[1]] ?? /^text\/html; charset=utf-8$/, path);
    assert.equal(Number(answer.headers['content-length']), Buffer.byteLength(answer.text), path);
    assert.match(answer.headers['content-security-policy'], /^default-src 'none'; script-src 'self';.*frame-ancestors 'self'/, path);
    assert.doesNotMatch(answer.headers['content-security-policy'], /unsafe|\*|https?:/, path);
    assert.equal(answer.headers['cache-control'], 'no-cache', path);
    secureHeaders(answer);
    const { etag } = answer.headers;
    for (const known of [etag, `W/${etag}`, `"another", ${etag}`, '*']) {
      const again = await relay.get(path, { headers: { 'if-none-match': known } });
      assert.deepEqual([again.status, again.text, again.headers.etag], [304, '', etag], `${path} ${known}`);
    }
    assert.equal((await relay.get(path, { headers: { 'if-none-match': '"another"' } })).status, 200);
    const head = await relay.get(path, { method: 'HEAD' });
    assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', answer.headers['content-length']]);
    const wrong = await request(relay.origin + path, { method: 'POST', body: 'x' });
    assert.deepEqual([wrong.status, wrong.headers.allow], [405, 'GET, HEAD, OPTIONS'], path);
  }
  assert.doesNotMatch(page.text, /<script>|<style|style="| on\w+="|https?:\/\//, 'nothing inline, nothing foreign');
  for (const path of ['/page', '/page/', '/page/nothing.js', '/page/../src/web/page.js', '/index.html']) assert.equal((await relay.get(path)).status, 404, path);
});

test('a reader who takes the page slowly gets all of it, also over TLS, and holds up nobody', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t);
  const folder = mkdtempSync(join(tmpdir(), 'esink-page-'));
  t.defer(() => rmSync(folder, { recursive: true }));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=page.example', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  for (const secure of [false, true]) {
    const env = { SEND_BUFFER_BYTES: '4kB', ...(secure ? { USE_SSL: 'true', SSL_CERT_FILE: cert, SSL_KEY_FILE: key } : {}) };
    const relay = await startRelay(t, db, { tls: secure, env });
    const whole = (await relay.get('/page/uplot.js')).text;
    // A receive window of 2 kB, which Node cannot ask for; reading begins when a line comes in.
    const reader = spawn('python3', ['-c', `
import socket, ssl, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
s.connect(("127.0.0.1", ${relay.port}))
if ${secure ? 'True' : 'False'}:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    s = context.wrap_socket(s)
for connection in b"keep-alive", b"keep-alive", b"close":
    s.sendall(b"GET /page/uplot.js HTTP/1.1\\r\\nHost: x\\r\\nConnection: " + connection + b"\\r\\n\\r\\n")
    print("asked", flush=True)
    sys.stdin.readline()
    got = b""
    while b"\\r\\n\\r\\n" not in got or len(got.split(b"\\r\\n\\r\\n", 1)[1]) < ${Buffer.byteLength(whole)}:
        got += s.recv(1000) or sys.exit("it ended early")
    print(len(got.split(b"\\r\\n\\r\\n", 1)[1]), flush=True)
print("ended" if s.recv(1) == b"" else "more", flush=True)
`], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.defer(() => reader.kill());
    let said = '';
    reader.stdout.on('data', (chunk) => { said += chunk; });
    for (let n = 1; n <= 3; n++) {
      await until(() => said.split('asked').length - 1 === n, () => `request ${n}: ${said}`);
      for (let i = 0; i < 10; i++) assert.equal((await relay.get('/ping')).text, 'pong', 'the others are served meanwhile');
      reader.stdin.write('\n');
    }
    await until(() => /ended|more/.test(said), () => `the end: ${said}`);
    assert.deepEqual(said.match(/\d+|ended|more/g), [...Array(3).fill(String(Buffer.byteLength(whole))), 'ended'], `secure: ${secure}`);
    await relay.stop();
  }
});

test('a row arrives with its exact digits, opens, and is copied as it came', { timeout: 120_000 }, async (t) => {
  const { db, relay, tab } = await visit(t, { config: { ...routed, filters: 'orders.total', env: { OLD_ROWS: 'orders' } }, permissions: ['clipboard-read', 'clipboard-write'] });
  assert.match(await tab.textContent('#empty'), /UPDATE orders.*curl -X POST.*"userId":7.*curl -N/s, 'three commands to try');
  await db.query(`INSERT INTO orders VALUES (9007199254740993, 7, 'tea', 1.5, '{"n": 0.10000000000000000001, "deep": [1, {"a": "x"}], "n2": 123456789012345678901234567890}'), (2, 8, 'not ours', 2, NULL)`);
  const row = await rowWith(tab, '9007199254740993');
  assert.match(await row.textContent(), /insert.*orders.*tea/);
  await (await row.$('.head')).click();
  const detail = await (await row.$('.detail')).textContent();
  for (const digits of ['9007199254740993', '0.10000000000000000001', '123456789012345678901234567890']) assert.ok(detail.includes(digits), digits);
  assert.ok(!detail.includes('1.5') && !detail.includes('total'), 'the filtered column');
  await (await row.$('.copy')).click();
  await until(async () => /"n": ?0\.10000000000000000001/.test(await tab.evaluate(() => navigator.clipboard.readText())), 'the copied event');
  await db.query("UPDATE orders SET item = 'green tea' WHERE id = 9007199254740993");
  const update = await rowWith(tab, '"green tea"');
  assert.match(await (await update.$('.preview')).textContent(), /item "tea" → "green tea"/);
  await (await update.$('.head')).click();
  assert.match(await (await update.$('.diff')).textContent(), /item"tea""green tea"/);
  await relay.fence();
  await rowWith(tab, 'fence');
  assert.ok(!(await rows(tab)).join().includes('not ours'));
});

test('a row and a table full of markup stay text', { timeout: 120_000 }, async (t) => {
  const evil = '<img src=x onerror="document.title=1;alert(1)">';
  const table = evil.replaceAll('"', '').slice(0, 60);
  const db = await postgres.database(t, `CREATE TABLE "${table}" (id int PRIMARY KEY, customer int, "</span><script>alert(2)</script>" text)`);
  const token = await db.user(7);
  const operator = 'operators-own-token-4712';
  const relay = await startRelay(t, db, { tables: `"${table}"`, routing: { [`"${table}"`]: 'customer' }, env: { SECURITY_TOKEN: operator } });
  const tab = await open(t, relay, { secrets: [token] });
  await signIn(tab, token);
  await db.query(`INSERT INTO "${table}" VALUES (1, 7, $1)`, [`</span><svg onload=alert(3)>\u202e${evil}`]);
  const published = await relay.post('/publish', { table: evil, type: '<b>bold</b>', userId: 7, data: { [evil]: [evil, { '<i>': '</script><script>alert(4)</script>' }] } },
    { headers: { authorization: `Bearer ${operator}` } });
  assert.equal(published.status, 200);
  for (const text of ['svg onload', '<b>bold</b>']) await (await (await rowWith(tab, text)).$('.head')).click();
  await until(async () => (await tab.locator('.chip').allTextContents()).some((text) => text.includes('onerror')), 'its chip');
  assert.equal(await tab.locator('#live img, #live script, #live svg, #live b:not([id]), #live i').count(), 0, 'elements made of what rows hold');
  assert.match(await tab.textContent('#list'), /<img src=x onerror=/);
});

test('topics and types are chosen at the relay; a bad pattern is told and changes nothing', { timeout: 120_000 }, async (t) => {
  const { db, relay, tab } = await visit(t, { sql: `${ORDERS}; CREATE TABLE notes (id int PRIMARY KEY, customer int)`, config: { tables: 'orders,notes', routing: { orders: 'customer', notes: 'customer' } } });
  await db.query("INSERT INTO orders VALUES (1, 7); INSERT INTO notes VALUES (1, 7)");
  await tab.click('#topics .chip:has-text("orders")');
  await tab.click('#types .chip.insert');
  await until(async () => (await tab.textContent('#picked')) === '2 chosen', 'the choice');
  await until(async () => (await tab.locator('#topics .chip[aria-pressed=true]').count()) === 1, 'the chip');
  await tab.fill('#pattern', 'fence|unknown');
  await tab.press('#pattern', 'Enter');
  await until(async () => (await tab.textContent('#picked')) === '3 chosen', 'the pattern');
  await tab.fill('#pattern', '(');
  await tab.press('#pattern', 'Enter');
  await tab.waitForSelector('#pattern-problem:not([hidden])');
  assert.match(await tab.textContent('#pattern-problem'), /^Refused: .+/);
  assert.equal(await tab.inputValue('#pattern'), '(', 'it can be mended');
  assert.equal(await tab.textContent('#picked'), '3 chosen');
  await db.query("UPDATE orders SET item = 'hidden'; INSERT INTO notes VALUES (2, 7); INSERT INTO orders VALUES (2, 7, 'seen')");
  await relay.fence();
  await rowWith(tab, 'fence');
  const texts = (await rows(tab)).slice(0, -2);
  assert.ok(texts.join().includes('seen') && !texts.join().includes('hidden') && !texts.join().includes('notes'), texts.join('\n'));
  await relay.kill();
  await tab.waitForSelector('#state[data-state=waiting]');
  await relay.start();
  await tab.waitForSelector('#state[data-state=live]');
  assert.equal(await tab.textContent('#picked'), '3 chosen', 'kept over a restart');
  await db.query("INSERT INTO notes VALUES (3, 7); INSERT INTO orders VALUES (3, 7, 'later')");
  await rowWith(tab, 'later');
  assert.ok(!(await rows(tab)).join().includes('notesid 3'));
  await tab.click('#everything');
  await until(async () => (await tab.textContent('#picked')) === 'all', 'everything');
});

test('a relay that is killed: the page says so, goes on by itself, and shows what happened meanwhile', { timeout: 120_000 }, async (t) => {
  const { db, relay, tab } = await visit(t);
  await db.query("INSERT INTO orders VALUES (1, 7, 'before')");
  await rowWith(tab, 'before');
  await relay.kill();
  await tab.waitForSelector('#state[data-state=waiting]');
  assert.match(await tab.textContent('#state'), /Reconnecting in \d+ s/);
  await until(async () => /cannot be reached/.test(await tab.textContent('#notice')), 'why, and what happens next');
  await db.query("INSERT INTO orders SELECT n, 7, 'meantime ' || n FROM generate_series(2, 4) n");
  await relay.start();
  await tab.waitForSelector('#state[data-state=live]');
  await rowWith(tab, 'meantime 4');
  const found = await tab.locator('#list > li').evaluateAll((all) => all.map((row) => /meantime \d|before|Reconnected, nothing missed/.exec(row.textContent)?.[0]));
  assert.deepEqual(found, ['meantime 4', 'meantime 3', 'meantime 2', 'Reconnected, nothing missed', 'before']);
  assert.ok(await tab.isHidden('#notice'));
});

test('a gap that cannot be closed is told plainly', { timeout: 120_000 }, async (t) => {
  const { db, relay, tab } = await visit(t);
  await db.query("INSERT INTO orders VALUES (1, 7, 'before')");
  await rowWith(tab, 'before');
  await relay.kill();
  await db.query('DROP SCHEMA esink CASCADE');
  await db.query("INSERT INTO orders VALUES (2, 7, 'lost')");
  await relay.start();
  await tab.waitForSelector('#state[data-state=live]');
  await tab.waitForSelector('#notice:not([hidden])');
  assert.match(await tab.textContent('#notice'), /Events were missed.*another journal.*fetch your state anew/s);
  await db.query("INSERT INTO orders VALUES (3, 7, 'after')");
  await rowWith(tab, 'after');
  assert.match(await tab.textContent('#list'), /Events were missed/);
  await tab.click('#notice-close');
  assert.ok(await tab.isHidden('#notice'));
});

test('a refused token says what to do; one that is revoked keeps what was seen', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, ORDERS);
  const token = await db.user(7);
  const relay = await startRelay(t, db, { ...routed, env: { AUTH_RECHECK: '1', NODE_ENV: 'production' } });
  const tab = await open(t, relay, { secrets: [token, 'wrong-token-0815'] });
  await tab.click('#connect .primary');
  assert.match(await tab.textContent('#token-problem'), /Type a token/);
  await tab.fill('#token', 'wrong-token-0815');
  await tab.press('#token', 'Enter');
  await tab.waitForSelector('#state[data-state=refused]');
  assert.match(await tab.textContent('#token-problem'), /refused this token.*AUTH_TABLE/s);
  assert.equal(await tab.evaluate(() => document.activeElement.id), 'token');
  await tab.click('#try');
  await until(async () => /does not accept the TEST token.*ALLOW_TEST_TOKEN/s.test(await tab.textContent('#token-problem')), 'a word on TEST');
  await signIn(tab, token);
  await db.query("INSERT INTO orders VALUES (1, 7, 'tea')");
  await rowWith(tab, 'tea');
  await db.query('DELETE FROM auth');
  await tab.waitForSelector('#state[data-state=refused]');
  assert.match(await tab.textContent('#notice'), /revoked/);
  assert.match((await rows(tab)).join(), /tea/);
  assert.equal(await tab.evaluate(() => sessionStorage.length), 0, 'the token is forgotten');
  await tab.click('#notice-act');
  assert.ok(await tab.isVisible('#token'));
});

test('a relay without its database: the page says why nothing comes', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t);
  const token = await db.user(7);
  const away = `postgresql://nobody@127.0.0.1:${await freePort()}/away`;
  const relay = await startRelay(t, db, { ready: false, env: { POSTGRES_DATABASE_URL: away, LIVE_TIMEOUT: '4s' } });
  const tab = await open(t, relay, { secrets: [token] });
  await tab.fill('#token', token);
  await tab.press('#token', 'Enter');
  await until(async () => /not ready/.test(await tab.textContent('#notice')), 'a word while it waits');
  assert.equal(await tab.getAttribute('#state', 'data-state'), 'connecting');
  await tab.waitForSelector('#state[data-state=waiting]');
  assert.match(await tab.textContent('#notice'), /cannot reach its database/);
  await tab.click('#disconnect');
  assert.ok(await tab.isHidden('#notice'));
});

test('the database goes while the page is connected: it says that nothing can arrive, until it can', { timeout: 120_000 }, async (t) => {
  const { db, tab } = await visit(t);
  await db.query("INSERT INTO orders VALUES (1, 7, 'before')");
  await rowWith(tab, 'before');
  await db.close();
  const alone = (sql) => postgres.once('postgres', sql);
  await alone(`ALTER DATABASE ${db.name} ALLOW_CONNECTIONS false`);
  await alone(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${db.name}'`);
  await tab.waitForSelector('#state[data-state=stalled]');
  assert.match(await tab.textContent('#notice'), /not ready.*arrives as soon as it is.*not currently accepting connections/s);
  assert.doesNotMatch(await tab.title(), /live/);
  await tab.screenshot({ path: join(profile, 'stalled.png') });
  await alone(`ALTER DATABASE ${db.name} ALLOW_CONNECTIONS true`);
  await tab.waitForSelector('#state[data-state=live]');
  assert.ok(await tab.isHidden('#notice'));
  await postgres.once(db.name, "INSERT INTO orders VALUES (2, 7, 'after')");
  await rowWith(tab, 'after');
  assert.equal(tab.seen.addresses.filter((address) => /\/ws$/.test(address)).length, 1, 'one websocket all the while');
});

for (const size of [{ width: 1440, height: 700 }, { width: 390, height: 700 }]) {
  test(`a row that is opened at the lower edge is seen, ${size.width} wide`, { timeout: 120_000 }, async (t) => {
    const { db, tab } = await visit(t, size);
    await db.query("INSERT INTO orders SELECT n, 7, 'item ' || n, n, '{\"a\": 1, \"b\": 2}' FROM generate_series(1, 60) n");
    await rowWith(tab, 'item 60');
    await rowWith(tab, 'item 1');
    // The last one whose head can be seen whole.
    const at = await tab.locator('.row .head').evaluateAll((heads) => heads.findLastIndex((head) => head.getBoundingClientRect().bottom <= innerHeight));
    const head = tab.locator('.row .head').nth(at);
    await head.evaluate((it) => it.click());
    const edges = await tab.locator('.row').nth(at).evaluate((row) => ({ top: row.getBoundingClientRect().top, bottom: row.getBoundingClientRect().bottom, tools: document.querySelector('#tools').getBoundingClientRect().bottom, height: innerHeight }));
    await tab.screenshot({ path: join(profile, `opened-${size.width}.png`) });
    assert.ok(edges.bottom <= edges.height + 1 && edges.top >= edges.tools - 1, JSON.stringify(edges));
    // Closing it moves nothing away.
    await head.click();
    assert.equal(await head.getAttribute('aria-expanded'), 'false');
  });
}

test('behind a proxy that puts it under a path, the page finds its parts and its websocket', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, ORDERS);
  const token = await db.user(7);
  const relay = await startRelay(t, db, { ...routed, env: { CORS_ORIGIN: 'https://elsewhere.example' } });
  const sockets = new Set();
  const proxy = net.createServer((client) => {
    const upstream = net.connect(relay.port, '127.0.0.1');
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => {}).on('close', () => { client.destroy(); upstream.destroy(); }));
    client.on('data', (bytes) => upstream.write(bytes.toString('latin1').replace(/^([A-Z]+) \/relay\//, '$1 /'), 'latin1'));
    upstream.pipe(client);
  });
  await new Promise((resolve) => { proxy.listen(0, '127.0.0.1', resolve); });
  t.defer(() => { proxy.close(); for (const socket of sockets) socket.destroy(); });
  const origin = `http://127.0.0.1:${proxy.address().port}`;
  const tab = await open(t, { origin }, { path: '/relay/?token=not-looked-at#nor-this', secrets: [token] });
  await signIn(tab, token);
  await db.query("INSERT INTO orders VALUES (1, 7, 'tea')");
  await rowWith(tab, 'tea');
  assert.ok(tab.seen.addresses.every((address) => new URL(address).pathname.startsWith('/relay/')), tab.seen.addresses.join(' '));
  await tab.click('#clear');
  await until(async () => (await tab.textContent('#empty')).includes(`${origin}/relay/publish`), 'the commands name the proxy');
});

test('TEST shows samples; a reload keeps the session, Disconnect forgets it', { timeout: 120_000 }, async (t) => {
  const relay = await startRelay(t, await postgres.database(t));
  const tab = await open(t, relay);
  await tab.click('#try');
  await rowWith(tab, 'esink_test');
  assert.match(await tab.textContent('#who'), /TEST: sample events only/);
  await tab.reload();
  await rowWith(tab, 'esink_test');
  await tab.click('#disconnect');
  assert.equal(await tab.evaluate(() => sessionStorage.length), 0);
  await tab.reload();
  assert.ok(await tab.isVisible('#token'));
  assert.equal(await tab.getAttribute('#state', 'data-state'), 'idle');
});

test('the keyboard alone is enough, and the focus can be seen', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, ORDERS);
  const token = await db.user(7);
  const relay = await startRelay(t, db, routed);
  const tab = await open(t, relay, { secrets: [token] });
  const press = async (...keys) => { for (const key of keys) await tab.keyboard.press(key); };
  const focused = () => tab.evaluate(() => document.activeElement.id || document.activeElement.className);
  const tabTo = async (wanted) => {
    for (let i = 0; i < 30 && (await focused()) !== wanted; i++) {
      await press('Tab');
      const ring = await tab.evaluate(() => { const style = getComputedStyle(document.activeElement); return style.outlineStyle !== 'none' || document.activeElement === document.body; });
      assert.ok(ring, `no visible focus on ${await focused()}`);
    }
    assert.equal(await focused(), wanted);
  };
  await tabTo('token');
  await tab.keyboard.type(token);
  await press('Enter');
  await tab.waitForSelector('#state[data-state=live]');
  await db.query("INSERT INTO orders SELECT n, 7, 'item ' || n FROM generate_series(1, 5) n");
  await rowWith(tab, 'item 5');
  await tabTo('head');
  await press('ArrowDown', 'j', 'k', 'Enter');
  assert.match(await tab.locator('.head[aria-expanded=true]').textContent(), /item 4/);
  await press('Tab', 'Escape');
  assert.equal(await tab.locator('.head[aria-expanded=true]').count(), 0);
  assert.equal(await focused(), 'head', 'the focus returns to the event');
  await press('p');
  assert.equal(await tab.getAttribute('#pause', 'aria-pressed'), 'true');
  await db.query("INSERT INTO orders VALUES (6, 7, 'item 6')");
  await until(async () => /1 newer/.test(await tab.textContent('#waiting')), 'what waits while it is paused');
  for (const width of [1440, 800, 390]) {
    await tab.setViewportSize({ width, height: 900 });
    const [told, first] = await tab.evaluate(() => ['#waiting', '.row'].map((one) => document.querySelector(one).getBoundingClientRect()).map(({ top, bottom }) => [top, bottom]));
    assert.ok(told[1] <= first[0], `what waits lies over the first row at ${width}`);
  }
  await tab.setViewportSize({ width: 1440, height: 900 });
  assert.ok(!(await rows(tab)).join().includes('item 6'));
  await press('p');
  await rowWith(tab, 'item 6');
  await press('/');
  await tab.keyboard.type('ITEM 2');
  await until(async () => (await rows(tab)).length === 1, 'the filter');
  await press('Escape');
  await until(async () => (await rows(tab)).length === 6, 'all again');
  await press('Escape', 't');
  assert.equal(await focused(), 'pattern');
  await press('Escape', '?');
  assert.ok(await tab.isVisible('#shortcuts'));
  await press('Escape');
  assert.ok(await tab.isHidden('#shortcuts'));
});

test('dark and light, phone and desktop: legible, nothing beside the screen', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, ORDERS);
  const token = await db.user(7);
  const relay = await startRelay(t, db, { ...routed, env: { OLD_ROWS: 'orders' } });
  const paper = (tab) => tab.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).reduce((a, b) => a + Number(b), 0));
  await db.query("INSERT INTO orders VALUES (9007199254740993, 7, 'tea')");
  for (const [width, scheme] of [[360, 'light'], [360, 'dark'], [800, 'light'], [1440, 'dark']]) {
    const tab = await open(t, relay, { width, height: 780, scheme, secrets: [token], reducedMotion: 'reduce' });
    const fits = async (what) => assert.equal(await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, `${what} at ${width}`);
    assert.equal(await paper(tab) < 300, scheme === 'dark', scheme);
    await fits('the card');
    await signIn(tab, token);
    await fits('an empty list');
    await db.query(`UPDATE orders SET item = repeat('Langer Text ohne Ende', 40) || repeat('x', 900), meta = '{"a": {"b": {"c": {"d": [1, 2, {"e": "${'f'.repeat(200)}"}]}}}}'::jsonb`);
    const row = await rowWith(tab, 'Langer');
    await (await row.$('.head')).click();
    await fits('an opened event');
    const empty = await row.evaluate((one) => one.detail.getBoundingClientRect().bottom - Math.max(...[...one.detail.children].map((part) => part.getBoundingClientRect().bottom)));
    assert.ok(empty < 20, `${empty} px of nothing below an opened event at ${width}`);
    await tab.evaluate(() => document.querySelector('#fold summary').click());
    await tab.waitForFunction(() => document.querySelector('#fold').open); // beside the list it opens again
    await fits('the topics');
    assert.equal(await tab.locator('#chart canvas').count(), 1, 'the chart');
    for (const theme of ['light', 'dark']) {
      await tab.click('#theme');
      assert.equal(await paper(tab) < 300, theme === 'dark', `chosen: ${theme}`);
    }
    assert.equal(await tab.evaluate(() => document.getAnimations().length), 0, 'motion is reduced');
    await db.query("UPDATE orders SET item = 'tea'");
  }
});

test('5,000 events at once: the page answers meanwhile, keeps the last 1,000, and misses none of these', { timeout: 180_000 }, async (t) => {
  const { db, tab } = await visit(t);
  await tab.evaluate(() => {
    window.longest = 0;
    let last = performance.now();
    setInterval(() => { window.longest = Math.max(window.longest, performance.now() - last); last = performance.now(); }, 10);
  });
  await db.query("INSERT INTO orders SELECT n, 7, 'item ' || n, n * 1.5, '{\"list\": [1, 2, 3]}' FROM generate_series(1, 5000) n");
  await rowWith(tab, '"item 5000"');
  await until(async () => (await tab.locator('.row').count()) === 1000, 'the last 1,000');
  const items = await tab.locator('.row').evaluateAll((all) => all.map((row) => Number(/item (\d+)/.exec(row.textContent)[1])));
  assert.deepEqual(items, Array.from({ length: 1000 }, (_, i) => 5000 - i));
  const longest = await tab.evaluate(() => window.longest);
  assert.ok(longest < 1000 * patience, `the page did not answer for ${Math.round(longest)} ms`);
  assert.match(await tab.getAttribute('#chart', 'aria-label'), /Events per second/);
  await until(async () => (await tab.textContent('#rate-all')) === '5K', 'the count of all');
  await tab.fill('#filter', 'item 4999');
  await until(async () => (await rows(tab)).length === 1, 'the filter');
  await tab.fill('#filter', 'nothing like this');
  await until(async () => /Nothing matches/.test(await tab.textContent('#empty')), 'a word on the filter');
  await tab.click('#clear');
  await tab.fill('#filter', '');
  await until(async () => /Listening/.test(await tab.textContent('#empty')), 'the empty list');
});

test('40 rows of a megabyte: what is kept is bounded in bytes, too, and an opened one does not choke the page', { timeout: 120_000 }, async (t) => {
  const { db, tab } = await visit(t);
  for (let n = 1; n <= 40; n++) await db.query("INSERT INTO orders VALUES ($1, 7, repeat('x', 1000000))", [n]);
  const row = await rowWith(tab, 'id 40');
  await until(async () => (await tab.locator('.row').count()) <= 16, 'the oldest to go');
  assert.ok((await tab.locator('.row').count()) >= 15);
  await (await row.$('.head')).click();
  assert.match(await (await row.$('.detail')).textContent(), /999,402 more characters/);
  assert.ok((await tab.evaluate(() => document.body.textContent.length)) < 50_000, 'text in the page');
  await (await row.$('.more')).click();
  assert.ok((await (await row.$('.detail')).textContent()).length > 1_000_000);
});
