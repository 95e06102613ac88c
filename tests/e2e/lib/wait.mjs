// Waiting on conditions. No test sleeps for a fixed time: it says what it waits for, and the failure says what never came.
import { setTimeout as pause } from 'node:timers/promises';

// A sanitizer build or a slow machine asks for more patience; a time that a test asserts on is not scaled.
export const patience = Number(process.env.ESINK_PATIENCE ?? 1);

// Polls until condition() is truthy (it may be async), and returns its value. what: a sentence part, or a function that
// tells more once it is too late. An exception of condition() counts as «not yet» and is shown in the end.
export async function until(condition, what, timeout = 15_000) {
  const end = Date.now() + timeout * patience;
  let delay = 2;
  for (;;) {
    let failure;
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      if (error?.fatal) throw error;
      failure = error;
    }
    if (Date.now() > end) {
      const text = typeof what === 'function' ? what() : what;
      throw new Error(`waited ${timeout * patience} ms in vain for ${text}`, failure ? { cause: failure } : undefined);
    }
    await pause(delay);
    delay = Math.min(delay * 1.5, 50);
  }
}

// The promise's value, or an error that names what did not come in time.
export async function within(promise, what, timeout = 15_000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      const text = typeof what === 'function' ? what() : what;
      reject(new Error(`waited ${timeout * patience} ms in vain for ${text}`));
    }, timeout * patience);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// That what measure() does, and returns the milliseconds of, takes less than limit: at best of three times. A defect is late each
// time; a machine that was busy with something else at that moment is not, and the limit need not allow for it.
export async function assertSoon(limit, what, measure) {
  const times = [];
  while (times.length < 3) {
    times.push(await measure(times.length));
    if (times.at(-1) < limit) return;
  }
  throw new Error(`${what} took ${times.map(Math.round).join(', then ')} ms, at most ${limit} are allowed`);
}

// The milliseconds that an action takes.
export async function duration(action) {
  const begun = performance.now();
  await action();
  return performance.now() - begun;
}
