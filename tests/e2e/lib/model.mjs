// Who may see what: a reference model, written from docs/PROTOCOL.md and docs/OPERATIONS.md and not from the code, and random configurations
// and writes for it. tests/fuzz/model.c is its sister for what needs no database.
//
// Rules: {watched, everyone, routes, filtered, only, old} for each table; an entry of the journal: {kind, table, row, before, rules (of
// the day when it was written)} or {kind: 'published', ..},
// whose users are a list, or true for everyone. A view is what a client is told of an entry: {table, type, data, old?}.
export const columns = ['id', 'owner', 'team', 'note', 'secret', 'price'];
export const tables = ['orders', 'notes', 'items'];
export const users = ['7', '8', 'alice', 'Alice', '*', '007', "o'neil", 'zoë'];
const values = [...users, '', null, ' 7'];

export const schema = tables.map((table) => `CREATE TABLE ${table} (id int PRIMARY KEY, owner text, team text, note text, secret text, price int);`).join('\n');

// Choices of a generator of ledger.mjs.
export class Dice {
  constructor(random) { this.random = random; }
  roll(n) { return Math.floor(this.random() * n); }
  chance(percent) { return this.random() * 100 < percent; }
  of(list) { return list[this.roll(list.length)]; }
  some(list, percent) { return list.filter(() => this.chance(percent)); }
}

export function chooseRules(dice) {
  return Object.fromEntries(tables.map((table) => {
    const everyone = dice.chance(15);
    return [table, {
      watched: dice.chance(90), everyone, routes: everyone ? [] : dice.some(['owner', 'team', 'note', 'id', 'secret'], 40), filtered: dice.some(columns, 20),
      only: dice.chance(20) ? [...new Set([dice.of(columns), ...dice.some(columns, 60)])] : undefined, old: dice.chance(50),
    }];
  }));
}

// As options of startRelay(). Nothing says the same twice, everything is quoted now and then.
export function spell(dice, rules) {
  const name = (table) => (dice.chance(50) ? `"${table}"` : table);
  const of = (fits) => tables.filter((table) => fits(rules[table]));
  const list = (pick) => tables.flatMap((table) => (pick(rules[table]) ?? []).map((column) => `"${table}".${dice.chance(30) ? column.toUpperCase() : column}`)).join(',');
  return {
    tables: of((rule) => rule.watched).map(name).join(','),
    filters: list((rule) => rule.filtered),
    routing: Object.fromEntries(of((rule) => rule.everyone || rule.routes.length)
      .map((table) => [`"${table}"`, rules[table].everyone ? '*' : rules[table].routes.length === 1 && dice.chance(50) ? rules[table].routes[0] : rules[table].routes])),
    columns: list((rule) => rule.only),
    old: of((rule) => rule.old).map((table) => `"${table}"`).join(','),
  };
}

export const chooseRow = (dice, id, price) =>
  ({ id, owner: dice.of(values), team: dice.of(values), note: dice.of(values), secret: dice.of(values), price });
export const changeRow = (dice, row, price) =>
  Object.fromEntries(columns.map((column) => [column, column === 'price' ? price : column === 'id' || dice.chance(60) ? row[column] : dice.of(values)]));

const withheld = (rule, column) => rule.filtered.includes(column) || Boolean(rule.only && !rule.only.includes(column));
const less = (row, ...rules) => Object.fromEntries(Object.entries(row).filter(([column]) => !rules.some((rule) => withheld(rule, column))));
const routed = (rule, row, user) => rule.routes.some((column) => row[column] !== null && String(row[column]) === user);

// user undefined: the operator. now: the rules of the relay that tells it. Undefined: nothing.
export function show(entry, now, user) {
  const { table, kind, row, before, rules } = entry;
  if (kind === 'published') {
    if (user !== undefined && entry.users !== true && !entry.users.includes(user)) return undefined;
    const gone = new Set([...(entry.sql ? [] : rules[table]?.filtered ?? []), ...(now[table]?.filtered ?? [])]); // SQL knows no FILTERS
    return { table, type: entry.type, data: Object.fromEntries(Object.entries(entry.data).filter(([column]) => !gone.has(column))) };
  }
  const then = rules[table], today = now[table];
  const whole = (withOld) => ({ table, type: kind, data: less(row, then, today), ...(kind === 'update' && withOld && then.old ? { old: less(before, then, today) } : {}) });
  if (user === undefined) return whole(true);
  if (!today.watched || !(today.everyone || today.routes.length)) return undefined;
  if (then.everyone && today.everyone) return whole(true);
  const is = routed(then, row, user), was = kind === 'update' ? routed(then, before, user) : is;
  if (is) return whole(was);
  return was ? { table, type: 'delete', data: less({ id: before.id }, then, today) } : undefined;
}

// Patterns, and what each means.
const patterns = [
  ['orders', (topic) => topic.startsWith('orders')], ['orders$', (topic) => topic === 'orders'], ['.*', () => true], ['rders', () => false],
  ['(orders|notes)$', (topic) => topic === 'orders' || topic === 'notes'], ['[^o]+s$', (topic) => topic === 'items' || topic === 'news'],
  ['news|it', (topic) => topic.startsWith('news') || topic.startsWith('it')], ['^items$', (topic) => topic === 'items'],
];
export function chooseSubscription(dice) {
  const picked = dice.chance(40) ? [] : Array.from({ length: 1 + dice.roll(2) }, () => dice.of(patterns));
  const types = dice.chance(60) ? [] : dice.some(['insert', 'update', 'delete', 'shipped'], 50);
  return {
    topics: picked.map(([pattern]) => pattern), types,
    wants: ({ table, type }) => (!picked.length || picked.some(([, matches]) => matches(table))) && (!types.length || types.includes(type)),
  };
}
