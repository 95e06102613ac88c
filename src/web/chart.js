// How many events arrive: a bar for each of the last 120 seconds, drawn once a second while the page can be seen.
import { $, say } from './dom.js';

const SECONDS = 120;

const counts = new Uint32Array(SECONDS); // a ring; the second s is at s % SECONDS
const xs = Array.from({ length: SECONDS }, (_, i) => i - SECONDS + 1);
let second = Math.floor(Date.now() / 1000);
let total = 0;
let plot;

function advance() {
  const now = Math.floor(Date.now() / 1000);
  if (now - second >= SECONDS || now < second) counts.fill(0);
  else for (let s = second + 1; s <= now; s++) counts[s % SECONDS] = 0;
  second = now;
}

export function counted(n = 1) {
  advance();
  counts[second % SECONDS] += n;
  total += n;
}

// The running second is not yet whole: it is drawn, the figure is the one before.
function series() {
  advance();
  return xs.map((x) => counts[(second + x + SECONDS) % SECONDS]);
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
export const whole = new Intl.NumberFormat('en');

function axis(more) {
  return { stroke: () => colour('--faint'), font: '11px system-ui, sans-serif', ticks: { show: false }, gap: 4, ...more };
}

function options(box) {
  return {
    width: box.clientWidth,
    height: box.clientHeight,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 14, 0, 0],
    scales: { x: { time: false, range: [-SECONDS + 0.5, 0.5] }, y: { range: (_, _min, max) => [0, Math.max(4, max * 1.1)] } },
    axes: [
      axis({ grid: { show: false }, size: 20, splits: () => [-120, -90, -60, -30, 0],
        values: (_, splits) => splits.map((s) => (s === 0 ? 'now' : s === -120 ? '' : `−${-s} s`)) }),
      // Whatever the height is on a phone, 56 px of bars, a step of 1, 2 or 5 times ten is in it: there is a scale, not a 0 alone.
      axis({ size: 38, space: 22, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5],
        grid: { stroke: () => colour('--line'), width: 1 }, values: (_, splits) => splits.map((v) => short.format(v)) }),
    ],
    series: [{}, {
      paths: window.uPlot.paths.bars({ size: [0.8, 12], radius: 0.15 }),
      fill: () => colour('--accent'), stroke: () => colour('--accent'), width: 0, points: { show: false },
    }],
  };
}

export function drawRate() {
  const box = $('chart');
  if (document.hidden || box.clientWidth === 0) return;
  const ys = series();
  const peak = Math.max(...ys);
  const sum = ys.reduce((a, b) => a + b, 0);
  say($('rate-now'), short.format(ys[SECONDS - 2]));
  say($('rate-peak'), short.format(peak));
  say($('rate-sum'), short.format(sum));
  say($('rate-all'), short.format(total));
  box.setAttribute('aria-label', `Events per second over the last two minutes: ${whole.format(sum)} events, at most ${whole.format(peak)} in one second`);
  if (!window.uPlot) return; // the figures do without
  plot ??= new window.uPlot(options(box), [xs, ys], box);
  if (plot.width !== box.clientWidth || plot.height !== box.clientHeight) plot.setSize({ width: box.clientWidth, height: box.clientHeight });
  plot.setData([xs, ys]);
}

export function startRate() {
  setInterval(drawRate, 1000);
  new ResizeObserver(drawRate).observe($('chart'));
  document.addEventListener('visibilitychange', drawRate);
}
