// Prevents: a page of another origin that is kept out by a missing header, or let in by one too many: over HTTP long-polling a
// browser asks, over a websocket it only tells.
import assert from 'node:assert/strict';
import { request } from './lib/clients.mjs';
import { Polling, Wire } from './lib/engineio.mjs';
import { startRelay } from './lib/relay.mjs';
import { secureHeaders } from './lib/shapes.mjs';
import { database, threaded } from './lib/socketio.mjs';

const a = 'https://a.example';

async function setUp(t, threads, origins) {
  const { db, token } = await database(t);
  const relay = await startRelay(t, db, { env: { NETWORK_THREADS: String(threads), SOCKETIO_MAX_PAYLOAD: '1kB', ...(origins === undefined ? {} : { CORS_ORIGIN: origins }) } });
  relay.secret(token);
  return { relay, token, base: `${relay.origin}/socket.io/` };
}

// Every answer of a session's life with that Origin: handshake, POST, poll, refusals, preflight.
async function answers(base, token, origin) {
  const headers = { origin };
  const session = new Polling(base, { headers });
  const open = await request(session.url(), { headers });
  if (open.status === 200) session.sid = JSON.parse(open.text.slice(1)).sid;
  const list = [['handshake', open]];
  if (session.sid) {
    list.push(['POST', await session.post(`40${JSON.stringify({ token })}`)], ['poll', await session.poll()]);
    list.push(['too large', await session.post('x'.repeat(3000)).catch(() => undefined)]);
  }
  list.push(['unknown sid', await request(`${base}?EIO=4&transport=polling&sid=x`, { headers })]);
  list.push(['preflight', await request(`${base}?EIO=4&transport=polling`, {
    method: 'OPTIONS', headers: { ...headers, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
  })]);
  return list.filter(([, answer]) => answer);
}

threaded('any origin by default: every answer may be read, none with credentials', async (t, threads) => {
  const { base, token } = await setUp(t, threads);
  for (const [what, answer] of await answers(base, token, a)) {
    assert.ok(['*', a].includes(answer.headers['access-control-allow-origin']), what);
    assert.match(answer.headers.vary ?? '', /\borigin\b/i, what);
    assert.equal(answer.headers['access-control-allow-credentials'], undefined, `${what}: with every origin credentials are nobody's`);
    secureHeaders(answer);
    if (what !== 'preflight') continue;
    assert.deepEqual([answer.status, answer.text], [204, '']);
    assert.match(answer.headers['access-control-allow-methods'], /GET.*POST/);
    assert.match(answer.headers['access-control-allow-headers'], /content-type/i);
  }
});

threaded('one configured origin: it gets credentials, others are refused', async (t, threads) => {
  const { base, token, relay } = await setUp(t, threads, a);
  for (const [what, answer] of await answers(base, token, a)) {
    assert.equal(answer.headers['access-control-allow-origin'], a, what);
    assert.equal(answer.headers['access-control-allow-credentials'], 'true', what);
    assert.match(answer.headers.vary ?? '', /\borigin\b/i, what);
  }
  for (const origin of ['https://evil.example', 'https://a.example.evil.example', 'http://a.example', 'null', 'https://a.example:8443']) {
    for (const [what, answer] of await answers(base, token, origin)) {
      assert.equal(answer.headers['access-control-allow-origin'], undefined, `${origin} ${what}`);
      assert.equal(answer.headers['access-control-allow-credentials'], undefined, `${origin} ${what}`);
      if (what === 'handshake') assert.deepEqual([answer.status, answer.json], [403, { code: 4, message: 'Forbidden' }], origin);
    }
    const wire = new Wire(t, base, { headers: { origin } });
    await wire.closed();
    assert.deepEqual([wire.open, wire.packets, wire.refusal?.status], [false, [], 403], origin);
  }
  for (const origin of [a, relay.origin, undefined]) {
    const headers = origin ? { origin } : {};
    await new Wire(t, base, { headers }).connect({ token });
    await new Polling(base, { headers }).connect({ token });
  }
});

threaded('a list of origins: each of them, without credentials; no origin at all', async (t, threads) => {
  const { base, token } = await setUp(t, threads, `${a},https://b.example`);
  for (const origin of [a, 'https://b.example']) {
    for (const [what, answer] of await answers(base, token, origin)) {
      assert.equal(answer.headers['access-control-allow-origin'], origin, what);
      assert.equal(answer.headers['access-control-allow-credentials'], undefined, what);
    }
  }
  const none = await setUp(t, threads, '');
  assert.equal((await answers(none.base, none.token, a))[0][1].status, 403);
  await new Polling(none.base).connect({ token: none.token });
});

threaded("a session's sid is of no use to a page of another origin", async (t, threads) => {
  const { base, token } = await setUp(t, threads, a);
  const session = await new Polling(base, { headers: { origin: a } }).connect({ token });
  const stranger = { headers: { origin: 'https://evil.example' } };
  for (const answer of [await session.poll(stranger), await session.post('41', stranger)]) assert.equal(answer.status, 403);
  const wire = new Wire(t, base, { sid: session.sid, ...stranger });
  await wire.closed();
  assert.equal(wire.open, false);
  await session.send('42["subscribe",{"topics":["x"]}]');
  await session.run(() => session.named('subscribed').length > 0);
});
