// Prevents: a client library that meets an answer which its reference server would never give: a handshake, payload, heartbeat,
// upgrade or packet against Engine.IO 4 and Socket.IO 5. Bare requests and frames against the conformance server; its bodies of
// errors are those of the reference.
import assert from 'node:assert/strict';
import { request } from './lib/clients.mjs';
import { startConformance } from './lib/conformance.mjs';
import { Polling, RS, Wire } from './lib/engineio.mjs';
import { threaded } from './lib/socketio.mjs';
import { until } from './lib/wait.mjs';

// A loaded machine may take more than the 200 ms that the server leaves for a pong by default.
const patient = [300, 5000];
const engine = (name, fn, pings = patient) => threaded(`engine.io: ${name}`, async (t, threads) => fn(t, await startConformance(t, 'engineio', threads, pings)));
const socket = (name, fn, pings = patient) => threaded(`socket.io: ${name}`, async (t, threads) => fn(t, await startConformance(t, 'socketio', threads, pings)));
const open = (base) => new Polling(base).open();
const ask = (base, query, options) => request(`${base}?${query}`, options);
const keys = ['maxPayload', 'pingInterval', 'pingTimeout', 'sid', 'upgrades'];
const unknown = { code: 1, message: 'Session ID unknown' };

async function gone(session) {
  const answer = await session.poll();
  assert.equal(answer.status, 400, answer.text);
  assert.deepEqual(answer.json, unknown);
}

// A websocket that wants to take the session over.
async function probing(t, base, session) {
  const wire = await new Wire(t, base, { sid: session.sid }).opened();
  wire.send('2probe');
  assert.equal(await wire.next(), '3probe');
  return wire;
}

async function upgrade(t, base, session) {
  const wire = await probing(t, base, session);
  wire.send('5');
  return wire;
}

engine('the handshake tells sid, upgrades, heartbeat and payload, by polling and on a websocket', async (t, base) => {
  const answer = await ask(base, 'EIO=4&transport=polling');
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'], /^text\/plain; ?charset=utf-8$/i);
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(answer.text[0], '0');
  const polling = JSON.parse(answer.text.slice(1));
  const websocket = await new Wire(t, base).handshake();
  for (const [handshake, upgrades] of [[polling, ['websocket']], [websocket, []]]) {
    assert.deepEqual(Object.keys(handshake).sort(), keys);
    assert.match(handshake.sid, /^[\w-]{16,}$/);
    assert.deepEqual([handshake.upgrades, handshake.pingInterval, handshake.pingTimeout, handshake.maxPayload], [upgrades, 300, 200, 1_000_000]);
  }
  const sids = new Set(await Promise.all(Array.from({ length: 200 }, async () => (await open(base)).sid)));
  assert.equal(sids.size, 200, 'every session has a sid of its own');
  assert.equal((await ask(base, 'EIO=4&transport=polling&sid=')).text[0], '0', 'an empty sid is none');
  assert.equal((await ask(base, 'transport=polling&EIO=4&t=abc.0&b64=1')).text[0], '0', 'the order does not matter, nor does what is not known');
}, []);

engine('bad handshakes: 400 with the code that the reference gives', async (t, base) => {
  const version = { code: 5, message: 'Unsupported protocol version' };
  const transport = { code: 0, message: 'Transport unknown' };
  const method = { code: 2, message: 'Bad handshake method' };
  const bad = { code: 3, message: 'Bad request' };
  const cases = [['transport=polling', {}, version], ['EIO=abc&transport=polling', {}, version], ['EIO=3&transport=polling', {}, version], ['EIO=5&transport=polling', {}, version],
    ['EIO=4', {}, transport], ['EIO=4&transport=abc', {}, transport], ['', {}, transport], ['EIO=4&transport=webtransport', {}, transport],
    ['EIO=4&transport=polling', { method: 'POST', body: '' }, method], ['EIO=4&transport=polling', { method: 'POST', body: '4x' }, method], ['EIO=4&transport=polling', { method: 'PUT' }, method],
    ['EIO=4&transport=polling&sid=abc', {}, unknown], ['EIO=4&transport=polling&sid=abc', { method: 'POST', body: '4x' }, unknown], ['EIO=4&transport=websocket', {}, bad],
    [`EIO=4&transport=polling&sid=${'x'.repeat(3000)}`, {}, unknown], ['EIO=4&transport=polling&sid=__proto__', {}, unknown]];
  for (const [query, options, wanted] of cases) {
    const answer = await ask(base, query, options);
    const what = `${options.method ?? 'GET'} ${query.slice(0, 80)}`;
    assert.equal(answer.status, 400, what);
    assert.match(answer.headers['content-type'], /^application\/json/, what);
    assert.deepEqual(answer.json, wanted, what);
  }
  for (const changes of [{ EIO: undefined }, { EIO: 'abc' }, { transport: undefined }, { transport: 'abc' }, { sid: 'unknown' }]) {
    const wire = new Wire(t, base, { changes });
    await wire.closed();
    assert.deepEqual(wire.packets, [], JSON.stringify(changes));
  }
});

engine('messages by polling: one, several in one payload, binary as base64, in order', async (t, base) => {
  const session = await open(base);
  for (const payload of ['4hello', `4test1${RS}4test2${RS}4test3`, `4hello${RS}bAQIDBA==`, '4€ 😀 \u0000 \\x1e "', `4${RS}4x`, 'bAA==']) {
    const answer = await session.post(payload);
    assert.deepEqual([answer.status, answer.text, answer.headers['cache-control']], [200, 'ok', 'no-store']);
    const packets = (await session.fetch()).filter((packet) => packet !== '2');
    if (packets.length === 0) packets.push(...await session.fetch());
    assert.deepEqual(packets, payload.split(RS));
    await session.send('3');
  }
});

engine('messages on a websocket: text as text, binary as it is', async (t, base) => {
  const wire = new Wire(t, base, { pong: true });
  await wire.handshake();
  for (const text of ['hello', '', '€ 😀', `a${RS}4b`]) {
    wire.send(`4${text}`);
    assert.equal(await wire.next(), `4${text}`);
  }
  for (const bytes of [[1, 2, 3, 4], [], [0x34, 0x61]]) {
    wire.send(Uint8Array.from(bytes));
    assert.deepEqual(await wire.next(), Buffer.from(bytes));
  }
  const large = Buffer.alloc(900_000, 'large');
  wire.send(large, `4${'x'.repeat(900_000)}`);
  assert.ok((await wire.next()).equals(large));
  assert.equal((await wire.next()).length, 900_001);
});

engine('a poll that waits is answered as soon as there is something', async (t, base) => {
  const session = await open(base);
  const answer = session.fetch();
  await session.send('4now');
  assert.deepEqual(await answer, ['4now']);
});

engine('packets against the format close the session', async (t, base) => {
  for (const payload of ['abc', '9', RS, `4a${RS}`, '', `4a${RS}abc`, '2', '2probe', '-1']) {
    const session = await open(base);
    const answer = await session.post(payload);
    assert.ok([200, 400].includes(answer.status), `${JSON.stringify(payload)}: ${answer.status}`);
    await session.run(() => false);
    await gone(session);
  }
  for (const packet of ['abc', '9', '', '2']) {
    const wire = new Wire(t, base, { pong: true });
    await wire.handshake();
    wire.send(packet);
    await wire.closed();
  }
});

engine('binary content by polling ends the session; an unknown method, version or transport is refused, and it goes on', async (t, base) => {
  const binary = await open(base);
  assert.equal((await binary.post('4x', { headers: { 'content-type': 'application/octet-stream' } })).status, 400);
  await gone(binary);
  const put = await open(base);
  assert.ok((await put.poll({ method: 'PUT' })).status >= 400);
  await put.send('4still there');
  assert.deepEqual(await put.fetch(), ['4still there']);
  for (const [changes, wanted] of [[{ EIO: '3' }, 3], [{ transport: 'websocket' }, 3]]) {
    const answer = await request(put.url(changes));
    assert.deepEqual([answer.status, answer.status === 400 && answer.json.code], [400, wanted], JSON.stringify(changes));
  }
});

engine('a payload of maxPayload is taken, one byte more is 413 and the end', async (t, base) => {
  const session = await open(base);
  await session.send(`4${'x'.repeat(999_999)}`);
  const echo = (await session.fetch()).filter((packet) => packet !== '2');
  assert.equal(echo[0].length, 1_000_000);
  const larger = await open(base);
  const answer = await larger.post(`4${'x'.repeat(1_000_000)}`).catch((error) => ({ status: 413, error }));
  assert.equal(answer.status, 413);
  await gone(larger);
  const wire = new Wire(t, base, { pong: true });
  await wire.handshake();
  wire.send(`4${'x'.repeat(1_000_000)}`);
  await wire.closed();
});

engine('a second poll closes the session: the first is told so, the second is refused', async (t, base) => {
  const session = await open(base);
  const first = session.poll();
  const second = session.poll({ timeout: 5000 });
  const answers = (await Promise.all([first, second])).sort((a, b) => a.status - b.status);
  assert.deepEqual([answers[0].status, answers[0].text], [200, '1']);
  assert.ok([400, 500].includes(answers[1].status), String(answers[1].status));
  await gone(session);
});

engine('a poll that its client gives up closes the session', async (t, base) => {
  const session = await open(base);
  const controller = new AbortController();
  const poll = fetch(session.url(), { signal: controller.signal }).catch(() => {});
  await session.send('3'); // by then the poll is there, most often
  controller.abort();
  await poll;
  await until(async () => (await session.poll()).status === 400, 'the end of the session');
});

engine('heartbeat: pings are answered by pongs, as often as one likes', async (t, base) => {
  const session = await open(base);
  for (let i = 0; i < 4; i++) {
    assert.deepEqual(await session.fetch(), ['2']);
    await session.send('3');
  }
  const wire = new Wire(t, base);
  await wire.handshake();
  for (let i = 0; i < 4; i++) {
    assert.equal(await wire.next({ pings: true }), '2');
    wire.send('3');
  }
});

engine('heartbeat: who does not answer is closed, also one that polls, also one that does not', async (t, base) => {
  const start = Date.now();
  const polls = await open(base);
  await polls.run(() => false, { mute: true });
  const [first, ...rest] = polls.packets;
  assert.equal(first, '2');
  assert.ok(rest.every((packet) => packet === '1'), String(rest));
  assert.ok(Date.now() - start > 700, 'not before its time');
  await gone(polls);
  const wire = new Wire(t, base);
  await wire.handshake();
  await wire.closed();
  assert.deepEqual(wire.packets.slice(1), ['2']);
  const silent = await open(base);
  const ticker = await open(base);
  // Four pings of another session: the silent one's time has passed.
  await ticker.run(() => ticker.packets.length >= 4);
  await gone(silent);
}, [300, 500]);

engine('a client that closes: its poll gets a noop, the sid is gone', async (t, base) => {
  const session = await open(base);
  const poll = session.poll();
  const answer = await session.post('1');
  assert.equal(answer.status, 200);
  assert.deepEqual([(await poll).status, (await poll).text], [200, '6']);
  await gone(session);
  const wire = new Wire(t, base);
  await wire.handshake();
  wire.send('1');
  await wire.closed();
});

engine('upgrade: probe, noop to the waiting poll, then everything on the websocket', async (t, base) => {
  const session = await open(base);
  const poll = session.fetch();
  const wire = await probing(t, base, session);
  assert.deepEqual(await poll, ['6']);
  await session.send('4by post'); // polling is still the way
  assert.deepEqual(await session.fetch(), ['4by post']);
  const next = session.fetch();
  assert.deepEqual(await next, ['6'], 'a poll during the upgrade does not wait');
  wire.send('5', '4hello');
  assert.equal(await wire.next(), '4hello');
  for (let i = 0; i < 2; i++) {
    assert.equal(await wire.next({ pings: true }), '2');
    wire.send('3');
  }
});

engine('upgrade: what waits for the session comes once, and in order', async (t, base) => {
  for (let i = 0; i < 20; i++) {
    const session = await open(base);
    await session.send(`4a${i}`, `4b${i}`);
    const wire = await probing(t, base, session);
    await session.send(`4c${i}`);
    const fetched = i % 2 ? await session.fetch() : [];
    wire.send('5', `4d${i}`);
    const seen = fetched.filter((packet) => packet !== '6');
    while (seen.length < 4) seen.push(await wire.next());
    assert.deepEqual(seen, [`4a${i}`, `4b${i}`, `4c${i}`, `4d${i}`]);
    wire.socket.terminate();
  }
});

engine('after the upgrade requests and websockets of that sid are turned away, the session goes on', async (t, base) => {
  const session = await open(base);
  const wire = await upgrade(t, base, session);
  wire.send('4hello');
  assert.equal(await wire.next(), '4hello');
  const poll = await session.poll();
  assert.deepEqual([poll.status, poll.json], [400, { code: 3, message: 'Bad request' }]);
  assert.equal((await session.post('4x')).status, 400);
  const second = new Wire(t, base, { sid: session.sid });
  await second.closed();
  assert.equal(second.open, true, 'accepted and closed, as the reference does');
  assert.deepEqual(second.packets, []);
  wire.send('4still');
  assert.equal(await wire.next(), '4still');
});

engine('an upgrade that fails leaves the polling session as it was', async (t, base) => {
  for (const what of ['nothing', 'wrong packet', 'wrong probe', 'gone after the probe', 'binary']) {
    const session = await open(base);
    const wire = await new Wire(t, base, { sid: session.sid }).opened();
    if (what === 'wrong packet') wire.send('4hello');
    else if (what === 'wrong probe') wire.send('2other');
    else if (what === 'binary') wire.send(Buffer.from('2probe'));
    else if (what === 'gone after the probe') {
      wire.send('2probe');
      await wire.next();
    }
    if (what === 'nothing' || what === 'gone after the probe') wire.socket.terminate();
    await wire.closed();
    await session.send('4hello');
    assert.deepEqual((await session.fetch()).filter((packet) => packet !== '6' && packet !== '2'), ['4hello'], what);
    await until(async () => {
      await session.send('3');
      const again = await new Wire(t, base, { sid: session.sid }).opened();
      again.send('2probe');
      await until(() => again.packets.length > 0 || again.over, () => again.state());
      again.socket.terminate();
      return again.packets[0] === '3probe';
    }, 'a second try to be let in');
  }
});

engine('a second websocket while the first is probing is closed, the first goes on', async (t, base) => {
  const session = await open(base);
  const wire = await probing(t, base, session);
  const second = await new Wire(t, base, { sid: session.sid }).opened();
  await second.closed();
  wire.send('5', '4hello');
  assert.equal(await wire.next(), '4hello');
});

async function connected(t, base, text = '40') {
  const wire = new Wire(t, base, { pong: true });
  await wire.handshake();
  wire.send(text);
  const connect = await wire.next();
  const auth = await wire.next();
  return { wire, connect, auth };
}

socket('CONNECT to the main and to a custom namespace, with and without a payload', async (t, base) => {
  const cases = [['40', '40', '42["auth",{}]'], ['40{"token":"123"}', '40', '42["auth",{"token":"123"}]'], ['40/custom,', '40/custom,', '42/custom,["auth",{}]'],
    ['40/custom', '40/custom,', '42/custom,["auth",{}]'], ['40/custom,{"token":"abc"}', '40/custom,', '42/custom,["auth",{"token":"abc"}]']];
  for (const [text, head, wanted] of cases) {
    const { wire, connect, auth } = await connected(t, base, text);
    assert.ok(connect.startsWith(head), connect);
    const payload = JSON.parse(connect.slice(head.length));
    assert.deepEqual(Object.keys(payload), ['sid']);
    assert.equal(typeof payload.sid, 'string');
    assert.notEqual(payload.sid, JSON.parse(wire.packets[0].slice(1)).sid, 'not the sid that names the transport');
    assert.equal(auth, wanted);
  }
});

socket('CONNECT by polling', async (t, base) => {
  const session = await open(base);
  await session.send('40{"token":"123"}');
  await session.run(() => session.packets.length >= 2);
  assert.match(session.packets[0], /^40\{"sid":"[^"]+"\}$/);
  assert.equal(session.packets[1], '42["auth",{"token":"123"}]');
});

socket('an unknown namespace is refused with a packet, and the connection stays', async (t, base) => {
  const wire = new Wire(t, base, { pong: true });
  await wire.handshake();
  wire.send('40/random');
  assert.equal(await wire.next(), '44/random,{"message":"Invalid namespace"}');
  wire.send('40/random,{"token":"abc"}');
  assert.equal(await wire.next(), '44/random,{"message":"Invalid namespace"}');
  wire.send('40');
  assert.match(await wire.next(), /^40\{"sid"/);
});

socket('packets before CONNECT, a second CONNECT, packets to a namespace not joined: the end', async (t, base) => {
  for (const packet of ['4abc', '42["message",1]', '41', '43[]', '44{"message":"x"}', '40[]', '40"x"', '40{', '4']) {
    const wire = new Wire(t, base, { pong: true });
    await wire.handshake();
    wire.send(packet);
    await wire.closed();
    assert.ok(wire.packets.every((seen) => /^[012]/.test(seen)), `${packet}: ${wire.packets}`);
  }
  for (const packet of ['40', '42/custom,["message",1]', '44{"message":"x"}']) {
    const { wire } = await connected(t, base);
    wire.send(packet);
    await wire.closed();
  }
});

socket('DISCONNECT leaves the connection open, and other namespaces as they are', async (t, base) => {
  const { wire } = await connected(t, base);
  wire.send('40/custom');
  assert.match(await wire.next(), /^40\/custom,/);
  assert.equal(await wire.next(), '42/custom,["auth",{}]');
  wire.send('41/custom', '42["message","to the main one"]');
  assert.equal(await wire.next(), '42["message-back","to the main one"]');
  const other = await connected(t, base);
  other.wire.send('41');
  assert.equal(await other.wire.next({ pings: true }), '2');
  other.wire.send('40');
  assert.match(await other.wire.next(), /^40\{"sid"/, 'and may be joined again');
});

socket('events and acknowledgements, plain and binary', async (t, base) => {
  const { wire } = await connected(t, base);
  wire.send('42["message",1,"2",{"3":[true]}]');
  assert.equal(await wire.next(), '42["message-back",1,"2",{"3":[true]}]');
  wire.send('42["message"]');
  assert.equal(await wire.next(), '42["message-back"]');
  wire.send('42456["message-with-ack",1,"2",{"3":[false]}]');
  assert.equal(await wire.next(), '43456[1,"2",{"3":[false]}]');
  wire.send('420["message-with-ack"]');
  assert.equal(await wire.next(), '430[]');
  const two = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';
  for (const [sent, wanted] of [[`452-["message",${two}]`, `452-["message-back",${two}]`], [`452-789["message-with-ack",${two}]`, `462-789[${two}]`]]) {
    wire.send(sent, Uint8Array.from([1, 2, 3]), Uint8Array.from([4, 5, 6]));
    assert.equal(await wire.next(), wanted);
    assert.deepEqual(await wire.next(), Buffer.from([1, 2, 3]));
    assert.deepEqual(await wire.next(), Buffer.from([4, 5, 6]));
  }
  wire.send('42["unheard of",1]', '42["message","last"]');
  assert.equal(await wire.next(), '42["message-back","last"]');
});

socket('binary by polling: attachments as base64', async (t, base) => {
  const session = await open(base);
  await session.send('40');
  await session.run(() => session.packets.length >= 2);
  await session.send('451-["message",{"_placeholder":true,"num":0}]', 'bAQID');
  await session.run(() => session.packets.some((packet) => packet.startsWith('b')));
  assert.deepEqual(session.packets.filter((packet) => packet !== '2').slice(2), ['451-["message-back",{"_placeholder":true,"num":0}]', 'bAQID']);
});

socket('packets against the format: the end', async (t, base) => {
  const bad = ['4abc', '47[]', '42{}', '42abc["message-with-ack",1]', '42[', '42[]', '42[null]', '42[{}]', '42["connect"]', '42["disconnect"]', '42["connect_error"]', '42["newListener",1]',
    '45-["message"]', '45x-["message"]', '4599-["message",{"_placeholder":true,"num":0}]', '41{}', '43{}', '43"x"',
    '42["message",1]x', '42["message",1,]', "42['message']"];
  for (const packet of bad) {
    const { wire } = await connected(t, base);
    wire.send(packet);
    await wire.closed().catch((error) => { throw new Error(`${packet}: ${error.message}`); });
    assert.ok(wire.packets.every((seen) => /^[012]|^4[01]|^42\["auth/.test(String(seen))), `${packet}: ${wire.packets}`);
  }
});

socket('attachments that do not fit: text instead, a binary message out of place, a placeholder of another number', async (t, base) => {
  const one = '451-["message",{"_placeholder":true,"num":0}]';
  const cases = [[one, '42["message",1]'], [Buffer.from('out of place')], ...['5', '-1', '"0"'].map((num) => [`451-["message",{"_placeholder":true,"num":${num}}]`, Buffer.from('x')])];
  for (const packets of cases) {
    const { wire } = await connected(t, base);
    wire.send(...packets);
    await wire.closed().catch((error) => { throw new Error(`${packets}: ${error.message}`); });
  }
});

socket('the session survives the upgrade, and acknowledgements are made on the new transport', async (t, base) => {
  const session = await open(base);
  await session.send('40');
  await session.run(() => session.packets.length >= 2);
  const wire = await upgrade(t, base, session);
  wire.send('421["message-with-ack","after"]');
  assert.equal(await wire.next(), '431["after"]');
});

socket('no CONNECT in time: closed', async (t, base) => {
  const wire = new Wire(t, base, { pong: true });
  await wire.handshake();
  await wire.closed();
  const session = await open(base);
  await session.run(() => false);
  await gone(session);
}, [300, 5000, 700]);
