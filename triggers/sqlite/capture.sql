-- One trigger of one watched table, made from this template by source/sqlite/capture.c. It runs inside the application's own
-- statement and copies values as they are: no function of the row's values is called that could fail on one, and nothing is
-- converted, so that a BLOB, an infinity or text that is no UTF-8 costs the writer nothing and stays what it is.
--   @name@ "esink insert orders"       @event@ INSERT, UPDATE or DELETE    @table@ "orders"
--   @slots@ , v1, v2, ..               @values@ , NEW."id", NEW."owner", .. OLD."owner"
--   @shape@ its row in esink_shape     @kind@ as in schema.sql
--   @when@ the sizes that still fit into one row of esink_event: a second trigger, for those that do not, keeps the key alone
CREATE TRIGGER @name@ AFTER @event@ ON @table@ WHEN @when@ BEGIN INSERT INTO esink_event (shape, kind, at@slots@) VALUES (@shape@, @kind@, julianday('now')@values@); END
