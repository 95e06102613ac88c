// The browsers' end of the latency part, a process of its own: websockets to esink or, through Socket.IO's protocol, to the Node
// relay. Of each event it looks for `"at":` alone, microseconds of the system's clock when the row was written, and notes how long
// ago that was. It does not parse: a slow client would be what is measured.
//
// fork()ed with a JSON argument { kind: 'esink' | 'socket.io', port, tokens }; tells 'ready'; 'start' forgets what came;
// { expect: n } is answered with { delays } in milliseconds, once n have come.
import { connect } from 'node:net';

const { kind, port, tokens } = JSON.parse(process.argv[2]);
const mark = Buffer.from('"at":');
let delays = [], offset = 0, expected = Infinity, timer;

// hrtime is fine-grained, and the system's clock is what the writer's database has: the moment in which the latter goes on by
// a millisecond ties one to the other.
function calibrate() {
  const last = Date.now();
  let now;
  do now = Date.now(); while (now === last);
  offset = now - performance.now();
}

const frame = (text) => {
  const body = Buffer.from(text), long = body.length > 125;
  const head = long ? Buffer.from([0x81, 0xfe, body.length >> 8, body.length & 255, 0, 0, 0, 0]) : Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0]);
  return Buffer.concat([head, body]); // masked with zeroes
};

function answer(chunk, from) {
  let end = from;
  if (chunk[end] === 0x22) end++; // big numbers may be strings
  const begin = end;
  while (chunk[end] >= 0x30 && chunk[end] <= 0x39) end++;
  return end - begin === 16 && end < chunk.length ? Number(chunk.latin1Slice(begin, end)) : undefined;
}

function open(token) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const path = kind === 'esink' ? `/ws?token=${token}` : '/socket.io/?EIO=4&transport=websocket';
    let rest = Buffer.alloc(0), live = false;
    socket.setNoDelay(true);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
    // Before it is live: Engine.IO's open packet is answered with Socket.IO's CONNECT.
    const greet = (text) => {
      if (kind === 'socket.io' && text.includes('0{"sid"') && !socket.asked) {
        socket.asked = true;
        socket.write(frame(`40${JSON.stringify({ token })}`));
      }
      live = kind === 'esink' ? text.includes('"event":"connected"') : text.includes('40{"sid"');
      if (live) resolve(socket);
    };
    socket.on('data', (chunk) => {
      const now = performance.now() + offset;
      const all = rest.length ? Buffer.concat([rest, chunk]) : chunk;
      if (!live) {
        greet(all.latin1Slice());
        rest = live ? Buffer.alloc(0) : all;
        return;
      }
      if (kind === 'socket.io' && all.length < 8 && all.includes('2')) socket.write(frame('3'));
      // A websocket ping of the server's, alone in its read as it is when nothing else happens.
      if (all[0] === 0x89 && all.length === 2 + all[1]) socket.write(Buffer.concat([Buffer.from([0x8a, 0x80 | all[1], 0, 0, 0, 0]), all.subarray(2)]));
      let at = 0, done = 0;
      while ((at = all.indexOf(mark, at)) >= 0) {
        const written = answer(all, at + mark.length);
        if (written === undefined) break;
        delays.push(now - written / 1000);
        done = at += mark.length;
      }
      rest = Buffer.from(all.subarray(Math.max(done, all.length - 24)));
      if (delays.length >= expected) tell();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection ended')));
  });
}

function tell() {
  clearTimeout(timer);
  expected = Infinity;
  process.send({ delays });
}

process.on('message', (message) => {
  if (message === 'start') {
    calibrate();
    delays = [];
    process.send('started');
  } else {
    expected = message.expect;
    timer = setTimeout(tell, 30_000); // what has not come by then is told as missing
    if (delays.length >= expected) tell();
  }
});
process.on('disconnect', () => process.exit());

for (let i = 0; i < tokens.length; i += 20) await Promise.all(tokens.slice(i, i + 20).map(open));
process.send('ready');
