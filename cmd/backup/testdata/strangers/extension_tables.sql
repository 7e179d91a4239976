-- warns: the rows of table public.lut are not in the backup: it belongs to the extension hstore
-- warns: the rows of table information_schema.mine are not in the backup: it is in a schema of PostgreSQL's own
CREATE EXTENSION hstore;
CREATE TABLE lut (a int);
INSERT INTO lut VALUES (1), (2);
ALTER EXTENSION hstore ADD TABLE lut;
CREATE TABLE unused (a int);
ALTER EXTENSION hstore ADD TABLE unused;
CREATE TABLE information_schema.mine (i int);
INSERT INTO information_schema.mine VALUES (1);
CREATE TABLE t AS SELECT 1 AS i;
