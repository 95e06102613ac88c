// What tests compare of an event when its id and time are not the point.
import assert from 'node:assert/strict';

export const shape = ({ table, type, data }) => ({ table, type, data });
export const shapes = (client) => client.events.map(shape);

// The constant parts of a database event, and ids that are decimal strings in order.
export function wellFormed(event) {
  assert.match(event.id, /^[1-9][0-9]*$/);
  assert.equal(event.source, 'postgres');
  assert.equal(event.source_type, 'database');
  assert.equal(event.version, 1);
  assert.match(event.transaction_id, /^[0-9]+$/);
  assert.ok(Number.isInteger(event.timestamp) && Math.abs(event.timestamp - Date.now()) < 600_000, `timestamp ${event.timestamp}`);
}

export function ascending(events) {
  for (let i = 1; i < events.length; i++) {
    assert.ok(BigInt(events[i].id) > BigInt(events[i - 1].id), `id ${events[i].id} came after ${events[i - 1].id}`);
  }
}

// Every answer carries these, errors too.
export function secureHeaders({ headers }) {
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['x-frame-options'], 'SAMEORIGIN');
  assert.equal(headers['referrer-policy'], 'no-referrer');
}
