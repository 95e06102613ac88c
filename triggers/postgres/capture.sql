-- The trigger function of one watched table, made from this template by source/postgres/capture.c, which fills in what
-- stands between @ signs:
--   @function@ its name, capture_<oid of the table>    @settings@ SET clauses, only where a column's type needs them
--   @topic@    the table's name as events show it      @broadcast@ true or false
--   @insert@ @update@ @delete@ statements, if the columns still have the types that all this was made for: v_data, the columns that
--              may leave the table, as JSON text; v_users; of an update, where asked for, v_old, the previous row, and where it touched a
--              routing column (by its bytes: the same users may come out all the same, which the relay sorts out) the previous
--              users and key. None where a FILTERS, COLUMNS or routing column is missing
--   @key:NEW@ @key:OLD@     an expression: the primary key alone, as JSON text
--   @users:NEW@ @users:OLD@ text[]: who may see the row
--   @users:now@ text[]: for each routing column a statement that gives the users of $1, the row, when one has changed its type or is gone
--   @typed:key:NEW@ .., @typed:users:NEW@ ..: whether the columns of the key, of the routing, have the types that they had
--   @bytes@    an expression: how long what is kept is   @notify@ statements of notify.sql, or nothing
--   @signature@ a comment: the columns and their types, so that a changed type changes the function
--   @strangers@ nothing, or that what has left the table is not told though it still has the trigger
--   @guard@ the version of this function in esink.guard, or NULL
--
-- It runs in the application's transaction, as the relay's role, under whatever search_path the writer has: every function,
-- type and operator is spelt with its schema, and nothing in here uses an operator in disguise (IN, BETWEEN, IS DISTINCT
-- FROM, NULLIF, CASE x WHEN). No code of a type's owner runs: values of user-defined types are taken by their output
-- functions, never by casts. A column that was given another type meanwhile is not looked at before the function was made
-- anew: what reads a number would tell a text as it stands, and might call a cast that the type's owner made.
--
-- It never makes the write fail: what can fail on a value, a column that has just been dropped, or a size, stands in a block
-- with an EXCEPTION clause and no write in it (such a subtransaction takes no xid); the event then carries the key alone.
--
-- Versions of a row are told in the order in which they were made. A statement writes all its rows before the first of their
-- triggers fires; when an application's trigger on one of them, or a function that the statement calls, then updates another,
-- that newer version comes here first. It says which version it replaced, if that was made by this transaction, and the older
-- one finds it by that and takes the number before it. (TRUNCATE gives the same places again, in another file.)
-- esink.replaced, a setting of the transaction, says that there is something to be found: who only locked its rows first does
-- not look, or serializable transactions would fail because of what they read here.
-- A transaction of one row pays for each expression by its size and not by its work, as PL/pgSQL makes all of them ready anew in each
-- transaction: what can be decided when the function is made is left out of it, and rare cases are one test for all of them.
-- The transaction's xid is taken before the sequence that says which pair of tables is in use, or rotation could miss it.
CREATE OR REPLACE FUNCTION esink.@function@() RETURNS pg_catalog.trigger
LANGUAGE plpgsql SECURITY DEFINER @settings@AS @quote@
@signature@
DECLARE
  v_xid        pg_catalog.xid8 := pg_catalog.pg_current_xact_id();
  v_type       pg_catalog.text; -- NULL: update
  v_data       pg_catalog.text;
  v_old        pg_catalog.text;
  v_old_key    pg_catalog.text;
  v_users      pg_catalog.text[];
  v_old_users  pg_catalog.text[];
  v_incomplete pg_catalog.bool;
  v_seq        pg_catalog.int8;
  v_replaced   pg_catalog.text;
  v_more       esink.more;
BEGIN
@strangers@  BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
@update@    ELSIF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
      v_type := 'insert';
@insert@    ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
      v_type := 'delete';
@delete@    ELSIF TG_RELID OPERATOR(pg_catalog.=) TG_ARGV[0]::pg_catalog.oid THEN
      v_type := 'truncate';
      v_data := '{}';
    ELSE
      v_type := 'truncate';
      v_data := pg_catalog.concat('{"partition":', pg_catalog.to_json(pg_catalog.concat(TG_TABLE_SCHEMA, '.', TG_TABLE_NAME)), '}');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    v_data := NULL;
  END;
  -- No row of a table, ours neither, may be of 1 GB; twice as much still fits the number.
  IF v_data IS NULL OR @bytes@ OPERATOR(pg_catalog.>) 536870912 THEN
    v_incomplete := true;
    v_data := NULL;
    v_old := NULL;
    v_type := pg_catalog.lower(TG_OP);
    BEGIN
      IF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
        IF @typed:key:OLD@ THEN
          v_data := @key:OLD@;
        END IF;
      ELSIF @typed:key:NEW@ THEN
        v_data := @key:NEW@;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      v_data := NULL;
    END;
    v_data := coalesce(v_data, '{}');
    v_users := NULL;
    v_old_users := NULL;
    v_old_key := NULL;
    BEGIN
      IF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
        IF @typed:users:OLD@ THEN
          v_users := @users:OLD@;
        END IF;
      ELSIF @typed:users:NEW@ THEN
        v_users := @users:NEW@;
        IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
          v_old_users := @users:OLD@;
        END IF;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      v_users := NULL;
    END;
    IF v_users IS NULL THEN
      v_users := '{}';
      v_old_users := NULL;
      DECLARE
        v_statement pg_catalog.text;
        v_new_part  pg_catalog.text[];
        v_old_part  pg_catalog.text[];
      BEGIN
        FOREACH v_statement IN ARRAY @users:now@ LOOP
          BEGIN
            v_old_part := NULL;
            IF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
              EXECUTE v_statement INTO v_new_part USING OLD;
            ELSE
              EXECUTE v_statement INTO v_new_part USING NEW;
              IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
                EXECUTE v_statement INTO v_old_part USING OLD;
              END IF;
            END IF;
            v_users := pg_catalog.array_cat(v_users, v_new_part);
            v_old_users := pg_catalog.array_cat(v_old_users, v_old_part);
          EXCEPTION WHEN OTHERS THEN
            NULL; -- of this column, nobody
          END;
        END LOOP;
      END;
    END IF;
    IF v_old_users IS NOT NULL THEN
      BEGIN
        IF @typed:key:OLD@ THEN
          v_old_key := @key:OLD@;
        END IF;
      EXCEPTION WHEN OTHERS THEN
        v_old_key := NULL;
      END;
      v_old_key := coalesce(v_old_key, '{}');
    END IF;
  END IF;
  IF v_incomplete OR v_old IS NOT NULL OR v_old_users IS NOT NULL OR pg_catalog.current_setting('esink.actor', true) OPERATOR(pg_catalog.<>) '' THEN
    v_more := ROW(v_incomplete, v_old, v_old_key, v_old_users, pg_catalog.current_setting('esink.actor', true), NULL, NULL, NULL, NULL)::esink.more;
  END IF;
  -- What is not there is NULL, of a statement both. The previous version is ours, or younger than we are (a subtransaction's xid is);
  -- or somebody has been at the new version since, maybe only with a lock.
  IF pg_catalog.age(OLD.xmin) OPERATOR(pg_catalog.<=) 0 OR NEW.xmax OPERATOR(pg_catalog.<>) '0'::pg_catalog.xid THEN
    IF pg_catalog.age(OLD.xmin) OPERATOR(pg_catalog.<=) 0 THEN
      v_replaced := pg_catalog.concat(v_xid, ' ', TG_RELID, ' ',
        pg_catalog.pg_relation_filenode(TG_RELID::pg_catalog.regclass), ' ', OLD.ctid);
      IF coalesce(pg_catalog.current_setting('esink.replaced', true), '') OPERATOR(pg_catalog.<>) v_xid::pg_catalog.text THEN
        PERFORM pg_catalog.set_config('esink.replaced', v_xid::pg_catalog.text, true);
      END IF;
    END IF;
    IF NEW.xmax OPERATOR(pg_catalog.<>) '0'::pg_catalog.xid THEN
      IF pg_catalog.current_setting('esink.replaced', true) OPERATOR(pg_catalog.=) v_xid::pg_catalog.text THEN
        v_seq := esink.number_before(pg_catalog.concat(v_xid, ' ', TG_RELID, ' ',
          pg_catalog.pg_relation_filenode(TG_RELID::pg_catalog.regclass), ' ', NEW.ctid));
      END IF;
    END IF;
  END IF;
  IF (pg_catalog.pg_sequence_last_value('esink.rotation'::pg_catalog.regclass) OPERATOR(pg_catalog.&) 1::pg_catalog.int8)
      OPERATOR(pg_catalog.=) 0::pg_catalog.int8 THEN
    INSERT INTO esink.event_0 (seq, xid, topic, type, data, users, broadcast, replaced, guard, more)
    VALUES (coalesce(v_seq, pg_catalog.nextval('esink.event_seq'::pg_catalog.regclass)), v_xid, @topic@, coalesce(v_type, 'update'), v_data, v_users, @broadcast@, v_replaced, @guard@, v_more);
  ELSE
    INSERT INTO esink.event_1 (seq, xid, topic, type, data, users, broadcast, replaced, guard, more)
    VALUES (coalesce(v_seq, pg_catalog.nextval('esink.event_seq'::pg_catalog.regclass)), v_xid, @topic@, coalesce(v_type, 'update'), v_data, v_users, @broadcast@, v_replaced, @guard@, v_more);
  END IF;
@notify@  RETURN NULL;
END
@quote@;
