// What each database keeps of consumers, as rows: for tests that write and read them by SQL, as a person at the database would.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const tables = {
  postgres: { consumer: 'esink.consumer', mark: 'esink.mark', meta: 'esink.meta', now: 'now()', ago: (ms) => `now() - interval '${ms} milliseconds'` },
  mysql: { now: 'CURRENT_TIMESTAMP(3)', ago: (ms) => `CURRENT_TIMESTAMP(3) - INTERVAL ${ms * 1000} MICROSECOND` },
  sqlite: { now: "julianday('now')", ago: (ms) => `julianday('now') - ${ms} / 86400000.0` },
};

// events: how many the journal keeps; floor: all up to it are gone; oldest: age of the oldest one in ms.
const journal = {
  postgres: `SELECT m.floor, (SELECT t.next - 1 FROM esink.newest_tick() t) AS head,
    (SELECT count(*) FROM (SELECT FROM esink.event_0 UNION ALL SELECT FROM esink.event_1) e) AS events,
    (SELECT extract(epoch FROM clock_timestamp() - min(e.at)) * 1000 FROM (SELECT at FROM esink.event_0 UNION ALL SELECT at FROM esink.event_1) e) AS oldest
    FROM esink.meta m`,
  mysql: `SELECT COALESCE((SELECT MIN(id - events) FROM esink_journal), m.head) AS floor, m.head, (SELECT COALESCE(SUM(events), 0) FROM esink_journal) AS events,
    (SELECT TIMESTAMPDIFF(MICROSECOND, MIN(moved), CURRENT_TIMESTAMP(3)) / 1000 FROM esink_journal) AS oldest FROM esink_meta m`,
  sqlite: `SELECT coalesce(min(id), 1) - 1 AS floor, coalesce(max(id), 0) AS head, count(*) AS events,
    (julianday('now') - min(at)) * 86400000 AS oldest FROM esink_event`,
};

function folderBytes(folder, wanted) {
  return readdirSync(folder).filter(wanted).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
}

// Bytes on the disk of all that is esink's, or of the file that it shares.
const disk = {
  postgres: async (db) => Number((await db.query(`SELECT sum(pg_total_relation_size(c.oid)) AS n FROM pg_class c WHERE c.relnamespace = 'esink'::regnamespace
    AND c.relkind = 'r'`)).rows[0].n),
  mysql: async (db) => folderBytes(join(db.server.scratch, 'data', db.name), (file) => file.startsWith('esink') && file.endsWith('.ibd')),
  sqlite: async (db) => folderBytes(db.folder, (file) => file.startsWith('shop.db') && !file.endsWith('-shm') && !file.endsWith('-esink')),
};

const numbers = (row) => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, Number(value)]));

export function storeOf(name) {
  const t = { consumer: 'esink_consumer', mark: 'esink_mark', meta: 'esink_meta', ...tables[name] };
  const store = {
    table: t,
    // Where the journal begins once all up to the cursor was discarded. MySQL's keeps what was moved together, which on a busy machine is
    // more than one transaction.
    async floorOf(db, cursor) {
      if (name !== 'mysql') return cursor;
      return numbers((await db.query(`SELECT MIN(id - events) AS floor FROM esink_journal WHERE id > ${cursor}`)).rows[0]).floor;
    },
    // silent: for so many ms; less than 0: it will be heard of.
    async register(db, consumer, cursor, { silent = 0, journal: of = `(SELECT journal FROM ${t.meta})` } = {}) {
      await db.query(`INSERT INTO ${t.consumer} (name, topics, types, "cursor", journal, updated_at) VALUES ('${consumer}', '[]', '[]', ${cursor}, ${of}, ${t.ago(silent)})`);
    },
    advance: (db, consumer, cursor) => db.query(`UPDATE ${t.consumer} SET "cursor" = ${cursor}, updated_at = ${t.now} WHERE name = '${consumer}'`),
    async consumer(db, consumer) {
      const { rows: [row] } = await db.query(`SELECT "cursor" AS at, journal, dropped FROM ${t.consumer} WHERE name = '${consumer}'`);
      return row && { cursor: Number(row.at), journal: row.journal, dropped: Boolean(Number(row.dropped)) };
    },
    skip: (db, consumer, ids) => db.query(`INSERT INTO ${t.mark} (consumer, id, skipped) VALUES ${ids.map((id) => `('${consumer}', ${id}, ${name === 'postgres' ? 'true' : 1})`).join(', ')}`),
    // So many completed ones, from an id on.
    async fill(db, consumer, from, count) {
      for (let at = from; at < from + count; at += 10_000) {
        const ids = Array.from({ length: 10_000 }, (_, i) => `('${consumer}', ${at + i}, ${name === 'postgres' ? 'false' : 0})`);
        await db.query(`INSERT INTO ${t.mark} (consumer, id, skipped) VALUES ${ids.join(', ')}`);
      }
    },
    marks: async (db) => Number((await db.query(`SELECT count(*) AS n FROM ${t.mark}`)).rows[0].n),
    journal: async (db) => numbers((await db.query(journal[name])).rows[0]),
    name: async (db) => (await db.query(`SELECT journal FROM ${t.meta}`)).rows[0].journal,
    disk: (db) => disk[name](db),
  };
  return store;
}
