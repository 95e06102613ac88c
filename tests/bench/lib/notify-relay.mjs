// The relay that esink is compared with: LISTEN with one client of `pg`, Socket.IO to the browsers, a room for each user. The
// payload of a notification is the event: {"users": [..], "table", "type", "data"}. A process of its own:
//   node notify-relay.mjs POSTGRES_URL PORT
import { createServer } from 'node:http';
import pg from 'pg';
import { Server } from 'socket.io';

const [url, port] = process.argv.slice(2);
const http = createServer();
const io = new Server(http, { transports: ['websocket'] });
const listener = new pg.Client({ connectionString: url });
const pool = new pg.Pool({ connectionString: url, max: 4 });
pool.on('error', () => {});
listener.on('error', () => process.exit(1));

io.use(async (socket, next) => {
  const { rows } = await pool.query('SELECT id FROM auth WHERE token = $1', [socket.handshake.auth.token]);
  if (rows.length !== 1) return next(new Error('no such token'));
  socket.join(`user:${rows[0].id}`);
  return next();
});
listener.on('notification', ({ payload }) => {
  const { users, ...event } = JSON.parse(payload);
  for (const user of users) io.to(`user:${user}`).emit('changes', event);
});
await listener.connect();
await listener.query('LISTEN changes');
http.listen(Number(port), '127.0.0.1', () => console.log('ready'));
