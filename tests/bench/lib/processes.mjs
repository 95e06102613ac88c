// What processes use of the processor, in nanoseconds of all their threads, and waiting until they have nothing to do.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

export const cpuOf = (...pids) => pids.reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/task`).reduce((all, task) => {
  try {
    return all + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  } catch {
    return all; // a thread that has just ended
  }
}, 0), 0);

// A process and what it has started, and so on.
export function family(pid) {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
    return [pid, ...children.flatMap((child) => family(Number(child)))];
  } catch {
    return [];
  }
}

// Until they use less than a fiftieth of a core: what one contender has left to do is not paid by the next.
export async function quiet(pids, { share = 0.02, window = 200, timeout = 120_000 } = {}) {
  const end = Date.now() + timeout;
  for (;;) {
    const before = cpuOf(...pids), begun = performance.now();
    await pause(window);
    const used = (cpuOf(...pids) - before) / 1e6 / (performance.now() - begun);
    if (used < share || Date.now() > end) return;
  }
}
