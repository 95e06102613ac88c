// Prevents: a crash, a race or a leak where requests, upgrades, aborts and the end of a Socket.IO session meet on several
// threads; events lost or doubled for those who behave meanwhile; an end that waits for an attacker.
import assert from 'node:assert/strict';
import net from 'node:net';
import { calm } from './lib/health.mjs';
import { startRelay } from './lib/relay.mjs';
import { database, modes, rules, threaded } from './lib/socketio.mjs';
import { within } from './lib/wait.mjs';

// Repeatable: the seed is told when it fails.
function dice(seed) {
  let state = seed >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return { below: (n) => Math.floor(next() * n), one: (...list) => list[Math.floor(next() * list.length)], chance: (p) => next() < p };
}

function frame(text, opcode = 1) {
  const data = Buffer.from(text);
  const mask = Buffer.from([1, 2, 3, 4]);
  const head = data.length < 126 ? Buffer.from([0x80 | opcode, 0x80 | data.length]) : Buffer.from([0x80 | opcode, 0xfe, data.length >> 8, data.length & 255]);
  return Buffer.concat([head, mask, data.map((byte, i) => byte ^ mask[i % 4])]);
}

// A socket that writes what it likes and reads or not.
class Raw {
  constructor(port) {
    this.text = '';
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk) => { this.text += chunk.toString('latin1'); });
    this.socket.on('close', () => { this.over = true; });
  }

  write(...parts) {
    if (!this.over) this.socket.write(Buffer.concat(parts.map((part) => Buffer.from(part))));
  }

  get(query) {
    this.write(`GET /socket.io/?EIO=4&${query} HTTP/1.1\r\nHost: x\r\n\r\n`);
  }

  post(query, body) {
    this.write(`POST /socket.io/?EIO=4&${query} HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  upgrade(query, ...frames) {
    this.write(`GET /socket.io/?EIO=4&${query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`, ...frames);
  }

  // A socket that is being shut down cannot be reset: Node 20 keeps its handle for ever then, and so the process.
  away(hard) {
    const { connecting, destroyed, writableEnded } = this.socket;
    if (hard && !connecting && !destroyed && !writableEnded) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// One sid, and a few things at once that no client does.
async function misbehave(port, token, roll, alive) {
  const raws = [];
  const open = () => {
    const raw = new Raw(port);
    raws.push(raw);
    return raw;
  };
  const first = open();
  first.get('transport=polling');
  while (!first.over && !/"sid":"([^"]+)"/.test(first.text)) {
    if (!alive()) return first.away();
    await pause(2);
  }
  const sid = /"sid":"([^"]+)"/.exec(first.text)?.[1];
  if (!sid) return first.away();
  const polling = `transport=polling&sid=${sid}`;
  const websocket = `transport=websocket&sid=${sid}`;
  const connect = `40{"token":"${roll.chance(0.9) ? token : 'nobody'}"}`;
  const acts = [
    () => open().get(polling),
    () => (roll.chance(0.5) ? first : open()).get(polling),
    () => open().post(polling, connect),
    () => open().post(polling, roll.one('3', '6', '41', '1', '42["subscribe",{"topics":["notes"]}]', '451-["x",{"_placeholder":true,"num":0}]\x1ebAAAA', '42["bad"', '40/x,', `41\x1e${connect}`)),
    () => open().upgrade(websocket, frame('2probe')),
    () => open().upgrade(websocket, frame('2probe'), frame('5'), frame('42["unsubscribe"]'), frame('3')),
    () => open().upgrade(websocket, frame('5'), frame(connect), frame('42["subscribe",{"topics":["notes"]}]')),
    () => open().upgrade(websocket, frame('2probe'), frame('5'), frame('', 8)),
    () => open().upgrade(websocket, frame('5'), frame('1')),
    () => roll.one(...raws).away(roll.chance(0.5)),
    () => roll.one(...raws).socket.pause(),
    () => roll.one(...raws).socket.end(),
  ];
  if (roll.chance(0.8)) first.post(polling, connect);
  for (let n = 1 + roll.below(9); n > 0; n--) {
    roll.one(...acts)();
    if (roll.chance(0.6)) await pause(roll.below(roll.chance(0.2) ? 60 : 4));
  }
  if (roll.chance(0.7)) await pause(roll.below(100));
  for (const raw of raws) raw.away(roll.chance(0.5));
}

async function crowd(port, token, seed, count, alive) {
  let left = count;
  await Promise.all(Array.from({ length: 40 }, async (_, i) => {
    const roll = dice(seed * 1000 + i + 1);
    while (left-- > 0 && alive()) await misbehave(port, token, roll, alive);
  }));
}

threaded('everything at once, by those who do not behave: the others get everything once, nothing is left behind', { timeout: 180_000 }, async (t, threads) => {
  const seed = Number(process.env.ESINK_SEED ?? Date.now() % 100_000);
  const { db, tokens: [token, attacker] } = await database(t, { users: 2 });
  const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: String(threads), SOCKETIO_CONNECT_TIMEOUT: '2s', LOG_LEVEL: 'info' } });
  for (const one of [token, attacker]) relay.secret(one);
  const witness = await relay.ws(token);
  const health = calm(relay, witness);
  const clients = await Promise.all(modes.map((mode) => relay.io(token, { mode })));
  let n = 0;
  let stop = false;
  const writer = db.connect();
  const writing = (async () => {
    while (!stop) await writer.query('INSERT INTO notes VALUES ($1, $2, $3)', [++n, 1 + (n % 2), 'x'.repeat(n % 3000)]);
  })();
  try {
    await crowd(relay.port, attacker, seed, Number(process.env.ESINK_CROWD ?? 300), () => relay.process.running);
    stop = true;
    await writing;
    await relay.fence(...clients);
    const expected = Array.from({ length: n }, (_, i) => i + 1).filter((id) => id % 2 === 0);
    for (const client of clients) {
      assert.deepEqual(client.events.map(({ data }) => data.id), expected, client.state());
      assert.deepEqual(client.disconnects, []);
    }
    for (const client of clients) await client.close();
    await health.after('the crowd');
    // SIGTERM in the middle of it.
    let end = false;
    const second = crowd(relay.port, attacker, seed + 1, 10_000, () => !end && relay.process.running);
    await pause(300);
    const start = Date.now();
    relay.process.kill('SIGTERM');
    const status = await within(relay.process.exited, () => `the end; ${relay.log}`, 30_000);
    end = true;
    assert.ok(Date.now() - start < 5500, `took ${Date.now() - start} ms`);
    assert.deepEqual(status, { code: 0, signal: null }, relay.log.slice(-5000));
    await second;
  } catch (error) {
    error.message = `seed ${seed}: ${error.message}`;
    throw error;
  }
});
