-- Never does anything. SQLite writes the new name of a renamed column into every trigger, so that this one always tells what
-- the columns that were withheld are called today, and its body what they were called then: see source/sqlite/recall.c.
CREATE TRIGGER @name@ AFTER UPDATE OF @columns@ ON @table@ WHEN 0 BEGIN SELECT @names@; END
