// A relay on socket.io as its documentation shows it, a room for each user: node socketio-server.mjs PORT CONTROL-PORT
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { takeLines } from './lines.mjs';

const [port, control] = process.argv.slice(2).map(Number);
const http = createServer();
const io = new Server(http, { transports: ['websocket'], pingInterval: 3_600_000, pingTimeout: 3_600_000 });

io.on('connection', (socket) => socket.join(`user:${socket.handshake.auth.user}`));
http.listen({ port, host: '127.0.0.1', backlog: 4096 }, () => console.log('listening'));

takeLines(control, {
  everybody: (body) => io.emit('changes', { body }),
  single: (user, body) => io.to(`user:${user}`).emit('changes', { body }),
});
