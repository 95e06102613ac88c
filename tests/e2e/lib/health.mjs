// What an attack must leave behind: a relay that serves, that holds no more descriptors than before, and no more memory.
import { readFileSync, readdirSync } from 'node:fs';
import assert from 'node:assert/strict';
import { until } from './wait.mjs';

export const fds = (relay) => readdirSync(`/proc/${relay.process.child.pid}/fd`).length;

// MB resident.
export const rss = (relay) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${relay.process.child.pid}/status`, 'utf8'))[1]) / 1024;

// Milliseconds of CPU used so far, all threads.
export function cpu(relay) {
  const fields = readFileSync(`/proc/${relay.process.child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

// The sanitizers keep freed memory back and map shadows: figures of memory say nothing there.
export const sanitized = () => /asan|tsan/.test(process.env.ESINK_BINARY ?? '');

// To be taken before the attack; afterwards await calm.after() proves that a client that behaves is served and that
// the descriptors went back to what they were.
export function calm(relay, witness) {
  const before = fds(relay) + 2; // the database connections for writes and reads begin with their first use
  return {
    async after(what) {
      assert.equal((await relay.get('/ping')).text, 'pong', what);
      await relay.fence(witness);
      assert.deepEqual(witness.errors, [], what);
      await until(() => fds(relay) <= before, () => `${what}: descriptors back at ${before} or fewer, they are ${fds(relay)}`);
    },
  };
}
