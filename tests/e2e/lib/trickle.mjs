// A peer that says what it has to say slowly, or begins and never ends.
import net from 'node:net';

// A socket that says first, and then one byte of then at a time until it is closed.
export function trickle(t, port, first, then = '', every = 400) {
  const state = { closed: false, received: '' };
  const socket = net.connect(port, '127.0.0.1', () => {
    socket.write(first);
    let at = 0;
    const timer = then && setInterval(() => { if (!socket.destroyed) socket.write(then[at++ % then.length]); }, every);
    socket.on('close', () => clearInterval(timer));
  });
  state.socket = socket;
  t.defer(() => socket.destroy());
  socket.on('data', (chunk) => { state.received += chunk.toString('latin1'); });
  socket.on('error', () => {});
  socket.on('close', () => { state.closed = Date.now(); });
  return state;
}
