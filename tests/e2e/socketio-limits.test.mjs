// Prevents: a peer of Socket.IO that costs the relay unbounded memory, a descriptor or a session for ever, the process, or the
// others their service. Every bound ends the session with a reason.
import assert from 'node:assert/strict';
import net from 'node:net';
import { raw, request } from './lib/clients.mjs';
import { Polling, RS, Wire } from './lib/engineio.mjs';
import { calm, rss, sanitized } from './lib/health.mjs';
import { startRelay } from './lib/relay.mjs';
import { ended } from './lib/sessions.mjs';
import { database, insert, rules, threaded } from './lib/socketio.mjs';
import { until, within } from './lib/wait.mjs';

async function setUp(t, threads, env = {}) {
  const { db, token } = await database(t);
  const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads), ALLOW_REPUBLISHING: 'true', ...env } });
  relay.secret(token);
  const witness = await relay.ws(token);
  return { db, token, relay, witness, base: `${relay.origin}/socket.io/`, health: calm(relay, witness) };
}

const both = ['polling', 'websocket'];

// A session that is connected, by hand; post(text) sends, over() waits for its end and tells whether that was a DISCONNECT.
async function join(t, relay, kind, token, connect = true) {
  const base = `${relay.origin}/socket.io/`;
  if (kind === 'polling') {
    const session = await new Polling(base).open();
    if (connect) {
      await session.send(`40${JSON.stringify({ token })}`);
      await session.run(() => session.named('connected').length > 0);
    }
    return {
      session,
      send: (...packets) => session.post(packets.map((packet) => (packet instanceof Uint8Array ? `b${Buffer.from(packet).toString('base64')}` : packet)).join(RS)).catch(() => {}),
      get packets() { return session.packets; },
      async over() {
        await within(session.run(() => false), () => `the end of a polling session; ${session.packets}`);
        assert.equal((await session.poll()).status, 400);
      },
    };
  }
  const wire = new Wire(t, base, { pong: true });
  if (connect) await wire.connect({ token });
  else await wire.handshake();
  return { send: async (...packets) => wire.send(...packets), get packets() { return wire.packets; }, over: () => wire.closed(), wire };
}

const noGoodbye = (client, what) => assert.ok(!client.packets.includes('41'), `${what}: only a 401 says DISCONNECT`);

threaded('payloads over SOCKETIO_MAX_PAYLOAD: 413 or a close, the session ends as too-large', async (t, threads) => {
  const { relay, token, health } = await setUp(t, threads, { SOCKETIO_MAX_PAYLOAD: '4kB', MAX_MESSAGE_BYTES: '1MB' });
  const polling = await join(t, relay, 'polling', token);
  assert.equal(polling.session.handshake.maxPayload, 4000);
  const large = `42["event",{"table":"x","type":"y","data":{"a":"${'x'.repeat(4000)}"}}]`;
  const answer = await polling.session.post(large).catch(() => ({ status: 413 }));
  assert.equal(answer.status, 413);
  await polling.over();
  const websocket = await join(t, relay, 'websocket', token);
  await websocket.send(large);
  await websocket.over();
  for (const client of [polling, websocket]) noGoodbye(client, 'too large');
  await until(() => ended(relay, 'too-large') === 2, () => relay.log);
  // Claimed, never sent: refused by the head alone.
  const claim = await new Polling(`${relay.origin}/socket.io/`).open();
  const text = await raw(relay.port, `POST ${new URL(claim.url()).pathname}${new URL(claim.url()).search} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000000\r\nConnection: close\r\n\r\n`, { done: (got) => got.includes('\r\n\r\n') });
  assert.match(text, /^HTTP\/1.1 (413|400)/);
  await health.after('large payloads');
});

threaded('deeply nested JSON, wherever JSON may be', async (t, threads) => {
  const { relay, token, health } = await setUp(t, threads, { SOCKETIO_MAX_PAYLOAD: '1MB', MAX_MESSAGE_BYTES: '1MB' });
  const deep = (open, close, n) => open.repeat(n) + close.repeat(n);
  for (const kind of both) {
    for (const n of [3000, 200_000]) {
      for (const [bytes, connect] of [[`42["event",{"table":"x","type":"y","data":{"a":${deep('[', ']', n)}}}]`, true], [`42${deep('[', ']', n)}`, true], [`42["event",${'{"a":'.repeat(n)}1${'}'.repeat(n)}]`, true],
        [`40{"token":${deep('[', ']', n)}}`, false], [`42["event",${'['.repeat(n)}`, true]]) {
        const client = await join(t, relay, kind, token, connect);
        await client.send(bytes);
        await client.over();
        noGoodbye(client, bytes.slice(0, 30));
      }
    }
  }
  await health.after('deep JSON');
});

threaded('binary attachments that never come, that are too many, that are too large together', async (t, threads) => {
  const { relay, token, health } = await setUp(t, threads, { SOCKETIO_MAX_PAYLOAD: '100kB', MAX_MESSAGES_PER_SECOND: '1000' });
  const place = (n) => `{"_placeholder":true,"num":${n}}`;
  for (const kind of both) {
    for (const text of [`4511-["event",${Array.from({ length: 11 }, (_, n) => place(n))}]`, '459999999999-["event"]', '4599999999999999999999-["event"]']) {
      const client = await join(t, relay, kind, token);
      await client.send(text);
      await client.over();
      noGoodbye(client, text);
    }
    const waits = await join(t, relay, kind, token);
    await waits.send(`452-["event",${place(0)},${place(1)}]`, Buffer.alloc(10));
    await waits.send('42["unsubscribe",{}]'); // instead of the second
    await waits.over();
    const grows = await join(t, relay, kind, token);
    await grows.send(`4510-["event",${Array.from({ length: 10 }, (_, n) => place(n))}]`);
    for (let i = 0; i < 9; i++) await grows.send(Buffer.alloc(50_000));
    await grows.over();
  }
  // Those that go on waiting go with their connection.
  const before = rss(relay);
  const idle = await Promise.all(Array.from({ length: 100 }, () => join(t, relay, 'websocket', token)));
  for (const client of idle) await client.send(`4510-["event",${Array.from({ length: 10 }, (_, n) => place(n))}]`, ...Array(9).fill(Buffer.alloc(10_000)));
  for (const client of idle) client.wire.socket.terminate();
  await health.after('attachments');
  if (!sanitized()) assert.ok(rss(relay) - before < 40, `${before} to ${rss(relay)} MB`);
});

threaded('thousands of sessions that never say CONNECT: bounded, forgotten in time, room again for others', { timeout: 90_000 }, async (t, threads) => {
  const { relay, token, health } = await setUp(t, threads, { SOCKETIO_CONNECT_TIMEOUT: '2s', MAX_CONNECTIONS: '3000' });
  const base = `${relay.origin}/socket.io/?EIO=4&transport=polling`;
  const before = rss(relay);
  let taken = 0;
  let refused = 0;
  const sids = [];
  const one = async () => {
    const answer = await request(base);
    if (answer.status === 200) {
      taken++;
      sids.push(JSON.parse(answer.text.slice(1)).sid);
    } else {
      assert.ok([429, 503].includes(answer.status), `${answer.status} ${answer.text}`);
      refused++;
    }
  };
  const worker = async () => { for (let i = 0; i < 160; i++) await one(); };
  await Promise.all(Array.from({ length: 25 }, worker));
  assert.equal(taken + refused, 4000);
  if (!sanitized()) assert.ok(rss(relay) - before < 60, `${before} to ${rss(relay)} MB for ${taken}`);
  await until(async () => {
    const left = await Promise.all(sids.slice(-20).map((sid) => request(`${base}&sid=${sid}`, { method: 'POST', body: '3' })));
    return left.every(({ status }) => status === 400);
  }, 'them to be forgotten', 20_000);
  for (const mode of both) await relay.io(token, { mode });
  await health.after('handshakes');
});

threaded('websockets that never say CONNECT are closed', async (t, threads) => {
  const { relay, health } = await setUp(t, threads, { SOCKETIO_CONNECT_TIMEOUT: '500ms' });
  const wires = await Promise.all(Array.from({ length: 50 }, async () => {
    const wire = new Wire(t, `${relay.origin}/socket.io/`, { pong: true });
    await wire.handshake();
    return wire;
  }));
  for (const wire of wires) await wire.closed();
  await health.after('no CONNECT');
});

threaded('a client that polls twice at once loses its session, the others do not', async (t, threads) => {
  const { relay, token, health } = await setUp(t, threads);
  for (let i = 0; i < 20; i++) {
    const { session } = await join(t, relay, 'polling', token);
    const answers = await Promise.all([session.poll(), session.poll()]);
    const statuses = answers.map(({ status }) => status).sort();
    assert.deepEqual(statuses, [200, 400]);
    assert.equal(answers.find(({ status }) => status === 200).text, '1');
    assert.equal((await session.poll()).status, 400);
  }
  await until(() => ended(relay, 'bad-message') === 20, () => relay.log);
  await health.after('double polls');
});

threaded('clients that never poll again: bounded memory, ended with a reason', { timeout: 90_000 }, async (t, threads) => {
  const { db, relay, token, witness, health } = await setUp(t, threads, { SLOW_TIMEOUT: '4s', SOCKETIO_PING_INTERVAL: '2s', SOCKETIO_PING_TIMEOUT: '4s', MAX_SESSIONS_PER_USER: '101', SESSION_QUEUE_BYTES: '64kB' });
  const before = rss(relay);
  await Promise.all(Array.from({ length: 100 }, () => join(t, relay, 'polling', token)));
  await insert(db, 1, 300, 1, 'hex(randomblob(25000))'); // 15 MB for each of them
  await witness.count(300);
  if (!sanitized()) assert.ok(rss(relay) - before < 120, `${before} to ${rss(relay)} MB`);
  await until(() => ended(relay, 'slow') + ended(relay, 'gone-quiet') === 100, () => `100 ends with a reason; ${relay.log.slice(-2000)}`, 30_000);
  await relay.io(token, { mode: 'polling' }); // counted no more
  await health.after('no polls');
});

threaded('a payload of very many packets', async (t, threads) => {
  const { relay, token, health } = await setUp(t, threads, { SOCKETIO_MAX_PAYLOAD: '1MB' });
  for (const [packet, stays] of [['3', true], ['4', false], ['', false], ['42["unsubscribe"]', false], ['b', false], ['6', true], ['2', false]]) {
    const client = await join(t, relay, 'polling', token);
    await client.send(Array(Math.floor(900_000 / (packet.length + 1))).fill(packet).join(RS));
    if (stays) {
      await client.send('42["subscribe",{"topics":["notes"]}]');
      await client.session.run(() => client.session.named('subscribed').length > 0);
      await client.session.post('1');
    } else {
      await client.over();
    }
    noGoodbye(client, packet);
  }
  await health.after('many packets');
});

threaded('DISCONNECT and CONNECT again and again on one connection, also in one payload', async (t, threads) => {
  const { db, relay, token, health } = await setUp(t, threads, { MAX_SESSIONS_PER_USER: '5', MAX_MESSAGES_PER_SECOND: '1000' });
  for (const kind of both) {
    const client = await join(t, relay, kind, token);
    const connect = `40${JSON.stringify({ token })}`;
    const welcomes = () => client.packets.filter((packet) => String(packet).startsWith('42["connected"')).length;
    const wait = (n) => (kind === 'polling' ? client.session.run(() => welcomes() >= n) : until(() => welcomes() >= n || client.wire.over, () => client.wire.state()));
    for (let i = 0; i < 10; i++) {
      await client.send('41', connect);
      await wait(i + 2);
      assert.equal(welcomes(), i + 2, String(client.packets.slice(-3)));
    }
    await client.send('41');
    await insert(db, kind === 'polling' ? 1 : 2, kind === 'polling' ? 1 : 2);
    await client.send(connect, '41', connect);
    await wait(12); // the session of the first CONNECT had gone before it was told anything
    const sids = client.packets.filter((packet) => String(packet).startsWith('40')).map((packet) => JSON.parse(packet.slice(2)).sid);
    assert.ok(sids.length >= 12);
    if (kind === 'polling') await client.session.post('1');
    else client.wire.socket.terminate();
  }
  await health.after('CONNECT again');
});

threaded('requests that stop half-way, guesses of sids, methods and paths that are not', async (t, threads) => {
  const { relay, token, health, base } = await setUp(t, threads, { HANDSHAKE_TIMEOUT: '1s' });
  const { session } = await join(t, relay, 'polling', token);
  const { pathname, search } = new URL(session.url());
  const halves = [0, 1, 2].map(() => {
    const socket = net.connect(relay.port, '127.0.0.1');
    t.defer(() => socket.destroy());
    socket.on('error', () => {});
    socket.resume();
    socket.write(`POST ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n42["half`);
    return new Promise((resolve) => { socket.on('close', resolve); });
  });
  await Promise.all(halves);
  for (const sid of ['x'.repeat(20), session.sid.slice(0, -1), `${session.sid}x`, session.sid.toLowerCase() === session.sid ? session.sid.toUpperCase() : session.sid.toLowerCase(), '../x', '%25']) {
    const answer = await request(`${base}?EIO=4&transport=polling&sid=${sid}`);
    assert.deepEqual([answer.status, answer.json.code], [400, 1], sid);
  }
  for (const method of ['PUT', 'DELETE', 'PATCH', 'HEAD']) {
    const answer = await request(`${base}?EIO=4&transport=polling`, { method });
    assert.ok(answer.status >= 400 && answer.status < 500, `${method} ${answer.status}`);
  }
  assert.equal((await request(`${relay.origin}/socket.io?EIO=4&transport=polling`)).status, 200, 'also without the last slash');
  for (const path of ['/socket.io/x', '/socket.iox/', '/engine.io/', '/socket.io/socket.io.js']) {
    assert.equal((await request(`${relay.origin}${path}?EIO=4&transport=polling`)).status, 404, path);
  }
  const chunked = await raw(relay.port, `POST ${pathname}${search} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\n3\r\n0\r\n\r\n`, { done: (text) => text.includes('\r\n\r\n') });
  assert.match(chunked, /^HTTP\/1.1 4/);
  await health.after('half requests');
});

threaded('packets against the formats, random bytes: the end of that session and of nothing else', async (t, threads) => {
  const { relay, token, health } = await setUp(t, threads);
  const bad = ['4abc', '42{}', '42["connect"]', '42', '47', '9', '', '40', '44{"message":"x"}', '42/other,["event",{}]', '42[1', '42["event",{}]]', '42["event",NaN]', '42["event","\\ud800"]x', '\u0000', '4\u0000'];
  for (const kind of both) {
    for (const packet of bad) {
      const client = await join(t, relay, kind, token);
      await client.send(packet);
      await client.over().catch((error) => { throw new Error(`${kind} ${JSON.stringify(packet)}: ${error.message}`); });
      noGoodbye(client, packet);
    }
  }
  const session = await new Polling(`${relay.origin}/socket.io/`).connect({ token });
  await session.post(Buffer.from([0x34, 0x32, 0x5b, 0x22, 0xc3, 0x28, 0x22, 0x5d])).catch(() => {}); // not UTF-8
  await session.run(() => false);
  const wire = await new Wire(t, `${relay.origin}/socket.io/`).connect({ token });
  wire.socket.send(Buffer.from([1, 2, 3]));
  await wire.closed();
  await health.after('bad packets');
});

threaded('sessions of a user and of an address are counted with the others', async (t, threads) => {
  for (const name of ['MAX_SESSIONS_PER_USER', 'MAX_SESSIONS_PER_ADDRESS']) {
    const { db, token } = await database(t);
    const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads), [name]: '3' } });
    const three = [await relay.ws(token), await relay.io(token, { mode: 'polling' }), await relay.io(token, { mode: 'websocket' })];
    for (const mode of both) {
      const more = relay.openIo(token, { mode });
      await more.closing();
      assert.equal(more.welcome, undefined);
      assert.equal(more.errors[0]?.code, 429, `${name} ${mode}: ${more.state()}`);
      assert.notEqual(more.closed, 'io server disconnect');
    }
    await three[1].close();
    await until(async () => {
      const again = relay.openIo(token, { mode: 'polling' });
      await until(() => again.welcome || !again.open, () => again.state());
      return again.welcome;
    }, 'a place that was given back');
  }
});
