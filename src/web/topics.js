// What to receive: tables and types as they were seen, and patterns that somebody types. The relay does the choosing, by
// `subscribe`; shown as chosen is what is asked for, until the relay refuses it.
import { $, el, say, show } from './dom.js';
import { whole } from './chart.js';
import { classOf, signOf } from './row.js';

const MOST = 60; // tables, and types, that are offered

const seen = { topics: new Map(), types: new Map(['insert', 'update', 'delete', 'truncate'].map((type) => [type, 0])) };
let chosen = { topics: [], types: [] };
let typed = '';     // what was asked for last from the field
let ask = () => {};
let due = false;

// A pattern that a table's name alone matches: PCRE2, anchored at its start by the relay.
const exactly = (table) => `${table.replace(/[^\w\u0080-\uffff]/g, '\\$&')}$`;

function offer(kind, name) {
  const counts = seen[kind];
  if (!counts.has(name) && counts.size >= MOST) return;
  counts.set(name, (counts.get(name) ?? 0) + 1);
  if (due) return;
  due = true;
  setTimeout(draw, 250);
}

export function sawEvent({ table, type }) {
  offer('topics', table);
  offer('types', type);
}

function flip(kind, entry) {
  const without = chosen[kind].filter((one) => one !== entry);
  chosen = { ...chosen, [kind]: without.length < chosen[kind].length ? without : [...without, entry] };
  show($('pattern-problem'), false);
  draw();
  ask(chosen);
}

const chips = new Map(); // by kind and name, so that a count that changes takes no focus away

function chip(kind, entry, label, sign, more) {
  const key = `${kind} ${entry}`;
  if (!chips.has(key)) {
    const button = el('button', { type: 'button', class: `chip ${kind === 'types' ? classOf(entry) : ''}`, onclick: () => flip(kind, entry) },
      sign ? el('span', { class: 'sign', 'aria-hidden': 'true' }, sign) : undefined, el('span', { class: 'name' }, label), el('span', { class: 'count' }));
    chips.set(key, button);
  }
  const button = chips.get(key);
  const on = chosen[kind].includes(entry);
  button.setAttribute('aria-pressed', String(on));
  say(button.lastChild, more);
  return button;
}

// Puts the buttons into the box, touching only what differs.
function place(box, buttons) {
  const wanted = new Set(buttons);
  for (const button of [...box.children]) if (!wanted.has(button)) button.remove();
  buttons.forEach((button, i) => { if (box.children[i] !== button) box.insertBefore(button, box.children[i] ?? null); });
}

function draw() {
  due = false;
  const exact = new Map([...seen.topics.keys()].map((table) => [exactly(table), table]));
  const patterns = chosen.topics.filter((topic) => !exact.has(topic));
  place($('topics'), [
    ...[...exact].map(([topic, table]) => chip('topics', topic, table, '', whole.format(seen.topics.get(table)))),
    ...patterns.map((topic) => chip('topics', topic, topic, '', 'pattern')),
  ]);
  place($('types'), [...seen.types].map(([type, count]) => chip('types', type, type, signOf(type), count ? whole.format(count) : '')));
  const count = chosen.topics.length + chosen.types.length;
  say($('picked'), count === 0 ? 'all' : `${count} chosen`);
  say($('picker-hint'), count === 0 ? 'Nothing is chosen: everything that you may see arrives.'
    : 'The relay sends only what is chosen; press again to take it back.');
  show($('everything'), count > 0);
}

// As the relay has it.
export function confirmed({ topics, types }) {
  chosen = { topics: [...topics], types: [...types] };
  draw();
}

export function refusedTopics(message, holds) {
  confirmed(holds);
  $('pattern').value = typed;
  say($('pattern-problem'), `Refused: ${message}`);
  show($('pattern-problem'), true);
}

export function forgetTopics() {
  seen.topics.clear();
  chips.clear();
  confirmed({ topics: [], types: [] });
}

export function startTopics(subscribe) {
  ask = subscribe;
  $('pattern-form').addEventListener('submit', (submit) => {
    submit.preventDefault();
    typed = $('pattern').value.trim();
    $('pattern').value = '';
    if (typed && !chosen.topics.includes(typed)) flip('topics', typed);
  });
  $('everything').addEventListener('click', () => {
    chosen = { topics: [], types: [] };
    draw();
    ask(chosen);
    $('pattern').focus();
  });
  // Beside the list it has a column of its own, which would be empty: there it stays open, whatever presses it.
  const wide = matchMedia('(min-width: 960px)');
  const unfold = () => {
    $('fold').firstElementChild.tabIndex = wide.matches ? -1 : 0;
    if (wide.matches) $('fold').open = true;
  };
  $('fold').open = wide.matches;
  $('fold').addEventListener('toggle', unfold);
  wide.addEventListener('change', unfold);
  unfold();
  draw();
}
