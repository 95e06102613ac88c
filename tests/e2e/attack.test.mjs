// Prevents: a request that means one thing to a proxy and another to the relay, an alias of a path that escapes its checks,
// an answer that is not ours, a page of another origin that listens with somebody's token.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test, usePostgres } from './lib/harness.mjs';
import { raw } from './lib/clients.mjs';
import { calm, rss, sanitized } from './lib/health.mjs';
import { startRelay } from './lib/relay.mjs';
import { assertSoon, duration, patience, until } from './lib/wait.mjs';

const postgres = usePostgres();
const securityToken = 'operators-own-token-4711';
const publication = JSON.stringify({ table: 'mail', type: 'x', userId: '1', data: { a: 1 } });

async function setUp(t, env = {}) {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id text, body text)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' }, env: { SECURITY_TOKEN: securityToken, ...env } });
  relay.secret(securityToken);
  relay.secret(token);
  const witness = await relay.ws(token);
  return { db, relay, token, witness, health: calm(relay, witness) };
}

const head = (lines, body = '') => `${lines.join('\r\n')}\r\n\r\n${body}`;
const get = (path, ...more) => head([`GET ${path} HTTP/1.1`, 'Host: x', 'Connection: close', ...more]);
const post = (path, body, ...more) => head([`POST ${path} HTTP/1.1`, 'Host: x', 'Connection: close', `Content-Length: ${Buffer.byteLength(body)}`, ...more], body);
const bearer = `Authorization: Bearer ${securityToken}`;

const status = (text) => Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]);
const answers = (text) => text.split('HTTP/1.1 ').length - 1;

// Every error is JSON of ours with its code, and has our headers.
function ours(text, wanted, what) {
  assert.equal(status(text), wanted, `${what}: ${text.slice(0, 300)}`);
  assert.match(text, /X-Content-Type-Options: nosniff\r\n/, what);
  if (wanted < 400) return;
  assert.match(text, /Content-Type: application\/json/, what);
  assert.equal(JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)).code, wanted, what);
}

test('every alias of /publish is authorised as /publish, and what is no alias is 404', async (t) => {
  const { relay, health } = await setUp(t);
  const aliases = ['/publish', '/%70ublish', '/%70%75%62%6c%69%73%68', '/ping/../publish', '/%2e%2e/publish', '/./publish', '//publish', '/a/b/../../publish', '/%2fpublish',
    '/publish?x', '/publish?securityToken=x', '/..?publish'];
  for (const path of aliases) {
    ours(await raw(relay.port, post(path, '{}')), 400, `${path} without a token`);
    ours(await raw(relay.port, post(path, '{}', 'Authorization: Bearer wrong')), 401, `${path} with a wrong token`);
    ours(await raw(relay.port, post(path, publication, bearer)), 200, `${path} with the token`);
    ours(await raw(relay.port, get(path)), 405, `GET ${path}`);
  }
  for (const path of ['/v1//x', '/publish/', '/publish//', '/publish;a=b', '/PUBLISH', '/publish%2f', '/publish%20', '/%252e/publish', '/publish%3fx', '/\\publish', '/publish#x', '/%ff']) {
    ours(await raw(relay.port, post(path, publication, bearer)), 404, path);
  }
  for (const path of ['/publish/..', '/..', '/?/publish']) ours(await raw(relay.port, post(path, publication, bearer)), 405, `${path}, which is the live page`);
  for (const path of ['*', 'http://x/publish', '/%zz', '/publish%', '/publish?%4', 'publish/']) {
    const text = await raw(relay.port, post(path, publication, bearer));
    assert.ok([400, 404].includes(status(text)), `${path}: ${text}`);
    ours(text, status(text), path);
  }
  await health.after('aliases');
});

test('methods: unknown ones, TRACE and CONNECT do nothing, * is no path', async (t) => {
  const { relay, health } = await setUp(t);
  for (const method of ['HEAD', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'CONNECT', 'PROPFIND', 'GETT', 'G', 'publish']) {
    const text = await raw(relay.port, `${method} /publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Mark: echoed\r\n\r\n`);
    assert.equal(status(text), 405, `${method}: ${text}`);
    assert.ok(!text.includes('echoed'), `${method} echoes`);
    assert.match(text, /Allow: /);
    assert.match(await raw(relay.port, `${method} /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`), method === 'HEAD' ? /^HTTP\/1.1 200/ : /pong$/);
  }
  ours(await raw(relay.port, 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n'), 400, 'OPTIONS *');
  assert.match(await raw(relay.port, 'GET /ping HTTP/1.0\r\n\r\n'), /Connection: close[^]*pong$/);
  await health.after('methods');
});

// One connection that a proxy would share among its clients: whoever gets two answers for one request has smuggled.
test('a body is never taken for the next request', async (t) => {
  const { relay, health } = await setUp(t);
  const inner = `POST /publish HTTP/1.1\r\nHost: x\r\n${bearer}\r\nContent-Length: ${publication.length}\r\n\r\n${publication}`;
  const chunked = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`;
  const begin = ['GET /ping HTTP/1.1', 'Host: x'];
  const cases = {
    'both lengths': [411, ['Transfer-Encoding: chunked', `Content-Length: ${chunked.length}`], chunked],
    'both, the other way round': [411, [`Content-Length: ${chunked.length}`, 'Transfer-Encoding: chunked'], chunked],
    'chunked alone': [411, ['Transfer-Encoding: chunked'], chunked],
    'chunks of bad sizes': [411, ['Transfer-Encoding: chunked'], `fffffffffffffffff\r\n${inner}`],
    'another coding': [411, ['Transfer-Encoding: identity'], inner],
    'an empty coding': [411, ['Transfer-Encoding:'], inner],
    'a folded coding': [400, ['Transfer-Encoding:', ' chunked'], chunked],
    'a space before the colon': [400, ['Transfer-Encoding : chunked'], chunked],
    'a tab before the colon': [400, ['Content-Length\t: 5'], inner],
    'a length behind X': [400, ['X: 1', `Content-Length: ${inner.length}`], inner],
    'a coding behind X': [400, ['X: 1', 'Transfer-Encoding: chunked'], chunked],
    'a coding behind If': [400, ['If: 1', 'Transfer-Encoding: chunked'], chunked],
    'a coding behind X-Auth': [400, ['X-Auth: 1', 'Transfer-Encoding: chunked'], chunked],
    'a coding behind no colon': [400, ['nothing', 'Transfer-Encoding: chunked'], chunked],
    'a coding behind a NUL': [400, ['no\0: x', 'Transfer-Encoding: chunked'], chunked],
    'two lengths': [400, ['Content-Length: 0', `Content-Length: ${inner.length}`], inner],
    'the same length twice': [400, ['Content-Length: 0', 'Content-Length: 0'], inner],
    'a list of lengths': [400, ['Content-Length: 0, 0'], inner],
    'no digits': [400, ['Content-Length:'], inner],
    'a plus': [400, ['Content-Length: +0'], inner],
    'hexadecimal': [400, ['Content-Length: 0x0'], inner],
    '2^32 more': [200, [`Content-Length: ${2 ** 32 + 0}`], inner],
    'a body with GET': [200, [`Content-Length: ${inner.length}`], inner],
    'two hosts': [400, ['Host: y'], inner],
  };
  for (const [what, [wanted, lines, body]] of Object.entries(cases)) {
    const text = await raw(relay.port, head([...begin, ...lines], body));
    assert.equal(status(text), wanted, `${what}: ${text.slice(0, 300)}`);
    assert.equal(answers(text), 1, `${what}: ${text}`);
    assert.match(text, /Connection: close\r\n/, what);
  }
  await health.after('smuggling');
});

test('pipelined requests: answered in order; one with a body that came too early is 503 and the end', async (t) => {
  const { relay, health } = await setUp(t);
  const one = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const text = await raw(relay.port, one('/ping') + one('/nothing') + one('/ready').replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
  assert.deepEqual([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((m) => m[1]), ['200', '404', '200']);
  const body = `POST /publish HTTP/1.1\r\nHost: x\r\n${bearer}\r\nContent-Length: ${publication.length}\r\n\r\n${publication}`;
  for (let i = 0; i < 5; i++) {
    const several = await raw(relay.port, body.repeat(3));
    assert.match(several, /^HTTP\/1\.1 200/);
    assert.deepEqual([...several.matchAll(/HTTP\/1\.1 (\d+)/g)].map((m) => m[1]), ['200', '503']);
    assert.match(several, /Connection: close\r\n\r\n[^]*$/);
  }
  // One after the other they may share a connection.
  const socket = net.connect(relay.port, '127.0.0.1');
  t.defer(() => socket.destroy());
  let got = '';
  socket.on('data', (chunk) => { got += chunk; });
  for (let i = 1; i <= 5; i++) {
    socket.write(body);
    await until(() => got.split('Message queued').length - 1 === i, () => `answer ${i}: ${got.slice(-500)}`);
  }
  socket.destroy();
  await health.after('pipelining');
});

test("consumers: what is pipelined behind a question costs neither its answer nor the loop", async (t) => {
  const { relay, health } = await setUp(t);
  const ping = 'GET /ping HTTP/1.1\r\nHost: x\r\n\r\n';
  const question = (method, path, body, token) => `${method} ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const both = (text) => answers(text) === 2;
  for (let i = 0; i < 8; i++) { // connections of each network thread
    for (const [method, path, body, token, wanted] of [['POST', '/consumers/c/poll', '{}', 'wrong', 401], ['POST', '/consumers/c/mark', 'x', securityToken, 400],
      ['POST', '/consumers/c/poll', '{"wait":1}', securityToken, 404], ['PUT', '/consumers/c', '{', securityToken, 400]]) {
      const text = await raw(relay.port, question(method, path, body, token) + ping, { done: both });
      assert.deepEqual([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => Number(match[1])), [wanted, 200], `${method} ${path} ${body}`);
    }
    // One that has no body may be the last that is answered, but its answer is never another one's.
    const text = await raw(relay.port, `GET /consumers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n\r\n${ping}`, { done: both });
    assert.notEqual(status(text), 200, 'pong is no answer to it');
  }
  await health.after('pipelining');
});

test('Upgrade to something else, and heads that are ended without a word, end at once', async (t) => {
  const { relay, token, health } = await setUp(t);
  for (const word of ['foo', 'TLS/1.0', 'foo, websocket', 'websocket, foo', 'websocket2']) {
    const text = await raw(relay.port, head(['GET /ws HTTP/1.1', 'Host: x', 'Connection: Upgrade', `Upgrade: ${word}`, 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']));
    ours(text, 400, `Upgrade: ${word}`);
  }
  assert.match(await raw(relay.port, head(['GET /ping HTTP/1.1', 'Host: x', 'Connection: Upgrade, HTTP2-Settings, close', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA'])), /pong$/);
  const fine = `GET /stream?token=wrong&${'topics=a&'.repeat(80)}x HTTP/1.1\r\nHost: x\r\n\r\n`;
  ours(await raw(relay.port, fine), 401, 'eighty topics in a query');
  const silent = [get(`/${'a'.repeat(17_000)}`), get('/ping', `X-Long: ${'b'.repeat(1_000_000)}`), get('/ping', `Cookie: ${'b'.repeat(17_000)}`), get('/ping', ...Array(10_000).fill('Accept: a')),
    get(`/stream?token=${token}&${'topics=a&'.repeat(1000)}`), get(`/stream?${'a=b&'.repeat(10_000)}`), get('/publish%00'), get('/ping\0'), get('/ping?a=%00'), '\r\n\r\n'];
  for (const bytes of silent) {
    const end = async () => assert.equal(await raw(relay.port, bytes), '', JSON.stringify(bytes.slice(0, 60)));
    await assertSoon(1000 * patience, 'the end', () => duration(end));
  }
  assert.match(await raw(relay.port, get('/ping', ...Array(700).fill('X-Many: 1'))), /pong$/);
  await health.after('heads');
});

test('POST /publish: whatever the body holds, JSON comes back, and nothing of it is told', async (t) => {
  const { relay, witness, health } = await setUp(t);
  const wrong = relay.secret('somebody-elses-security-token');
  const wrap = (data) => `{"table":"mail","type":"x","userId":"1","data":${data}}`;
  const deep = (n) => '{"a":'.repeat(n) + '1' + '}'.repeat(n);
  const cases = [
    [wrap('{"n":1e400}'), 400], [wrap('{"n":-1e400}'), 400], [wrap(`{"n":${'9'.repeat(5000)}}`), 400], [wrap('{"n":123456789012345678901234567890}'), 200], [wrap('{"n":1e-400}'), 400, 200],
    [wrap('{"n":0.10}'), 200], [wrap('{"a":1,"a":2}'), 400], ['{"table":"a","table":"mail","type":"x","userId":"1","data":{}}', 400], [wrap(deep(3000)), 400], [wrap(deep(20)), 200],
    [wrap('{"s":"\\ud800"}'), 400], [wrap('{"s":"\\udc00\\ud800"}'), 400], [wrap('{"s":"\\u0000"}'), 400], [wrap('{"\\u0000":1}'), 400], [Buffer.from(wrap('{"s":"\xff\xfe"}'), 'latin1'), 400],
    [Buffer.from(wrap('{"s":"\xed\xa0\x80"}'), 'latin1'), 400], [Buffer.from(`\ufeff${wrap('{}')}`), 400], [Buffer.from(wrap('{}'), 'utf16le'), 400], [wrap('{}').replace('mail', 'ma\\u0000il'), 400],
    [wrap('{}').replace('"1"', '1e400'), 400], [wrap('{}').replace('"1"', '-0'), 200, 400], [wrap('{}').replace('"1"', '1.5'), 400, 200], [wrap('{}').replace('"x"', `"${'ä'.repeat(64)}"`), 200], [wrap('{}').replace('"x"', `"${'ä'.repeat(65)}"`), 400],
    [`${wrap('{}')}x`, 400], [`${wrap('{}')}\0`, 400], ['[]', 400], ['""', 400], [' '.repeat(90_000), 400], ['{'.repeat(90_000), 400], ['['.repeat(90_000), 400], [`{"a":"${'\\'.repeat(90_000)}`, 400],
  ];
  for (const [body, ...wanted] of cases) {
    const answer = await relay.post('/publish', body, { headers: { authorization: `Bearer ${securityToken}` } });
    assert.ok(wanted.includes(answer.status), `${String(body).slice(0, 90)}: ${answer.status} ${answer.text}`);
    assert.equal(answer.json.code, answer.status);
    assert.ok(!answer.text.includes(securityToken));
  }
  // What it is called does not matter: a form that a page of another origin may send without asking is JSON or nothing.
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/json; charset=utf-16', '']) {
    const answer = await relay.post('/publish', `securityToken=${securityToken}&table=mail`, { headers: { 'content-type': type } });
    assert.equal(answer.status, 400, type);
  }
  const credentials = [[[`Bearer ${wrong}`], 401], [['Bearer'], 401], [['Bearer '], 401], [['Basic b3A6dG9rZW4='], 401], [[`Bearer ${securityToken} x`], 401], [[`Bearer x ${securityToken}`], 401],
    [[`Bearer ${wrong}`, `Bearer ${securityToken}`], 401], [[`Bearer ${securityToken}`, `Bearer ${wrong}`], 401], [[`bearer ${securityToken}`], 200], [[], 400], [[`Bearer ${securityToken.toUpperCase()}`], 401]];
  for (const [values, wanted] of credentials) {
    const text = await raw(relay.port, post('/publish', publication, ...values.map((value) => `Authorization: ${value}`)));
    ours(text, wanted, values.join(' + '));
    assert.ok(!text.includes(securityToken) && !text.includes(wrong));
  }
  for (const length of [100_000_000, 10_000_000_000, 999_999_999_999_999]) {
    const before = rss(relay);
    const text = await raw(relay.port, head(['POST /publish HTTP/1.1', 'Host: x', bearer, `Content-Length: ${length}`], 'x'.repeat(3_000_000)), { done: (all) => all.endsWith('}') });
    ours(text, 413, `${length} bytes`);
    if (!sanitized()) assert.ok(rss(relay) - before < 20, 'the body is not kept');
  }
  await relay.fence(witness);
  assert.ok(witness.events.every((event) => event.table === 'mail'));
  await health.after('bodies');
});

test('a page of another origin: no websocket, no header that lets it read, no credentials ever', async (t) => {
  const { relay, token, health } = await setUp(t, { CORS_ORIGIN: 'https://shop.example,http://localhost:3000' });
  const evil = ['https://evil.example', 'null', 'https://shop.example.evil.example', 'https://evilshop.example', 'http://shop.example', 'https://shop.example:444', 'https://user@shop.example', 'file://', 'https://shop.example/path', 'https://SHOP.example.'];
  for (const origin of evil) {
    const ws = relay.openWs(token, { origin });
    await ws.closing();
    assert.deepEqual([ws.refusal, ws.welcome], [403, undefined], origin);
    for (const path of ['/ping', '/ready', '/nothing', `/stream?token=wrong`]) {
      assert.equal((await relay.get(path, { headers: { origin } })).headers['access-control-allow-origin'], undefined, `${origin} ${path}`);
    }
    const asked = await relay.get('/publish', { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' } });
    assert.deepEqual([asked.status, asked.headers['access-control-allow-origin'], asked.headers['access-control-allow-headers']], [204, undefined, undefined], origin);
  }
  for (const origin of ['https://shop.example', 'http://localhost:3000', `http://127.0.0.1:${relay.port}`, undefined]) {
    const ws = relay.openWs(token, { origin });
    assert.equal((await ws.connected()).userId, 1, origin);
    const answer = await relay.get('/ready', { headers: origin ? { origin } : {} });
    assert.equal(answer.headers['access-control-allow-origin'], origin);
    assert.equal(answer.headers.vary, 'Origin');
    assert.equal(answer.headers['access-control-allow-credentials'], undefined, 'a token is presented, never a cookie');
    await ws.close();
  }
  // Two origins in one request, or one that is hidden from us.
  const twice = head(['GET /ws?token=x HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Origin: https://shop.example', 'Origin: https://evil.example', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']);
  ours(await raw(relay.port, twice), 403, 'two origins');
  ours(await raw(relay.port, twice.replace('Origin: https://shop.example\r\n', 'X: 1\r\n')), 400, 'a hidden origin');
  await health.after('origins');
});
