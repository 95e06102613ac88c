// Prevents: what a database keeps of consumers being lost, moved back or left behind by one of its drivers; a journal that is cut
// off before a consumer has read it, or held for ever by one that never comes back; a cursor of an old journal that skips
// events of a new one. Consumers are rows written by SQL here: what is asked of them over the network is consumers.test.mjs'.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { after, describe } from 'node:test';
import { databaseOf } from './lib/databases.mjs';
import { test } from './lib/harness.mjs';
import { binary } from './lib/relay.mjs';

const environmentOf = (db) => db.env ?? { POSTGRES_DATABASE_URL: db.url };

// tests/unit/source/consumers.c on this database.
async function operations(db) {
  const program = join(dirname(binary()), '../../tests/unit/source/unit_source_consumers');
  const child = spawn(program, [], { env: { PATH: process.env.PATH, ...environmentOf(db) }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += chunk; });
  const status = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(status, 0, output);
}

for (const name of ['postgres', 'mysql', 'sqlite']) {
  const database = databaseOf(name);

  describe(name, () => {
    after(() => database.stop());

    test('each operation is whole, and none goes back, also where two relays are at it', async (t) => {
      await operations(await database.database(t));
    });
  });
}
