-- What esink keeps in the application's database. Run statement by statement, in one transaction, by source/sqlite/install.c.
--
-- esink_event is outbox and journal in one: SQLite has one writer at a time, so the rowid that the trigger's INSERT takes
-- (the greatest there is, plus one) is the event's id, in the order of the commits, without a gap, also when a transaction
-- is rolled back. That holds as long as the newest row stays: it is never deleted. Its columns v1, v2, .. have no type, so a
-- value is kept as it is, whatever it is; what they mean, the row's shape tells. kind: 0 insert, 1 update, 2 delete, plus 4
-- when an older version's trigger wrote the key alone; 8 published over the network, 9 by esink_emit. at: a Julian day.
CREATE TABLE esink_event (id INTEGER PRIMARY KEY, shape, kind, at, v1, v2, v3, v4, v5, v6, v7, v8, v9);
-- The form of the rows that one version of a table's triggers writes. whole: 0 keys alone, 1 the row, 2 an update's old row, too;
-- retired: when the next version took over.
CREATE TABLE esink_shape (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, word TEXT NOT NULL, broadcast INTEGER NOT NULL, whole INTEGER NOT NULL, retired REAL);
-- What v<slot> holds: side 0 the row (the new one of an update), 1 the row before an update. Sides 2, 3 and 4, behind them, hold
-- nothing: a withheld column that was renamed, and the table and column that it was then (source/sqlite/recall.c).
CREATE TABLE esink_column (shape INTEGER NOT NULL, slot INTEGER NOT NULL, side INTEGER NOT NULL, name TEXT NOT NULL, sent INTEGER NOT NULL, route INTEGER NOT NULL, part INTEGER NOT NULL, form INTEGER NOT NULL, PRIMARY KEY (shape, slot)) WITHOUT ROWID;
-- One row. version: of all this; journal: 16 hex digits, see source/sqlite/note.c.
CREATE TABLE esink_meta (version INTEGER NOT NULL, journal TEXT NOT NULL);
-- Events from SQL: INSERT INTO esink_emit (topic, type, data, audience) VALUES ('orders', 'shipped', '{"id":7}', '["7"]').
CREATE VIEW esink_emit (topic, type, data, audience) AS SELECT NULL, NULL, NULL, NULL WHERE 0;
CREATE TRIGGER "esink emit" INSTEAD OF INSERT ON esink_emit BEGIN
  SELECT RAISE(ABORT, 'esink_emit: topic must be text of 1 to 64 characters')
    WHERE NOT coalesce(typeof(NEW.topic) = 'text' AND length(NEW.topic) BETWEEN 1 AND 64, 0);
  SELECT RAISE(ABORT, 'esink_emit: type must be text of 1 to 64 characters')
    WHERE NOT coalesce(typeof(NEW.type) = 'text' AND length(NEW.type) BETWEEN 1 AND 64, 0);
  SELECT RAISE(ABORT, 'esink_emit: data must be a JSON object, as text')
    WHERE CASE WHEN typeof(NEW.data) <> 'text' THEN 1 WHEN NOT json_valid(NEW.data) THEN 1 ELSE json_type(NEW.data) <> 'object' END;
  SELECT RAISE(ABORT, 'esink_emit: audience must be a JSON array of user ids, such as ''["7"]'', or true for everyone')
    WHERE CASE WHEN NEW.audience IS NULL THEN 0 WHEN typeof(NEW.audience) = 'integer' THEN NEW.audience NOT IN (0, 1)
      WHEN typeof(NEW.audience) <> 'text' THEN 1 WHEN NOT json_valid(NEW.audience) THEN 1
      ELSE json_type(NEW.audience) NOT IN ('array', 'true', 'false') END;
  INSERT INTO esink_event (shape, kind, at, v1, v2, v3, v4) VALUES (0, 9, julianday('now'), NEW.topic, NEW.type, NEW.data, NEW.audience);
END;
