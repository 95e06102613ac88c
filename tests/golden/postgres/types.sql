TimeZone=UTC
DateStyle=ISO
IntervalStyle=iso_8601
bytea_output=hex
extra_float_digits=1
lc_monetary=C
array_nulls=on

-- public.types: id int8 20, viewers _text 1009, b bool 16, n numeric 1700, f float8 701, t timestamptz 1184, x bytea 17, j jsonb 3802, m mood oid1, ms _mood oid2, p pair oid3, ps _pair oid4, d positive oid5, iv interval 1186, r tstzrange 3910, c bpchar 1042, with settings
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
      IF esink.same(NEW."id", NULL::pg_catalog."int8") IS NULL AND esink.same(NEW."viewers", NULL::pg_catalog."_text") IS NULL AND esink.same(NEW."b", NULL::pg_catalog."bool") IS NULL AND esink.same(NEW."n", NULL::pg_catalog."numeric") IS NULL AND esink.same(NEW."f", NULL::pg_catalog."float8") IS NULL AND esink.same(NEW."t", NULL::pg_catalog."timestamptz") IS NULL AND esink.same(NEW."x", NULL::pg_catalog."bytea") IS NULL AND esink.same(NEW."j", NULL::pg_catalog."jsonb") IS NULL AND pg_catalog.pg_typeof(NEW."m") OPERATOR(pg_catalog.=) 16396::pg_catalog.oid AND pg_catalog.pg_typeof(NEW."ms") OPERATOR(pg_catalog.=) 16395::pg_catalog.oid AND pg_catalog.pg_typeof(NEW."p") OPERATOR(pg_catalog.=) 16403::pg_catalog.oid AND pg_catalog.pg_typeof((NEW."p")."n") OPERATOR(pg_catalog.=) ANY ('{20,21,23}'::pg_catalog.oid[]) AND pg_catalog.pg_typeof((NEW."p")."at") OPERATOR(pg_catalog.=) 1184::pg_catalog.oid AND pg_catalog.pg_typeof(NEW."ps") OPERATOR(pg_catalog.=) 16402::pg_catalog.oid AND pg_catalog.pg_typeof(((NEW."ps")[1])."n") OPERATOR(pg_catalog.=) ANY ('{20,21,23}'::pg_catalog.oid[]) AND pg_catalog.pg_typeof(((NEW."ps")[1])."at") OPERATOR(pg_catalog.=) 1184::pg_catalog.oid AND pg_catalog.pg_typeof(NEW."d") OPERATOR(pg_catalog.=) 16405::pg_catalog.oid AND esink.same(NEW."iv", NULL::pg_catalog."interval") IS NULL AND esink.same(NEW."r", NULL::pg_catalog."tstzrange") IS NULL AND esink.same(NEW."c", NULL::pg_catalog."bpchar") IS NULL THEN
      v_data := pg_catalog.array_to_string(ARRAY['{"id":', NEW."id"::pg_catalog.text, ',"viewers":', pg_catalog.to_json(NEW."viewers")::pg_catalog.text, ',"b":', NEW."b"::pg_catalog.text, ',"n":', pg_catalog.to_json(NEW."n")::pg_catalog.text, ',"f":', pg_catalog.to_json(NEW."f")::pg_catalog.text, ',"t":', CASE WHEN NEW."t" IS NULL THEN 'null' WHEN pg_catalog.isfinite(NEW."t") THEN pg_catalog.concat(pg_catalog.rtrim(pg_catalog.to_json(pg_catalog.timezone('UTC', NEW."t"))::pg_catalog.text, '"'), '+00:00"') ELSE pg_catalog.to_json(NEW."t")::pg_catalog.text END, ',"x":', CASE WHEN NEW."x" IS NULL THEN 'null' ELSE pg_catalog.concat('"', pg_catalog.translate(pg_catalog.encode(NEW."x", 'base64'), pg_catalog.chr(10), ''), '"') END, ',"j":', NEW."j"::pg_catalog.text, ',"m":', CASE WHEN NEW."m" IS NULL THEN 'null' ELSE pg_catalog.to_json(pg_catalog.concat(NEW."m"))::pg_catalog.text END, ',"ms":', pg_catalog.to_json(pg_catalog.textin(pg_catalog.array_out(NEW."ms"))::pg_catalog.text[])::pg_catalog.text, ',"p":', CASE WHEN NEW."p" IS NOT DISTINCT FROM NULL THEN 'null' ELSE pg_catalog.array_to_string(ARRAY['{"n":', (NEW."p")."n"::pg_catalog.text, ',"at":', CASE WHEN (NEW."p")."at" IS NULL THEN 'null' WHEN pg_catalog.isfinite((NEW."p")."at") THEN pg_catalog.concat(pg_catalog.rtrim(pg_catalog.to_json(pg_catalog.timezone('UTC', (NEW."p")."at"))::pg_catalog.text, '"'), '+00:00"') ELSE pg_catalog.to_json((NEW."p")."at")::pg_catalog.text END, '}']::pg_catalog.text[], '', 'null') END, ',"ps":', CASE WHEN NEW."ps" IS NULL THEN 'null' ELSE pg_catalog.concat('[', (SELECT pg_catalog.string_agg(coalesce(CASE WHEN u.e IS NOT DISTINCT FROM NULL THEN 'null' ELSE pg_catalog.array_to_string(ARRAY['{"n":', (u.e)."n"::pg_catalog.text, ',"at":', CASE WHEN (u.e)."at" IS NULL THEN 'null' WHEN pg_catalog.isfinite((u.e)."at") THEN pg_catalog.concat(pg_catalog.rtrim(pg_catalog.to_json(pg_catalog.timezone('UTC', (u.e)."at"))::pg_catalog.text, '"'), '+00:00"') ELSE pg_catalog.to_json((u.e)."at")::pg_catalog.text END, '}']::pg_catalog.text[], '', 'null') END, 'null'), ',' ORDER BY u.i) FROM (SELECT pg_catalog.unnest(NEW."ps") AS e, pg_catalog.generate_series(1, pg_catalog.cardinality(NEW."ps")) AS i) u), ']') END, ',"d":', NEW."d"::pg_catalog.text, ',"iv":', pg_catalog.to_json(NEW."iv")::pg_catalog.text, ',"r":', CASE WHEN NEW."r" IS NULL THEN 'null' ELSE pg_catalog.to_json(pg_catalog.concat(NEW."r"))::pg_catalog.text END, ',"c":', pg_catalog.to_json(NEW."c")::pg_catalog.text, '}']::pg_catalog.text[], '', 'null');
      v_users := coalesce(NEW."viewers"::pg_catalog.text[], '{}'::pg_catalog.text[]);
      IF pg_catalog.record_image_ne(ROW(OLD."viewers"), ROW(NEW."viewers")) THEN
        v_old_users := coalesce(OLD."viewers"::pg_catalog.text[], '{}'::pg_catalog.text[]);
        v_old_key := pg_catalog.array_to_string(ARRAY['{"id":', OLD."id"::pg_catalog.text, '}']::pg_catalog.text[], '', 'null');
      END IF;
      END IF;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
      v_type := 'insert';
      IF esink.same(NEW."id", NULL::pg_catalog."int8") IS NULL AND esink.same(NEW."viewers", NULL::pg_catalog."_text") IS NULL AND esink.same(NEW."b", NULL::pg_catalog."bool") IS NULL AND esink.same(NEW."n", NULL::pg_catalog."numeric") IS NULL AND esink.same(NEW."f", NULL::pg_catalog."float8") IS NULL AND esink.same(NEW."t", NULL::pg_catalog."timestamptz") IS NULL AND esink.same(NEW."x", NULL::pg_catalog."bytea") IS NULL AND esink.same(NEW."j", NULL::pg_catalog."jsonb") IS NULL AND pg_catalog.pg_typeof(NEW."m") OPERATOR(pg_catalog.=) 16396::pg_catalog.oid AND pg_catalog.pg_typeof(NEW."ms") OPERATOR(pg_catalog.=) 16395::pg_catalog.oid AND pg_catalog.pg_typeof(NEW."p") OPERATOR(pg_catalog.=) 16403::pg_catalog.oid AND pg_catalog.pg_typeof((NEW."p")."n") OPERATOR(pg_catalog.=) ANY ('{20,21,23}'::pg_catalog.oid[]) AND pg_catalog.pg_typeof((NEW."p")."at") OPERATOR(pg_catalog.=) 1184::pg_catalog.oid AND pg_catalog.pg_typeof(NEW."ps") OPERATOR(pg_catalog.=) 16402::pg_catalog.oid AND pg_catalog.pg_typeof(((NEW."ps")[1])."n") OPERATOR(pg_catalog.=) ANY ('{20,21,23}'::pg_catalog.oid[]) AND pg_catalog.pg_typeof(((NEW."ps")[1])."at") OPERATOR(pg_catalog.=) 1184::pg_catalog.oid AND pg_catalog.pg_typeof(NEW."d") OPERATOR(pg_catalog.=) 16405::pg_catalog.oid AND esink.same(NEW."iv", NULL::pg_catalog."interval") IS NULL AND esink.same(NEW."r", NULL::pg_catalog."tstzrange") IS NULL AND esink.same(NEW."c", NULL::pg_catalog."bpchar") IS NULL THEN
      v_data := pg_catalog.array_to_string(ARRAY['{"id":', NEW."id"::pg_catalog.text, ',"viewers":', pg_catalog.to_json(NEW."viewers")::pg_catalog.text, ',"b":', NEW."b"::pg_catalog.text, ',"n":', pg_catalog.to_json(NEW."n")::pg_catalog.text, ',"f":', pg_catalog.to_json(NEW."f")::pg_catalog.text, ',"t":', CASE WHEN NEW."t" IS NULL THEN 'null' WHEN pg_catalog.isfinite(NEW."t") THEN pg_catalog.concat(pg_catalog.rtrim(pg_catalog.to_json(pg_catalog.timezone('UTC', NEW."t"))::pg_catalog.text, '"'), '+00:00"') ELSE pg_catalog.to_json(NEW."t")::pg_catalog.text END, ',"x":', CASE WHEN NEW."x" IS NULL THEN 'null' ELSE pg_catalog.concat('"', pg_catalog.translate(pg_catalog.encode(NEW."x", 'base64'), pg_catalog.chr(10), ''), '"') END, ',"j":', NEW."j"::pg_catalog.text, ',"m":', CASE WHEN NEW."m" IS NULL THEN 'null' ELSE pg_catalog.to_json(pg_catalog.concat(NEW."m"))::pg_catalog.text END, ',"ms":', pg_catalog.to_json(pg_catalog.textin(pg_catalog.array_out(NEW."ms"))::pg_catalog.text[])::pg_catalog.text, ',"p":', CASE WHEN NEW."p" IS NOT DISTINCT FROM NULL THEN 'null' ELSE pg_catalog.array_to_string(ARRAY['{"n":', (NEW."p")."n"::pg_catalog.text, ',"at":', CASE WHEN (NEW."p")."at" IS NULL THEN 'null' WHEN pg_catalog.isfinite((NEW."p")."at") THEN pg_catalog.concat(pg_catalog.rtrim(pg_catalog.to_json(pg_catalog.timezone('UTC', (NEW."p")."at"))::pg_catalog.text, '"'), '+00:00"') ELSE pg_catalog.to_json((NEW."p")."at")::pg_catalog.text END, '}']::pg_catalog.text[], '', 'null') END, ',"ps":', CASE WHEN NEW."ps" IS NULL THEN 'null' ELSE pg_catalog.concat('[', (SELECT pg_catalog.string_agg(coalesce(CASE WHEN u.e IS NOT DISTINCT FROM NULL THEN 'null' ELSE pg_catalog.array_to_string(ARRAY['{"n":', (u.e)."n"::pg_catalog.text, ',"at":', CASE WHEN (u.e)."at" IS NULL THEN 'null' WHEN pg_catalog.isfinite((u.e)."at") THEN pg_catalog.concat(pg_catalog.rtrim(pg_catalog.to_json(pg_catalog.timezone('UTC', (u.e)."at"))::pg_catalog.text, '"'), '+00:00"') ELSE pg_catalog.to_json((u.e)."at")::pg_catalog.text END, '}']::pg_catalog.text[], '', 'null') END, 'null'), ',' ORDER BY u.i) FROM (SELECT pg_catalog.unnest(NEW."ps") AS e, pg_catalog.generate_series(1, pg_catalog.cardinality(NEW."ps")) AS i) u), ']') END, ',"d":', NEW."d"::pg_catalog.text, ',"iv":', pg_catalog.to_json(NEW."iv")::pg_catalog.text, ',"r":', CASE WHEN NEW."r" IS NULL THEN 'null' ELSE pg_catalog.to_json(pg_catalog.concat(NEW."r"))::pg_catalog.text END, ',"c":', pg_catalog.to_json(NEW."c")::pg_catalog.text, '}']::pg_catalog.text[], '', 'null');
      v_users := coalesce(NEW."viewers"::pg_catalog.text[], '{}'::pg_catalog.text[]);
      END IF;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
      v_type := 'delete';
      IF esink.same(OLD."id", NULL::pg_catalog."int8") IS NULL AND esink.same(OLD."viewers", NULL::pg_catalog."_text") IS NULL AND esink.same(OLD."b", NULL::pg_catalog."bool") IS NULL AND esink.same(OLD."n", NULL::pg_catalog."numeric") IS NULL AND esink.same(OLD."f", NULL::pg_catalog."float8") IS NULL AND esink.same(OLD."t", NULL::pg_catalog."timestamptz") IS NULL AND esink.same(OLD."x", NULL::pg_catalog."bytea") IS NULL AND esink.same(OLD."j", NULL::pg_catalog."jsonb") IS NULL AND pg_catalog.pg_typeof(OLD."m") OPERATOR(pg_catalog.=) 16396::pg_catalog.oid AND pg_catalog.pg_typeof(OLD."ms") OPERATOR(pg_catalog.=) 16395::pg_catalog.oid AND pg_catalog.pg_typeof(OLD."p") OPERATOR(pg_catalog.=) 16403::pg_catalog.oid AND pg_catalog.pg_typeof((OLD."p")."n") OPERATOR(pg_catalog.=) ANY ('{20,21,23}'::pg_catalog.oid[]) AND pg_catalog.pg_typeof((OLD."p")."at") OPERATOR(pg_catalog.=) 1184::pg_catalog.oid AND pg_catalog.pg_typeof(OLD."ps") OPERATOR(pg_catalog.=) 16402::pg_catalog.oid AND pg_catalog.pg_typeof(((OLD."ps")[1])."n") OPERATOR(pg_catalog.=) ANY ('{20,21,23}'::pg_catalog.oid[]) AND pg_catalog.pg_typeof(((OLD."ps")[1])."at") OPERATOR(pg_catalog.=) 1184::pg_catalog.oid AND pg_catalog.pg_typeof(OLD."d") OPERATOR(pg_catalog.=) 16405::pg_catalog.oid AND esink.same(OLD."iv", NULL::pg_catalog."interval") IS NULL AND esink.same(OLD."r", NULL::pg_catalog."tstzrange") IS NULL AND esink.same(OLD."c", NULL::pg_catalog."bpchar") IS NULL THEN
      v_data := pg_catalog.array_to_string(ARRAY['{"id":', OLD."id"::pg_catalog.text, ',"viewers":', pg_catalog.to_json(OLD."viewers")::pg_catalog.text, ',"b":', OLD."b"::pg_catalog.text, ',"n":', pg_catalog.to_json(OLD."n")::pg_catalog.text, ',"f":', pg_catalog.to_json(OLD."f")::pg_catalog.text, ',"t":', CASE WHEN OLD."t" IS NULL THEN 'null' WHEN pg_catalog.isfinite(OLD."t") THEN pg_catalog.concat(pg_catalog.rtrim(pg_catalog.to_json(pg_catalog.timezone('UTC', OLD."t"))::pg_catalog.text, '"'), '+00:00"') ELSE pg_catalog.to_json(OLD."t")::pg_catalog.text END, ',"x":', CASE WHEN OLD."x" IS NULL THEN 'null' ELSE pg_catalog.concat('"', pg_catalog.translate(pg_catalog.encode(OLD."x", 'base64'), pg_catalog.chr(10), ''), '"') END, ',"j":', OLD."j"::pg_catalog.text, ',"m":', CASE WHEN OLD."m" IS NULL THEN 'null' ELSE pg_catalog.to_json(pg_catalog.concat(OLD."m"))::pg_catalog.text END, ',"ms":', pg_catalog.to_json(pg_catalog.textin(pg_catalog.array_out(OLD."ms"))::pg_catalog.text[])::pg_catalog.text, ',"p":', CASE WHEN OLD."p" IS NOT DISTINCT FROM NULL THEN 'null' ELSE pg_catalog.array_to_string(ARRAY['{"n":', (OLD."p")."n"::pg_catalog.text, ',"at":', CASE WHEN (OLD."p")."at" IS NULL THEN 'null' WHEN pg_catalog.isfinite((OLD."p")."at") THEN pg_catalog.concat(pg_catalog.rtrim(pg_catalog.to_json(pg_catalog.timezone('UTC', (OLD."p")."at"))::pg_catalog.text, '"'), '+00:00"') ELSE pg_catalog.to_json((OLD."p")."at")::pg_catalog.text END, '}']::pg_catalog.text[], '', 'null') END, ',"ps":', CASE WHEN OLD."ps" IS NULL THEN 'null' ELSE pg_catalog.concat('[', (SELECT pg_catalog.string_agg(coalesce(CASE WHEN u.e IS NOT DISTINCT FROM NULL THEN 'null' ELSE pg_catalog.array_to_string(ARRAY['{"n":', (u.e)."n"::pg_catalog.text, ',"at":', CASE WHEN (u.e)."at" IS NULL THEN 'null' WHEN pg_catalog.isfinite((u.e)."at") THEN pg_catalog.concat(pg_catalog.rtrim(pg_catalog.to_json(pg_catalog.timezone('UTC', (u.e)."at"))::pg_catalog.text, '"'), '+00:00"') ELSE pg_catalog.to_json((u.e)."at")::pg_catalog.text END, '}']::pg_catalog.text[], '', 'null') END, 'null'), ',' ORDER BY u.i) FROM (SELECT pg_catalog.unnest(OLD."ps") AS e, pg_catalog.generate_series(1, pg_catalog.cardinality(OLD."ps")) AS i) u), ']') END, ',"d":', OLD."d"::pg_catalog.text, ',"iv":', pg_catalog.to_json(OLD."iv")::pg_catalog.text, ',"r":', CASE WHEN OLD."r" IS NULL THEN 'null' ELSE pg_catalog.to_json(pg_catalog.concat(OLD."r"))::pg_catalog.text END, ',"c":', pg_catalog.to_json(OLD."c")::pg_catalog.text, '}']::pg_catalog.text[], '', 'null');
      v_users := coalesce(OLD."viewers"::pg_catalog.text[], '{}'::pg_catalog.text[]);
      END IF;
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
        IF pg_catalog.pg_typeof(OLD."id") OPERATOR(pg_catalog.=) ANY ('{20,21,23}'::pg_catalog.oid[]) THEN
          v_data := pg_catalog.array_to_string(ARRAY['{"id":', OLD."id"::pg_catalog.text, '}']::pg_catalog.text[], '', 'null');
        END IF;
      ELSIF pg_catalog.pg_typeof(NEW."id") OPERATOR(pg_catalog.=) ANY ('{20,21,23}'::pg_catalog.oid[]) THEN
        v_data := pg_catalog.array_to_string(ARRAY['{"id":', NEW."id"::pg_catalog.text, '}']::pg_catalog.text[], '', 'null');
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
        IF pg_catalog.pg_typeof(OLD."viewers") OPERATOR(pg_catalog.=) 1009::pg_catalog.oid THEN
          v_users := coalesce(OLD."viewers"::pg_catalog.text[], '{}'::pg_catalog.text[]);
        END IF;
      ELSIF pg_catalog.pg_typeof(NEW."viewers") OPERATOR(pg_catalog.=) 1009::pg_catalog.oid THEN
        v_users := coalesce(NEW."viewers"::pg_catalog.text[], '{}'::pg_catalog.text[]);
        IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
          v_old_users := coalesce(OLD."viewers"::pg_catalog.text[], '{}'::pg_catalog.text[]);
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
        FOREACH v_statement IN ARRAY ARRAY['SELECT ARRAY(SELECT CASE WHEN u.e IS NULL THEN NULL ELSE pg_catalog.concat(u.e) END FROM (SELECT pg_catalog.unnest(($1)."viewers") AS e) u)']::pg_catalog.text[] LOOP
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
        IF pg_catalog.pg_typeof(OLD."id") OPERATOR(pg_catalog.=) ANY ('{20,21,23}'::pg_catalog.oid[]) THEN
          v_old_key := pg_catalog.array_to_string(ARRAY['{"id":', OLD."id"::pg_catalog.text, '}']::pg_catalog.text[], '', 'null');
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
    VALUES (coalesce(v_seq, pg_catalog.nextval('esink.event_seq'::pg_catalog.regclass)), v_xid, 'types', coalesce(v_type, 'update'), v_data, v_users, false, v_replaced, NULL, v_more);
  ELSE
    INSERT INTO esink.event_1 (seq, xid, topic, type, data, users, broadcast, replaced, guard, more)
    VALUES (coalesce(v_seq, pg_catalog.nextval('esink.event_seq'::pg_catalog.regclass)), v_xid, 'types', coalesce(v_type, 'update'), v_data, v_users, false, v_replaced, NULL, v_more);
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
