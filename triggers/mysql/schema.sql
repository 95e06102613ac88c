-- What esink keeps in the application's database. Run statement by statement by source/mysql/install.c; statements are separated
-- by empty lines. The comment of a table says that it is ours, and of which version.

-- The outbox: triggers write here, in the application's transaction. id is taken before the commit, so rows become visible out of
-- its order. kind: 0 insert, 1 update, 2 delete, plus 4 when it carries the key alone; 8 published over the network, 9 by
-- esink_emit(). In the journal also, for what was written while columns traded names (source/mysql/fit.c): plus 4 or, where not even the
-- key is sure, plus 4 and 16. at: TIMESTAMP is kept in UTC, whatever the writer's time zone.
CREATE TABLE @outbox@ (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, shape BIGINT UNSIGNED NOT NULL, kind TINYINT UNSIGNED NOT NULL,
  at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), actor VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL, data LONGBLOB NOT NULL)
  ENGINE = InnoDB ROW_FORMAT = DYNAMIC COMMENT = 'esink outbox 1'

-- The journal: what was moved here from the outbox, some events in a row (source/mysql/chunk.c). id: of the last of them; shape: the least.
CREATE TABLE @journal@ (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, events INT UNSIGNED NOT NULL, shape BIGINT UNSIGNED NOT NULL,
  moved TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, data LONGBLOB NOT NULL, big LONGBLOB NULL)
  ENGINE = InnoDB ROW_FORMAT = DYNAMIC COMMENT = 'esink journal 2'

-- The form of the rows that one version of a table's triggers writes (source/mysql/form.c). retired: when the next version took over.
CREATE TABLE @shape@ (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, topic VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  word CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, layout LONGBLOB NOT NULL, retired TIMESTAMP NULL DEFAULT NULL)
  ENGINE = InnoDB ROW_FORMAT = DYNAMIC COMMENT = 'esink shape 1'

-- One row. journal: 16 hex digits; head: its newest id; server, made: whose history it is (source/mysql/claim.c); word: of the
-- configuration that the triggers were made by.
CREATE TABLE @meta@ (one TINYINT UNSIGNED NOT NULL PRIMARY KEY, journal CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, head BIGINT UNSIGNED NOT NULL,
  server VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, made VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  word CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL) ENGINE = InnoDB ROW_FORMAT = DYNAMIC COMMENT = 'esink meta 1'

-- What is kept of consumers (esink/consumer.h). cursor is an id of `journal`: where that is not esink_meta's, it means nothing and counts
-- as the journal's start. generation: random, one of each registration under a name.
CREATE TABLE @consumer@ (name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, topics MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  types MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, `cursor` BIGINT UNSIGNED NOT NULL, journal CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), dropped TINYINT UNSIGNED NOT NULL DEFAULT 0, generation BIGINT NOT NULL DEFAULT 0)
  ENGINE = InnoDB ROW_FORMAT = DYNAMIC COMMENT = 'esink consumer 2'

-- What was settled above the cursor, out of order; below it what was skipped, as long as the event is there.
CREATE TABLE @mark@ (consumer VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, id BIGINT UNSIGNED NOT NULL, skipped TINYINT UNSIGNED NOT NULL,
  PRIMARY KEY (consumer, id), KEY by_id (id), KEY by_outcome (consumer, skipped, id)) ENGINE = InnoDB ROW_FORMAT = DYNAMIC COMMENT = 'esink mark 1'

-- Nothing, and not for nothing: MariaDB keeps tables open between statements, and one that an ordinary statement has used makes every write
-- fail of a session that has locked a watched table (LOCK TABLES; error 1442), for it takes the outbox, which it opens once for each of the
-- three triggers, for one that is in use. A statement that names a function leaves the tables it used as triggers leave them. So every
-- statement of ours on the outbox names this one, where it is never called: whoever may replace it must not have it run with our rights.
-- What somebody else's look at the outbox has left is put right by ours (source/mysql/upkeep.c).
CREATE FUNCTION @prelock@() RETURNS INT DETERMINISTIC NO SQL SQL SECURITY INVOKER COMMENT 'esink prelock 1' RETURN 0

-- Events from SQL: CALL esink_emit('orders', 'shipped', '{"id":7}', '["7"]'). It runs as the relay's account: GRANT EXECUTE ON
-- PROCEDURE to those who may.
CREATE PROCEDURE @emit@(IN topic TEXT CHARACTER SET utf8mb4, IN type TEXT CHARACTER SET utf8mb4, IN data LONGTEXT CHARACTER SET utf8mb4, IN audience LONGTEXT CHARACTER SET utf8mb4)
  MODIFIES SQL DATA SQL SECURITY DEFINER COMMENT 'esink emit 2'
BEGIN
  IF topic IS NULL OR CHAR_LENGTH(topic) NOT BETWEEN 1 AND 64 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'esink_emit: topic must be text of 1 to 64 characters';
  END IF;
  IF type IS NULL OR CHAR_LENGTH(type) NOT BETWEEN 1 AND 64 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'esink_emit: type must be text of 1 to 64 characters';
  END IF;
  IF data IS NULL OR NOT JSON_VALID(data) OR JSON_TYPE(data) <> 'OBJECT' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'esink_emit: data must be a JSON object, as text';
  END IF;
  IF audience IS NOT NULL AND audience NOT IN ('0', '1') AND (NOT JSON_VALID(audience) OR JSON_TYPE(audience) NOT IN ('ARRAY', 'BOOLEAN')) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'esink_emit: audience must be a JSON array of user ids, such as ["7"], or true for everyone';
  END IF;
  INSERT INTO @outbox@ (shape, kind, actor, data) VALUES (IF(TRUE, 0, @prelock@()), 9, LEFT(@esink_actor, 255), CONCAT(_binary':', LENGTH(topic), ':', topic, ':', LENGTH(type), ':', type,
    ':', LENGTH(data), ':', data, IFNULL(CONCAT(_binary':', LENGTH(audience), ':', audience), ',')));
END
