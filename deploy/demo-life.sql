-- A moment of life in the shop of deploy/demo: mostly prices, often an order that is made or moves on, sometimes a message.
CREATE TEMP TABLE dice AS SELECT abs(random() % 100) AS what, 1 + abs(random() % 2) AS who, (SELECT item FROM prices ORDER BY random() LIMIT 1) AS item;
UPDATE prices SET cents = 100 + abs(random() % 300), since = strftime('%Y-%m-%dT%H:%M:%fZ')
  WHERE item = (SELECT item FROM dice WHERE what < 60);
INSERT INTO orders (customer, item, margin) SELECT who, item, abs(random() % 50) / 100.0 FROM dice WHERE what BETWEEN 50 AND 79;
UPDATE orders SET state = CASE state WHEN 'new' THEN 'packed' WHEN 'packed' THEN 'sent' ELSE 'delivered' END
  WHERE id = (SELECT id FROM orders WHERE state <> 'delivered' AND (SELECT what FROM dice) BETWEEN 60 AND 94 ORDER BY random() LIMIT 1);
INSERT INTO messages (sender, receiver, body) SELECT who, 3 - who,
    CASE abs(random() % 4) WHEN 0 THEN 'Have you seen what mint costs today?' WHEN 1 THEN 'My tea is on its way.'
      WHEN 2 THEN 'Thank you for the oolong!' ELSE 'Shall we share a parcel?' END FROM dice WHERE what >= 92;
DELETE FROM orders WHERE state = 'delivered' AND id < (SELECT max(id) - 40 FROM orders);
DELETE FROM messages WHERE id < (SELECT max(id) - 40 FROM messages);
