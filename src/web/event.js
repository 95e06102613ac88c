// An event as it arrived: its text, kept whole, and of it what the list needs.
import { kindOf, members, piece, rawOf, stringOf } from './json.js';

// A message of the relay, {"event":name,"data":{...}}: its name, and data as a piece.
export function readMessage(text) {
  const message = {};
  for (const { key, value } of members(piece(text))) {
    if (key === 'event') message.name = stringOf(value);
    if (key === 'data') message.data = value;
  }
  return message;
}

// data: the piece of a message `changes`.
export function readEvent(data) {
  const event = { text: rawOf(data), meta: [] };
  for (const { key, value } of members(piece(event.text))) {
    if (key === 'data' || key === 'old') event[key] = value;
    else if (key === 'id' || key === 'table' || key === 'type') event[key] = stringOf(value);
    else if (key === 'timestamp') event.time = new Date(Number(rawOf(value)));
    else if (key === 'incomplete') event.incomplete = rawOf(value) === 'true';
    else event.meta.push([key, kindOf(value) === 'string' ? stringOf(value) : rawOf(value)]);
  }
  return event;
}

// What an update changed, where the old row came with it: [{key, before, after}], as pieces; undefined is absent.
export function changesOf(event) {
  if (!event.old || kindOf(event.old) !== 'object' || kindOf(event.data) !== 'object') return [];
  const before = new Map(members(event.old).map(({ key, value }) => [key, value]));
  const changes = [];
  for (const { key, value } of members(event.data)) {
    const old = before.get(key);
    before.delete(key);
    if (!old || rawOf(old) !== rawOf(value)) changes.push({ key, before: old, after: value });
  }
  for (const [key, old] of before) changes.push({ key, before: old });
  return changes;
}

// Does a position's id lie at or before another's? Ids have up to 20 digits.
export function notAfter(id, other) {
  return /^\d+$/.test(id) && /^\d+$/.test(other) && BigInt(id) <= BigInt(other);
}
