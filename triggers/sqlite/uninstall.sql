-- Everything of esink but the triggers of the watched tables, which source/sqlite/install.c finds by their names, and the tables
-- of consumers, which are kept when the others have to be made anew.
DROP VIEW IF EXISTS esink_emit;
DROP TABLE IF EXISTS esink_event;
DROP TABLE IF EXISTS esink_column;
DROP TABLE IF EXISTS esink_shape;
DROP TABLE IF EXISTS esink_meta;
