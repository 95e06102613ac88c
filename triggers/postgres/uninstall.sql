-- Everything of esink. CASCADE takes the triggers on the watched tables along; it waits for their writers, under a
-- lock_timeout. Nothing outside the schema was ever created but those triggers.
DROP SCHEMA IF EXISTS esink CASCADE;
