CREATE TRIGGER `esink_insert_hash` AFTER INSERT ON `Odd "``Table``"` FOR EACH ROW esink_word: BEGIN
  DECLARE EXIT HANDLER FOR 3, 20, 1015, 1016, 1021, 1023, 1024, 1026, 1030, 1114, 1296, 1297 RESIGNAL;
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION
  BEGIN
  DECLARE CONTINUE HANDLER FOR 1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 4, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , ',,,,,,'));
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 4, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , NEW.`a'b`, ','
    , IF(LENGTH(CONVERT(NEW.`c\d` USING utf8mb4)) <= 100000, CONCAT(_binary':', LENGTH(CONVERT(NEW.`c\d` USING utf8mb4)), ':', CONVERT(NEW.`c\d` USING utf8mb4)), ',')
    , ',,,,'));
  END;
  IF DATABASE() <> 'shop' THEN LEAVE esink_word; END IF;
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 0, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , NEW.`a'b`, ','
    , ':', LENGTH(CONVERT(NEW.`c\d` USING utf8mb4)), ':', CONVERT(NEW.`c\d` USING utf8mb4)
    , NEW.`f` + 0e0, ','
    , NEW.`b` + 0, ','
    , UNIX_TIMESTAMP(NEW.`t`), ','
    , ':', LENGTH(ST_AsGeoJSON(NEW.`g`)), ':', ST_AsGeoJSON(NEW.`g`)));
END;
CREATE TRIGGER `esink_update_hash` AFTER UPDATE ON `Odd "``Table``"` FOR EACH ROW esink_word: BEGIN
  DECLARE EXIT HANDLER FOR 3, 20, 1015, 1016, 1021, 1023, 1024, 1026, 1030, 1114, 1296, 1297 RESIGNAL;
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION
  BEGIN
  DECLARE CONTINUE HANDLER FOR 1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 5, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , ',,,,,,,,'));
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 5, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , NEW.`a'b`, ','
    , IF(LENGTH(CONVERT(NEW.`c\d` USING utf8mb4)) <= 100000, CONCAT(_binary':', LENGTH(CONVERT(NEW.`c\d` USING utf8mb4)), ':', CONVERT(NEW.`c\d` USING utf8mb4)), ',')
    , ',,,,'
    , OLD.`a'b`, ','
    , IF(LENGTH(CONVERT(OLD.`c\d` USING utf8mb4)) <= 100000, CONCAT(_binary':', LENGTH(CONVERT(OLD.`c\d` USING utf8mb4)), ':', CONVERT(OLD.`c\d` USING utf8mb4)), ',')));
  END;
  IF DATABASE() <> 'shop' THEN LEAVE esink_word; END IF;
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 1, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , NEW.`a'b`, ','
    , ':', LENGTH(CONVERT(NEW.`c\d` USING utf8mb4)), ':', CONVERT(NEW.`c\d` USING utf8mb4)
    , NEW.`f` + 0e0, ','
    , NEW.`b` + 0, ','
    , UNIX_TIMESTAMP(NEW.`t`), ','
    , ':', LENGTH(ST_AsGeoJSON(NEW.`g`)), ':', ST_AsGeoJSON(NEW.`g`)
    , OLD.`a'b`, ','
    , ':', LENGTH(CONVERT(OLD.`c\d` USING utf8mb4)), ':', CONVERT(OLD.`c\d` USING utf8mb4)));
END;
CREATE TRIGGER `esink_delete_hash` AFTER DELETE ON `Odd "``Table``"` FOR EACH ROW esink_word: BEGIN
  DECLARE EXIT HANDLER FOR 3, 20, 1015, 1016, 1021, 1023, 1024, 1026, 1030, 1114, 1296, 1297 RESIGNAL;
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION
  BEGIN
  DECLARE CONTINUE HANDLER FOR 1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 6, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , ',,,,,,'));
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 6, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , OLD.`a'b`, ','
    , IF(LENGTH(CONVERT(OLD.`c\d` USING utf8mb4)) <= 100000, CONCAT(_binary':', LENGTH(CONVERT(OLD.`c\d` USING utf8mb4)), ':', CONVERT(OLD.`c\d` USING utf8mb4)), ',')
    , ',,,,'));
  END;
  IF DATABASE() <> 'shop' THEN LEAVE esink_word; END IF;
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 2, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , OLD.`a'b`, ','
    , ':', LENGTH(CONVERT(OLD.`c\d` USING utf8mb4)), ':', CONVERT(OLD.`c\d` USING utf8mb4)
    , OLD.`f` + 0e0, ','
    , OLD.`b` + 0, ','
    , UNIX_TIMESTAMP(OLD.`t`), ','
    , ':', LENGTH(ST_AsGeoJSON(OLD.`g`)), ':', ST_AsGeoJSON(OLD.`g`)));
END;
