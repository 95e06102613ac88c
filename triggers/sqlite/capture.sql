-- One trigger of one watched table, made from this template by source/sqlite/capture.c. It runs inside the application's own
-- statement and copies values as they are: no function of the row's values is called that could fail on one, and nothing is
-- converted, so that a BLOB, an infinity or text that is no UTF-8 costs the writer nothing and stays what it is.
--   @name@ "esink insert orders"       @event@ INSERT, UPDATE or DELETE    @table@ "orders"
--   @slots@ , v1, v2, ..               @values@ , NEW."id", NEW."owner", .. OLD."owner"; what can be long for the record as
--                                      CASE WHEN length(CAST(NEW."note" AS BLOB)) > .. THEN x'1b65..' ELSE NEW."note" END
--   @shape@ its row in esink_shape     @kind@ as in schema.sql
CREATE TRIGGER @name@ AFTER @event@ ON @table@ BEGIN INSERT INTO esink_event (shape, kind, at@slots@) VALUES (@shape@, @kind@, julianday('now')@values@); END
