// Rows of a result from the values of the rounds: medians, ranges, and ratios. A ratio is each round's own, so that what slows
// the machine for a while slows both sides of it; of those the median is told, and the range.
export const quantile = (list, q) => {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
};
// Of an even number of rounds the mean of the two in the middle.
export const median = (list) => {
  const sorted = [...list].sort((a, b) => a - b), half = sorted.length / 2;
  return sorted.length % 2 ? sorted[Math.floor(half)] : (sorted[half - 1] + sorted[half]) / 2;
};
export const spread = (list) => ({ value: median(list), low: Math.min(...list), high: Math.max(...list) });

// Of the rounds of both, in the same order.
export const ratioOf = (against, list, others) => ({ against, ...spread(list.map((value, i) => value / others[i])) });

// against: { 'no trigger': its rounds' values, .. }. targets: sentences with a function of the row that says whether it is met:
// [{ what: 'at least 1 times PgQ', met: (row) => row.to('PgQ') >= 1 }].
export function rowOf({ work, who, metric, all, against = {}, targets = [] }) {
  const row = { work, who, metric, ...spread(all), all };
  row.ratios = Object.entries(against).map(([name, others]) => ratioOf(name, all, others));
  const known = { ...row, to: (name) => row.ratios.find((ratio) => ratio.against === name)?.value };
  row.targets = targets.map(({ what, met }) => ({ what, met: Boolean(met(known)) }));
  return row;
}

// Targets of the usual kinds.
export const atLeast = (factor, name) => ({ what: `at least ${factor} times ${name}`, met: (row) => row.to(name) >= factor });
export const atMost = (factor, name) => ({ what: `at most ${factor} times ${name}`, met: (row) => row.to(name) <= factor });
export const below = (limit, unit) => ({ what: `at most ${limit} ${unit}`, met: (row) => row.value <= limit });
export const above = (limit, unit) => ({ what: `at least ${limit} ${unit}`, met: (row) => row.value >= limit });

// Everybody of a work in one go: results is { who: [round values] }; each gets its ratios to those that `to` names for it.
// targets: { who: [..] }.
export function rowsOf(work, metric, results, { to = {}, targets = {} } = {}) {
  return Object.entries(results).map(([who, all]) => rowOf({ work, who, metric, all, targets: targets[who],
    against: Object.fromEntries((to[who] ?? []).filter((name) => results[name]).map((name) => [name, results[name]])) }));
}

// Runs the contenders in turn, every second round in the reverse order: measure(who, round) -> a value. Returns { who: [values] }.
export async function interleave(rounds, contenders, measure) {
  const results = Object.fromEntries(contenders.map((who) => [who, []]));
  for (let round = 0; round < rounds; round++) {
    for (const who of round % 2 ? [...contenders].reverse() : contenders) results[who].push(await measure(who, round));
  }
  return results;
}
