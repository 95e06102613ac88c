-- What is kept of consumers (esink/consumer.h). Made beside the journal, not with it: a file that has a journal without them gets
-- them, and they outlive a journal that has to be made anew. Run from the first one that is missing on by source/sqlite/install.c.
--
-- cursor is an id of `journal`: where that is not esink_meta's, it means nothing and counts as the journal's start. generation: random,
-- one of each registration under a name.
CREATE TABLE esink_consumer (name TEXT NOT NULL PRIMARY KEY, topics TEXT NOT NULL, types TEXT NOT NULL, cursor INTEGER NOT NULL, journal TEXT NOT NULL, updated_at REAL NOT NULL, dropped INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
-- What was settled out of order, and below the cursor what was skipped.
CREATE TABLE esink_mark (consumer TEXT NOT NULL, id INTEGER NOT NULL, skipped INTEGER NOT NULL, PRIMARY KEY (consumer, id)) WITHOUT ROWID;
CREATE INDEX esink_mark_id ON esink_mark (id);
CREATE INDEX esink_mark_completed ON esink_mark (consumer, id) WHERE skipped = 0;
