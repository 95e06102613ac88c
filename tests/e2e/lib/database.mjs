// What a test's database has whatever its server is: users with their tokens, and fences. Those of postgres.mjs, mysql.mjs and
// sqlite.mjs add query().
import { randomBytes } from 'node:crypto';

export class TestDatabase {
  #fence = 0;
  tokens = new Map();

  // A user of that id with a random token; the token is one that no log may ever hold.
  async user(id) {
    const token = `tok${randomBytes(12).toString('hex')}`;
    await this.query('INSERT INTO auth (id, token) VALUES ($1, $2)', [id, token]);
    this.tokens.set(id, token);
    return token;
  }

  // Commits a row that everyone hears of, and tells its number.
  async fence() {
    const n = ++this.#fence;
    await this.query('INSERT INTO fence VALUES ($1)', [n]);
    return n;
  }
}
