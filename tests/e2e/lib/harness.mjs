// What every test file builds on: test() with things that are undone in the reverse order of their making, whatever
// happens, and errors while undoing them (a relay that leaked, logged a token or did not end) fail the test.
import { test as nodeTest, before, after } from 'node:test';
import { Postgres } from './postgres.mjs';
import { patience } from './wait.mjs';

export class Scope {
  #undo = [];

  // Runs fn when the test ends; later ones first.
  defer(fn) {
    this.#undo.push(fn);
  }

  async close() {
    const errors = [];
    for (const fn of this.#undo.reverse()) {
      try {
        await fn();
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }

  async end() {
    const [error] = await this.close();
    if (error) throw error;
  }
}

// test('what is promised', async (t) => {...}): t is the Scope that the lib's functions take.
export function test(name, ...rest) {
  const fn = rest.pop();
  const { timeout = 60_000 } = rest[0] ?? {};
  nodeTest(name, { timeout: timeout * patience }, async () => {
    const scope = new Scope();
    let failure;
    try {
      await fn(scope);
    } catch (error) {
      failure = error;
    }
    const errors = await scope.close();
    if (failure) {
      for (const error of errors) console.error(`also, while clearing up: ${error.message}`);
      throw failure;
    }
    if (errors.length > 0) throw errors[0];
  });
}

// One PostgreSQL for the test file; each test makes a database of its own in it.
export function usePostgres(options) {
  const server = new Postgres(options);
  before(() => server.start());
  after(() => server.remove());
  return server;
}
