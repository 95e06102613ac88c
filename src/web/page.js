// The live page: puts the parts together. relay.js speaks to the relay, words.js says what that means, list.js and row.js show
// events, topics.js asks for them, chart.js counts them. The token is held by the field, by relay.js and, so that a reload
// need not ask again, by sessionStorage: of this tab, gone with it or with Disconnect.
import { $, copyWith, el, say, show, stored } from './dom.js';
import { counted, drawRate, startRate } from './chart.js';
import { notAfter } from './event.js';
import { addEvent, addNote, clear, closeCurrent, copyCurrent, filter, move, pause, refresh, startList } from './list.js';
import { Relay } from './relay.js';
import { confirmed, forgetTopics, refusedTopics, sawEvent, startTopics } from './topics.js';
import { describe, describeGap, userOf } from './words.js';

const TOKEN = 'esink.token';

let state = { name: 'idle' };
let session;
let caughtUp;       // the head of the journal when a resume began: up to there events are of the time away

// -- the connection's state

function notice(what, action) {
  show($('notice'), Boolean(what));
  if (!what) return;
  $('notice').classList.toggle('bad', Boolean(what.bad));
  say($('notice-title'), what.title);
  say($('notice-text'), what.text);
  show($('notice-act'), Boolean(action));
  if (action) say($('notice-act'), action[0]);
  $('notice-act').onclick = action?.[1] ?? null;
}

function view(live) {
  show($('welcome'), !live);
  show($('live'), live);
  show($('disconnect'), live);
}

function askForToken(problem) {
  view(false);
  notice();
  say($('token-problem'), problem ?? '');
  show($('token-problem'), Boolean(problem));
  $('token').setAttribute('aria-invalid', String(Boolean(problem)));
  $('token').focus();
  $('token').select();
}

function refused(words) {
  stored('sessionStorage', TOKEN, null);
  const problem = `${words.title}. ${words.text}`;
  if (!session) askForToken(problem);
  else notice({ ...words, bad: true }, ['Enter a token', () => askForToken(problem)]);
  session = undefined;
}

function bar() {
  const { short } = describe(state);
  const counting = state.name === 'waiting'; // what changes each second is not read aloud
  $('state').dataset.state = state.name;
  say($('state-text'), counting ? 'Reconnecting' : short);
  say($('state-more'), counting ? short.replace('Reconnecting', '') : '');
  document.title = state.name === 'live' ? 'esink · live' : state.name === 'idle' ? 'esink' : `esink · ${short.toLowerCase()}`;
}

function onState(next) {
  const before = state.name;
  state = next;
  const words = describe(state);
  bar();
  show($('who'), Boolean(session));
  refresh();
  if (state.name === 'waiting') {
    view(true);
    notice({ ...words, bad: true }, ['Retry now', () => relay.retry()]);
  } else if (state.name === 'refused') {
    refused(words);
  } else if (state.name === 'stalled') {
    notice({ ...words, bad: true });
  } else if (state.name === 'live' && before !== 'live') {
    view(true);
    drawRate();
    if (before === 'stalled') notice();
  } else if (state.name === 'connecting' && words.title) {
    notice({ ...words, bad: true });
  } else if (state.name === 'idle') {
    notice();
  }
}

function onSession(connected, gap) {
  session = connected;
  $('token').value = '';
  say($('who'), userOf(session));
  confirmed(relay.wanted);
  caughtUp = gap?.recovered ? session.id : undefined;
  notice();
  if (!gap) return;
  const words = describeGap(gap, session);
  addNote(words);
  if (!words.good) notice({ ...words, bad: true });
  else say($('spoken'), words.title);
}

function drawSession() {
  const position = relay.position;
  const facts = [['id', session?.sessionId], ['journal', session?.journal], ['seen up to', position && `#${position.id}`]];
  const key = JSON.stringify(facts);
  if ($('session').dataset.key === key) return;
  $('session').dataset.key = key;
  $('session').replaceChildren(...facts.filter(([, text]) => text).map(([name, text]) => el('div', {}, el('dt', {}, name), el('dd', {}, text))));
}

function onEvent(event) {
  event.replayed = caughtUp !== undefined && notAfter(event.id, caughtUp);
  if (!event.replayed) caughtUp = undefined;
  counted();
  sawEvent(event);
  addEvent(event);
}

const relay = new Relay({ state: onState, session: onSession, event: onEvent, subscribed: confirmed, rejected: refusedTopics });

function connect(token) {
  show($('token-problem'), false);
  session = undefined;
  clear();
  pause(false);
  forgetTopics();
  stored('sessionStorage', TOKEN, token);
  relay.connect(token);
}

// -- an empty list

function command(title, text) {
  const copy = el('button', { type: 'button', class: 'quiet', onclick: () => copyWith(copy, text) }, 'Copy');
  return el('li', {}, el('p', {}, title), el('div', { class: 'command' }, el('code', {}, text), copy));
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function emptyOf(hidden) {
  if (hidden > 0) {
    return [el('h3', {}, 'Nothing matches'), el('p', {}, `${hidden} events are here, none with this text.`),
      el('button', { type: 'button', onclick: () => { $('filter').value = ''; filter(''); $('filter').focus(); } }, 'Show all')];
  }
  if (state.name === 'stalled') return [el('h3', {}, 'Nothing can arrive now'), el('p', {}, 'Events appear here as soon as the relay is ready.')];
  if (state.name !== 'live') return [el('h3', {}, 'Not connected'), el('p', {}, 'Events appear here as soon as the relay is back.')];
  if (session?.test) return [el('h3', {}, 'A sample arrives in a moment'), el('p', {}, 'TEST sessions get one every five seconds, and nothing of the database.')];
  const origin = new URL('.', location.href).href.replace(/\/$/, '');
  const userId = session && !session.operator ? session.userId : '*';
  const body = JSON.stringify({ table: 'notices', type: 'created', data: { text: 'hello' }, userId });
  return [
    el('h3', {}, 'Listening. Make something happen:'),
    el('ol', { class: 'commands' },
      command('Change a row that this user may see, with any client of the database:', "UPDATE orders SET state = 'paid' WHERE id = 1;"),
      command('Tell something without a table, with the operator’s SECURITY_TOKEN:',
        `curl -X POST ${quoted(`${origin}/publish`)} -H "Authorization: Bearer $SECURITY_TOKEN" -d ${quoted(body)}`),
      command('Listen beside this page, in a terminal:', `curl -N -H "Authorization: Bearer $TOKEN" ${quoted(`${origin}/stream`)}`)),
    el('p', { class: 'hint' }, 'Nothing arrives? A table without a rule in TABLE_AUTH_COLUMN_ROUTING reaches no user. esink --check says what is watched.'),
  ];
}

let emptyKey;

function drawEmpty(hidden) {
  const key = `${hidden} ${state.name} ${session?.sessionId}`;
  if (key === emptyKey) return;
  emptyKey = key;
  $('empty').replaceChildren(...emptyOf(hidden));
}

// -- theme: as the system has it, light, dark

const THEMES = { auto: ['◐', 'as the system has it'], light: ['☀', 'light'], dark: ['☾', 'dark'] };

function setTheme(theme) {
  const [sign, words] = THEMES[theme];
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  stored('localStorage', 'esink.theme', theme === 'auto' ? null : theme);
  say($('theme'), sign);
  $('theme').title = `Theme: ${words}`;
  $('theme').setAttribute('aria-label', `Theme: ${words}`);
  drawRate();
}

function nextTheme() {
  const names = Object.keys(THEMES);
  setTheme(names[(names.indexOf(document.documentElement.dataset.theme ?? 'auto') + 1) % names.length]);
}

// -- keys

const KEYS = {
  '/': () => $('filter').focus(),
  p: () => pause(),
  t: () => { $('fold').open = true; $('pattern').focus(); },
  j: () => move(1),
  k: () => move(-1),
  y: copyCurrent,
  '?': () => $('shortcuts').showModal(),
};

function escape(press) {
  if (press.target === $('filter') && $('filter').value) {
    $('filter').value = '';
    filter('');
    press.preventDefault();
  } else if (!closeCurrent()) {
    document.activeElement?.blur?.();
  }
}

function onKey(press) {
  if (press.defaultPrevented || press.ctrlKey || press.metaKey || press.altKey || $('shortcuts').open) return;
  if (press.key === 'Escape') {
    escape(press);
    return;
  }
  const typing = press.target.matches?.('input, textarea, select');
  if (typing || !$('keys-on').checked || !KEYS[press.key] || ($('live').hidden && press.key !== '?')) return;
  press.preventDefault();
  KEYS[press.key]();
}

// -- the page begins

function start() {
  const theme = stored('localStorage', 'esink.theme');
  setTheme(THEMES[theme] ? theme : 'auto');
  $('theme').addEventListener('click', nextTheme);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawRate);
  $('help').addEventListener('click', () => $('shortcuts').showModal());
  document.addEventListener('keydown', onKey);
  $('keys-on').checked = stored('localStorage', 'esink.keys') !== 'off';
  $('keys-on').addEventListener('change', () => stored('localStorage', 'esink.keys', $('keys-on').checked ? null : 'off'));
  $('notice-close').addEventListener('click', () => notice());
  $('reveal').addEventListener('click', () => {
    const shown = $('token').type === 'text';
    $('token').type = shown ? 'password' : 'text';
    $('reveal').setAttribute('aria-pressed', String(!shown));
    say($('reveal'), shown ? 'Show' : 'Hide');
  });
  $('connect').addEventListener('submit', (submit) => {
    submit.preventDefault();
    const token = $('token').value.trim();
    if (token) connect(token);
    else askForToken('Type a token, or try TEST.');
  });
  $('try').addEventListener('click', () => connect('TEST'));
  $('disconnect').addEventListener('click', () => {
    stored('sessionStorage', TOKEN, null);
    relay.disconnect();
    session = undefined;
    askForToken();
  });
  let wait;
  $('filter').addEventListener('input', () => { clearTimeout(wait); wait = setTimeout(() => filter($('filter').value), 120); });
  startList(drawEmpty);
  startTopics((wanted) => relay.subscribe(wanted));
  startRate();
  setInterval(() => {
    if (state.name === 'waiting') bar();
    drawSession();
  }, 500);
  const token = stored('sessionStorage', TOKEN);
  if (token) connect(token);
}

start();
