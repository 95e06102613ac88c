// Prevents: a byte from outside that ends the process, disturbs another session, or brings a secret into a log or answer.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { test, usePostgres } from './lib/harness.mjs';
import { raw } from './lib/clients.mjs';
import { startRelay } from './lib/relay.mjs';
import { assertSoon, duration, until } from './lib/wait.mjs';

const postgres = usePostgres();
const securityToken = 'operators-own-token-4711';

async function setUp(t, env = {}, sql = 'CREATE TABLE notes (id int PRIMARY KEY, user_id text, body text)') {
  const db = await postgres.database(t, sql);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' }, env: { SECURITY_TOKEN: securityToken, ...env } });
  relay.secret(securityToken);
  relay.secret(token);
  return { db, relay, token, witness: await relay.ws(token) };
}

// After the misdeed: alive, and who behaved is served.
async function unharmed(relay, witness, what) {
  assert.equal((await relay.get('/ping')).text, 'pong', what);
  await relay.fence(witness);
  assert.deepEqual(witness.errors, [], what);
}

const status = (text) => Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1]);

test('malformed requests: an error or a closed connection, never a crash', async (t) => {
  const { relay, witness } = await setUp(t, { HANDSHAKE_TIMEOUT: '1s' });
  const end = '\r\nHost: x\r\nConnection: close\r\n\r\n';
  const requests = [
    'GET / HTTP/9.9\r\n\r\n', 'GARBAGE\r\n\r\n', '\r\n\r\n', '\0\0\0\0\r\n\r\n', 'GET\r\n\r\n', 'GET  HTTP/1.1\r\n\r\n', `G${'E'.repeat(9000)}T / HTTP/1.1${end}`,
    `GET /${'a'.repeat(20_000)} HTTP/1.1${end}`, `GET /ping HTTP/1.1\r\nHost: x\r\nX: ${'b'.repeat(100_000)}\r\nConnection: close\r\n\r\n`,
    `GET /ping HTTP/1.1\r\n${'X-Many: 1\r\n'.repeat(5000)}Connection: close\r\n\r\n`, `GET /ping HTTP/1.1\r\nno colon here\r\nConnection: close\r\n\r\n`,
    `GET /ping HTTP/1.1\r\n: empty name\r\nConnection: close\r\n\r\n`, `GET /ping HTTP/1.1\r\nHost: x\r\nbad\0name: y\r\nConnection: close\r\n\r\n`,
    `GET http://evil.example/ping HTTP/1.1${end}`, `GET ping HTTP/1.1${end}`, `CONNECT evil.example:443 HTTP/1.1${end}`, `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`,
    `POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\nConnection: close\r\n\r\n{}`, `POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\nConnection: close\r\n\r\n{}`,
    `POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\nConnection: close\r\n\r\n{}`, `POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 400\r\nConnection: close\r\n\r\n{}`,
    `POST /publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n`,
    `POST /publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\nConnection: close\r\n\r\nffffffffffffffff\r\n{}`,
    `POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nConnection: close\r\n\r\n{"short":`, `GET /stream?token=%00%ff%zz&token=&&&=%&topics=%C3%28 HTTP/1.1${end}`,
    `GET /stream?${'a=b&'.repeat(3000)} HTTP/1.1${end}`, `GET /ws HTTP/1.1${end}`, 'GET /ping HTTP/1.1\r\nHost: x', 'G', '',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', randomBytes(3000),
  ];
  for (const bytes of requests) {
    const answer = await raw(relay.port, bytes, { done: (text) => text.includes('\r\n\r\n'), timeout: 20_000 });
    const what = JSON.stringify(String(bytes).slice(0, 60));
    assert.ok(answer === '' || status(answer) >= 200, `${what}: ${answer.slice(0, 200)}`);
    assert.ok(!answer.includes(securityToken));
    await unharmed(relay, witness, what);
  }
});

test('path tricks reach nothing that the plain path does not', async (t) => {
  const { relay, witness, token } = await setUp(t);
  const paths = ['/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/..%2f..%2fetc%2fpasswd', '/ping/../publish', '/./ping', '/ping%00', '/ping%', '/ping%zz', '/ping%0d%0aSet-Cookie:x',
    '/%252fping', '/PING', '/ping/', '/ping;x=1', '/ws%2f', '/stream%3ftoken=x', '/ready/..;/publish', '/%c0%af', '/%ff'];
  for (const path of paths) {
    const answer = await raw(relay.port, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    // Dots and double slashes may be resolved, as RFC 3986 has it; then the resolved path is the path.
    assert.ok([400, 403, 404, 405].includes(status(answer)) || answer.endsWith('pong') || answer === '', `${path}: ${answer.slice(0, 100)}`);
    assert.doesNotMatch(answer, /root:|set-cookie/i, path);
  }
  assert.equal((await relay.get(`/%73tream?token=nobody`)).status, 401, 'an encoded path is the path');
  const nul = await raw(relay.port, `GET /stream?token=${token}%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  assert.ok(nul === '' || [400, 401, 403].includes(status(nul)), nul);
  await unharmed(relay, witness, 'paths');
});

test('request headers that would split the answer or the log', async (t) => {
  const { relay, witness } = await setUp(t);
  const answer = await relay.get('/ping', { headers: { origin: 'https://a.example', 'x-forwarded-for': 'ä', 'user-agent': 'a\tb' } });
  assert.equal(answer.status, 200);
  for (const origin of ['https://a.example\tSet-Cookie: x', 'https://ä.example', 'x'.repeat(4000)]) {
    const text = await raw(relay.port, Buffer.from(`GET /ping HTTP/1.1\r\nHost: x\r\nOrigin: ${origin}\r\nConnection: close\r\n\r\n`));
    assert.doesNotMatch(text, /\nset-cookie/i);
  }
  await unharmed(relay, witness, 'headers');
});

// Frames by hand. fin, opcode, payload; masked as a client must, unless told otherwise.
function frame(opcode, payload, { fin = true, masked = true, rsv = 0, length } = {}) {
  const body = Buffer.from(payload);
  const size = length ?? body.length;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const bit = masked ? 0x80 : 0;
  if (size < 126) head.push(bit | size);
  else if (size < 65_536) head.push(bit | 126, size >> 8, size & 255);
  else head.push(bit | 127, 0, 0, 0, 0, (size >>> 24) & 255, (size >> 16) & 255, (size >> 8) & 255, size & 255);
  const mask = masked ? randomBytes(4) : Buffer.alloc(0);
  const out = masked ? body.map((byte, i) => byte ^ mask[i % 4]) : body;
  return Buffer.concat([Buffer.from(head), mask, out]);
}

const closeFrame = Buffer.from([0x88]);
const handshake = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`;

// An upgraded socket with a session; send() after `connected` was received.
async function upgraded(t, relay, token) {
  const socket = net.connect(relay.port, '127.0.0.1');
  t.defer(() => socket.destroy());
  const state = { bytes: Buffer.alloc(0), closed: false, send: (bytes) => socket.write(bytes) };
  socket.on('data', (chunk) => { state.bytes = Buffer.concat([state.bytes, chunk]); });
  socket.on('error', () => {});
  socket.on('close', () => { state.closed = true; });
  socket.write(handshake(`/ws?token=${token}`));
  await until(() => state.bytes.includes('"connected"'), 'connected on a raw socket');
  return state;
}

test('websocket frames that break the protocol close that session and no other', async (t) => {
  const { relay, witness, token } = await setUp(t);
  const text = '{"event":"subscribe","data":{}}';
  const cases = {
    'reserved bits': frame(1, text, { rsv: 7 }),
    'a reserved opcode': frame(3, text),
    'a reserved control opcode': frame(11, ''),
    'a ping of 126 bytes': frame(9, Buffer.alloc(126)),
    'a ping in pieces': frame(9, 'x', { fin: false }),
    'a continuation of nothing': frame(0, text),
    'a new message inside another': Buffer.concat([frame(1, '{"event":', { fin: false }), frame(1, text)]),
    'text that is not UTF-8': frame(1, Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x7d])),
    'UTF-8 cut at the end': frame(1, Buffer.from([0x22, 0xf0, 0x9f, 0x98])),
    'a surrogate in UTF-8': frame(1, Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])),
    'a length of 2^63': Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4]),
    '2 MB of text': frame(1, 'x'.repeat(2_000_000)),
    '2 MB in pieces': Buffer.concat([frame(1, 'x'.repeat(50_000), { fin: false }), ...Array.from({ length: 40 }, () => frame(0, 'x'.repeat(50_000), { fin: false }))]),
    'a binary frame': frame(2, Buffer.from(text)),
    'a close of one byte': frame(8, 'x'),
    'a close code of 999': frame(8, Buffer.from([0x03, 0xe7])),
    'a close reason that is not UTF-8': frame(8, Buffer.from([0x03, 0xe8, 0xff, 0xff])),
    'a proper close': frame(8, Buffer.from([0x03, 0xe8])),
  };
  const states = [];
  for (const [what, bytes] of Object.entries(cases)) {
    const state = await upgraded(t, relay, token);
    states.push([what, state]);
    state.bytes = Buffer.alloc(0);
    state.send(bytes);
    await until(() => state.closed || state.bytes.includes(closeFrame), () => `the end of a session after ${what}: ${state.bytes.toString('latin1')}`);
    await unharmed(relay, witness, what);
  }
  // Told that it is over, these peers did not answer: they are let go all the same.
  for (const [what, state] of states) await until(() => state.closed, `the end of the connection after ${what}`);
});

test('frames that promise more than they hold, or come unmasked, harm nobody', async (t) => {
  const { relay, witness, token } = await setUp(t);
  for (const bytes of [frame(1, 'x', { length: 0xffffffff }), frame(1, '{"event":"unsubscribe","data":{}}', { masked: false }), frame(1, 'x', { length: 50_000 })]) {
    const state = await upgraded(t, relay, token);
    state.send(bytes);
    await unharmed(relay, witness, 'promises');
  }
});

test('handshakes that are wrong', async (t) => {
  const { relay, witness, token } = await setUp(t);
  const good = handshake(`/ws?token=${token}`);
  for (const bytes of [good.replace('Sec-WebSocket-Version: 13', 'Sec-WebSocket-Version: 8'), good.replace(/Sec-WebSocket-Key: .*\r\n/, ''), good.replace('Upgrade: websocket', 'Upgrade: h2c'),
    good.replace('/ws', '/ping'), good.replace('/ws', '/nothing'), good.replace('/ws', '/stream'), good.replace('GET', 'POST'), good.replace('HTTP/1.1', 'HTTP/1.0'),
    good.replace(/Key: .*\r\n/, 'Key: x\r\n'), good.replace(/Key: .*\r\n/, `Key: ${'k'.repeat(5000)}\r\n`)]) {
    const socket = net.connect(relay.port, '127.0.0.1');
    let answer = '';
    let closed = false;
    socket.on('data', (chunk) => { answer += chunk.toString('latin1'); });
    socket.on('error', () => {});
    socket.on('close', () => { closed = true; });
    socket.write(bytes);
    await until(() => closed || /\r\n\r\n/.test(answer), () => `an answer to ${bytes.slice(0, 80)}`);
    socket.destroy();
    await unharmed(relay, witness, bytes.slice(0, 200));
  }
});

test('client messages that are wrong are answered 400, or close the session as bad', async (t) => {
  const { relay, witness, token } = await setUp(t, { MAX_MESSAGES_PER_SECOND: '1000' });
  const messages = ['', ' ', '{', 'null', '7', '[]', '"subscribe"', '{}', '{"event":7}', '{"event":null,"data":{}}', '{"event":"nonsense","data":{}}', '{"event":"connected","data":{}}',
    '{"event":"subscribe","data":[]}', '{"event":"subscribe","data":{"topics":"x"}}', '{"event":"subscribe","data":{"topics":[7]}}', '{"event":"subscribe","data":{"types":{}}}',
    '{"event":"subscribe","data":{"topics":["(a+)+$(("]}}', `{"event":"subscribe","data":{"topics":[${Array(101).fill('"a"')}]}}`, `{"event":"subscribe","data":{"topics":["${'a'.repeat(2000)}"]}}`,
    '{"event":"subscribe","data":{"topics":["\\u0000"]}}', '{"event":"subscribe","event":"auth","data":{}}', '{"event":"auth","data":{}}', '{"event":"auth","data":{"token":{}}}',
    '{"event":"constructor","data":{}}', '{"event":"event","data":{}}', `{"a":${'['.repeat(40_000)}${']'.repeat(40_000)}}`, '{"event":"unsubscribe","data":{"\\ud800":1}}'];
  for (const text of messages) {
    const client = relay.openWs(token);
    await client.connected();
    client.socket.send(text);
    await until(() => client.errors.length > 0 || !client.open, () => `an answer to ${text.slice(0, 80)}: ${client.state()}`);
    if (client.errors.length > 0) assert.ok([400, 401, 403].includes(client.errors[0].code), `${text.slice(0, 80)}: ${client.state()}`);
    else assert.ok([4400, 4401, 1007].includes(client.closed), `${text.slice(0, 80)}: ${client.state()}`);
    await unharmed(relay, witness, text.slice(0, 80));
  }
});

test('a costly pattern costs its own session, not the relay', async (t) => {
  const { db, relay, witness, token } = await setUp(t);
  const client = await relay.ws(token, { query: { topics: ['(a+)+$', 'fence'] } }).catch(() => undefined);
  await assertSoon(2000, 'the next event', async (i) => {
    const answer = await relay.post('/publish', { securityToken, userId: '*', table: `${'a'.repeat(60 + i)}!`, type: 'x', data: {} });
    assert.equal(answer.status, 200);
    return duration(() => relay.fence(witness, ...(client ? [client] : [])));
  });
  assert.ok(db);
});

test('too many messages, and one that is too large, close the session', async (t) => {
  const { relay, witness, token } = await setUp(t, { MAX_MESSAGES_PER_SECOND: '5', MAX_MESSAGE_BYTES: '2kB' });
  const noisy = await relay.ws(token);
  for (let i = 0; i < 50; i++) noisy.say('unsubscribe', {});
  assert.equal(await noisy.closing(), 4429);
  const large = await relay.ws(token);
  large.say('subscribe', { topics: ['x'.repeat(5000)] });
  assert.equal(await large.closing(), 4400);
  await unharmed(relay, witness, 'noise');
});

test('more sessions of one user than allowed are refused', async (t) => {
  const { relay, witness, token } = await setUp(t, { MAX_SESSIONS_PER_USER: '3' });
  await relay.ws(token);
  await relay.ws(token);
  const fourth = relay.openWs(token);
  await fourth.closing();
  assert.equal(fourth.welcome, undefined);
  assert.ok(fourth.closed === 4429 || fourth.refusal === 429, fourth.state());
  await unharmed(relay, witness, 'the fourth session');
});

test('malformed resume points are refused or not recovered', async (t) => {
  const { relay, witness, token } = await setUp(t);
  for (const after of ['x', ':', '-1', '99999999999999999999999', '0123456789abcdef:', ':5', '0123456789abcdef:x', '1.5', "1' OR 1=1", '0123456789ABCDEF:1', ' 1']) {
    const client = relay.openWs(token, { after });
    await until(() => client.welcome || !client.open, `an answer to after=${after}`);
    if (client.welcome) assert.equal(client.welcome.recovered, false, after);
    else assert.ok(client.closed === 4400 || client.refusal === 400, `${after}: ${client.state()}`);
    await unharmed(relay, witness, after);
  }
});

test('users and rows called like the inside of a program', async (t) => {
  const ids = ['constructor', '__proto__', 'toString', '*', '-1', 'null', 'undefined', 'NaN', '{}', '', ' ', 'ä', "'; DROP TABLE notes; --", 'a,b', '{a,b}', 'NULL', '"', '\\'];
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id text); CREATE TABLE people (id text, token text)');
  for (const [i, id] of ids.entries()) await db.query('INSERT INTO people VALUES ($1, $2)', [id, `token-of-person-${i}-`]);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' }, env: { AUTH_TABLE: 'people' } });
  const named = ids.map((id, i) => [id, i]).filter(([id]) => id !== '');
  const clients = new Map();
  for (const [id, i] of named) clients.set(id, await relay.ws(`token-of-person-${i}-`));
  for (const [i, id] of ids.entries()) await db.query('INSERT INTO notes VALUES ($1, $2)', [i, id]);
  await db.query('INSERT INTO notes VALUES (100, NULL)');
  await relay.fence(...clients.values());
  for (const [id, i] of named) assert.deepEqual(clients.get(id).events.map((event) => event.data.id), [i], JSON.stringify(id));
});

test('a NULL in the routing column reaches nobody, and 1 MB rows reach theirs', async (t) => {
  const { db, relay, witness } = await setUp(t);
  await db.query('INSERT INTO notes VALUES (1, NULL, NULL)');
  await db.query("INSERT INTO notes SELECT n, '1', repeat(md5(n::text), 31250) FROM generate_series(2, 11) n");
  await relay.fence(witness);
  assert.deepEqual(witness.events.map((event) => [event.data.id, event.data.body.length]), Array.from({ length: 10 }, (_, i) => [i + 2, 1_000_000]));
});

test('connections that say nothing, or slowly, are ended, and others get in meanwhile', async (t) => {
  const { relay, witness, token } = await setUp(t, { HANDSHAKE_TIMEOUT: '1s' });
  const idle = Array.from({ length: 50 }, () => {
    const socket = net.connect(relay.port, '127.0.0.1');
    t.defer(() => socket.destroy());
    socket.on('error', () => {});
    const state = { closed: false };
    socket.on('close', () => { state.closed = true; });
    socket.write('GET /ws?tok');
    socket.resume();
    return state;
  });
  await relay.ws(token);
  await until(() => idle.every((state) => state.closed), () => `${idle.filter((state) => !state.closed).length} half-open connections to be ended`);
  await unharmed(relay, witness, 'silence');
});
