// A relay on `ws` as its documentation shows a broadcast: node ws-server.mjs PORT CONTROL-PORT
import { WebSocket, WebSocketServer } from 'ws';
import { takeLines } from './lines.mjs';

const [port, control] = process.argv.slice(2).map(Number);
const users = new Map();
const server = new WebSocketServer({ port, host: '127.0.0.1', backlog: 4096 });

server.on('connection', (socket, request) => {
  const user = Number(new URL(request.url, 'http://x').searchParams.get('user'));
  users.set(user, socket);
  socket.on('error', () => {});
  socket.on('close', () => { if (users.get(user) === socket) users.delete(user); });
});
server.on('listening', () => console.log('listening'));

takeLines(control, {
  everybody: (text) => server.clients.forEach((client) => { if (client.readyState === WebSocket.OPEN) client.send(text); }),
  single: (user, text) => users.get(user)?.send(text),
});
