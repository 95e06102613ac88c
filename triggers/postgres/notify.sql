-- What a trigger function (capture.sql) ends with where the relay may sleep.
  IF (pg_catalog.pg_sequence_last_value('esink.sleep'::pg_catalog.regclass) OPERATOR(pg_catalog.&) 1::pg_catalog.int8)
      OPERATOR(pg_catalog.=) 1::pg_catalog.int8 THEN
    -- Asked again: the server may have been restarted with two-phase commit while no relay ran.
    IF pg_catalog.current_setting('max_prepared_transactions') OPERATOR(pg_catalog.=) '0' THEN
      PERFORM pg_catalog.pg_notify('esink', '');
    END IF;
  END IF;
