// The frame of a part: its command line, one line for each thing that it did, and the last line `N passed, N failed`.
//
//   node tests/faults/NAME.mjs [--quick] [--times N] [--seed N] [WORD ...]
//
// A WORD chooses among what the part is done to (a database, a moment): those whose names hold it.
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { Scope } from '../../e2e/lib/harness.mjs';
import { within } from '../../e2e/lib/wait.mjs';

const options = { quick: { type: 'boolean', default: false }, times: { type: 'string' }, seed: { type: 'string', default: '1' } };

const patience = 20 * 60_000; // for one case, and a minute to clear up: a run by night must end

// cases: [name, async (t, {times, quick, seed}) => what it saw, in words]; t is the Scope that the libraries take. times: how often by
// default, `quick` and `full`. A case that cannot be had on this machine returns {skipped: why}.
export async function part(meta, { quick, full }, cases) {
  const { values, positionals: words } = parseArgs({ options, allowPositionals: true });
  const times = Number(values.times ?? (values.quick ? quick : full));
  if (!Number.isInteger(times) || times < 1) throw new Error(`--times ${values.times}: a whole number from 1 on`);
  const what = basename(meta.url, '.mjs');
  const chosen = cases.filter(([name]) => !words.length || words.some((word) => name.includes(word)));
  if (!chosen.length) console.log(`skipped ${what}: nothing is named like ${words.join(' ')}: ${cases.map(([name]) => name).join(', ')}`);
  const counts = { passed: 0, failed: 0 };
  for (const [name, run] of chosen) {
    const scope = new Scope(), begun = Date.now();
    let said, failure;
    try {
      said = await within(run(scope, { times, quick: values.quick, seed: Number(values.seed) }), `the end of ${what} ${name}`, patience);
    } catch (error) {
      failure = error;
    }
    const [late] = await within(scope.close(), 'everything to be cleared away', 60_000).catch((error) => [error]);
    failure ??= late;
    const skipped = !failure && said.skipped;
    const took = `${Math.round((Date.now() - begun) / 1000)} s`;
    if (!skipped) counts[failure ? 'failed' : 'passed']++;
    console.log(`${failure ? 'FAILED ' : skipped ? 'skipped' : 'ok     '} ${what} ${name}: ${failure ? failure.stack : skipped || said} (${took})`);
  }
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  process.exit(counts.failed ? 1 : 0); // a client library's timer may be left
}
