// «passed failed» of a meson testlog.json: one JSON object a line, one a test.
import { readFileSync } from 'node:fs';

const good = new Set(['OK', 'EXPECTEDFAIL']);
const results = readFileSync(process.argv[2], 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line).result)
  .filter((result) => result !== 'SKIP');
const passed = results.filter((result) => good.has(result)).length;
console.log(passed, results.length - passed);
