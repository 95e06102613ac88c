// The list: the newest 1,000 events, at most 16 MB of them, newest on top. What arrives goes into `kept`; the page follows it
// once a frame, a bounded number of rows at a time, so that a flood costs neither memory nor the tab's answers. While it is
// paused the page stays as it is and `kept` goes on.
import { $, copyWith, say, show } from './dom.js';
import { whole } from './chart.js';
import { rawOf } from './json.js';
import { noteRow, rowOf, toggle } from './row.js';

const MOST = 1000;
const MOST_TEXT = 16 * 1024 * 1024;
const PER_FRAME = 100;

const kept = [];     // events and notes, the oldest first; their seq have no holes
let keptText = 0;
let last = 0;        // the newest seq
let drawn = 0;       // the seq up to which the page was brought
let held = 0;        // the seq up to which a paused page goes
let paused = false;
let words = [];      // of the filter
let above = 0;       // came in above what is being read
let scheduled = false;
let current;         // the row that Tab reaches
let whenEmpty = () => {};

const list = $('list');
const textOf = (item) => item.text?.length ?? 0;

function trim() {
  while (kept.length > MOST || (keptText > MOST_TEXT && kept.length > 1)) keptText -= textOf(kept.shift());
}

function add(item) {
  item.seq = ++last;
  kept.push(item);
  keptText += textOf(item);
  trim();
  schedule();
}

export const addEvent = add;
export const addNote = (note) => add({ note: true, ...note });

function matches(item) {
  if (words.length === 0) return true;
  if (item.note) return false;
  const parts = [item.id, item.table, item.type, item.data && rawOf(item.data), item.old && rawOf(item.old)];
  const text = parts.join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}

// -- drawing

export const refresh = () => schedule();

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(draw);
  // A tab in the background draws no frames; it must forget all the same.
  if (document.hidden) setTimeout(draw, 1000);
}

function dropRow(row) {
  if (row.contains(document.activeElement)) row.previousElementSibling?.head?.focus({ preventScroll: true });
  if (row === current) current = undefined;
  row.remove();
}

const atTop = () => list.getBoundingClientRect().top >= $('tools').getBoundingClientRect().bottom - 12;

// The row that must not move under the reader: one that is open or has the focus, while the list is at its top, where a
// browser does not hold the place by itself.
function anchor() {
  if (!atTop()) return undefined;
  return document.activeElement?.closest?.('.row') ?? list.querySelector('[aria-expanded="true"]')?.parentElement;
}

function insert(items) {
  const fragment = document.createDocumentFragment();
  let count = 0;
  for (const item of items) {
    if (!matches(item)) continue;
    item.row ??= item.note ? noteRow(item) : rowOf(item);
    fragment.prepend(item.row);
    count++;
  }
  if (count === 0) return;
  const reading = anchor();
  const before = reading?.getBoundingClientRect().top;
  const wasAtTop = atTop();
  list.prepend(fragment);
  const scroller = $('scroll').scrollHeight > $('scroll').clientHeight + 1 ? $('scroll') : window;
  if (reading) scroller.scrollBy({ top: reading.getBoundingClientRect().top - before, behavior: 'instant' });
  above = wasAtTop && !reading ? 0 : above + count;
}

function draw() {
  scheduled = false;
  const oldest = kept[0]?.seq ?? last + 1;
  if (!paused) while (list.lastElementChild && list.lastElementChild.event.seq < oldest) dropRow(list.lastElementChild);
  drawn = Math.max(drawn, oldest - 1);
  const until = paused ? held : last;
  if (drawn < until) {
    const stop = Math.min(until, drawn + PER_FRAME);
    insert(kept.slice(drawn + 1 - oldest, stop + 1 - oldest));
    drawn = stop;
    if (drawn < until) schedule();
  }
  tell();
}

function tell() {
  const rows = list.childElementCount;
  if (!current || (current !== list.firstElementChild && !list.contains(document.activeElement))) point(list.querySelector('.row'));
  if (atTop()) above = 0;
  const text = paused ? `Paused. ${whole.format(last - held)} newer: go on` : `↑ ${whole.format(above)} newer`;
  show($('waiting'), paused ? last > held : above > 0);
  say($('waiting'), text);
  say($('shown'), rows === 0 ? '' : words.length > 0 ? `${whole.format(rows)} of ${whole.format(kept.length)}` : `${whole.format(rows)} shown`);
  show($('empty'), rows === 0);
  if (rows === 0) whenEmpty(words.length > 0 ? kept.length : 0);
}

function redraw() {
  for (const row of [...list.children]) row.remove();
  current = undefined;
  drawn = (kept[0]?.seq ?? last + 1) - 1;
  above = 0;
  schedule();
}

// -- what the reader does

export function pause(on = !paused) {
  paused = on;
  held = last;
  $('pause').setAttribute('aria-pressed', String(on));
  say($('pause'), on ? 'Go on' : 'Pause');
  schedule();
}

export function clear() {
  kept.length = keptText = 0;
  held = last;
  redraw();
}

export function filter(text) {
  words = text.toLowerCase().split(/\s+/).filter(Boolean);
  redraw();
}

function toTop() {
  if (matchMedia('(min-width: 960px)').matches) $('scroll').scrollTo({ top: 0 });
  else $('tools').scrollIntoView();
  above = 0;
  schedule();
}

// One row can be reached with Tab; the arrows go from it to the others.
function point(row) {
  if (row === current) return;
  if (current) current.head.tabIndex = -1;
  current = row ?? undefined;
  if (current) current.head.tabIndex = 0;
}

function go(row) {
  while (row && !row.head) row = row.nextElementSibling;
  if (!row) return;
  point(row);
  row.head.focus();
}

function beside(row, step) {
  do row = step > 0 ? row.nextElementSibling : row.previousElementSibling;
  while (row && !row.head);
  return row;
}

export function move(step) {
  const row = document.activeElement.closest?.('.row');
  const next = row ? beside(row, step) : current ?? list.querySelector('.row');
  if (next) go(next);
}

export function copyCurrent() {
  const row = document.activeElement.closest?.('.row');
  if (!row) return;
  toggle(row, true);
  row.querySelector('.copy').click();
}

// Escape inside an opened event closes it. True: there was one.
export function closeCurrent() {
  const row = document.activeElement.closest?.('.row');
  if (!row || row.head.getAttribute('aria-expanded') !== 'true') return false;
  toggle(row, false);
  row.head.focus();
  return true;
}

function copyShown() {
  const shown = kept.filter((item) => !item.note && item.seq <= (paused ? held : last) && matches(item));
  copyWith($('copy'), `[${shown.map(({ text }) => text).join(',\n')}]`);
}

export function startList(empty) {
  whenEmpty = empty;
  $('pause').addEventListener('click', () => pause());
  $('clear').addEventListener('click', clear);
  $('copy').addEventListener('click', copyShown);
  $('waiting').addEventListener('click', () => { if (paused) pause(false); else toTop(); });
  for (const target of [$('scroll'), document]) target.addEventListener('scroll', () => { if (above > 0) schedule(); }, { passive: true });
  list.addEventListener('focusin', ({ target }) => point(target.closest('.row') ?? current));
  list.addEventListener('keydown', (press) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[press.key];
    const row = press.target.closest('.row');
    if (!step || press.target !== row?.head) return;
    press.preventDefault();
    move(step);
  });
  tell();
}
