// A network that can be cut: the relay lives in a network namespace of its own, with one cable to the database and one to the
// clients; what is cut is dropped by iptables inside the namespace, so that neither side is told anything. Needs root, or sudo
// without a password.
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { binary } from '../../e2e/lib/relay.mjs';

const root = process.getuid() === 0;
const command = (words) => (root ? words : ['sudo', '-n', ...words]);

export function asRoot(...words) {
  const [file, ...args] = command(words);
  return execFileSync(file, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
}

// While writers and users go on: they live in this process.
function asRootMeanwhile(...words) {
  const [file, ...args] = command(words);
  return promisify(execFile)(file, args);
}

let made = 0;

export class Network {
  // Or why it cannot be had here.
  static make(t) {
    const network = new Network();
    const name = network.name = `esink-${process.pid}-${++made}`;
    // An interface's name has 15 characters; the third octet keeps two runs apart.
    const net = `10.${100 + (process.pid % 100)}.${made}`;
    network.cables = {};
    t.defer(() => {
      try {
        asRoot('ip', 'netns', 'del', name);
      } catch {
        // never made
      }
    });
    try {
      asRoot('ip', 'netns', 'add', name);
      for (const [i, what] of ['db', 'users'].entries()) {
        const outside = `es${made}${what[0]}${process.pid % 100_000}`;
        asRoot('ip', 'link', 'add', outside, 'type', 'veth', 'peer', 'name', what, 'netns', name);
        const cable = network.cables[what] = { outside, here: `${net}.${i * 4 + 1}`, there: `${net}.${i * 4 + 2}` };
        asRoot('ip', 'addr', 'add', `${cable.here}/30`, 'dev', outside);
        asRoot('ip', 'link', 'set', outside, 'up');
        network.#insideNow('ip', 'addr', 'add', `${cable.there}/30`, 'dev', what);
        network.#insideNow('ip', 'link', 'set', what, 'up');
      }
      network.#insideNow('ip', 'link', 'set', 'lo', 'up');
      network.#insideNow('iptables', '-L', '-n');
    } catch (error) {
      network.missing = `no network namespace can be had here: ${String(error.stderr ?? error.message).trim().split('\n')[0]}`;
    }
    return network;
  }

  #insideNow(...words) {
    asRoot('ip', 'netns', 'exec', this.name, ...words);
  }

  #inside(...words) {
    return asRootMeanwhile('ip', 'netns', 'exec', this.name, ...words);
  }

  async #rule(act, what, verdict) {
    await this.#inside('iptables', act, 'INPUT', '-i', what, '-j', ...verdict);
    await this.#inside('iptables', act, 'OUTPUT', '-o', what, '-j', ...verdict);
  }

  // Nothing goes through on this cable until heal().
  cut(what) {
    return this.#rule('-I', what, ['DROP']);
  }

  // The network is back; connections of before may go on.
  heal(what) {
    return this.#rule('-D', what, ['DROP']);
  }

  // Every packet of TCP is answered with a reset, for as long as fn takes.
  async refuse(what, fn) {
    const rule = ['-p', 'tcp', '-j', 'REJECT', '--reject-with', 'tcp-reset'];
    await this.#inside('iptables', '-I', 'INPUT', '-i', what, ...rule);
    try {
      await fn();
    } finally {
      await this.#inside('iptables', '-D', 'INPUT', '-i', what, ...rule);
    }
  }

  // A thin line: so many kbit/s, each way.
  async thin(what, rate) {
    const shape = ['root', 'tbf', 'rate', `${rate}kbit`, 'burst', '4kb', 'latency', '200ms'];
    await this.#inside('tc', 'qdisc', 'replace', 'dev', what, ...shape);
    await asRootMeanwhile('tc', 'qdisc', 'replace', 'dev', this.cables[what].outside, ...shape);
  }

  async thick(what) {
    await this.#inside('tc', 'qdisc', 'del', 'dev', what, 'root');
    await asRootMeanwhile('tc', 'qdisc', 'del', 'dev', this.cables[what].outside, 'root');
  }

  // The binary that a relay is to be started from, so that it lives there.
  binary(t) {
    const folder = mkdtempSync(join(tmpdir(), 'esink-netns-'));
    t.defer(() => rmSync(folder, { recursive: true, force: true }));
    const script = join(folder, 'esink');
    // As who we are; sudo would take the environment away.
    const enter = root ? `ip netns exec ${this.name}` : `sudo -n --preserve-env ip netns exec ${this.name} setpriv --reuid ${process.getuid()} --regid ${process.getgid()} --clear-groups`;
    writeFileSync(script, `#!/bin/sh\nexec ${enter} ${binary()} "$@"\n`);
    chmodSync(script, 0o755);
    return script;
  }
}
