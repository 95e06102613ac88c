// A TCP proxy that stands for the network: it forwards, late if told to, or falls silent without closing anything, or
// breaks a connection off in the middle of a message. While it is silent the peers' kernels still get their ACKs from it,
// as from a balancer or a NAT box whose other side has gone: TCP's own keep-alives notice nothing.
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const remembered = 1 << 16;

class Link {
  constructor(proxy, client) {
    this.proxy = proxy;
    this.client = client;
    this.said = ''; // by the client, the last of it: what kind of connection this is
    this.answered = 0; // bytes
    this.cutAt = Infinity; // of answered: break off there
    this.silent = false;
    this.kept = [];
    this.server = net.connect({ port: proxy.target, host: '127.0.0.1' });
    this.#pipe(client, this.server, (chunk) => this.#ask(chunk));
    this.#pipe(this.server, client, (chunk) => this.#answer(chunk));
  }

  #pipe(from, to, look) {
    from.setNoDelay(true);
    from.on('data', async (chunk) => {
      const { late } = this.proxy;
      if (late) await pause(late); // timers of one duration fire in order
      const forwarded = look(chunk);
      if (!to.destroyed && forwarded.length && !to.write(forwarded)) {
        from.pause();
        to.once('drain', () => { if (!this.silent) from.resume(); });
      }
    });
    from.on('error', () => {});
    from.on('end', () => { if (!this.silent) to.end(); });
    from.on('close', () => {
      this.proxy.links.delete(this);
      if (!this.silent) to.destroy();
    });
  }

  #ask(chunk) {
    this.said = (this.said + chunk.toString('latin1')).slice(-remembered);
    const { trap } = this.proxy;
    if (trap?.test(this, chunk.toString('latin1'))) {
      this.proxy.trap = undefined;
      if (trap.spring(this)) return this.#keep(this.server, chunk);
    }
    return chunk;
  }

  // What came when nothing goes through: the network would bring it later.
  #keep(to, chunk) {
    this.kept.push([to, chunk]);
    return Buffer.alloc(0);
  }

  #answer(chunk) {
    const room = Math.max(this.cutAt - this.answered, 0);
    this.answered += chunk.length;
    if (chunk.length <= room) return chunk;
    this.cutAt = Infinity;
    this.client.write(chunk.subarray(0, room));
    this.atCut();
    return this.#keep(this.client, chunk.subarray(room));
  }

  // Nothing goes through any more, in either direction, and nothing is closed.
  hush() {
    this.silent = true;
    this.client.pause();
    this.server.pause();
  }

  wake() {
    this.silent = false;
    for (const [to, chunk] of this.kept.splice(0)) to.write(chunk);
    this.client.resume();
    this.server.resume();
  }

  // An RST to both sides, as a NAT box that forgot the connection sends it.
  reset() {
    this.client.resetAndDestroy();
    this.server.resetAndDestroy();
  }

  end() {
    this.client.destroy();
    this.server.destroy();
  }
}

export class Proxy {
  constructor(target) {
    this.target = target;
    this.links = new Set();
    this.lost = new Set(); // silent for good
    this.late = 0; // ms that each chunk takes, each way
    this.silent = false;
  }

  async start(t) {
    this.server = net.createServer({ allowHalfOpen: true }, (client) => {
      const link = new Link(this, client);
      this.links.add(link);
      if (this.silent) link.hush();
    });
    await new Promise((resolve) => { this.server.listen(0, '127.0.0.1', resolve); });
    this.port = this.server.address().port;
    t.defer(() => {
      this.server.close();
      for (const link of [...this.links, ...this.lost]) link.end();
    });
    return this;
  }

  url(db, user = 'postgres') {
    return `postgresql://${user}@127.0.0.1:${this.port}/${db.name}`;
  }

  // From now on nothing goes through, on no connection, old or new; those are taken and never hear anything.
  hush() {
    this.silent = true;
    for (const link of this.links) link.hush();
  }

  // The network is back. forget: but not for connections that were there, which stay silent for ever.
  heal({ forget = false } = {}) {
    this.silent = false;
    for (const link of this.links) {
      if (forget && link.silent) {
        this.links.delete(link);
        this.lost.add(link);
      } else {
        link.wake();
      }
    }
  }

  // When a client says what fits pattern, once: what(link) decides. Its word is forwarded unless that returns true
  // (and then when the network is back).
  on(pattern, what) {
    return new Promise((resolve) => {
      this.trap = {
        test: (link, text) => pattern.test(text),
        spring: (link) => {
          const swallow = what(link);
          resolve(link);
          return swallow;
        },
      };
    });
  }

  // Of what comes back on this link from now on, only so many bytes; then what().
  after(link, bytes, what) {
    link.cutAt = link.answered + bytes;
    link.atCut = what;
  }
}
