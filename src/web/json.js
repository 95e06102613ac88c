// JSON as text with places in it. JSON.parse would round 9007199254740993 and 0.10000000000000000001, order and merge keys,
// and take a deep value by recursion; here a value is a piece {text, start, end} of what arrived, looked into one level at a
// time when somebody opens it, and shown as it is written.

const blank = /[ \t\n\r]*/y;
const scalar = /[^ \t\n\r,:\]}]+/y;
const structural = /["{}[\]]/g;

function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

const afterBlank = (text, at) => match(blank, text, at);

// Behind the closing quote of the string that begins at `at`.
function stringEnd(text, at) {
  for (;;) {
    at = text.indexOf('"', at + 1);
    if (at < 0) throw new SyntaxError('a string without its end');
    let slashes = 0;
    while (text[at - 1 - slashes] === '\\') slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
}

function valueEnd(text, at) {
  if (text[at] === '"') return stringEnd(text, at);
  if (text[at] !== '{' && text[at] !== '[') return match(scalar, text, at);
  for (let depth = 0; ;) {
    structural.lastIndex = at;
    if (!structural.test(text)) throw new SyntaxError('an object or a list without its end');
    const found = structural.lastIndex - 1;
    if (text[found] === '"') {
      at = stringEnd(text, found);
      continue;
    }
    depth += text[found] === '{' || text[found] === '[' ? 1 : -1;
    at = found + 1;
    if (depth === 0) return at;
  }
}

// The whole of a text.
export function piece(text) {
  const start = afterBlank(text, 0);
  return { text, start, end: valueEnd(text, start) };
}

// object, list, string, number, true, false or null; `other` is no JSON.
export function kindOf({ text, start }) {
  switch (text[start]) {
    case '{': return 'object';
    case '[': return 'list';
    case '"': return 'string';
    case 't': case 'f': return 'boolean';
    case 'n': return 'null';
    default: return /[-0-9]/.test(text[start] ?? '') ? 'number' : 'other';
  }
}

export const rawOf = ({ text, start, end }) => text.slice(start, end);
export const stringOf = (value) => JSON.parse(rawOf(value));
export const isNested = (value) => value.text[value.start] === '{' || value.text[value.start] === '[';

// The members of an object or list, in their order, at most `most`: each {key, value}; a list's keys are numbers.
export function members(value, most = Infinity) {
  const { text, end } = value;
  const keyed = text[value.start] === '{';
  const found = [];
  let at = afterBlank(text, value.start + 1);
  while (at < end - 1 && found.length < most) {
    let key = found.length;
    if (keyed) {
      const stop = stringEnd(text, at);
      key = JSON.parse(text.slice(at, stop));
      at = afterBlank(text, afterBlank(text, stop) + 1);
    }
    const stop = valueEnd(text, at);
    if (stop === at) throw new SyntaxError(`no value at ${at}`);
    found.push({ key, value: { text, start: at, end: stop } });
    at = afterBlank(text, afterBlank(text, stop) + 1);
  }
  return found;
}
