
-- public.nothing:
-- withheld:
-- called:
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
  BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
      v_data := CASE WHEN true THEN pg_catalog.array_to_string(ARRAY['{}']::pg_catalog.text[], '', 'null') END;
      v_users := '{}'::pg_catalog.text[];
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
      v_type := 'insert';
      v_data := CASE WHEN true THEN pg_catalog.array_to_string(ARRAY['{}']::pg_catalog.text[], '', 'null') END;
      v_users := '{}'::pg_catalog.text[];
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
      v_type := 'delete';
      v_data := CASE WHEN true THEN pg_catalog.array_to_string(ARRAY['{}']::pg_catalog.text[], '', 'null') END;
      v_users := '{}'::pg_catalog.text[];
    ELSIF TG_RELID OPERATOR(pg_catalog.=) TG_ARGV[0]::pg_catalog.oid THEN
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
  IF v_data IS NULL OR pg_catalog.octet_length(v_data) OPERATOR(pg_catalog.>) 536870912 THEN
    v_incomplete := true;
    v_data := NULL;
    v_old := NULL;
    v_type := pg_catalog.lower(TG_OP);
    BEGIN
      IF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
        IF true THEN
          v_data := pg_catalog.array_to_string(ARRAY['{}']::pg_catalog.text[], '', 'null');
        END IF;
      ELSIF true THEN
        v_data := pg_catalog.array_to_string(ARRAY['{}']::pg_catalog.text[], '', 'null');
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
        IF true THEN
          v_users := '{}'::pg_catalog.text[];
        END IF;
      ELSIF true THEN
        v_users := '{}'::pg_catalog.text[];
        IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
          v_old_users := '{}'::pg_catalog.text[];
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
        FOREACH v_statement IN ARRAY ARRAY[]::pg_catalog.text[] LOOP
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
        IF true THEN
          v_old_key := pg_catalog.array_to_string(ARRAY['{}']::pg_catalog.text[], '', 'null');
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
    VALUES (coalesce(v_seq, pg_catalog.nextval('esink.event_seq'::pg_catalog.regclass)), v_xid, 'nothing', coalesce(v_type, 'update'), v_data, v_users, true, v_replaced, NULL, v_more);
  ELSE
    INSERT INTO esink.event_1 (seq, xid, topic, type, data, users, broadcast, replaced, guard, more)
    VALUES (coalesce(v_seq, pg_catalog.nextval('esink.event_seq'::pg_catalog.regclass)), v_xid, 'nothing', coalesce(v_type, 'update'), v_data, v_users, true, v_replaced, NULL, v_more);
  END IF;
  IF (pg_catalog.pg_sequence_last_value('esink.sleep'::pg_catalog.regclass) OPERATOR(pg_catalog.&) 1::pg_catalog.int8)
      OPERATOR(pg_catalog.=) 1::pg_catalog.int8 THEN
    -- Asked again: the server may have been restarted with two-phase commit while no relay ran.
    IF pg_catalog.current_setting('max_prepared_transactions') OPERATOR(pg_catalog.=) '0' THEN
      PERFORM pg_catalog.pg_notify('esink', '');
    END IF;
  END IF;
  RETURN NULL;
END
