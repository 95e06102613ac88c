// How one event looks: a line to scan, and, once it is opened, everything that arrived of it.
import { changesOf } from './event.js';
import { copyWith, el } from './dom.js';
import { isNested, kindOf, members, rawOf } from './json.js';

const SIGNS = { insert: '+', update: '~', delete: '−', truncate: '∅' };
const PREVIEW = 12;        // columns
const PREVIEW_TEXT = 60;   // characters of a value
const STEP = 100;          // members that are shown at once
const LONG = 600;          // characters of an opened value

export const signOf = (type) => SIGNS[type] ?? '•';
export const classOf = (type) => (SIGNS[type] ? type : 'other');

const two = (n) => String(n).padStart(2, '0');

function clock(date) {
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const today = new Date().toDateString() === date.toDateString();
  return [today ? '' : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} `, time, `.${String(date.getMilliseconds()).padStart(3, '0')}`];
}

function shortValue(value) {
  const kind = kindOf(value);
  const raw = rawOf(value);
  if (kind === 'object') return el('span', { class: 'v nested' }, raw.length < 24 ? raw : `{${members(value, 100).length}}`);
  if (kind === 'list') return el('span', { class: 'v nested' }, raw.length < 24 ? raw : `[${members(value, 100).length}]`);
  return el('span', { class: `v ${kind}` }, raw.length > PREVIEW_TEXT ? `${raw.slice(0, PREVIEW_TEXT)}…` : raw);
}

const pair = (key, ...values) => el('span', { class: 'pair' }, el('span', { class: 'k' }, String(key)), ' ', ...values);

function preview(event) {
  const line = el('span', { class: 'preview' });
  if (!event.data || kindOf(event.data) !== 'object') {
    line.append(event.data ? rawOf(event.data).slice(0, 200) : '');
    return line;
  }
  const changes = changesOf(event);
  for (const { key, before, after } of changes.slice(0, 4)) {
    line.append(el('span', { class: 'pair changed' }, el('span', { class: 'k' }, String(key)), ' ', before ? shortValue(before) : 'absent',
      el('span', { class: 'arrow' }, ' → '), after ? shortValue(after) : 'absent'));
  }
  const changed = new Set(changes.map(({ key }) => key));
  for (const { key, value } of members(event.data, PREVIEW)) {
    if (!changed.has(key)) line.append(pair(key, shortValue(value)));
  }
  if (!line.firstChild) line.append(el('span', { class: 'k' }, 'no columns'));
  return line;
}

// -- opened

function scalarView(value) {
  const raw = rawOf(value);
  const view = el('span', { class: `v ${kindOf(value)}` }, raw.length > LONG ? raw.slice(0, LONG) : raw);
  if (raw.length <= LONG) return view;
  const more = el('button', { type: 'button', class: 'more', onclick: () => more.replaceWith(raw.slice(LONG)) },
    `… ${(raw.length - LONG).toLocaleString('en')} more characters`);
  view.append(more);
  return view;
}

function treeOf(value) {
  const list = el('ul', { class: 'tree' });
  const all = members(value);
  const fill = (from) => {
    for (const { key, value: member } of all.slice(from, from + STEP)) list.append(el('li', {}, branch(key, member)));
    if (all.length <= from + STEP) return;
    const more = el('li', {}, el('button', { type: 'button', class: 'more', onclick: () => { more.remove(); fill(from + STEP); } },
      `${(all.length - from - STEP).toLocaleString('en')} more`));
    list.append(more);
  };
  fill(0);
  if (all.length === 0) list.append(el('li', { class: 'k' }, 'empty'));
  return list;
}

function branch(key, value) {
  const name = el('span', { class: 'k' }, String(key));
  if (!isNested(value)) return el('div', { class: 'leaf' }, name, el('span', { class: 'colon' }, ': '), scalarView(value));
  const size = members(value, STEP + 1).length;
  const count = `${size > STEP ? `${STEP}+` : size} ${kindOf(value) === 'object' ? (size === 1 ? 'key' : 'keys') : (size === 1 ? 'item' : 'items')}`;
  const details = el('details', { class: 'branch' }, el('summary', {}, name, el('span', { class: 'colon' }, ': '),
    el('span', { class: 'v nested' }, kindOf(value) === 'object' ? '{ } ' : '[ ] '), el('span', { class: 'size' }, count)));
  const open = () => { if (details.children.length === 1) details.append(treeOf(value)); };
  details.addEventListener('toggle', open);
  if (size <= 8 && value.end - value.start < 400) {
    details.open = true;
    open();
  }
  return details;
}

function diff(event) {
  const changes = changesOf(event);
  const cell = (value) => (value ? (isNested(value) ? el('span', { class: 'v nested' }, rawOf(value).slice(0, LONG)) : scalarView(value)) : el('span', { class: 'k' }, 'absent'));
  const rows = changes.map(({ key, before, after }) => el('tr', {}, el('th', { scope: 'row' }, String(key)),
    el('td', { class: 'before' }, el('del', {}, cell(before))), el('td', { class: 'after' }, el('ins', {}, cell(after)))));
  if (rows.length === 0) return el('p', { class: 'hint' }, 'The old row is the same as the new one.');
  return el('table', { class: 'diff' }, el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'column'), el('th', { scope: 'col' }, 'before'),
    el('th', { scope: 'col' }, 'after'))), el('tbody', {}, ...rows));
}

function about(event) {
  const facts = [...event.meta];
  if (event.time) facts.unshift(['time', event.time.toISOString()]);
  return el('dl', { class: 'facts' }, ...facts.map(([key, text]) => el('div', {}, el('dt', {}, key.replace('_', ' ')), el('dd', {}, text))));
}

const part = (title, content) => el('section', { class: 'part' }, el('h3', {}, title), content);

function detail(event) {
  const copy = el('button', { type: 'button', class: 'copy', onclick: () => copyWith(copy, event.text) }, 'Copy as JSON');
  const box = el('div', { class: 'parts' });
  if (event.incomplete) box.append(el('p', { class: 'hint' }, 'Only the primary key: the row could not be sent safely (a value, a size, or a column that changed). Fetch the row itself.'));
  if (event.old) box.append(part('Changed', diff(event)));
  if (event.data) box.append(part('data', isNested(event.data) ? treeOf(event.data) : scalarView(event.data)));
  if (event.old) {
    const old = el('details', { class: 'branch' }, el('summary', {}, el('h3', {}, 'old')));
    old.addEventListener('toggle', () => { if (old.children.length === 1) old.append(treeOf(event.old)); });
    box.append(old);
  }
  return el('div', { class: 'detail' }, box, el('footer', {}, about(event), copy));
}

export function toggle(row, open = row.head.getAttribute('aria-expanded') !== 'true') {
  row.head.setAttribute('aria-expanded', String(open));
  if (open && !row.detail) {
    row.detail = detail(row.event);
    row.append(row.detail);
  }
  if (row.detail) row.detail.hidden = !open;
}

// An <li> with what list.js wants to know of it: event, head.
export function rowOf(event) {
  const [day, time, fraction] = event.time ? clock(event.time) : ['', '', ''];
  const kind = classOf(event.type);
  const row = el('li', { class: `row ${kind}` });
  row.event = event;
  row.head = el('button', { type: 'button', class: 'head', 'aria-expanded': 'false', tabindex: '-1' },
    el('time', event.time ? { datetime: event.time.toISOString(), title: event.time.toString() } : {}, el('span', { class: 'day' }, day), time, el('span', { class: 'ms' }, fraction)),
    el('span', { class: 'id', title: `id ${event.id}` }, event.id),
    el('span', { class: 'type' }, el('span', { class: 'sign', 'aria-hidden': 'true' }, signOf(event.type)), el('span', { class: 'word' }, event.type)),
    el('span', { class: 'table', title: event.table }, event.table),
    preview(event));
  if (event.incomplete || event.replayed) {
    row.head.append(el('span', { class: 'tags' }, event.incomplete ? el('span', { class: 'tag' }, 'key only') : '',
      event.replayed ? el('span', { class: 'tag', title: 'It happened while this page was away' }, 'caught up') : ''));
  }
  row.head.addEventListener('click', () => {
    toggle(row);
    row.scrollIntoView({ block: 'nearest', behavior: 'instant' }); // what was opened at the lower edge is below it
  });
  row.append(row.head);
  return row;
}

// A line between the events, of the connection.
export function noteRow(note) {
  const row = el('li', { class: `note ${note.good ? 'good' : 'bad'}` },
    el('span', { class: 'sign', 'aria-hidden': 'true' }, note.good ? '✓' : '!'), el('b', {}, note.title), ' ', el('span', {}, note.text));
  row.event = note;
  return row;
}
