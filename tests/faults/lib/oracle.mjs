// What every user should have received, from what was committed: the model is twenty lines and knows nothing of esink. For each
// client, row by row, the steps that it was shown must be exactly those, in the order of the row's versions: none lost, none twice,
// none that was rolled back, none of somebody else's. A former owner is told `delete`, and no more.
import { stepOf } from './listener.mjs';

// What this user is shown of a change, or undefined.
function shown({ kind, version, owner, was }, who) {
  if (kind === 'news' || (kind === 'quiet' && who === 'operator')) return stepOf('insert');
  if (who === 'operator') return stepOf(kind, version);
  if (kind === 'quiet') return undefined;
  if (kind === 'delete') return was === who ? stepOf('delete') : undefined;
  if (owner === who) return stepOf(kind, version);
  return kind === 'update' && was === who ? stepOf('delete') : undefined;
}

const tableOf = { news: 'news', quiet: 'quiet' };

function expected(ops, who) {
  const rows = new Map();
  for (const op of ops) {
    const step = shown(op, who);
    if (step === undefined) continue;
    const row = `${tableOf[op.kind] ?? 'cells'} ${op.cell}`;
    const list = rows.get(row);
    if (list) list.push(step);
    else rows.set(row, [step]);
  }
  return rows;
}

function difference(row, want, have) {
  const at = want.findIndex((step, i) => step !== have[i]);
  const from = at < 0 ? want.length : at;
  const what = have.length < want.length ? 'lost' : have.length > want.length ? 'too many' : 'wrong';
  return `${row}: ${what}: ${have.length} steps of ${want.length}; from the ${from + 1}th on ${have.slice(from, from + 4)}, should be ${want.slice(from, from + 4)}`;
}

// Every fault of every client, in words.
export function judge(ops, listeners) {
  const faults = [];
  for (const one of listeners) {
    const want = expected(ops, one.who);
    const found = [];
    for (const row of new Set([...want.keys(), ...one.steps.keys()])) {
      const [a, b] = [want.get(row) ?? [], one.steps.get(row) ?? []];
      if (a.length !== b.length || a.some((step, i) => step !== b[i])) found.push(difference(row, a, b));
    }
    faults.push(...one.faults);
    if (found.length) faults.push(`${one.name}: ${found.length} rows differ; ${found.slice(0, 3).join('; ')}`);
  }
  return faults;
}

// Of the database, in the order of each row's versions.
export async function committed(db) {
  const { rows } = await db.query('SELECT op, kind, cell, version, owner, was FROM ops ORDER BY cell, version');
  const number = (value) => (value === null ? null : Number(value));
  return rows.map((row) => ({ kind: row.kind, cell: number(row.cell), version: number(row.version), owner: number(row.owner), was: number(row.was) }));
}
