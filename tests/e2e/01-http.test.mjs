// Prevents: a load balancer that cannot tell life from readiness, a page of another origin that is let in or locked out
// by mistake, and answers that browsers may sniff, frame or leak a referrer from.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { rawStream, request } from './lib/clients.mjs';
import { startRelay } from './lib/relay.mjs';
import { secureHeaders } from './lib/shapes.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();
const relaysToken = 'operators-own-token-4711';

test('/ping answers pong to any method, always', async (t) => {
  const relay = await startRelay(t, await postgres.database(t));
  for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']) {
    const answer = await request(`${relay.origin}/ping`, { method });
    assert.equal(answer.status, 200, method);
    assert.equal(answer.text, 'pong', method);
    assert.match(answer.headers['content-type'], /^text\/plain/);
    secureHeaders(answer);
  }
  assert.equal((await request(`${relay.origin}/ping`, { method: 'HEAD' })).status, 200);
});

test('/ready answers 200 when capture is live', async (t) => {
  const relay = await startRelay(t, await postgres.database(t));
  const answer = await relay.get('/ready');
  assert.equal(answer.status, 200);
  assert.equal(answer.json.code, 200);
  assert.match(answer.headers['content-type'], /^application\/json/);
  secureHeaders(answer);
});

test('an unknown path is 404, whatever the method', async (t) => {
  const relay = await startRelay(t, await postgres.database(t));
  for (const [method, path] of [['GET', '/nothing'], ['POST', '/publish2'], ['GET', '/ws/x'], ['OPTIONS', '/nothing'],
    ['GET', '/%2570ing'], ['GET', '/ping/../nothing']]) {
    const answer = await request(relay.origin + path, { method });
    assert.equal(answer.status, 404, `${method} ${path}`);
    assert.deepEqual(answer.json, { code: 404, message: 'Route not found' }, `${method} ${path}`);
    secureHeaders(answer);
  }
});

test('the path is decoded once', async (t) => {
  const relay = await startRelay(t, await postgres.database(t));
  const answer = await relay.get('/%70ing');
  assert.equal(answer.status, 200);
  assert.equal(answer.text, 'pong');
});

test('a known path with the wrong method is 405 with Allow', async (t) => {
  const relay = await startRelay(t, await postgres.database(t));
  for (const [method, path, allow] of [['GET', '/publish', /POST/], ['DELETE', '/publish', /POST/], ['POST', '/ready', /GET/],
    ['POST', '/stream', /GET/]]) {
    const answer = await request(relay.origin + path, { method });
    assert.equal(answer.status, 405, `${method} ${path}`);
    assert.match(answer.headers.allow ?? '', allow, `${method} ${path}`);
    assert.equal(answer.json.code, 405);
    assert.equal(typeof answer.json.message, 'string');
    secureHeaders(answer);
  }
});

test('HSTS is not promised on plain HTTP', async (t) => {
  const relay = await startRelay(t, await postgres.database(t));
  assert.equal((await relay.get('/ping')).headers['strict-transport-security'], undefined);
});

test('CORS: every origin by default, preflight 204', async (t) => {
  const relay = await startRelay(t, await postgres.database(t));
  const headers = { origin: 'https://shop.example' };
  for (const path of ['/ping', '/ready', '/nothing']) {
    const answer = await relay.get(path, { headers });
    assert.ok(['*', headers.origin].includes(answer.headers['access-control-allow-origin']), path);
    assert.match(answer.headers.vary ?? '', /\borigin\b/i, path);
  }
  for (const path of ['/publish', '/stream', '/ready']) {
    const preflight = await request(relay.origin + path, {
      method: 'OPTIONS',
      headers: { ...headers, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization, content-type' },
    });
    assert.equal(preflight.status, 204, path);
    assert.equal(preflight.text, '');
    assert.ok(['*', headers.origin].includes(preflight.headers['access-control-allow-origin']), path);
    assert.match(preflight.headers['access-control-allow-headers'] ?? '', /authorization/i, path);
    assert.match(preflight.headers['access-control-allow-methods'] ?? '', path === '/publish' ? /POST/ : /GET/, path);
    assert.match(preflight.headers.vary ?? '', /\borigin\b/i, path);
  }
});

test('CORS: a list lets in only its origins, over HTTP, websocket and stream', async (t) => {
  const db = await postgres.database(t);
  const token = await db.user(7);
  const relay = await startRelay(t, db, { env: { CORS_ORIGIN: 'https://a.example,https://b.example' } });
  const from = (origin) => ({ headers: { origin } });
  assert.equal((await relay.get('/ready', from('https://b.example'))).headers['access-control-allow-origin'], 'https://b.example');
  for (const origin of ['https://evil.example', 'https://a.example.evil.example', 'http://a.example', 'null']) {
    const answer = await relay.get('/ready', from(origin));
    assert.equal(answer.headers['access-control-allow-origin'], undefined, origin);
    assert.match(answer.headers.vary ?? '', /\borigin\b/i);
    const ws = relay.openWs(token, { origin });
    await ws.closing();
    assert.equal(ws.welcome, undefined, `a websocket from ${origin} was let in`);
    // A browser shows a page nothing of an answer without this header.
    const stream = await rawStream(t, `${relay.origin}/stream?token=${token}`, from(origin));
    assert.equal(stream.headers['access-control-allow-origin'], undefined, origin);
  }
  const allowed = await rawStream(t, `${relay.origin}/stream?token=${token}`, from('https://a.example'));
  assert.equal(allowed.headers['access-control-allow-origin'], 'https://a.example');
  await relay.ws(token, { origin: 'https://a.example' });
  await relay.ws(token, { origin: relay.origin });
  await relay.ws(token);
});

// A wrong operator's token, tried again and again, and a page whose origin was forgotten left nothing in the log.
test('what is refused is told in the log: a line a reason, with the peer and the number, never a token', async (t) => {
  const db = await postgres.database(t);
  const relay = await startRelay(t, db, { env: { SECURITY_TOKEN: relaysToken, CORS_ORIGIN: 'https://a.example' } });
  const wrong = relay.secret('a-wrong-token-that-nobody-logs');
  const lines = (reason) => relay.log.split('\n').filter((line) => line.includes(`http: refused: ${reason}`));
  const secret = `https://page.example/?${wrong}`;
  const cases = [
    ["POST /publish without the operator's token", 'warn', () => relay.post('/publish', { securityToken: wrong, data: { wrong } })],
    ["a question of a consumer without the operator's token", 'warn', () => relay.get('/consumers', { headers: { authorization: `Bearer ${wrong}` } })],
    ['GET /events without a good token', 'info', () => relay.get(`/events?token=${wrong}`)],
    ['a page whose Origin is not among CORS_ORIGIN', 'warn', () => relay.get('/ready', { headers: { origin: secret } })],
  ];
  for (const [reason, level, ask] of cases) {
    for (let i = 0; i < 20; i++) await ask();
    await until(() => lines(reason).length, () => `a line about ${reason}:\n${relay.log}`);
    assert.equal(lines(reason).length, 1, relay.log);
    assert.match(lines(reason)[0], new RegExp(` ${level} +http: .*\\(from 127\\.0\\.0\\.1; 0 more before\\)$`));
  }
  for (const [reason] of cases) {
    await until(() => lines(reason).length === 2, () => `the number of the others of ${reason}:\n${relay.log}`, 30_000);
    assert.match(lines(reason)[1], /\(19 more\)$/);
  }
  const ws = relay.openWs(wrong, { origin: 'https://b.example' });
  await ws.closing();
  await until(() => lines(cases[3][0]).length === 3, () => relay.log, 30_000);
});

test('the line about an Origin says which', async (t) => {
  const relay = await startRelay(t, await postgres.database(t), { env: { CORS_ORIGIN: 'https://a.example' } });
  for (const origin of ['https://a.example', relay.origin]) await relay.get('/ready', { headers: { origin } });
  assert.doesNotMatch(relay.log, /refused/);
  const ws = relay.openWs('x', { origin: 'https://b.example:8443' });
  await ws.closing();
  await until(() => /refused: .* \(from 127\.0\.0\.1, Origin https:\/\/b\.example:8443; 0 more before\)\n/.test(relay.log), () => relay.log);
});

test('LOG_FORMAT=json: who ended, and why, are fields of the line', async (t) => {
  const db = await postgres.database(t);
  const relay = await startRelay(t, db, { env: { LOG_FORMAT: 'json' } });
  const ws = await relay.ws(await db.user(7));
  await ws.close();
  const ended = await until(() => relay.log.split('\n').filter((line) => line.includes(' ended: ')).map((line) => JSON.parse(line))[0], () => relay.log);
  const { time, message, ...rest } = ended;
  assert.ok(Date.parse(time) && message.startsWith(`session ${ws.welcome.sessionId} ended: client (`), message);
  assert.deepEqual(rest, { level: 'info', domain: 'hub', session: ws.welcome.sessionId, reason: 'client', transport: 'websocket', address: '127.0.0.1' });
});
