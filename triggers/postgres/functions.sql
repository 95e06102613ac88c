-- The functions of schema esink. Each may be replaced at any time (a newer relay does so when this file changed).
--
-- They run for the relay alone, but for number_before, same and emit (what else runs for writers is made from capture.sql). Their search_path and the settings that
-- steer the planner belong to the functions: behind a pooler a session is not ours to change.

-- For what takes a lock and judges by what it sees then: with one snapshot for the whole transaction that would be from before the lock.
-- The relay sees to it when it connects, but a reload of the server's configuration reaches sessions that are open.
CREATE OR REPLACE FUNCTION esink.want_read_committed() RETURNS void LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'esink: transactions are % by default now: connecting again', current_setting('transaction_isolation')
      USING ERRCODE = 'ES003';
  END IF;
END $$;

-- The newest tick: its end is where the next one begins, its `after` is what that one leaves out. It is in the pair that writers use,
-- unless there is none in it yet.
-- Calls: -   Reads: tick_0, tick_1, meta
CREATE OR REPLACE FUNCTION esink.newest_tick(OUT next bigint, OUT snapshot pg_snapshot)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF pg_sequence_last_value('esink.rotation') % 2 = 0 THEN
    SELECT t.first + t.count, t.after INTO next, snapshot FROM esink.tick_0 t ORDER BY t.first DESC, t.count DESC LIMIT 1;
    IF FOUND AND NOT EXISTS (SELECT FROM esink.tick_1 o WHERE o.first >= next) THEN
      RETURN;
    END IF;
  ELSE
    SELECT t.first + t.count, t.after INTO next, snapshot FROM esink.tick_1 t ORDER BY t.first DESC, t.count DESC LIMIT 1;
    IF FOUND AND NOT EXISTS (SELECT FROM esink.tick_0 o WHERE o.first >= next) THEN
      RETURN;
    END IF;
  END IF;
  SELECT t.first + t.count, t.after INTO next, snapshot
    FROM (SELECT * FROM (SELECT * FROM esink.tick_0 ORDER BY first DESC, count DESC LIMIT 1) a
          UNION ALL
          SELECT * FROM (SELECT * FROM esink.tick_1 ORDER BY first DESC, count DESC LIMIT 1) b) t
    ORDER BY t.first + t.count DESC, t.first DESC LIMIT 1;
  IF next IS NULL THEN
    SELECT 1, m.base INTO next, snapshot FROM esink.meta m;
  END IF;
END $$;

-- Makes a tick of what was committed since the last one, if anything was, and tells the head: the newest id.
-- One drainer at a time: a transaction-level advisory lock, which holds behind a pooler too; who does not get it only
-- reads the head. Returns one short row, so that it can never hang on a reader's dead connection.
-- Of a big tick only the first page is mapped: the relay can begin to deliver while it asks for the others (map_rest).
-- asleep: what writers believe. crowded: and transactions wait for each other's NOTIFY (its lock is held over the commit, the flush included).
-- first, low, high, place: of a small tick that was made now, what is needed to read it without looking for it; place is the event table that
-- all of it is in, NULL when it is in both, or when there is no such tick.
-- Nearly every look of a relay is one of these, so what newest_tick and spans mostly find is found here, without calling them.
-- Calls: want_read_committed, newest_tick, spans, pending, blank, map_first   Writes: tick_0 or tick_1   Reads: event_0, event_1, guard
DROP FUNCTION IF EXISTS esink.drain(); -- a former one has another result
CREATE OR REPLACE FUNCTION esink.drain(OUT head bigint, OUT drained bigint, OUT asleep boolean, OUT crowded boolean,
  OUT first bigint, OUT low xid8[], OUT high xid8[], OUT place integer)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
  SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_before  pg_snapshot;
  v_after   pg_snapshot;
  v_low     xid8[];
  v_high    xid8[];
  v_current integer;
  v_newest  boolean;
  v_mixed   boolean;
  v_spans   record;
BEGIN
  drained := 0;
  asleep := pg_sequence_last_value('esink.sleep') % 2 = 1;
  crowded := false;
  IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' OR NOT pg_catalog.pg_try_advisory_xact_lock(1702062446, 1) THEN
    PERFORM esink.want_read_committed();
    SELECT t.next - 1 INTO head FROM esink.newest_tick() t;
    RETURN;
  END IF;
  v_current := pg_sequence_last_value('esink.rotation') % 2;
  IF v_current = 0 THEN
    SELECT t.first + t.count, t.after, NOT EXISTS (SELECT FROM esink.tick_1 o WHERE o.first >= t.first + t.count)
      INTO first, v_before, v_newest FROM esink.tick_0 t ORDER BY t.first DESC, t.count DESC LIMIT 1;
  ELSE
    SELECT t.first + t.count, t.after, NOT EXISTS (SELECT FROM esink.tick_0 o WHERE o.first >= t.first + t.count)
      INTO first, v_before, v_newest FROM esink.tick_1 t ORDER BY t.first DESC, t.count DESC LIMIT 1;
  END IF;
  IF v_newest IS NOT TRUE THEN
    SELECT t.next, t.snapshot INTO first, v_before FROM esink.newest_tick() t;
  END IF;
  head := first - 1;
  -- Older than the snapshot that counts below: what is visible in this one is visible in that one.
  v_after := pg_current_snapshot();
  v_spans := esink.spans(v_before, v_after);
  v_low := v_spans.low;
  v_high := v_spans.high;
  IF v_low = '{}' THEN
    RETURN;
  END IF;
  IF v_current = 0 THEN
    INSERT INTO esink.tick_0 (first, count, after, low, high, mixed)
      SELECT drain.first, count(*), v_after, v_low, v_high, bool_or(p.place = 1)
      FROM esink.pending(v_low, v_high) p HAVING count(*) > 0 RETURNING count, tick_0.mixed INTO drained, v_mixed;
  ELSE
    INSERT INTO esink.tick_1 (first, count, after, low, high, mixed)
      SELECT drain.first, count(*), v_after, v_low, v_high, bool_or(p.place = 0)
      FROM esink.pending(v_low, v_high) p HAVING count(*) > 0 RETURNING count, tick_1.mixed INTO drained, v_mixed;
  END IF;
  IF drained IS NULL THEN
    drained := 0;
    RETURN;
  END IF;
  head := head + drained;
  -- What is delivered is durable: the tick, and with it every event before it in the log.
  IF current_setting('synchronous_commit') = 'off' THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;
  -- In a later snapshot than the tick's: whatever was done to a column before one of these events was written shows.
  IF EXISTS (SELECT FROM esink.guard) THEN
    IF EXISTS (SELECT FROM esink.broken) THEN
      PERFORM esink.blank(v_before, v_low, v_high);
    END IF;
  END IF;
  IF drained > 1000 THEN
    PERFORM esink.map_first(v_current, first, v_low, v_high);
  ELSIF NOT v_mixed THEN
    low := v_low;
    high := v_high;
    place := v_current;
  END IF;
  -- pg_locks is looked at only where others are under way.
  IF asleep AND (SELECT count(*) > 1 FROM pg_snapshot_xip(v_after)) THEN
    crowded := EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'object' AND l.classid = 'pg_database'::regclass AND l.objid = 0
      AND l.database = 0 AND NOT l.granted);
  END IF;
END $$;

-- The columns that are still as their trigger functions rely on.
CREATE OR REPLACE VIEW esink.held AS
  SELECT g.version, g.relation, g.number FROM esink.guard g JOIN pg_catalog.pg_attribute a
    ON a.attrelid = g.relation AND a.attnum = g.number AND a.attname = g.name AND a.xmin = g.changed;

-- The versions of trigger functions whose events may hold what they should withhold.
CREATE OR REPLACE VIEW esink.broken AS
  SELECT DISTINCT g.version FROM esink.guard g WHERE NOT g.key AND NOT EXISTS (SELECT FROM esink.held h
    WHERE h.version = g.version AND h.relation = g.relation AND h.number = g.number);

-- Keeps the key alone of a tick's events whose guard is broken, and forgets guards that no transaction relies on any more:
-- not before a minute has passed, for a session may hold an old function compiled.
-- Calls: tick_keys, key_alone   Writes: event_0, event_1, guard
CREATE OR REPLACE FUNCTION esink.blank(before pg_snapshot, low xid8[], high xid8[]) RETURNS void LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off AS $$
DECLARE
  v_broken integer[] := ARRAY(SELECT b.version FROM esink.broken b);
BEGIN
  UPDATE esink.event_0 e SET data = esink.key_alone(e.guard, e.data), more.old = NULL,
      more.old_key = esink.key_alone(e.guard, (e.more).old_key), more.incomplete = true
    WHERE e.guard = ANY (v_broken) AND e.type <> 'truncate'
      AND e.ctid = ANY (ARRAY(SELECT k.tid FROM esink.tick_keys($2, $3) k WHERE k.place = 0));
  UPDATE esink.event_1 e SET data = esink.key_alone(e.guard, e.data), more.old = NULL,
      more.old_key = esink.key_alone(e.guard, (e.more).old_key), more.incomplete = true
    WHERE e.guard = ANY (v_broken) AND e.type <> 'truncate'
      AND e.ctid = ANY (ARRAY(SELECT k.tid FROM esink.tick_keys($2, $3) k WHERE k.place = 1));
  DELETE FROM esink.guard g WHERE g.until <= pg_snapshot_xmin($1) AND g.superseded < clock_timestamp() - interval '1 minute';
  UPDATE esink.guard g SET until = pg_snapshot_xmax(pg_current_snapshot()) WHERE g.superseded IS NOT NULL AND g.until IS NULL;
END $$;

-- Of an event's data the columns of the key that are still what they were.
CREATE OR REPLACE FUNCTION esink.key_alone(version integer, data text) RETURNS text LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT concat('{', string_agg(concat(to_json(g.name::text), ':', data::json -> g.name::text), ',' ORDER BY g.number), '}')
    FROM esink.guard g JOIN esink.held h USING (version, relation, number) WHERE data IS NOT NULL AND g.version = $1 AND g.key
      AND json_typeof(data::json -> g.name::text) IS NOT NULL HAVING data IS NOT NULL);
EXCEPTION WHEN OTHERS THEN
  RETURN '{}';
END $$;

-- The transactions that are visible in one snapshot and were not in an earlier one, as spans of xids. Those in progress are
-- left out by the spans themselves, not by a condition: the events of a big open transaction would be looked at, and
-- refused, at every drain meanwhile.
CREATE OR REPLACE FUNCTION esink.spans(before pg_snapshot, after pg_snapshot, OUT low xid8[], OUT high xid8[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_from bigint := pg_snapshot_xmax(before)::text::bigint;
  v_to   bigint := pg_snapshot_xmax(after)::text::bigint;
  v_xid  bigint;
BEGIN
  low := '{}';
  high := '{}';
  IF pg_snapshot_xmin(after) < pg_snapshot_xmax(after) THEN -- some were in progress
    FOR v_xid IN SELECT x::text::bigint FROM pg_snapshot_xip(after) x WHERE x >= pg_snapshot_xmax(before) ORDER BY x LOOP
      IF v_xid > v_from THEN
        low := low || v_from::text::xid8;
        high := high || v_xid::text::xid8;
      END IF;
      v_from := v_xid + 1;
    END LOOP;
  END IF;
  IF v_to > v_from THEN
    low := low || v_from::text::xid8;
    high := high || v_to::text::xid8;
  END IF;
  IF pg_snapshot_xmin(before) < pg_snapshot_xmax(before) THEN
    FOR v_xid IN SELECT x::text::bigint FROM pg_snapshot_xip(before) x WHERE pg_visible_in_snapshot(x, after) LOOP
      low := low || v_xid::text::xid8;
      high := high || (v_xid + 1)::text::xid8;
    END LOOP;
  END IF;
END $$;

-- Which event table each event of these transactions is in. Plain SQL functions without settings, so that they are inlined.
-- OFFSET 0: one look into the index per span, whatever the planner believes of the table. As a join it would rather read the whole
-- index once, when a vacuum has told it of a table whose events are all of transactions still open.
CREATE OR REPLACE FUNCTION esink.pending(low xid8[], high xid8[])
RETURNS TABLE (place integer) LANGUAGE sql STABLE AS $$
  SELECT 0 FROM unnest($1, $2) s (low, high)
    CROSS JOIN LATERAL (SELECT FROM esink.event_0 e WHERE e.xid >= s.low AND e.xid < s.high OFFSET 0) e
  UNION ALL
  SELECT 1 FROM unnest($1, $2) s (low, high)
    CROSS JOIN LATERAL (SELECT FROM esink.event_1 e WHERE e.xid >= s.low AND e.xid < s.high OFFSET 0) e
$$;

-- The events of these transactions: right for small ticks, whose events may lie far apart in seq.
CREATE OR REPLACE FUNCTION esink.tick_by_xid(low xid8[], high xid8[])
RETURNS SETOF esink.event_0 LANGUAGE sql STABLE AS $$
  SELECT e.* FROM unnest($1, $2) s (low, high)
    CROSS JOIN LATERAL (SELECT e.* FROM esink.event_0 e WHERE e.xid >= s.low AND e.xid < s.high OFFSET 0) e
  UNION ALL
  SELECT e.* FROM unnest($1, $2) s (low, high)
    CROSS JOIN LATERAL (SELECT e.* FROM esink.event_1 e WHERE e.xid >= s.low AND e.xid < s.high OFFSET 0) e
$$;

-- Writes down where the first thousand events of a big tick lie.
-- Writes: page_0 or page_1   Reads: event_0, event_1
CREATE OR REPLACE FUNCTION esink.map_first(pair integer, tick bigint, low xid8[], high xid8[])
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off AS $$
DECLARE
  v_tids_0 tid[];
  v_tids_1 tid[];
BEGIN
  SELECT array_agg(k.tid) FILTER (WHERE k.place = 0), array_agg(k.tid) FILTER (WHERE k.place = 1) INTO v_tids_0, v_tids_1
    FROM (SELECT t.place, t.tid FROM esink.tick_keys($3, $4) t ORDER BY t.seq LIMIT 1000) k;
  IF pair = 0 THEN
    INSERT INTO esink.page_0 (tick, n, node_0, node_1, tids_0, tids_1)
    VALUES ($2, 0, pg_relation_filenode('esink.event_0'), pg_relation_filenode('esink.event_1'), v_tids_0, v_tids_1);
  ELSE
    INSERT INTO esink.page_1 (tick, n, node_0, node_1, tids_0, tids_1)
    VALUES ($2, 0, pg_relation_filenode('esink.event_0'), pg_relation_filenode('esink.event_1'), v_tids_0, v_tids_1);
  END IF;
END $$;

-- The other pages of the big tick that holds the event after an id, once read() gave nothing for it. False: there is no
-- such tick. Under the drainers' lock, so that two relays do not do it twice.
-- Calls: want_read_committed, map_pages   Reads: tick_0, tick_1, page_0, page_1
CREATE OR REPLACE FUNCTION esink.map_rest(after_id bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  t record;
BEGIN
  PERFORM esink.want_read_committed();
  PERFORM pg_advisory_xact_lock(1702062446, 1);
  SELECT * INTO t FROM (
      (SELECT 0 AS pair, a.* FROM esink.tick_0 a WHERE a.first <= after_id + 1 AND a.count > 0 ORDER BY a.first DESC LIMIT 1)
      UNION ALL
      (SELECT 1, b.* FROM esink.tick_1 b WHERE b.first <= after_id + 1 AND b.count > 0 ORDER BY b.first DESC LIMIT 1)) u
    ORDER BY u.first DESC LIMIT 1;
  IF NOT FOUND OR t.count <= 1000 OR t.first + t.count <= after_id + 1 THEN
    RETURN false;
  END IF;
  IF NOT EXISTS (SELECT FROM esink.page_0 p WHERE p.tick = t.first AND p.n = 1)
      AND NOT EXISTS (SELECT FROM esink.page_1 p WHERE p.tick = t.first AND p.n = 1) THEN
    PERFORM esink.map_pages(t.pair, t.first, t.low, t.high);
  END IF;
  RETURN true;
END $$;

-- Writes down where the events of a big tick lie, from the second thousand on. Sorts keys alone, in memory as long as that
-- takes less than work_mem.
-- Writes: page_0 or page_1   Reads: event_0, event_1
CREATE OR REPLACE FUNCTION esink.map_pages(pair integer, tick bigint, low xid8[], high xid8[])
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
  SET jit = off SET enable_seqscan = off SET work_mem = '64MB' AS $$
DECLARE
  v_node_0 oid := pg_relation_filenode('esink.event_0');
  v_node_1 oid := pg_relation_filenode('esink.event_1');
BEGIN
  IF pair = 0 THEN
    INSERT INTO esink.page_0 (tick, n, node_0, node_1, tids_0, tids_1)
      SELECT $2, (k.rank - 1) / 1000, v_node_0, v_node_1, array_agg(k.tid) FILTER (WHERE k.place = 0),
        array_agg(k.tid) FILTER (WHERE k.place = 1)
      FROM (SELECT row_number() OVER (ORDER BY t.seq) AS rank, t.place, t.tid FROM esink.tick_keys($3, $4) t) k
      WHERE k.rank > 1000 GROUP BY 2;
  ELSE
    INSERT INTO esink.page_1 (tick, n, node_0, node_1, tids_0, tids_1)
      SELECT $2, (k.rank - 1) / 1000, v_node_0, v_node_1, array_agg(k.tid) FILTER (WHERE k.place = 0),
        array_agg(k.tid) FILTER (WHERE k.place = 1)
      FROM (SELECT row_number() OVER (ORDER BY t.seq) AS rank, t.place, t.tid FROM esink.tick_keys($3, $4) t) k
      WHERE k.rank > 1000 GROUP BY 2;
  END IF;
END $$;

-- The keys of the events of these transactions, in no order.
CREATE OR REPLACE FUNCTION esink.tick_keys(low xid8[], high xid8[])
RETURNS TABLE (seq bigint, place integer, tid tid) LANGUAGE sql STABLE AS $$
  SELECT e.seq, 0, e.ctid FROM unnest($1, $2) s (low, high)
    CROSS JOIN LATERAL (SELECT e.seq, e.ctid FROM esink.event_0 e WHERE e.xid >= s.low AND e.xid < s.high OFFSET 0) e
  UNION ALL
  SELECT e.seq, 1, e.ctid FROM unnest($1, $2) s (low, high)
    CROSS JOIN LATERAL (SELECT e.seq, e.ctid FROM esink.event_1 e WHERE e.xid >= s.low AND e.xid < s.high OFFSET 0) e
$$;

-- Events after an id, ascending, at most max_events. after_key is not needed: ticks and pages find every id.
-- Raises ES001 when the journal no longer reaches back to after_id + 1; nothing where a page is not mapped yet (map_rest).
-- It may wait for rotate() to end, and then finds tables empty that its snapshot, and meta as it sees it, know to be full: what it gives
-- is counted, and where the tick that holds after_id + 1 is missing, a later one tells. Once it has looked at ticks nothing is emptied.
-- Calls: tick_by_xid, page_rows   Reads: everything
CREATE OR REPLACE FUNCTION esink.read(after_id bigint, after_key bigint, max_events bigint)
RETURNS TABLE (id bigint, seq bigint, xid xid8, at_ms bigint, topic text, type text, data text, old text, old_key text,
  users text[], old_users text[], broadcast boolean, incomplete boolean, actor text, source text, source_type text,
  version integer, ref text)
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp
  SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  t       record;
  v_skip  bigint;
  v_got   bigint;
  v_want  bigint;
  v_next  bigint := after_id + 1;
  v_page  bigint;
  v_from  bigint;
  v_to    bigint;
  v_big   bigint;
  v_held  boolean;
  v_floor bigint;
BEGIN
  -- The tick that holds after + 1 begins at v_from.
  SELECT m.floor, greatest(
      (SELECT a.first FROM esink.tick_0 a WHERE a.first <= v_next AND a.count > 0 ORDER BY a.first DESC LIMIT 1),
      (SELECT b.first FROM esink.tick_1 b WHERE b.first <= v_next AND b.count > 0 ORDER BY b.first DESC LIMIT 1), 0)
    INTO v_floor, v_from FROM esink.meta m;
  IF after_id < v_floor THEN
    RAISE EXCEPTION 'esink: the journal no longer reaches back to %', after_id + 1 USING ERRCODE = 'ES001';
  END IF;
  -- Ticks follow each other without a gap. Those from it on, up to a big one, which begins at v_big.
  SELECT min(u.first) FILTER (WHERE u.count > 1000 AND u.first + u.count > v_next), max(u.first + u.count),
      bool_or(u.first <= v_next AND u.first + u.count > v_next) INTO v_big, v_to, v_held FROM (
      SELECT a.first, a.count FROM esink.tick_0 a WHERE a.first >= v_from AND a.first < v_next + max_events AND a.count > 0
      UNION ALL
      SELECT b.first, b.count FROM esink.tick_1 b WHERE b.first >= v_from AND b.first < v_next + max_events AND b.count > 0) u;
  IF v_held IS NOT TRUE THEN
    IF EXISTS (SELECT FROM esink.tick_0 a WHERE a.first > v_next) OR EXISTS (SELECT FROM esink.tick_1 b WHERE b.first > v_next) THEN
      RAISE EXCEPTION 'esink: the journal no longer reaches back to %', v_next USING ERRCODE = 'ES001';
    END IF;
    RETURN;
  END IF;
  IF v_big <= v_next THEN
    SELECT u.first, u.count INTO t FROM (
        SELECT a.first, a.count FROM esink.tick_0 a WHERE a.first = v_big AND a.count > 0
        UNION ALL
        SELECT b.first, b.count FROM esink.tick_1 b WHERE b.first = v_big AND b.count > 0) u LIMIT 1;
    -- One page a call: the caller comes again.
    v_page := (v_next - t.first) / 1000;
    v_skip := (v_next - t.first) % 1000;
    IF v_page > 0 AND NOT EXISTS (SELECT FROM esink.page_0 p WHERE p.tick = t.first AND p.n = v_page)
        AND NOT EXISTS (SELECT FROM esink.page_1 p WHERE p.tick = t.first AND p.n = v_page) THEN
      RETURN;
    END IF;
    v_want := least(least(t.count - v_page * 1000, 1000) - v_skip, max_events);
    RETURN QUERY SELECT t.first + v_page * 1000 + o.rank - 1, o.seq, o.xid, o.at_ms, o.topic, o.type, o.data, (o.more).old,
        (o.more).old_key, o.users, (o.more).old_users, o.broadcast, coalesce((o.more).incomplete, false), (o.more).actor,
        (o.more).source, (o.more).source_type, (o.more).version, (o.more).ref
      FROM (SELECT pg_catalog.row_number() OVER (ORDER BY e.seq) AS rank, e.*,
              (date_part('epoch', e.at) * 1000)::bigint AS at_ms
            FROM esink.page_rows(t.first, v_page) e) o
      WHERE o.rank > v_skip ORDER BY o.rank LIMIT v_want;
  ELSE
    -- All at once: a tick of a quiet time holds one event, and a statement for each costs more than its event.
    v_want := least(v_big, v_to) - v_next;
    IF v_want > max_events THEN
      -- Of the last tick only a part is wanted: whether it is whole does not show in what is given.
      v_want := max_events;
      IF EXISTS (SELECT FROM (
            (SELECT a.* FROM esink.tick_0 a WHERE a.first < v_next + v_want AND a.count > 0 ORDER BY a.first DESC LIMIT 1)
            UNION ALL
            (SELECT b.* FROM esink.tick_1 b WHERE b.first < v_next + v_want AND b.count > 0 ORDER BY b.first DESC LIMIT 1)) u
          WHERE u.first + u.count > v_next + v_want AND u.count <> (SELECT count(*) FROM esink.pending(u.low, u.high))) THEN
        RAISE EXCEPTION 'esink: the journal no longer reaches back to %', v_next USING ERRCODE = 'ES001';
      END IF;
    END IF;
    v_to := v_next + v_want;
    RETURN QUERY SELECT o.first + o.rank - 1, o.seq, o.xid, o.at_ms, o.topic, o.type, o.data, (o.more).old, (o.more).old_key,
        o.users, (o.more).old_users, o.broadcast, coalesce((o.more).incomplete, false), (o.more).actor, (o.more).source,
        (o.more).source_type, (o.more).version, (o.more).ref
      FROM (SELECT u.first, pg_catalog.row_number() OVER (PARTITION BY u.first ORDER BY e.seq) AS rank, e.*,
              (date_part('epoch', e.at) * 1000)::bigint AS at_ms
            FROM (SELECT a.first, a.low, a.high FROM esink.tick_0 a WHERE a.first >= v_from AND a.first < v_to AND a.count > 0
                  UNION ALL
                  SELECT b.first, b.low, b.high FROM esink.tick_1 b WHERE b.first >= v_from AND b.first < v_to AND b.count > 0) u
            CROSS JOIN LATERAL esink.tick_by_xid(u.low, u.high) e) o
      WHERE o.first + o.rank > v_next AND o.first + o.rank <= v_to ORDER BY o.first, o.seq;
  END IF;
  GET DIAGNOSTICS v_got = ROW_COUNT;
  -- Fewer than the ticks say: their rows were discarded under this reader's snapshot, or moved.
  IF v_got <> v_want THEN
    RAISE EXCEPTION 'esink: the journal no longer reaches back to %', v_next USING ERRCODE = 'ES001';
  END IF;
END $$;

-- The events of a small tick that drain() has just made, all in one event table: read() without looking for the tick.
-- Reads: event_0 or event_1
CREATE OR REPLACE FUNCTION esink.read_tick(first_id bigint, count bigint, low xid8[], high xid8[], place integer)
RETURNS TABLE (id bigint, seq bigint, xid xid8, at_ms bigint, topic text, type text, data text, old text, old_key text,
  users text[], old_users text[], broadcast boolean, incomplete boolean, actor text, source text, source_type text,
  version integer, ref text)
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp
  SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_got bigint;
BEGIN
  IF place = 0 THEN
    RETURN QUERY SELECT first_id + o.rank - 1, o.seq, o.xid, (date_part('epoch', o.at) * 1000)::bigint, o.topic, o.type, o.data,
        (o.more).old, (o.more).old_key, o.users, (o.more).old_users, o.broadcast, coalesce((o.more).incomplete, false),
        (o.more).actor, (o.more).source, (o.more).source_type, (o.more).version, (o.more).ref
      FROM (SELECT pg_catalog.row_number() OVER (ORDER BY e.seq) AS rank, e.* FROM unnest($3, $4) s (low, high)
        CROSS JOIN LATERAL (SELECT e.* FROM esink.event_0 e WHERE e.xid >= s.low AND e.xid < s.high OFFSET 0) e) o ORDER BY o.seq;
  ELSE
    RETURN QUERY SELECT first_id + o.rank - 1, o.seq, o.xid, (date_part('epoch', o.at) * 1000)::bigint, o.topic, o.type, o.data,
        (o.more).old, (o.more).old_key, o.users, (o.more).old_users, o.broadcast, coalesce((o.more).incomplete, false),
        (o.more).actor, (o.more).source, (o.more).source_type, (o.more).version, (o.more).ref
      FROM (SELECT pg_catalog.row_number() OVER (ORDER BY e.seq) AS rank, e.* FROM unnest($3, $4) s (low, high)
        CROSS JOIN LATERAL (SELECT e.* FROM esink.event_1 e WHERE e.xid >= s.low AND e.xid < s.high OFFSET 0) e) o ORDER BY o.seq;
  END IF;
  GET DIAGNOSTICS v_got = ROW_COUNT;
  IF v_got <> count THEN
    RAISE EXCEPTION 'esink: the journal no longer reaches back to %', first_id USING ERRCODE = 'ES001';
  END IF;
END $$;

-- Where the journal stands, and where in it a time lies: every event up to `start` had its id before `since` (NULL: none had).
-- The ticks' `at` grows with `first` but has no index, which every drain would pay for: halving asks some twenty ticks. A tick's
-- events are older than itself.
-- Calls: newest_tick   Reads: meta, tick_0, tick_1
CREATE OR REPLACE FUNCTION esink.range(since timestamptz, OUT journal text, OUT floor bigint, OUT head bigint, OUT start bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off
  SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  t        record;
  v_last   bigint;
  v_middle bigint;
BEGIN
  SELECT m.journal, m.floor INTO journal, floor FROM esink.meta m;
  SELECT greatest(n.next - 1, floor) INTO head FROM esink.newest_tick() n;
  start := floor;
  v_last := head;
  WHILE since IS NOT NULL AND start < v_last LOOP
    v_middle := start + (v_last - start + 1) / 2;
    -- The tick that holds it.
    SELECT u.* INTO t FROM (
        (SELECT a.first, a.count, a.at FROM esink.tick_0 a WHERE a.first <= v_middle AND a.count > 0 ORDER BY a.first DESC LIMIT 1)
        UNION ALL
        (SELECT b.first, b.count, b.at FROM esink.tick_1 b WHERE b.first <= v_middle AND b.count > 0 ORDER BY b.first DESC LIMIT 1)) u
      ORDER BY u.first DESC LIMIT 1;
    EXIT WHEN NOT FOUND;
    IF t.at < since THEN
      start := least(t.first + t.count - 1, v_last);
    ELSE
      v_last := greatest(t.first - 1, start);
    END IF;
  END LOOP;
END $$;

-- The rows of one page of a big tick, in no order; none when they have moved.
CREATE OR REPLACE FUNCTION esink.page_rows(tick bigint, n bigint) RETURNS SETOF esink.event_0
LANGUAGE plpgsql STABLE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  p record;
BEGIN
  SELECT * INTO p FROM (SELECT * FROM esink.page_0 UNION ALL SELECT * FROM esink.page_1) u WHERE u.tick = $1 AND u.n = $2;
  IF p.node_0 = pg_relation_filenode('esink.event_0') OR p.tids_0 IS NULL THEN
    IF p.node_1 = pg_relation_filenode('esink.event_1') OR p.tids_1 IS NULL THEN
      RETURN QUERY SELECT e.* FROM esink.event_0 e WHERE e.ctid = ANY (p.tids_0);
      RETURN QUERY SELECT e.* FROM esink.event_1 e WHERE e.ctid = ANY (p.tids_1);
    END IF;
  END IF;
END $$;

-- Appends an event that is not a row change. The xid is taken before the sequence is read: whatever is written to a table
-- that has just been rotated away is then still seen to be in progress.
-- Writes: event_0 or event_1
CREATE OR REPLACE FUNCTION esink.append(topic text, type text, data text, users text[], broadcast boolean,
  at timestamptz, source text, source_type text, version integer, ref text)
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_xid xid8 := pg_current_xact_id();
BEGIN
  IF pg_sequence_last_value('esink.rotation') % 2 = 0 THEN
    INSERT INTO esink.event_0 (xid, at, topic, type, data, users, broadcast, more)
    VALUES (v_xid, coalesce($6, clock_timestamp()), $1, $2, $3, $4, $5, ROW(false, NULL, NULL, NULL, NULL, $7, $8, $9, $10)::esink.more);
  ELSE
    INSERT INTO esink.event_1 (xid, at, topic, type, data, users, broadcast, more)
    VALUES (v_xid, coalesce($6, clock_timestamp()), $1, $2, $3, $4, $5, ROW(false, NULL, NULL, NULL, NULL, $7, $8, $9, $10)::esink.more);
  END IF;
  IF pg_sequence_last_value('esink.sleep') % 2 = 1 AND current_setting('max_prepared_transactions')::integer = 0 THEN
    PERFORM pg_notify('esink', '');
  END IF;
END $$;

-- Events from SQL: SELECT esink.emit('orders', 'shipped', '{"id": 7}', '{7}'). Part of the caller's transaction. Who may is granted it:
-- GRANT USAGE ON SCHEMA esink, and EXECUTE ON FUNCTION esink.emit. What FILTERS withhold of the topic is left out when it is told.
-- Writes: event_0 or event_1
CREATE OR REPLACE FUNCTION esink.emit(topic text, type text, data jsonb, audience text[] DEFAULT '{}', broadcast boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_xid  xid8 := pg_current_xact_id(); -- before the sequence is read, see append
  v_more esink.more := ROW(false, NULL, NULL, NULL, current_setting('esink.actor', true), 'postgres', 'sql', NULL, NULL)::esink.more;
BEGIN
  IF $1 IS NULL OR char_length($1) NOT BETWEEN 1 AND 64 THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'esink.emit: topic must be text of 1 to 64 characters';
  END IF;
  IF $2 IS NULL OR char_length($2) NOT BETWEEN 1 AND 64 THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'esink.emit: type must be text of 1 to 64 characters';
  END IF;
  IF $3 IS NULL OR jsonb_typeof($3) <> 'object' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'esink.emit: data must be a JSON object';
  END IF;
  IF pg_sequence_last_value('esink.rotation') % 2 = 0 THEN
    INSERT INTO esink.event_0 (xid, topic, type, data, users, broadcast, more)
    VALUES (v_xid, $1, $2, $3::text, coalesce($4, '{}'), coalesce($5, false), v_more);
  ELSE
    INSERT INTO esink.event_1 (xid, topic, type, data, users, broadcast, more)
    VALUES (v_xid, $1, $2, $3::text, coalesce($4, '{}'), coalesce($5, false), v_more);
  END IF;
  IF pg_sequence_last_value('esink.sleep') % 2 = 1 AND current_setting('max_prepared_transactions')::integer = 0 THEN
    PERFORM pg_notify('esink', '');
  END IF;
END $$;

-- Keeps the journal for `retention` and not much longer: writers move to the other pair when the current one is that old;
-- the pair that they left is emptied once everything in it is that old. Returns what it did or what holds it back.
--   nothing | switched | discarded | undrained (drain, and call again at once) | locked (somebody reads or writes the old
--   pair: again later) | held (a consumer needs it; writers stay where they are meanwhile)
-- TRUNCATE takes its lock first and gives up quickly, and looks for undrained rows only under the lock: nobody writes then.
-- Calls: want_read_committed, newest_tick, spans, pending, held   Writes: all
CREATE OR REPLACE FUNCTION esink.rotate(retention interval) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '20ms' SET jit = off SET enable_seqscan = off AS $$
DECLARE
  v_current integer;
  v_oldest  timestamptz;  -- first tick of the current pair
  v_left    timestamptz;  -- last tick of the other pair
  v_next    bigint;
  v_newest  pg_snapshot;
  v_floor   bigint;       -- the newest id that goes with the other pair
  v_mixed   timestamptz;  -- last tick of the current pair that has events of the other, and its end
  v_mixed_end bigint;
  v_used    boolean;
BEGIN
  PERFORM esink.want_read_committed();
  IF NOT pg_try_advisory_xact_lock(1702062446, 1) THEN
    RETURN 'nothing';
  END IF;
  v_current := pg_sequence_last_value('esink.rotation') % 2;
  SELECT t.next, t.snapshot INTO v_next, v_newest FROM esink.newest_tick() t;
  IF v_current = 0 THEN
    SELECT t.at INTO v_oldest FROM esink.tick_0 t ORDER BY t.first, t.count LIMIT 1;
    SELECT t.at, t.first + t.count - 1 INTO v_left, v_floor FROM esink.tick_1 t ORDER BY t.first DESC, t.count DESC LIMIT 1;
    v_used := FOUND OR EXISTS (SELECT FROM esink.event_1);
    SELECT t.at, t.first + t.count - 1 INTO v_mixed, v_mixed_end FROM esink.tick_0 t WHERE t.mixed ORDER BY t.first DESC LIMIT 1;
  ELSE
    SELECT t.at INTO v_oldest FROM esink.tick_1 t ORDER BY t.first, t.count LIMIT 1;
    SELECT t.at, t.first + t.count - 1 INTO v_left, v_floor FROM esink.tick_0 t ORDER BY t.first DESC, t.count DESC LIMIT 1;
    v_used := FOUND OR EXISTS (SELECT FROM esink.event_0);
    SELECT t.at, t.first + t.count - 1 INTO v_mixed, v_mixed_end FROM esink.tick_1 t WHERE t.mixed ORDER BY t.first DESC LIMIT 1;
  END IF;
  IF v_used THEN
    -- A tick of the current pair may hold late events of the other; until those are old as well, keep them.
    IF greatest(v_left, v_mixed) > clock_timestamp() - retention THEN
      RETURN 'nothing';
    END IF;
    v_floor := greatest(v_floor, v_mixed_end);
    IF v_floor > esink.held() THEN
      RETURN 'held';
    END IF;
    BEGIN
      IF v_current = 0 THEN
        LOCK TABLE esink.event_1, esink.tick_1, esink.page_1 IN ACCESS EXCLUSIVE MODE;
      ELSE
        LOCK TABLE esink.event_0, esink.tick_0, esink.page_0 IN ACCESS EXCLUSIVE MODE;
      END IF;
    EXCEPTION WHEN lock_not_available THEN
      RETURN 'locked';
    END;
    IF EXISTS (SELECT FROM esink.spans(v_newest, pg_current_snapshot()) s, esink.pending(s.low, s.high) p
               WHERE p.place <> v_current) THEN
      RETURN 'undrained';
    END IF;
    IF v_current = 0 THEN
      TRUNCATE esink.event_1, esink.tick_1, esink.page_1;
    ELSE
      TRUNCATE esink.event_0, esink.tick_0, esink.page_0;
    END IF;
    UPDATE esink.meta m SET floor = greatest(m.floor, v_floor) WHERE v_floor IS NOT NULL;
    RETURN 'discarded';
  END IF;
  IF coalesce(v_oldest, 'infinity') > clock_timestamp() - retention THEN
    RETURN 'nothing';
  END IF;
  IF v_current = 0 THEN
    INSERT INTO esink.tick_1 (first, count, after, low, high) VALUES (v_next, 0, v_newest, '{}', '{}');
  ELSE
    INSERT INTO esink.tick_0 (first, count, after, low, high) VALUES (v_next, 0, v_newest, '{}', '{}');
  END IF;
  -- Not nextval(): after a crash that one may have gone on by up to 32, and the pair in use must be the one that it was.
  PERFORM setval('esink.rotation', pg_sequence_last_value('esink.rotation') + 1);
  RETURN 'switched';
END $$;

-- What a dump brought of events that a tick holds and consumers have not read. When the tick was made they were compared with their guard,
-- and what was in doubt lost all but its key, in the tick's own transaction: a dump has either both or none. So they may be told as they
-- are, whereas here their guard is broken: no number in it is one of this database.
-- But xids of several databases may stand here side by side, and what nobody has compared may lie among those of a tick. So the tick and the
-- event must both have come from elsewhere: of what is written here a transaction is younger than our tables, and no younger than what
-- made the row. (Of a table's own columns, such as tableoid, the entries in the catalogue are as old as the table: nothing ever touches
-- them.) What was written in a database between, which was dumped again before any relay looked, came from elsewhere too: then there are
-- more events than the tick has counted, and younger ones than it is.
-- Calls: held   Reads: tick_0, tick_1, event_0, event_1
CREATE OR REPLACE FUNCTION esink.compared(now bigint) RETURNS TABLE (place integer, tid tid) LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off AS $$
DECLARE
  v_made bigint;
  v_held bigint := esink.held();
BEGIN
  SELECT now - max(age(a.xmin)) INTO v_made FROM pg_attribute a WHERE a.attnum < 0
    AND a.attrelid = ANY ('{esink.event_0,esink.event_1,esink.tick_0,esink.tick_1}'::regclass[])
    HAVING min(age(a.xmin)) >= 0; -- else they are so old that their numbers have begun anew
  RETURN QUERY SELECT u.place, u.tid FROM (
      SELECT e.*, t.count, t.at AS ticked, count(*) OVER (PARTITION BY t.first) AS found
      FROM (SELECT a.xmin AS made, a.* FROM esink.tick_0 a UNION ALL SELECT b.xmin, b.* FROM esink.tick_1 b) t
        CROSS JOIN LATERAL unnest(t.low, t.high) s (low, high)
        CROSS JOIN LATERAL (
          SELECT 0 AS place, a.ctid AS tid, a.xmin AS made, a.xid, a.at, a.guard FROM esink.event_0 a WHERE a.xid >= s.low AND a.xid < s.high
          UNION ALL
          SELECT 1, b.ctid, b.xmin, b.xid, b.at, b.guard FROM esink.event_1 b WHERE b.xid >= s.low AND b.xid < s.high OFFSET 0) e
      WHERE t.count > 0 AND t.first + t.count - 1 > v_held
        AND (pg_snapshot_xmax(t.after)::text::bigint <= v_made OR pg_snapshot_xmax(t.after)::text::bigint > now - age(t.made))
        AND (e.xid::text::bigint < v_made OR e.xid::text::bigint > now - age(e.made))) u
    WHERE u.found = u.count AND u.at <= u.ticked AND u.guard IS NOT NULL;
END $$;

-- Begins a new journal: this database is not the one that the old one was written in (restored from a dump, copied,
-- failed over). What no tick of the old journal holds becomes the first events of the new one.
-- In another cluster's numbering an xid says nothing. A row that the application wrote here after the restore is kept: its
-- transaction is younger than those that restored meta and the ticks (which nobody writes before this), and no younger than
-- what made the row. Of a restored row the transaction is one of the other cluster: it would have to lie just there by chance.
-- What a consumer has not read yet begins it as well, and consumers begin at the start of it: their cursors are ids of the old one.
-- Gives up quickly where somebody writes: whoever writes next would wait behind our waiting lock.
-- Calls: want_read_committed, newest_tick, unread, compared   Writes: everything
CREATE OR REPLACE FUNCTION esink.begin_journal(name text) RETURNS void LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
  v_newest pg_snapshot;
  v_base   pg_snapshot := pg_current_snapshot();
  v_now    bigint := pg_current_xact_id()::text::bigint;
  v_since  bigint;        -- what began after this wrote its rows here; NULL: nothing was restored
  v_unread bigint[];
  v_tids_0 tid[];
  v_tids_1 tid[];
BEGIN
  PERFORM esink.want_read_committed();
  LOCK TABLE esink.event_0, esink.event_1, esink.tick_0, esink.tick_1 IN ACCESS EXCLUSIVE MODE;
  SELECT t.snapshot INTO v_newest FROM esink.newest_tick() t;
  SELECT v_now - least(age(m.xmin), (SELECT min(age(t.xmin)) FROM esink.tick_0 t), (SELECT min(age(t.xmin)) FROM esink.tick_1 t))
    INTO v_since FROM esink.meta m, esink.here h WHERE m.system_identifier <> h.system_identifier;
  v_unread := ARRAY(SELECT u.seq FROM esink.unread() u);
  DELETE FROM esink.event_0 e WHERE pg_visible_in_snapshot(e.xid, v_newest)
    AND (v_since IS NULL OR e.xid::text::bigint <= v_since OR e.xid::text::bigint > v_now - age(e.xmin))
    AND NOT EXISTS (SELECT FROM unnest(v_unread) u (seq) WHERE u.seq = e.seq);
  DELETE FROM esink.event_1 e WHERE pg_visible_in_snapshot(e.xid, v_newest)
    AND (v_since IS NULL OR e.xid::text::bigint <= v_since OR e.xid::text::bigint > v_now - age(e.xmin))
    AND NOT EXISTS (SELECT FROM unnest(v_unread) u (seq) WHERE u.seq = e.seq);
  SELECT array_agg(c.tid) FILTER (WHERE c.place = 0), array_agg(c.tid) FILTER (WHERE c.place = 1) INTO v_tids_0, v_tids_1
    FROM esink.compared(v_now) c;
  UPDATE esink.event_0 e SET guard = NULL WHERE e.ctid = ANY (v_tids_0);
  UPDATE esink.event_1 e SET guard = NULL WHERE e.ctid = ANY (v_tids_1);
  UPDATE esink.event_0 SET xid = pg_current_xact_id();
  UPDATE esink.event_1 SET xid = pg_current_xact_id();
  TRUNCATE esink.tick_0, esink.tick_1, esink.page_0, esink.page_1;
  UPDATE esink.meta SET journal = name, floor = 0, base = v_base, born = pg_current_xact_id(),
      system_identifier = h.system_identifier, timeline = h.timeline, database = h.database, relation = h.relation
    FROM esink.here h;
  UPDATE esink.consumer SET cursor = 0, journal = $1;
  DELETE FROM esink.mark;
END $$;

-- The relays that are at work, each with the fingerprint of its rules: the end of one says nothing of the others.
CREATE TABLE IF NOT EXISTS esink.claimant (
  relay         text COLLATE "C" PRIMARY KEY,     -- random, one of each process
  configuration text NOT NULL,
  seen          timestamptz NOT NULL
);

-- Says once a second, and with each trigger that is made, that this relay with these rules is at work. False: one with other rules is,
-- and was seen in the last three seconds; the triggers are its own, and whoever is told by other rules must not deliver what they write.
-- One claim at a time, until the end of its transaction: what was made under it is there before another configuration looks.
-- Looks at meta, which neither draining nor reading the newest tick needs: whoever dropped it is to be answered by a new journal.
-- A build from before claimant knows relay alone: what stands there counts as well, and what it calls still works, for the time in
-- which it is replaced.
-- Writes: relay, claimant   Reads: meta
CREATE OR REPLACE FUNCTION esink.claim(wanted text, who text) RETURNS boolean LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM FROM esink.meta;
  PERFORM FROM esink.relay FOR UPDATE;
  IF EXISTS (SELECT FROM esink.claimant c WHERE c.configuration <> wanted AND c.seen >= clock_timestamp() - interval '3 seconds')
      OR EXISTS (SELECT FROM esink.relay r WHERE r.configuration <> wanted AND r.seen >= clock_timestamp() - interval '3 seconds') THEN
    RETURN false;
  END IF;
  DELETE FROM esink.claimant c WHERE c.relay <> who AND c.seen < clock_timestamp() - interval '3 seconds';
  INSERT INTO esink.claimant AS c (relay, configuration, seen) VALUES (who, wanted, clock_timestamp())
    ON CONFLICT (relay) DO UPDATE SET configuration = excluded.configuration, seen = excluded.seen;
  UPDATE esink.relay r SET configuration = wanted, seen = clock_timestamp();
  RETURN FOUND;
END $$;
CREATE OR REPLACE FUNCTION esink.claim(wanted text) RETURNS boolean LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN esink.claim(wanted, 'a former build');
END $$;

-- The relay ends: when it was the last, another configuration need not wait.
-- Writes: relay, claimant
CREATE OR REPLACE FUNCTION esink.release_claim(who text) RETURNS void LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM esink.claimant c WHERE c.relay = who;
  UPDATE esink.relay r SET seen = NULL WHERE NOT EXISTS (SELECT FROM esink.claimant);
END $$;
CREATE OR REPLACE FUNCTION esink.release(wanted text) RETURNS void LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM esink.release_claim('a former build');
END $$;

-- For a writer's trigger (see capture.sql): the number before that of the event which replaced this version of a row; NULL when
-- none did, or no room is left, fifteen being there. Not in the trigger itself: a plan made while the table was small would
-- scan it for as long as the session lives, and a scan makes serializable transactions fail.
-- Reads: event_0, event_1
CREATE OR REPLACE FUNCTION esink.number_before(which text) RETURNS bigint LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
  RETURN (SELECT min(e.seq) - 1 FROM (
      SELECT a.seq FROM esink.event_0 a WHERE a.replaced = which
      UNION ALL
      SELECT b.seq FROM esink.event_1 b WHERE b.replaced = which) e
    WHERE e.seq & 15 <> 2);
END $$;

-- What the relay reads in a database whose encoding is not UTF-8, where some bytes are no character (SQL_ASCII, WIN1252): with a text
-- that cannot be converted its whole answer would fail, again and again, and nothing behind it be told.
CREATE OR REPLACE FUNCTION esink.sound(what text, otherwise text) RETURNS text LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM convert_to(what, 'UTF8');
  RETURN what;
EXCEPTION WHEN OTHERS THEN
  RETURN otherwise;
END $$;

-- For a writer's trigger: whether a column still has the type that the function was made for. It is never called: a call with other
-- types than one and the same does not exist, and one of a STRICT function with NULL is NULL, which the planner sees.
CREATE OR REPLACE FUNCTION esink.same(pg_catalog.anyelement, pg_catalog.anyelement) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT
  AS 'SELECT true';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA esink FROM PUBLIC;
