// Prevents: a bound that is not kept, or that ends a session without a word, without a log line, or counts it for ever; a
// frame against the protocol with the wrong answer; a misspelt subscription that is taken as everything.
import assert from 'node:assert/strict';
import net from 'node:net';
import { Wire } from './lib/engineio.mjs';
import { test, usePostgres } from './lib/harness.mjs';
import { cpu, rss, sanitized } from './lib/health.mjs';
import { startRelay } from './lib/relay.mjs';
import { ended, frame, rawSession } from './lib/sessions.mjs';
import { patience, until } from './lib/wait.mjs';

const postgres = usePostgres();
const rules = { tables: 'notes', routing: { notes: 'user_id' } };

async function setUp(t, env) {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id text, body text)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env });
  relay.secret(token);
  return { db, token, relay };
}

// A session that is refused: what it was told, how it was closed.
async function refused(session) {
  await session.ended();
  return session.status === 101 ? [session.error?.code, session.code] : session.status;
}

test('sessions of a user and of an address: refused with 429, logged, and free again once others have gone', async (t) => {
  for (const name of ['MAX_SESSIONS_PER_USER', 'MAX_SESSIONS_PER_ADDRESS']) {
    const { token, relay } = await setUp(t, { [name]: '3' });
    const open = (kind) => rawSession(t, relay, kind, `token=${token}`);
    const three = [open('ws'), open('sse'), open('ws')];
    for (const session of three) await session.connected();
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(await refused(open('ws')), [429, 4429], name);
      assert.equal(await refused(open('sse')), 429, name);
    }
    if (name === 'MAX_SESSIONS_PER_USER') await until(() => ended(relay, 'too-many') === 6, () => relay.log);
    three[round(3)].socket.destroy();
    // Counted down exactly once: one comes in, the next does not.
    await until(async () => {
      const session = open('ws');
      await until(() => session.welcome || !session.open, () => session.state());
      return session.welcome;
    }, 'a place that was given back');
    assert.deepEqual(await refused(open('ws')), [429, 4429], name);
    for (const session of three) session.socket.destroy();
  }
});

const round = (n) => Math.floor(Math.random() * n);

test('an address is the peer of the connection, whatever a header claims', async (t) => {
  const { token, relay } = await setUp(t, { MAX_SESSIONS_PER_ADDRESS: '2' });
  await relay.ws(token, { headers: { 'x-forwarded-for': '192.0.2.1' } });
  await relay.ws(token, { headers: { forwarded: 'for=192.0.2.2', 'x-real-ip': '192.0.2.2' } });
  const third = relay.openWs(token, { headers: { 'x-forwarded-for': '192.0.2.3' } });
  assert.equal(await third.closing(), 4429);
});

test('connections beyond MAX_CONNECTIONS: 503, a log line, and room again', async (t) => {
  const { token, relay } = await setUp(t, { MAX_CONNECTIONS: '5' });
  const sessions = Array.from({ length: 5 }, () => rawSession(t, relay, 'ws', `token=${token}`));
  for (const session of sessions) await session.connected();
  const sixth = rawSession(t, relay, 'ws', `token=${token}`);
  await until(() => sixth.status === 503 || (!sixth.open && sixth.status === undefined), () => sixth.state());
  await until(() => relay.log.includes('MAX_CONNECTIONS are open'), () => relay.log);
  for (const session of sessions) session.socket.destroy();
  await until(async () => (await relay.get('/ping')).text === 'pong', 'room again');
});

test('who says nothing is ended in time: no token, no request, half a request', async (t) => {
  const { relay, token } = await setUp(t, { AUTH_TIMEOUT: '1s', HANDSHAKE_TIMEOUT: '1s' });
  const start = Date.now();
  const silent = rawSession(t, relay, 'ws', '');
  const idle = [0, 1].map((n) => {
    const socket = net.connect(relay.port, '127.0.0.1');
    t.defer(() => socket.destroy());
    socket.on('error', () => {});
    socket.resume();
    if (n) socket.write('GET /ws HTTP/1.1\r\nHos');
    return new Promise((resolve) => { socket.on('close', () => resolve(Date.now() - start)); });
  });
  assert.deepEqual(await refused(silent), [401, 4401]);
  assert.ok(Date.now() - start < 7000 * patience, 'the session and its closing take no longer than that'); // it does not answer our close
  await until(() => ended(relay, 'auth-timeout') === 1, () => relay.log);
  for (const took of await Promise.all(idle)) assert.ok(took > 900 && took < 7000 * patience, `took ${took} ms`);
  await relay.ws(token);
});

test('messages per second, their size, floods of pings', async (t) => {
  const { relay, token, db } = await setUp(t, { MAX_MESSAGES_PER_SECOND: '5', MAX_MESSAGE_BYTES: '2kB' });
  const noisy = rawSession(t, relay, 'ws', `token=${token}`);
  const large = rawSession(t, relay, 'ws', `token=${token}`);
  const pieces = rawSession(t, relay, 'ws', `token=${token}`);
  const pinging = rawSession(t, relay, 'ws', `token=${token}`);
  const witness = await relay.ws(token);
  for (const session of [noisy, large, pieces, pinging]) await session.connected();
  for (let i = 0; i < 6; i++) noisy.say('unsubscribe', {});
  assert.deepEqual(await refused(noisy), [429, 4429]);
  large.say('subscribe', { topics: ['x'.repeat(2048)] });
  assert.deepEqual(await refused(large), [undefined, 4400]);
  pieces.send(frame(1, 'x'.repeat(1500), { fin: false }));
  pieces.send(frame(0, 'x'.repeat(1500), { fin: false }));
  assert.deepEqual(await refused(pieces), [undefined, 4400]);
  await until(() => ended(relay, 'too-many') === 1 && ended(relay, 'too-large') === 2, () => relay.log);
  pinging.send(Buffer.concat(Array.from({ length: 20_000 }, () => frame(9, 'p'))));
  await db.query("INSERT INTO notes VALUES (1, '1', 'after')");
  await witness.event((event) => event.data.body === 'after');
  await until(() => !pinging.open || pinging.count === 1, () => pinging.state());
});

test('patterns: too many, too long, too costly; a misspelt key is no wish for everything', async (t) => {
  const { relay, token, db } = await setUp(t, { MAX_PATTERNS: '3', MAX_PATTERN_BYTES: '20', MAX_MESSAGES_PER_SECOND: '1000' });
  const session = rawSession(t, relay, 'ws', `token=${token}&topics=nothing`);
  await session.connected();
  const bad = [{ topics: ['a', 'b', 'c', 'd'] }, { types: ['a', 'b', 'c', 'd'] }, { topics: ['x'.repeat(21)] }, { topics: ['(a+)+$'] }, { topics: ['('] },
    { topic: ['notes'] }, { Topics: ['notes'] }, { type: ['insert'] }, { topics: ['nothing'], where: {} }, { after: '5' }];
  for (const data of bad) {
    session.error = undefined;
    session.say('subscribe', data);
    await until(() => session.error, () => `an answer to ${JSON.stringify(data)}: ${session.state()}`);
    assert.equal(session.error.code, 400, JSON.stringify(data));
    assert.ok(session.open);
  }
  await db.query("INSERT INTO notes VALUES (1, '1', 'not wanted')");
  await relay.fence(await relay.ws(token));
  session.say('subscribe', { topics: ['notes'] });
  await db.query("INSERT INTO notes VALUES (2, '1', 'wanted')");
  await until(() => session.count > 0, () => session.state());
  assert.equal(session.count, 1, 'nothing of what was refused took effect');
  assert.equal(await refused(rawSession(t, relay, 'sse', `token=${token}&topics=a&topics=b&topics=c&topics=d`)), 400);
  assert.deepEqual(await refused(rawSession(t, relay, 'ws', `token=${token}&topics=(`)), [400, 4400]);
});

// A class of many properties, which is slow to look a character up in, and repeats of it: good enough alone.
const properties = 'Lu Lt Lm Lo Mn Mc Me Nl No Pc Po Ps Pe Pi Pf Sm Sc Sk So Zs Zl Zp Cf Cn Co Cs Thai Ll Nd Pd'.split(' ');
const slowClass = `[${properties.map((property) => `\\p{${property}}`).join('')}]`;
const costly = `${slowClass}+${slowClass}+${slowClass}+${slowClass}{1,2}!`;

test('who has shown no good token has no time of a network thread: not by a hundred costly patterns, not by some within the bounds', async (t) => {
  const { relay, token, db } = await setUp(t, { NETWORK_THREADS: '1' });
  const witness = await relay.ws(token);
  for (const topics of [Array(100).fill(costly), Array(10).fill(costly)]) {
    const wires = Array.from({ length: 30 }, () => new Wire(t, `${relay.origin}/socket.io/`));
    for (const wire of wires) await wire.handshake();
    const before = cpu(relay);
    for (const wire of wires) wire.send(`40${JSON.stringify({ token: 'no such token', topics })}`);
    await db.query(`INSERT INTO notes VALUES (${topics.length}, '1', 'meanwhile ${topics.length}')`);
    await witness.event((event) => event.data.body === `meanwhile ${topics.length}`);
    for (const wire of wires) await wire.closed();
    if (!sanitized()) assert.ok(cpu(relay) - before < 500, `${cpu(relay) - before} ms of the processor for ${topics.length} patterns`);
    const refusal = (wire) => wire.packets.filter((packet) => String(packet).startsWith('44')).map((packet) => JSON.parse(String(packet).slice(2)).data)[0];
    const codes = wires.map((wire) => (wire.named('error')[0] ?? refusal(wire))?.code);
    assert.deepEqual(codes, Array(30).fill(topics.length === 100 ? 400 : 401));
  }
  // With a good token they are refused with a sentence that says what is wrong.
  const user = relay.openIo(token, { mode: 'websocket', auth: { token, topics: Array(10).fill(costly) } });
  await user.closing();
  assert.match(user.refusals[0]?.message ?? '', /^topic pattern ".*" is too costly: to try the patterns up to here took longer than the 5 ms allowed/);
});

test('a stream hears what is wrong with its patterns', async (t) => {
  const { relay, token } = await setUp(t, {});
  for (const [topics, says] of [['(', /^topic pattern "\(" is not valid at character 2/], ['(a+)+$', /too many ways/]]) {
    const answer = await relay.get(`/stream?token=${token}&topics=${encodeURIComponent(topics)}`);
    assert.equal(answer.status, 400);
    assert.match(answer.json.message, says);
    assert.equal((await relay.get(`/stream?token=nobody&topics=${encodeURIComponent(topics)}`)).status, 401);
  }
});

test('patterns that are short as written and large once compiled: without a token nothing is compiled', async (t) => {
  const { relay, token } = await setUp(t, { AUTH_TIMEOUT: '30s' });
  const before = rss(relay);
  const query = Array(80).fill(`topics=${encodeURIComponent('(?:ab){3262}')}`).join('&');
  const sessions = Array.from({ length: 200 }, () => rawSession(t, relay, 'ws', query));
  for (const session of sessions) await until(() => session.status === 101, () => session.state());
  await relay.ws(token);
  if (!sanitized()) assert.ok(rss(relay) - before < 30, `${before} to ${rss(relay)} MB`);
  const user = rawSession(t, relay, 'ws', `token=${token}&${query}`);
  assert.deepEqual(await refused(user), [400, 4400]);
  assert.match(user.error.message, /take 98289 bytes once their repeats are written out, at most 65536 are allowed/);
});

test('frames against RFC 6455: the close code that it asks for, and no harm to others', async (t) => {
  const { relay, token } = await setUp(t, {});
  const text = '{"event":"unsubscribe","data":{}}';
  const cases = [
    ['reserved bits', [1002], frame(1, text, { rsv: 4 })],
    ['an unknown opcode', [1002], frame(3, text)],
    ['an unknown control opcode', [1002], frame(11, '')],
    ['a ping of 126 bytes', [1002], frame(9, Buffer.alloc(126))],
    ['a ping in pieces', [1002], frame(9, 'x', { fin: false })],
    ['a continuation of nothing', [1002], frame(0, text)],
    ['a message inside another', [1002], Buffer.concat([frame(1, '{"event":', { fin: false }), frame(1, text)])],
    ['text that is not UTF-8', [1007, 4400], frame(1, Buffer.from([0x22, 0xc3, 0x28, 0x22]))],
    ['a binary message', [1003, 4400], frame(2, Buffer.from(text))],
    ['a close code of 999', [1002], frame(8, Buffer.from([0x03, 0xe7]))],
    ['a close of one byte', [1002, 1005], frame(8, 'x')],
    ['a close without a code', [1000, 1005], frame(8, '')],
    ['a good close', [1000], frame(8, Buffer.from([0x03, 0xe8]))],
  ];
  const witness = await relay.ws(token);
  for (const [what, codes, bytes] of cases) {
    const session = rawSession(t, relay, 'ws', `token=${token}`);
    await session.connected();
    session.send(bytes);
    await session.ended();
    if (session.code !== undefined) assert.ok(codes.includes(session.code), `${what}: ${session.code}`);
  }
  await relay.fence(witness);
  assert.ok(witness.open);
});
