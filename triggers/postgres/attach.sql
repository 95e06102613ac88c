-- One trigger of one table, made by source/postgres/install.c. @trigger@: "!esink" (rows) or "!esink_truncate"; the name
-- sorts before every usual one, so that it fires first and an application's own AFTER ROW trigger that writes again cannot
-- come before. @events@: what it fires on. Needs SHARE ROW EXCLUSIVE on the table: run under a lock_timeout, for whoever
-- writes to the table waits behind us meanwhile.
CREATE TRIGGER @trigger@ AFTER @events@ ON @table@ FOR EACH @each@ EXECUTE FUNCTION esink.@function@(@relation@);
