// Prevents: in a database whose encoding is not UTF-8, a value with bytes that are no character there, which the server cannot send us:
// the read that holds it fails whenever it is tried, and nothing that comes after it is ever told.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { test } from './lib/harness.mjs';
import { Postgres } from './lib/postgres.mjs';
import { startRelay } from './lib/relay.mjs';
import { operator } from './source/suite.mjs';

let server;
before(async () => { server = await new Postgres().start(); });
after(() => server.remove());

for (const [encoding, bytes] of [['SQL_ASCII', "E'\\xff\\xfe'"], ['WIN1252', 'chr(129)'], ['LATIN1', 'chr(129)']]) {
  test(`${encoding}: a text that cannot be told holds up nothing`, async (t) => {
    const db = await server.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, owner text, note text)',
      `ENCODING '${encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'`);
    const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'owner' }, env: { SECURITY_TOKEN: operator, OLD_ROWS: '*' } });
    const [boss, client] = [await relay.operator(), await relay.ws(await db.user(7))];
    await db.query(`INSERT INTO notes VALUES (1, '7', 'before'); INSERT INTO notes VALUES (2, '7', ${bytes}), (3, ${bytes}, 'x');
      UPDATE notes SET note = 'mended' WHERE id = 2; UPDATE notes SET owner = '7' WHERE id = 3; BEGIN; SET LOCAL esink.actor = ${bytes.startsWith('E') ? bytes : "'7'"};
      INSERT INTO notes VALUES (4, '7', 'after'); COMMIT`);
    for (const one of [boss, client]) await relay.fence(one);
    const seen = ({ type, data, incomplete }) => [type, data.id, data.note, incomplete ?? false];
    const shown = encoding === 'LATIN1' ? [[2, '\u0081', false], [3, 'x', false]] : [[undefined, undefined, true], [undefined, undefined, true]];
    const all = [['insert', 1, 'before', false], ['insert', ...shown[0]], ['insert', ...shown[1]], ['update', 2, 'mended', false], ['update', 3, 'x', false], ['insert', 4, 'after', false]];
    const of = (who) => who.events.filter(({ table }) => table === 'notes');
    assert.deepEqual(of(boss).map(seen), all);
    assert.deepEqual(of(client).map(seen), all.filter((_, i) => i !== 2));
    const past = await relay.get('/events?after=0&table=notes', { headers: { authorization: `Bearer ${operator}` } });
    assert.deepEqual(past.json.events.map(seen), all);
    assert.equal((await relay.get('/ready')).status, 200);
  });
}
