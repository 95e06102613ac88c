-- The body of one trigger of one watched table, made from this template by source/mysql/capture.c. It runs inside the
-- application's own statement, as the relay's account, with the sql_mode '' that it was made under, whatever the application's is.
--   @outbox@ `shop`.`esink_pubsub`
--   @schema@ the table's, 'shop'. While a trigger runs, DATABASE() is the schema that it is in: one that came into another schema with a
--     dump writes nothing. What the shape's number means there, and whether there is an outbox, it cannot know
--   @shape@ its row in esink_shape     @kind@ as in schema.sql     @machine@ errors that say nothing of the row
--   @word@ of all of it: what the server shows of a body is not quite what it keeps. In a label, for a client that loads a dump may take
--     comments out, and there must be none
--   @values@ the arguments that write each value (value.c)     @otherwise@ a statement that writes fewer of them
-- CONCAT_WS() leaves out what is NULL, for less than a function for each value would cost. One of more than max_allowed_packet is
-- NULL, which the column refuses; this, a column that is not there any more, and whatever else a value makes fail ends in the handler,
-- with the key alone. A deadlock or a lost connection is not caught: the server lets no handler see those in a trigger. Nor is a disk that
-- is full: the key alone might find room, and the row would be lost.
esink_@word@: BEGIN
  DECLARE EXIT HANDLER FOR @machine@ RESIGNAL;
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION
  @otherwise@
  IF DATABASE() <> @schema@ THEN LEAVE esink_@word@; END IF;
  INSERT INTO @outbox@ (shape, kind, actor, data) VALUES (@shape@, @kind@, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''@values@));
END
