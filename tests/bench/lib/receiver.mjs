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
// a millisecond ties one to the other. A process that is held up between the two sees it too late, never too early: the best of some.
function calibrate() {
  offset = -Infinity;
  for (let n = 0; n < 20; n++) {
    const last = Date.now();
    let now;
    do now = Date.now(); while (now === last);
    offset = Math.max(offset, now - performance.now());
  }
}

// What a client sends: masked with zeroes.
function frame(opcode, body) {
  const long = body.length > 125;
  const head = long ? [0x80 | opcode, 0xfe, body.length >> 8, body.length & 255, 0, 0, 0, 0] : [0x80 | opcode, 0x80 | body.length, 0, 0, 0, 0];
  return Buffer.concat([Buffer.from(head), body]);
}

// The frames of what has come, one after the other; returns where the first that is not whole begins.
function frames(bytes, take) {
  let at = 0;
  while (at + 2 <= bytes.length) {
    const short = bytes[at + 1] & 127, begin = at + 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
    if (begin > bytes.length) break;
    const end = begin + (short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short);
    if (end > bytes.length) break;
    take(bytes[at] & 15, bytes.subarray(begin, end));
    at = end;
  }
  return at;
}

function note(body, now) {
  let begin = body.indexOf(mark);
  if (begin < 0) return;
  begin += mark.length;
  if (body[begin] === 0x22) begin++; // big numbers may be strings
  delays.push(now - Number(body.latin1Slice(begin, begin + 16)) / 1000);
}

function open(token) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1'), path = kind === 'esink' ? `/ws?token=${token}` : '/socket.io/?EIO=4&transport=websocket';
    let rest = Buffer.alloc(0), upgraded = false, live = false;
    const text = (body, now) => {
      if (live && kind === 'socket.io' && body.length === 1) socket.write(frame(1, Buffer.from('3'))); // Engine.IO's ping
      else if (live) note(body, now);
      else if (kind === 'socket.io' && body[0] === 0x30) socket.write(frame(1, Buffer.from(`40${JSON.stringify({ token })}`)));
      else if (body.includes(kind === 'esink' ? '"event":"connected"' : '40{"sid"')) resolve(live = true);
    };
    socket.setNoDelay(true);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
    socket.on('data', (chunk) => {
      const now = performance.now() + offset;
      let all = rest.length ? Buffer.concat([rest, chunk]) : chunk;
      if (!upgraded) {
        const head = all.indexOf('\r\n\r\n');
        upgraded = head >= 0;
        all = upgraded ? all.subarray(head + 4) : all;
      }
      rest = upgraded ? all.subarray(frames(all, (opcode, body) => {
        if (opcode === 9) socket.write(frame(10, body));
        else if (opcode === 1) text(body, now);
      })) : all;
      if (delays.length >= expected) tell();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      reject(new Error('the connection ended'));
      if (live) process.exit(1); // the part must not wait for what cannot come any more
    });
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
process.on('disconnect', () => process.exit(0));

for (let i = 0; i < tokens.length; i += 20) await Promise.all(tokens.slice(i, i + 20).map(open));
process.send('ready');
