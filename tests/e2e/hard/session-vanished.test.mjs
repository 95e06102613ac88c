// Prevents: a peer whose network has gone without a word and whose session is kept for a quarter of an hour. Needs root and
// `ip`, for a network that can be cut so that nothing answers any more, not even a kernel; without them it is skipped.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { test, usePostgres } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { ended } from '../lib/sessions.mjs';
import { patience, until } from '../lib/wait.mjs';

const postgres = usePostgres();
const name = `esink${process.pid % 100_000}`;
const net = `10.${200 + (process.pid % 50)}.${process.pid % 250}`;
const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });

// A namespace with one wire to us.
function wire(t) {
  try {
    ip('netns', 'add', name);
  } catch {
    return false;
  }
  t.defer(() => ip('netns', 'del', name));
  ip('link', 'add', `${name}a`, 'type', 'veth', 'peer', 'name', `${name}b`, 'netns', name);
  ip('addr', 'add', `${net}.1/30`, 'dev', `${name}a`);
  ip('link', 'set', `${name}a`, 'up');
  ip('-n', name, 'addr', 'add', `${net}.2/30`, 'dev', `${name}b`);
  ip('-n', name, 'link', 'set', `${name}b`, 'up');
  return true;
}

test('a network that is cut: websockets quiet and busy, and a stream, are ended in the time that the settings say', async (t) => {
  if (!wire(t)) {
    console.error('skipped: no right to make a network namespace');
    return;
  }
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text)');
  const [busy, quiet] = [await db.user(1), await db.user(2)];
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' },
    host: `${net}.1`, env: { HEARTBEAT_INTERVAL: '1s', HEARTBEAT_TIMEOUT: '2s', SLOW_TIMEOUT: '1s' } });
  const program = `
    const net = require('net');
    for (const [path, upgrade] of [['/ws?token=${busy}', 1], ['/ws?token=${quiet}', 1], ['/stream?token=${busy}', 0]]) {
      const s = net.connect(${relay.port}, '${net}.1');
      s.write('GET ' + path + ' HTTP/1.1\\r\\nHost: x\\r\\n' + (upgrade ? 'Upgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n' : '') + '\\r\\n');
      s.on('data', (d) => { if (d.includes('"connected"') || d.includes('event: connected')) console.log('connected'); });
    }`;
  const child = spawn('ip', ['netns', 'exec', name, process.execPath, '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.defer(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (chunk) => { said += chunk; });
  await until(() => said.match(/connected/g)?.length === 3, () => `three sessions: ${said}\n${relay.log}`);
  const witness = await relay.ws(busy);
  ip('-n', name, 'addr', 'del', `${net}.2/30`, 'dev', `${name}b`); // nobody there answers, and nobody says so
  const cut = Date.now();
  for (let n = 1; (relay.log.match(/ended: /g) ?? []).length < 3; n++) {
    assert.ok(Date.now() - cut < 20_000 * patience, `not all were found:\n${relay.log}`);
    await db.query("INSERT INTO notes VALUES ($1, 1, 'flows')", [n]);
    await witness.count(n);
    const from = Date.now();
    await until(() => Date.now() - from > 100, 'a moment');
  }
  const took = Date.now() - cut;
  assert.equal(ended(relay, 'gone-quiet'), 2, relay.log);
  assert.equal(ended(relay, 'client'), 1, relay.log);
  // SLOW_TIMEOUT + 5 s for the stream, from the first event that was not taken; a retransmission comes at its own time.
  assert.ok(took < 6000 + 9000 * patience, `took ${took} ms`);
  assert.ok(witness.open);
});
