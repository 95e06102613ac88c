CREATE TRIGGER `shop`.`esink_insert_hash` AFTER INSERT ON `shop`.`Odd "``Table``"` FOR EACH ROW BEGIN /* esink word */
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION
    INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 4, LEFT(@esink_actor, 255), CONCAT(_binary''
    , IFNULL(NEW.`a'b`, ''), ','
    , IF(LENGTH(CONVERT(NEW.`c\d` USING utf8mb4)) <= 100000, CONCAT(_binary':', LENGTH(CONVERT(NEW.`c\d` USING utf8mb4)), ':', CONVERT(NEW.`c\d` USING utf8mb4)), ',')
    , ','
    , ','
    , ','
    , ','));
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 0, LEFT(@esink_actor, 255), CONCAT(_binary''
    , IFNULL(NEW.`a'b`, ''), ','
    , IFNULL(CONCAT(_binary':', LENGTH(CONVERT(NEW.`c\d` USING utf8mb4)), ':', CONVERT(NEW.`c\d` USING utf8mb4)), ',')
    , IFNULL(NEW.`f` + 0e0, ''), ','
    , IFNULL(NEW.`b` + 0, ''), ','
    , IFNULL(UNIX_TIMESTAMP(NEW.`t`), ''), ','
    , IFNULL(CONCAT(_binary':', LENGTH(ST_AsGeoJSON(NEW.`g`)), ':', ST_AsGeoJSON(NEW.`g`)), ',')));
END;
CREATE TRIGGER `shop`.`esink_update_hash` AFTER UPDATE ON `shop`.`Odd "``Table``"` FOR EACH ROW BEGIN /* esink word */
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION
    INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 5, LEFT(@esink_actor, 255), CONCAT(_binary''
    , IFNULL(NEW.`a'b`, ''), ','
    , IF(LENGTH(CONVERT(NEW.`c\d` USING utf8mb4)) <= 100000, CONCAT(_binary':', LENGTH(CONVERT(NEW.`c\d` USING utf8mb4)), ':', CONVERT(NEW.`c\d` USING utf8mb4)), ',')
    , ','
    , ','
    , ','
    , ','
    , IFNULL(OLD.`a'b`, ''), ','
    , IF(LENGTH(CONVERT(OLD.`c\d` USING utf8mb4)) <= 100000, CONCAT(_binary':', LENGTH(CONVERT(OLD.`c\d` USING utf8mb4)), ':', CONVERT(OLD.`c\d` USING utf8mb4)), ',')));
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 1, LEFT(@esink_actor, 255), CONCAT(_binary''
    , IFNULL(NEW.`a'b`, ''), ','
    , IFNULL(CONCAT(_binary':', LENGTH(CONVERT(NEW.`c\d` USING utf8mb4)), ':', CONVERT(NEW.`c\d` USING utf8mb4)), ',')
    , IFNULL(NEW.`f` + 0e0, ''), ','
    , IFNULL(NEW.`b` + 0, ''), ','
    , IFNULL(UNIX_TIMESTAMP(NEW.`t`), ''), ','
    , IFNULL(CONCAT(_binary':', LENGTH(ST_AsGeoJSON(NEW.`g`)), ':', ST_AsGeoJSON(NEW.`g`)), ',')
    , IFNULL(OLD.`a'b`, ''), ','
    , IFNULL(CONCAT(_binary':', LENGTH(CONVERT(OLD.`c\d` USING utf8mb4)), ':', CONVERT(OLD.`c\d` USING utf8mb4)), ',')));
END;
CREATE TRIGGER `shop`.`esink_delete_hash` AFTER DELETE ON `shop`.`Odd "``Table``"` FOR EACH ROW BEGIN /* esink word */
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION
    INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 6, LEFT(@esink_actor, 255), CONCAT(_binary''
    , IFNULL(OLD.`a'b`, ''), ','
    , IF(LENGTH(CONVERT(OLD.`c\d` USING utf8mb4)) <= 100000, CONCAT(_binary':', LENGTH(CONVERT(OLD.`c\d` USING utf8mb4)), ':', CONVERT(OLD.`c\d` USING utf8mb4)), ',')
    , ','
    , ','
    , ','
    , ','));
  INSERT INTO `shop`.`esink_pubsub` (shape, kind, actor, data) VALUES (0, 2, LEFT(@esink_actor, 255), CONCAT(_binary''
    , IFNULL(OLD.`a'b`, ''), ','
    , IFNULL(CONCAT(_binary':', LENGTH(CONVERT(OLD.`c\d` USING utf8mb4)), ':', CONVERT(OLD.`c\d` USING utf8mb4)), ',')
    , IFNULL(OLD.`f` + 0e0, ''), ','
    , IFNULL(OLD.`b` + 0, ''), ','
    , IFNULL(UNIX_TIMESTAMP(OLD.`t`), ''), ','
    , IFNULL(CONCAT(_binary':', LENGTH(ST_AsGeoJSON(OLD.`g`)), ':', ST_AsGeoJSON(OLD.`g`)), ',')));
END;
