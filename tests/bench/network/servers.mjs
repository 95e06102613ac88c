// esink and those that it is measured beside, each started the same way and told the same way what to send: { pid, how, publisher, stop }.
// how: for each way of subscribing (websocket, sse, socketio, user: the websocket of one user; of esink with a JSON Web Token, with `table` by one of
// the token table, `upgrade` without any) the words for load.c. publisher: where it
// publishes to, in the cheapest manner that the server has: esink's is a row in a watched table, committed by another process.
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../e2e/lib/ports.mjs';
import { Program } from './process.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const websocket = (path, more = {}) => ({ path, headers: upgrade, ...more });
const sse = (path, more = {}) => ({ path, headers: 'Accept: text/event-stream\r\n', ...more });
const socketio = (hello, more) => websocket('/socket.io/?EIO=4&transport=websocket', { greet: '"maxPayload"', hello, ...more });

export const secret = 'a secret of the benchmark, thirty-two bytes and more';
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const signers = {
  HS256: () => ({ signature: (text) => createHmac('sha256', secret).update(text).digest() }),
  RS256: () => {
    const { publicKey, privateKey: key } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    return { publicKey, signature: (text) => sign('sha256', Buffer.from(text), key) };
  },
  ES256: () => {
    const { publicKey, privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return { publicKey, signature: (text) => sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }) };
  },
};

function token(user, expires, alg, { signature }) {
  const text = `${part({ alg, typ: 'JWT' })}.${part({ sub: String(user), exp: expires })}`;
  return `${text}.${signature(text).toString('base64url')}`;
}

// A JSON Web Token for each of the users 0 .. n-1, a line each: { tokens: the file, key: the variables by which esink knows who signs }.
function tokenFile(folder, n, alg) {
  const expires = Math.floor(Date.now() / 1000) + 86_400, tokens = join(folder, 'tokens'), file = join(folder, 'key.pem'), signer = signers[alg]();
  writeFileSync(tokens, Array.from({ length: n }, (_, user) => `${token(user, expires, alg, signer)}\n`).join(''));
  if (!signer.publicKey) return { tokens, key: { JWT_SECRET: secret } };
  writeFileSync(file, signer.publicKey.export({ type: 'spki', format: 'pem' }));
  return { tokens, key: { JWT_PUBLIC_KEY_FILE: file, JWT_ALGORITHM: alg } };
}

const answers = (port, path) => async () => (await fetch(`http://127.0.0.1:${port}${path}`)).status === 200;

// n: as many tokens, of that alg; connections: fewer than that at a time. env: more of esink's variables.
async function esink({ binary, folder, n = 1, alg = 'HS256', connections = n, env = {} }) {
  const port = await freePort(), control = await freePort(), file = join(folder, 'shop.db'), { tokens, key } = tokenFile(folder, n, alg);
  const writer = await new Program('client', ['python3', here('rows.py'), file, String(control), String(n)]).says();
  const program = new Program('server', [binary], { env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: String(port), SQLITE_PATH: file,
    TABLE_NAMES: 'feed,notes', TABLE_AUTH_COLUMN_ROUTING: '{"feed":"*","notes":"owner"}', ...key, NETWORK_THREADS: '1', LOG_LEVEL: 'warn',
    MAX_CONNECTIONS: String(Math.max(10_000, connections + 500)), MAX_SESSIONS_PER_USER: '0', HEARTBEAT_INTERVAL: '30s', HEARTBEAT_TIMEOUT: '1h', SOCKETIO_PING_INTERVAL: '5m',
    SOCKETIO_PING_TIMEOUT: '5m', POSITION_INTERVAL: '30s', ...env } });
  await program.until(answers(port, '/ready'), 'esink to be ready');
  const own = websocket('/ws?token=%t', { ready: '"event":"connected"', tokens });
  return {
    pid: program.pid, port, file, tokens, log: () => program.log,
    // A Socket.IO client is told an event twice, by the table's name and as `changes`.
    how: { websocket: own, user: own, upgrade: websocket('/ws'), table: websocket('/ws?token=token-%d', { ready: '"event":"connected"' }), sse: sse('/stream?token=%t', { ready: 'event: connected', tokens }),
      socketio: socketio('40{"token":"%t"}', { ready: '"connected"', per: 2, tokens }) },
    publisher: { kind: 'lines', port: control },
    stop: async () => { await program.stop(); await writer.stop(); },
  };
}

async function controlled(program, port, control, how) {
  await program.says();
  return { pid: program.pid, port, how, publisher: { kind: 'lines', port: control }, stop: () => program.stop() };
}

async function raw({ tools }) {
  const port = await freePort(), control = await freePort();
  const path = websocket('/?user=%d');
  return controlled(new Program('server', [`${tools}/raw`, String(port), String(control)]), port, control, { websocket: path, user: path });
}

async function ws() {
  const port = await freePort(), control = await freePort(), path = websocket('/?user=%d');
  return controlled(new Program('server', [process.execPath, here('ws-server.mjs'), String(port), String(control)]), port, control, { websocket: path, user: path });
}

async function socketIo() {
  const port = await freePort(), control = await freePort(), client = socketio('40{"user":%d}', { ready: '40{"sid"' });
  return controlled(new Program('server', [process.execPath, here('socketio-server.mjs'), String(port), String(control)]), port, control, { socketio: client, user: client, websocket: client });
}

// Buffers as long as the bursts, so that nothing is lost.
const nginxConf = (port) => `load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off; worker_processes 1; worker_rlimit_nofile 60000; user ${userInfo().username}; pid nginx.pid; error_log stderr error;
events { worker_connections 30000; }
http {
  access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  client_max_body_size 2m; client_body_buffer_size 1m;
  keepalive_requests 100000000; keepalive_timeout 1h; nchan_shared_memory_size 512m; tcp_nodelay on;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /ping { return 200; }
    location = /sub { nchan_subscriber websocket eventsource; nchan_channel_id $arg_id; nchan_subscriber_first_message newest; }
    location ~ ^/pub/(\\w+)$ { nchan_publisher; nchan_channel_id $1; nchan_message_buffer_length 1000; nchan_message_timeout 10s; }
  }
}
`;

async function nchan({ folder }) {
  const port = await freePort(), prefix = join(folder, 'nginx');
  mkdirSync(prefix);
  writeFileSync(join(prefix, 'nginx.conf'), nginxConf(port));
  const program = new Program('server', ['/usr/sbin/nginx', '-p', prefix, '-c', join(prefix, 'nginx.conf')]);
  await program.until(answers(port, '/ping'), 'nginx to answer');
  return {
    pid: program.pid, port,
    how: { websocket: websocket('/sub?id=all'), user: websocket('/sub?id=u%d'), sse: sse('/sub?id=all') },
    publisher: { kind: 'http', port, path: '/pub/' },
    stop: () => program.stop(),
  };
}

async function nats({ folder }) {
  const port = await freePort(), control = await freePort(), file = join(folder, 'nats.conf');
  writeFileSync(file, `host: "127.0.0.1", port: ${control}, ping_interval: "1h", write_deadline: "60s", max_payload: 2MB
websocket { host: "127.0.0.1", port: ${port}, no_tls: true }\n`);
  const program = new Program('server', ['/usr/sbin/nats-server', '-c', file]);
  await program.until(() => program.log.includes('Server is ready'), 'nats-server to be ready');
  const client = (subject) => websocket('/', { greet: 'INFO ', ready: 'PONG', hello: `CONNECT {"verbose":false,"pedantic":false}\r\nSUB ${subject} 1\r\nPING\r\n` });
  return {
    pid: program.pid, port, how: { websocket: client('all'), user: client('u%d') }, publisher: { kind: 'nats', port: control },
    stop: () => program.stop(),
  };
}

export const packages = ['nginx-light', 'libnginx-mod-nchan', 'nats-server'];
const makers = { esink, raw, nchan, ws, 'socket.io': socketIo, nats };

// options: binary, folder, tools, n, alg, env
export async function startServer(who, options) {
  const folder = join(options.folder, `${who}-${Math.random().toString(36).slice(2)}`);
  mkdirSync(folder);
  return { who, ...(await makers[who]({ ...options, folder })) };
}
