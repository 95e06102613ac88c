-- The tables of schema esink: the outbox, which read through its ticks is the journal.
--
-- An application's transaction writes rows to event_0 or event_1 (see functions.sql, capture.sql). They have no order yet
-- that anyone could rely on: seq is drawn before commit, so a reader of «seq > last» would lose the rows of a transaction
-- that commits late. esink.drain() therefore writes a tick: «these are the events of the transactions visible in snapshot
-- `after` and in none before it; ordered by seq they have the ids first, first + 1, ...». Nothing is written per event, and
-- the same tick read again gives the same events the same ids.
--
-- There are two of each so that they can be TRUNCATEd in turn: no dead rows, no vacuum, however old a snapshot somebody
-- holds. The sequence `rotation` says which pair writers use (even: 0, odd: 1); `sleep` whether the relay sleeps and wants
-- a NOTIFY (odd). Both are read by pg_sequence_last_value(), which costs no lock, and set only by the relay that drains.
--
-- Runs in one transaction, as the role of the relay, on a database that has no schema esink.

CREATE SCHEMA esink;
COMMENT ON SCHEMA esink IS 'esink: change-data-capture relay. `esink --uninstall` removes it.';
REVOKE ALL ON SCHEMA esink FROM PUBLIC;

-- What this server and database are now. Of pg_control_checkpoint() the timeline would be the former one for minutes after a
-- promotion; the table's oid tells a schema that was dropped and restored into the same database.
CREATE VIEW esink.here AS SELECT
  (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c) AS system_identifier,
  ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::integer AS timeline,
  (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) AS database,
  (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'esink' AND c.relname = 'meta') AS relation;

CREATE TABLE esink.meta (
  one               boolean PRIMARY KEY DEFAULT true CHECK (one),
  tables_version    text NOT NULL,                -- of this file
  journal           text NOT NULL,                -- 16 hex digits: the journal's identity ...
  system_identifier bigint NOT NULL,              -- ... and what it was born in: any mismatch begins a new one
  timeline          integer NOT NULL,
  database          oid NOT NULL,
  relation          oid NOT NULL,
  born              xid8 NOT NULL,
  base              pg_snapshot NOT NULL,         -- what is visible in it is older than the journal
  floor             bigint NOT NULL DEFAULT 0     -- events up to this id have been discarded
);

-- What relays write, apart from the journal's identity: a restored row of meta stays as old as the restore until a new journal
-- begins (see esink.begin_journal).
CREATE TABLE esink.relay (
  one               boolean PRIMARY KEY DEFAULT true CHECK (one),
  functions_version text NOT NULL DEFAULT '',     -- of functions.sql
  configuration     text NOT NULL DEFAULT '',     -- fingerprint of the rules that the triggers were made from
  seen              timestamptz                   -- when a relay of that configuration was last at work; NULL: none is
);
INSERT INTO esink.relay DEFAULT VALUES;

-- Every sixteenth number: an event that is told too late finds room before another one (see capture.sql).
CREATE SEQUENCE esink.event_seq INCREMENT 16;
CREATE SEQUENCE esink.rotation MINVALUE 0 START 0;
CREATE SEQUENCE esink.sleep MINVALUE 0 START 0;
SELECT pg_catalog.setval('esink.rotation', 0), pg_catalog.setval('esink.sleep', 0);

-- What few events have. A column costs a writer some 2,000 instructions an event, empty or not: a trigger's INSERT is planned
-- once, but made ready anew for each row, column by column.
CREATE TYPE esink.more AS (
  incomplete  boolean,                            -- NULL: false
  old         text,                               -- the previous row, where OLD_ROWS asks for it
  old_key     text,                               -- the previous primary key, for those whom an update took the row from
  old_users   text[],                             -- before an update that changed the routing; else NULL
  actor       text,                               -- '' and NULL: none
  source      text,                               -- NULL: this database's table
  source_type text,
  version     integer,
  ref         text                                -- a publisher's, to find its event again
);

CREATE TABLE esink.event_0 (
  seq         bigint NOT NULL DEFAULT pg_catalog.nextval('esink.event_seq'),
  xid         xid8 NOT NULL,                      -- of the top-level transaction
  at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  topic       text NOT NULL,
  type        text NOT NULL,
  data        text NOT NULL,                      -- a JSON object, without what FILTERS name
  users       text[],                             -- who may see it; NULL elements are nobody
  broadcast   boolean NOT NULL DEFAULT false,
  replaced    text COLLATE "C",                   -- which version of the row, where its own transaction made that
  guard       integer,                            -- see esink.guard; NULL: nothing is withheld from this table's events
  more        esink.more                          -- NULL: nothing of it
) WITH (autovacuum_enabled = false);
-- The one index: each further one costs every writer (a second, on seq, took a fifth of the throughput at 4 clients). What
-- needs the order of seq sorts, or has pages.
CREATE INDEX event_0_xid ON esink.event_0 (xid);
-- Holds only rows that their own transaction wrote before: other writers pay for the look at its predicate.
CREATE INDEX event_0_replaced ON esink.event_0 (replaced) WHERE replaced IS NOT NULL;

CREATE TABLE esink.event_1 (LIKE esink.event_0 INCLUDING DEFAULTS) WITH (autovacuum_enabled = false);
CREATE INDEX event_1_xid ON esink.event_1 (xid);
CREATE INDEX event_1_replaced ON esink.event_1 (replaced) WHERE replaced IS NOT NULL;
-- For a publication FOR ALL TABLES that the application may have: without it these two, having no key, would refuse UPDATE and DELETE.
ALTER TABLE esink.event_0 REPLICA IDENTITY FULL;
ALTER TABLE esink.event_1 REPLICA IDENTITY FULL;

-- count = 0 marks where a table takes over after a rotation.
CREATE TABLE esink.tick_0 (
  first  bigint NOT NULL,
  count  bigint NOT NULL,
  after  pg_snapshot NOT NULL,                    -- everything visible in it is in this tick or in an earlier one
  low    xid8[] NOT NULL,                         -- this tick is of the transactions from low[i] up to, without, high[i]:
  high   xid8[] NOT NULL,                         -- none of them was in progress any more
  mixed  boolean NOT NULL DEFAULT false,          -- has events in the other event table too
  at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (first, count)
);
-- at grows with first, so the oldest and the newest are found by the key; only the mixed ones need an index of their own.
CREATE INDEX tick_0_mixed ON esink.tick_0 (first) WHERE mixed;
CREATE TABLE esink.tick_1 (LIKE esink.tick_0 INCLUDING ALL);

-- Where the events of a big tick lie, a thousand a page: reading on from any id of it then costs nothing per event skipped.
-- Rows of the event tables never move; node tells when somebody made them move all the same (VACUUM FULL, CLUSTER).
CREATE TABLE esink.page_0 (
  tick   bigint NOT NULL,                         -- tick.first
  n      bigint NOT NULL,                         -- holds the ids tick + 1000 n ... tick + 1000 n + 999
  node_0 oid NOT NULL,
  node_1 oid NOT NULL,
  tids_0 tid[],                                   -- in event_0, in no order
  tids_1 tid[],
  PRIMARY KEY (tick, n)
);
ALTER TABLE esink.page_0 ALTER COLUMN tids_0 SET STORAGE EXTERNAL, ALTER COLUMN tids_1 SET STORAGE EXTERNAL;
CREATE TABLE esink.page_1 (LIKE esink.page_0 INCLUDING ALL);

-- What a trigger function that withholds columns relies on: that these columns (by number) still have these names and that
-- nobody has touched them since. The rules name columns, the catalogue numbers them: after `DROP COLUMN name; RENAME secret
-- TO name` the function would send the secret as name, until the drift check has made another. An event says by which
-- version of its function it was written; esink.drain() keeps the key alone of events whose guard is broken.
CREATE TABLE esink.guard (
  version    integer NOT NULL,                    -- of the function, made from all that follows
  watched    oid NOT NULL,                        -- the watched table
  relation   oid NOT NULL,                        -- itself, or a table that inherits from it
  number     smallint NOT NULL,
  name       name NOT NULL,
  changed    xid NOT NULL,                        -- pg_attribute.xmin: also a name that came back was changed
  key        boolean NOT NULL,                    -- not withheld, but a part of the key: what a broken guard leaves
  superseded timestamptz,                         -- another version has taken its place ...
  until      xid8,                                -- ... and every transaction from here on uses that one
  PRIMARY KEY (version, relation, number)
);
