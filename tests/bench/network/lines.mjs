// How the Node servers of the network benchmarks are told what to send: lines on a port of their own, `* TEXT` to everybody,
// `USER TEXT` to one.
import { createServer } from 'node:net';

export function takeLines(port, { everybody, single }) {
  createServer((socket) => {
    let rest = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        const space = line.indexOf(' ');
        if (line[0] === '*') everybody(line.slice(2));
        else if (space > 0) single(Number(line.slice(0, space)), line.slice(space + 1));
      }
    });
  }).listen(port, '127.0.0.1');
}
