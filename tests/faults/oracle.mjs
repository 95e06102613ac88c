// Prevents: an oracle that approves of everything. Every kind of fault is made by hand in what a client received, and must be found.
import { part } from './lib/part.mjs';
import { Listener, stepOf } from './lib/listener.mjs';
import { judge } from './lib/oracle.mjs';

// A row that is made for user 1, changed, handed to 2, deleted there; news; a row for nobody.
const ops = [
  { kind: 'news', cell: 50, version: 0, owner: 0, was: 0 }, { kind: 'quiet', cell: 60, version: 0, owner: 0, was: 0 },
  { kind: 'insert', cell: 7, version: 1, owner: 1, was: null }, { kind: 'update', cell: 7, version: 2, owner: 1, was: 1 },
  { kind: 'update', cell: 7, version: 3, owner: 2, was: 1 }, { kind: 'delete', cell: 7, version: 4, owner: null, was: 2 },
];
const news = ['news 50', ['insert undefined']];
const right = {
  1: [news, ['cells 7', ['insert 1', 'update 2', 'delete']]],
  2: [news, ['cells 7', ['update 3', 'delete']]],
  3: [news],
  operator: [news, ['quiet 60', ['insert undefined']], ['cells 7', ['insert 1', 'update 2', 'update 3', 'delete']]],
};

function heard(who, rows) {
  const one = new Listener(undefined, who === 'operator' ? who : Number(who), 'token', 'ws');
  one.journal = 'j';
  for (const [row, steps] of rows) one.steps.set(row, [...steps]);
  return one;
}

const wrong = {
  'one is lost': (one) => one.steps.get('cells 7').splice(1, 1),
  'the last is lost': (one) => one.steps.get('cells 7').pop(),
  'a row is lost': (one) => one.steps.delete('news 50'),
  'one comes twice': (one) => one.steps.get('cells 7').splice(1, 0, one.steps.get('cells 7')[0]),
  'two change places': (one) => one.steps.get('cells 7').reverse(),
  'one that was rolled back': (one) => one.steps.get('cells 7').push(stepOf('update', 9)),
  "somebody else's row": (one) => one.steps.set('cells 8', [stepOf('update', 1)]),
  'a row for nobody': (one) => one.who !== 'operator' && one.steps.set('quiet 60', [stepOf('insert')]),
  'an id that was there': (one) => { one.last = 9; one.note({ id: '9', table: 'fence', type: 'insert', data: { n: 1 } }); },
  'incomplete': (one) => one.note({ id: '99', table: 'fence2', type: 'insert', data: { id: 1 }, incomplete: true }),
};

await part(import.meta, { quick: 1, full: 1 }, [['finds every kind of fault', async () => {
  const all = () => Object.entries(right).map(([who, rows]) => heard(who, rows));
  const groundless = judge(ops, all());
  if (groundless.length) throw new Error(`it complains of what is right: ${groundless}`);
  let found = 0;
  for (const [name, spoil] of Object.entries(wrong)) {
    for (const who of ['1', '2', 'operator']) {
      const one = heard(who, right[who]);
      if (spoil(one) === false) continue;
      if (!judge(ops, [one]).length) throw new Error(`it did not find: ${name}, at ${who}`);
      found++;
    }
  }
  return `${found} of ${found}`;
}]]);
