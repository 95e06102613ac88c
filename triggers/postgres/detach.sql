-- Takes a table out of capture: the function goes, and its triggers with it. Needs no right on the table.
DROP FUNCTION IF EXISTS esink.@function@() CASCADE;
