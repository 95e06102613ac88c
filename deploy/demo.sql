-- The little shop of deploy/demo.
CREATE TABLE users (
  id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name     text NOT NULL,
  password text NOT NULL,             -- FILTERS: never leaves the table
  token    text NOT NULL UNIQUE       -- what a browser presents; AUTH_COLUMN never leaves either
);
CREATE TABLE orders (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer integer NOT NULL REFERENCES users, -- the order's events reach this user
  item     text NOT NULL,
  margin   numeric(6, 2),             -- FILTERS
  at       timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE messages (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sender   integer NOT NULL REFERENCES users, -- both see it
  receiver integer NOT NULL REFERENCES users,
  body     text NOT NULL
);
CREATE TABLE prices (                 -- everybody sees them
  item  text PRIMARY KEY,
  cents integer NOT NULL,
  since timestamptz NOT NULL DEFAULT now()
);
INSERT INTO users (name, password, token) VALUES ('Anna', 'correct horse', 'token-of-anna'), ('Ben', 'battery staple', 'token-of-ben');
INSERT INTO prices (item, cents) VALUES ('green tea', 240), ('black tea', 180), ('mint', 120);
