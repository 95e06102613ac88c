// A part's result as a table, for a terminal and for docs/PERFORMANCE.md: a row for each who of each work.

// Three digits that mean something: 12,786; 4.21; 0.043.
export function figure(n) {
  if (n === undefined || Number.isNaN(n)) return '?';
  if (!Number.isFinite(n)) return String(n);
  const size = Math.abs(n);
  if (size >= 100 || n === 0) return Math.round(n).toLocaleString('en-US');
  const digits = size >= 10 ? 1 : size >= 1 ? 2 : Math.min(6, 2 - Math.floor(Math.log10(size)));
  return n.toFixed(digits);
}
const share = (n) => (n >= 10 ? n.toFixed(1) : n.toFixed(2)).replace(/^0\./, '.');
const range = (row, as) => (row.low === undefined || row.low === row.high ? '' : ` (${as(row.low)} to ${as(row.high)})`);

// Each row's cells as text.
const cells = (row) => ({
  who: row.who,
  value: `${figure(row.value)}${range(row, figure)} ${row.metric}`,
  ratios: (row.ratios ?? []).map((ratio) => `${share(ratio.value)}${range(ratio, share)} of ${ratio.against}`),
  targets: (row.targets ?? []).map(({ what, met }) => `${what}: ${met ? 'yes' : 'NO'}`),
});

const works = (rows) => [...new Set(rows.map((row) => row.work))];

export function table({ rows, notes }) {
  const made = rows.map((row) => ({ work: row.work, ...cells(row) }));
  const width = (name) => Math.max(0, ...made.map((row) => [row[name]].flat().reduce((most, text) => Math.max(most, text.length), 0)));
  const [who, value, ratio] = ['who', 'value', 'ratios'].map(width);
  const lines = works(rows).flatMap((work) => [work, ...made.filter((row) => row.work === work).flatMap((row) => {
    const height = Math.max(1, row.ratios.length, row.targets.length);
    return Array.from({ length: height }, (_, i) => `  ${(i ? '' : row.who).padEnd(who)}  ${(i ? '' : row.value).padEnd(value)}  ${(row.ratios[i] ?? '').padEnd(ratio)}  ${row.targets[i] ?? ''}`.trimEnd());
  })]);
  return [...lines, ...notes.map((note) => `* ${note}`)].join('\n');
}

const escape = (text) => text.replaceAll('|', '\\|');

export function markdown({ rows, notes }) {
  const lines = ['| | | median (range) | ratio, round by round (range) | target |', '|---|---|---|---|---|'];
  for (const work of works(rows)) {
    rows.filter((row) => row.work === work).forEach((row, i) => {
      const { who, value, ratios, targets } = cells(row);
      const bold = who === 'esink' ? '**esink**' : escape(who);
      lines.push(`| ${i ? '' : escape(work)} | ${bold} | ${value} | ${ratios.join('<br>')} | ${targets.join('<br>').replaceAll(': NO', ': **no**')} |`);
    });
  }
  return [lines.join('\n'), ...(notes.length ? [notes.map((note) => `- ${note}`).join('\n')] : [])].join('\n\n');
}
