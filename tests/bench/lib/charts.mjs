// Charts as SVG, from what a part's result says: bars in groups, or lines with both axes logarithmic. They bring their own
// background and follow the reader's choice of light or dark. Texts are given the room that their length needs, none is cut.
import { figure } from './table.mjs';

const width = 760, line = 22, edge = 16;
const room = (text) => text.length * 7.3; // of a sans-serif of 13 px, rather too much
const escape = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const text = (x, y, what, anchor = 'start', kind = '') => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}"${kind && ` class="${kind}"`}>${escape(what)}</text>`;

// Colours by name: who stands in several charts looks the same in all.
const fixed = { esink: 1, 'no trigger': 0, raw: 0 };
const owner = (name) => name.replace(/, p[\d.]+$/, ''); // quantiles of one contender are of one colour; lines say whose they are with `of`
function colours(names) {
  const owners = [...new Set(names.map(owner))];
  let next = 2;
  const by = new Map(owners.map((name) => [name, fixed[name] ?? (next > 7 ? 7 : next++)]));
  return new Map(names.map((name) => [name, by.get(owner(name))]));
}
const light = ['#8a8f98', '#1f6feb', '#d1741d', '#2f9e6e', '#8957e5', '#c43d6b', '#7d6608', '#0f7f8c'];
const dark = ['#8b949e', '#4c9bff', '#f0a35e', '#56c596', '#b392f0', '#f27ea9', '#d6bd4a', '#4fc3d0'];
const style = (palette, back, ink, faint) => `.back{fill:${back}}text{fill:${ink}}.faint{fill:${faint}}.grid{stroke:${faint};stroke-opacity:.3}.range{stroke:${ink};stroke-opacity:.65}`
  + palette.map((colour, i) => `.c${i}{fill:${colour}}.l${i}{stroke:${colour}}`).join('');

function page(title, height, parts) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(title).replaceAll('"', '&quot;')}">
<style>text{font:13px system-ui,"Segoe UI",Helvetica,Arial,sans-serif}.title{font-weight:600;font-size:14px}.line{fill:none;stroke-width:2}.grid,.range{stroke-width:1}
${style(light, '#ffffff', '#1f2328', '#656d76')}
@media(prefers-color-scheme:dark){${style(dark, '#0d1117', '#e6edf3', '#9198a1')}}</style>
<rect class="back" width="${width}" height="${height}" rx="6"/>
${parts.join('\n')}
</svg>
`;
}

// Words into lines that fit.
function wrapped(words, most = width - 2 * edge) {
  return words.split(' ').reduce((lines, word) => {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length && room(longer) * 1.1 <= most) lines[lines.length - 1] = longer;
    else lines.push(word);
    return lines;
  }, []);
}

function heading(title) {
  const lines = wrapped(title);
  return { bottom: edge + lines.length * line, parts: lines.map((one, i) => text(edge, edge + 14 + i * line, one, 'start', 'title')) };
}

// Horizontal, so that names of any length stand beside theirs; the thin line is the range of the rounds.
function bars({ title, unit, groups }) {
  const { bottom, parts } = heading(`${title} (${unit})`);
  const all = groups.flatMap((group) => group.bars);
  const left = edge + Math.max(...all.map(({ who }) => room(who))) + 10;
  const right = width - edge - Math.max(...all.map(({ value }) => room(figure(value)))) - 8;
  const most = Math.max(...all.map(({ value, high }) => high ?? value)) || 1;
  const at = (value) => left + (right - left) * value / most;
  const colour = colours([...new Set(all.map(({ who }) => who))]);
  let y = bottom;
  for (const group of groups) {
    y += 6;
    if (group.label) for (const one of wrapped(group.label)) parts.push(text(edge, (y += line) - 6, one, 'start', 'faint'));
    for (const { who, value, low, high } of group.bars) {
      parts.push(text(left - 8, y + 15, who, 'end'), `<rect class="c${colour.get(who)}" x="${left}" y="${y + 3}" width="${Math.max(1, at(value) - left).toFixed(1)}" height="16" rx="2"/>`);
      if (low !== undefined && low !== high) parts.push(`<path class="range" d="M${at(low).toFixed(1)} ${y + 11}H${at(high).toFixed(1)}M${at(low).toFixed(1)} ${y + 7}v8M${at(high).toFixed(1)} ${y + 7}v8"/>`);
      parts.push(text(at(Math.max(value, high ?? 0)) + 6, y + 15, figure(value)));
      y += line;
    }
  }
  return page(title, y + edge, parts);
}

const tick = (n) => (n >= 1 ? Math.round(n).toLocaleString('en-US') : String(Number(n.toPrecision(1))));

// Decades around the values.
function decades(values) {
  const low = Math.floor(Math.log10(Math.min(...values)) + 1e-9), high = Math.ceil(Math.log10(Math.max(...values)) - 1e-9);
  return { low, high: high > low ? high : low + 1 };
}

function lines({ title, x, y, series }) {
  const { bottom, parts } = heading(title);
  const points = series.flatMap((one) => one.points).filter(([a, b]) => a > 0 && b > 0);
  const [across, up] = [decades(points.map(([a]) => a)), decades(points.map(([, b]) => b))];
  const ticks = ({ low, high }) => Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  const left = edge + Math.max(...ticks(up).map((n) => room(tick(n)))) + 8, right = width - edge - 24, top = bottom + 32, foot = top + 280;
  const px = (n) => left + (right - left) * (Math.log10(n) - across.low) / (across.high - across.low);
  const py = (n) => foot - (foot - top) * (Math.log10(n) - up.low) / (up.high - up.low);
  parts.push(text(edge, bottom + 16, y.label, 'start', 'faint'));
  for (const n of ticks(across)) parts.push(`<path class="grid" d="M${px(n).toFixed(1)} ${top}V${foot}"/>`, text(px(n), foot + 18, tick(n), 'middle', 'faint'));
  for (const n of ticks(up)) parts.push(`<path class="grid" d="M${left} ${py(n).toFixed(1)}H${right}"/>`, text(left - 6, py(n) + 4, tick(n), 'end', 'faint'));
  parts.push(text((left + right) / 2, foot + 38, x.label, 'middle', 'faint'));
  const colour = colours(series.map(({ who, of = who }) => of));
  let legend = foot + 44;
  let from = edge;
  for (const [i, { who, of = who, dashed, points: list }] of series.entries()) {
    const c = colour.get(of), good = list.filter(([a, b]) => a > 0 && b > 0), dash = dashed || i > 7 ? ' stroke-dasharray="5 3"' : '';
    parts.push(`<path class="line l${c}"${dash} d="M${good.map(([a, b]) => `${px(a).toFixed(1)} ${py(b).toFixed(1)}`).join('L')}"/>`);
    for (const [a, b] of good) parts.push(`<circle class="c${c}" cx="${px(a).toFixed(1)}" cy="${py(b).toFixed(1)}" r="3.5"/>`);
    const wide = 26 + room(who) + 14;
    if (i === 0 || from + wide > width - edge) {
      legend += line;
      from = edge;
    }
    parts.push(`<path class="line l${c}"${dash} d="M${from.toFixed(1)} ${legend - 4}h18"/>`, text(from + 26, legend, who));
    from += wide;
  }
  return page(title, legend + edge, parts);
}

export const chart = (one) => (one.kind === 'lines' ? lines(one) : bars(one));
