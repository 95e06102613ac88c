CREATE TRIGGER `esink_insert_plain` AFTER INSERT ON `plain` FOR EACH ROW esink_word: BEGIN
  DECLARE EXIT HANDLER FOR 3, 20, 1015, 1016, 1021, 1023, 1024, 1026, 1030, 1114, 1296, 1297 RESIGNAL;
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION
  BEGIN
  DECLARE CONTINUE HANDLER FOR 1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988
  BEGIN
  DECLARE CONTINUE HANDLER FOR 1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988
  BEGIN
  DECLARE CONTINUE HANDLER FOR 1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 4, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , ',,,'));
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 4, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , ','
    , NEW.`owner`, ','
    , IF(LENGTH(NEW.`note`) <= 100000, CONCAT(_binary':', LENGTH(NEW.`note`), ':', NEW.`note`), ',')));
  END;
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 4, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , NEW.`id`, ','
    , ',,'));
  END;
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 4, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , NEW.`id`, ','
    , NEW.`owner`, ','
    , IF(LENGTH(NEW.`note`) <= 100000, CONCAT(_binary':', LENGTH(NEW.`note`), ':', NEW.`note`), ',')));
  END;
  IF DATABASE() <> 'shop' THEN LEAVE esink_word; END IF;
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 0, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , NEW.`id`, ','
    , NEW.`owner`, ','
    , ':', LENGTH(NEW.`note`), ':', NEW.`note`));
END;
CREATE TRIGGER `esink_update_plain` AFTER UPDATE ON `plain` FOR EACH ROW esink_word: BEGIN
  DECLARE EXIT HANDLER FOR 3, 20, 1015, 1016, 1021, 1023, 1024, 1026, 1030, 1114, 1296, 1297 RESIGNAL;
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION
  BEGIN
  DECLARE CONTINUE HANDLER FOR 1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988
  BEGIN
  DECLARE CONTINUE HANDLER FOR 1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988
  BEGIN
  DECLARE CONTINUE HANDLER FOR 1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 5, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , ',,,,,,'));
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 5, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , ','
    , NEW.`owner`, ','
    , IF(LENGTH(NEW.`note`) <= 100000, CONCAT(_binary':', LENGTH(NEW.`note`), ':', NEW.`note`), ',')
    , ','
    , OLD.`owner`, ','
    , IF(LENGTH(OLD.`note`) <= 100000, CONCAT(_binary':', LENGTH(OLD.`note`), ':', OLD.`note`), ',')));
  END;
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 5, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , NEW.`id`, ','
    , ',,'
    , OLD.`id`, ','
    , ',,'));
  END;
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 5, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , NEW.`id`, ','
    , NEW.`owner`, ','
    , IF(LENGTH(NEW.`note`) <= 100000, CONCAT(_binary':', LENGTH(NEW.`note`), ':', NEW.`note`), ',')
    , OLD.`id`, ','
    , OLD.`owner`, ','
    , IF(LENGTH(OLD.`note`) <= 100000, CONCAT(_binary':', LENGTH(OLD.`note`), ':', OLD.`note`), ',')));
  END;
  IF DATABASE() <> 'shop' THEN LEAVE esink_word; END IF;
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 1, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , NEW.`id`, ','
    , NEW.`owner`, ','
    , ':', LENGTH(NEW.`note`), ':', NEW.`note`
    , OLD.`id`, ','
    , OLD.`owner`, ','
    , ':', LENGTH(OLD.`note`), ':', OLD.`note`));
END;
CREATE TRIGGER `esink_delete_plain` AFTER DELETE ON `plain` FOR EACH ROW esink_word: BEGIN
  DECLARE EXIT HANDLER FOR 3, 20, 1015, 1016, 1021, 1023, 1024, 1026, 1030, 1114, 1296, 1297 RESIGNAL;
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION
  BEGIN
  DECLARE CONTINUE HANDLER FOR 1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988
  BEGIN
  DECLARE CONTINUE HANDLER FOR 1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988
  BEGIN
  DECLARE CONTINUE HANDLER FOR 1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 6, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , ',,,'));
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 6, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , ','
    , OLD.`owner`, ','
    , IF(LENGTH(OLD.`note`) <= 100000, CONCAT(_binary':', LENGTH(OLD.`note`), ':', OLD.`note`), ',')));
  END;
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 6, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , OLD.`id`, ','
    , ',,'));
  END;
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 6, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , OLD.`id`, ','
    , OLD.`owner`, ','
    , IF(LENGTH(OLD.`note`) <= 100000, CONCAT(_binary':', LENGTH(OLD.`note`), ':', OLD.`note`), ',')));
  END;
  IF DATABASE() <> 'shop' THEN LEAVE esink_word; END IF;
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 2, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''
    , OLD.`id`, ','
    , OLD.`owner`, ','
    , ':', LENGTH(OLD.`note`), ':', OLD.`note`));
END;
