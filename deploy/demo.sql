-- The little shop of deploy/demo.
CREATE TABLE users (
  id       integer PRIMARY KEY,
  name     text NOT NULL,
  password text NOT NULL,             -- FILTERS: never leaves the table
  token    text NOT NULL UNIQUE       -- what a browser presents; AUTH_COLUMN never leaves either
);
CREATE TABLE orders (
  id       integer PRIMARY KEY,
  customer integer NOT NULL REFERENCES users, -- the order's events reach this user
  item     text NOT NULL,
  state    text NOT NULL DEFAULT 'new',
  margin   real,                      -- FILTERS
  at       text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
);
CREATE TABLE messages (
  id       integer PRIMARY KEY,
  sender   integer NOT NULL REFERENCES users, -- both see it
  receiver integer NOT NULL REFERENCES users,
  body     text NOT NULL
);
CREATE TABLE prices (                 -- everybody sees them
  item  text PRIMARY KEY,
  cents integer NOT NULL,
  since text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
);
INSERT INTO users (name, password, token) VALUES ('Anna', 'correct horse', 'token-of-anna'), ('Ben', 'battery staple', 'token-of-ben');
INSERT INTO prices (item, cents) VALUES ('green tea', 240), ('black tea', 180), ('mint', 120), ('rooibos', 160), ('oolong', 310);
