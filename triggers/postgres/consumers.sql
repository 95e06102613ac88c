-- What is kept of consumers (esink/consumer.h): their tables and the functions on them. Runs whenever functions.sql does, before it,
-- so that a schema which has none of this yet gets it and keeps its journal.
--
-- A row of esink.consumer is written up to some fifty times a second: no index has what changes, and pages are half empty, so
-- that a new version of a row finds room beside the old one, and that room is used again without a vacuum.

CREATE TABLE IF NOT EXISTS esink.consumer (
  name       text COLLATE "C" PRIMARY KEY,
  topics     text NOT NULL,                       -- a JSON array of patterns; []: every topic
  types      text NOT NULL,                       -- likewise, exact
  cursor     bigint NOT NULL,                     -- an id of this ...
  journal    text NOT NULL,                       -- ... journal; where meta has another, it says nothing and counts as the journal's start
  updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), -- when it was last heard of
  dropped    boolean NOT NULL DEFAULT false,      -- it was silent for too long
  generation bigint NOT NULL DEFAULT 0            -- random, one of each registration under a name
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
ALTER TABLE esink.consumer ADD COLUMN IF NOT EXISTS generation bigint NOT NULL DEFAULT 0;

-- What was settled above the cursor, out of order; below it what was skipped, as long as the event is there.
CREATE TABLE IF NOT EXISTS esink.mark (
  consumer   text COLLATE "C" NOT NULL,
  id         bigint NOT NULL,
  skipped    boolean NOT NULL,
  PRIMARY KEY (consumer, id)
);
CREATE INDEX IF NOT EXISTS mark_id ON esink.mark (id);
CREATE INDEX IF NOT EXISTS mark_completed ON esink.mark (consumer, id) WHERE NOT skipped;

-- True: it was made; NULL: there are v_max others. One that is there keeps its cursor, but for the generation that is lost (NULL: none),
-- which is replaced. One at a time, so that two relays do not both make it.
-- Writes: consumer, mark
CREATE OR REPLACE FUNCTION esink.put_consumer(v_name text, v_topics text, v_types text, v_cursor bigint, v_generation bigint,
  v_lost bigint, v_max bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1702062446, 3);
  UPDATE esink.consumer c SET topics = v_topics, types = v_types, updated_at = clock_timestamp()
    WHERE c.name = v_name AND NOT c.dropped AND c.generation IS DISTINCT FROM v_lost;
  IF FOUND THEN
    RETURN false;
  END IF;
  IF (SELECT count(*) FROM esink.consumer c WHERE c.name <> v_name) >= v_max THEN
    RETURN NULL;
  END IF;
  DELETE FROM esink.consumer c WHERE c.name = v_name;
  DELETE FROM esink.mark k WHERE k.consumer = v_name;
  INSERT INTO esink.consumer (name, topics, types, cursor, journal, generation)
    SELECT v_name, v_topics, v_types, v_cursor, m.journal, v_generation FROM esink.meta m;
  RETURN true;
END $$;

-- Writes: consumer, mark
CREATE OR REPLACE FUNCTION esink.delete_consumer(v_name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM esink.consumer c WHERE c.name = v_name;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM esink.mark k WHERE k.consumer = v_name;
  RETURN true;
END $$;

-- It was heard of, and has settled everything up to an id of a journal. False: there is none, it was dropped, another one has its name,
-- or the journal is another one. Of what it had completed
-- at most a thousand marks go at a time; those left behind say nothing that the cursor does not, and go with the next ones.
-- Writes: consumer, mark   Reads: meta
CREATE OR REPLACE FUNCTION esink.advance_consumer(v_name text, v_generation bigint, v_journal text, v_to bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off AS $$
BEGIN
  UPDATE esink.consumer c SET cursor = greatest(CASE WHEN c.journal = m.journal THEN c.cursor ELSE m.floor END, v_to),
      journal = m.journal, updated_at = clock_timestamp()
    FROM esink.meta m WHERE c.name = v_name AND NOT c.dropped AND c.generation = v_generation AND m.journal = v_journal
      AND (c.cursor < v_to OR c.updated_at < clock_timestamp() - interval '1 second' OR c.journal <> m.journal);
  IF NOT FOUND THEN
    RETURN EXISTS (SELECT FROM esink.consumer c, esink.meta m WHERE c.name = v_name AND NOT c.dropped AND c.generation = v_generation
      AND m.journal = v_journal);
  END IF;
  DELETE FROM esink.mark k WHERE k.consumer = v_name AND k.id = ANY (ARRAY(SELECT d.id FROM esink.mark d
    WHERE d.consumer = v_name AND NOT d.skipped AND d.id <= v_to ORDER BY d.id LIMIT 1000));
  RETURN true;
END $$;

-- What became of one event; the last word counts. Of what is completed at or below the cursor no mark is needed. False: as above.
-- The consumer's row is locked first, so that marks of one consumer come one after the other; a journal that begins waits for it, or
-- is seen behind it.
-- Writes: consumer, mark   Reads: meta
CREATE OR REPLACE FUNCTION esink.mark_event(v_name text, v_generation bigint, v_journal text, v_id bigint, v_skipped boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off AS $$
DECLARE
  v_cursor bigint;
BEGIN
  UPDATE esink.consumer c SET updated_at = clock_timestamp() WHERE c.name = v_name AND NOT c.dropped
    AND c.generation = v_generation RETURNING c.cursor INTO v_cursor;
  IF NOT FOUND OR NOT EXISTS (SELECT FROM esink.meta m WHERE m.journal = v_journal) THEN
    RETURN false;
  END IF;
  IF v_skipped OR v_id > v_cursor THEN
    INSERT INTO esink.mark AS k (consumer, id, skipped) VALUES (v_name, v_id, v_skipped)
      ON CONFLICT (consumer, id) DO UPDATE SET skipped = excluded.skipped WHERE k.skipped <> excluded.skipped;
  ELSE
    DELETE FROM esink.mark k WHERE k.consumer = v_name AND k.id = v_id;
  END IF;
  RETURN true;
END $$;

-- The events above it are still needed; NULL: nobody needs any.
-- Reads: consumer, meta
CREATE OR REPLACE FUNCTION esink.held() RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT min(CASE WHEN c.journal = m.journal THEN c.cursor ELSE m.floor END) FROM esink.consumer c, esink.meta m
    WHERE NOT c.dropped);
END $$;

-- The events, by seq, of all ticks that are not behind every consumer.
-- Calls: held, tick_keys   Reads: tick_0, tick_1, event_0, event_1
CREATE OR REPLACE FUNCTION esink.unread() RETURNS TABLE (seq bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off AS $$
DECLARE
  v_held bigint := esink.held();
BEGIN
  RETURN QUERY SELECT k.seq FROM (SELECT * FROM esink.tick_0 UNION ALL SELECT * FROM esink.tick_1) t, esink.tick_keys(t.low, t.high) k
    WHERE t.count > 0 AND t.first + t.count - 1 > v_held;
END $$;

-- Those that were not heard of for so long no longer hold the journal back.
-- Writes: consumer
CREATE OR REPLACE FUNCTION esink.drop_silent(most interval) RETURNS TABLE (name text, silent_ms bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY UPDATE esink.consumer c SET dropped = true WHERE NOT c.dropped AND c.updated_at < clock_timestamp() - most
    RETURNING c.name, (date_part('epoch', clock_timestamp() - c.updated_at) * 1000)::bigint;
END $$;

-- Marks of events that are gone, some at a time; how many.
-- Writes: mark   Reads: meta
CREATE OR REPLACE FUNCTION esink.prune_marks(most bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off AS $$
DECLARE
  v_count bigint;
BEGIN
  DELETE FROM esink.mark k USING (SELECT d.consumer, d.id FROM esink.mark d WHERE d.id <= (SELECT m.floor FROM esink.meta m)
      ORDER BY d.id LIMIT most) g WHERE k.consumer = g.consumer AND k.id = g.id;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END $$;

-- Cursors that are of another journal, or ahead of this one, begin at its start: they came from elsewhere, with a restored row or
-- table. How many. Rows are locked before the head is read: what was acknowledged meanwhile is not ahead of it.
-- Calls: newest_tick   Writes: consumer, mark
CREATE OR REPLACE FUNCTION esink.settle_consumers() RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_reset text[];
BEGIN
  PERFORM FROM esink.consumer c ORDER BY c.name FOR UPDATE;
  WITH reset AS (UPDATE esink.consumer c SET cursor = m.floor, journal = m.journal FROM esink.meta m, esink.newest_tick() t
      WHERE c.journal <> m.journal OR c.cursor >= t.next RETURNING c.name)
    SELECT array_agg(r.name) INTO v_reset FROM reset r;
  DELETE FROM esink.mark k WHERE k.consumer = ANY (v_reset);
  RETURN coalesce(cardinality(v_reset), 0);
END $$;
