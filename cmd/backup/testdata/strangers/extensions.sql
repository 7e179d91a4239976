CREATE SCHEMA "Ext ""S"; CREATE SCHEMA e2;
CREATE EXTENSION pg_trgm SCHEMA "Ext ""S"; CREATE EXTENSION citext SCHEMA "Ext ""S"; CREATE EXTENSION hstore SCHEMA e2; CREATE EXTENSION ltree SCHEMA e2; CREATE EXTENSION "uuid-ossp" SCHEMA e2; CREATE EXTENSION pgcrypto; CREATE EXTENSION btree_gist; CREATE EXTENSION btree_gin; CREATE EXTENSION tablefunc; CREATE EXTENSION intarray; CREATE EXTENSION earthdistance CASCADE; CREATE EXTENSION isn; CREATE EXTENSION seg; CREATE EXTENSION fuzzystrmatch; CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pgstattuple; CREATE EXTENSION tcn; CREATE EXTENSION bloom; CREATE EXTENSION xml2; CREATE EXTENSION dblink;
CREATE TABLE e (c "Ext ""S".citext PRIMARY KEY, h e2.hstore, l e2.ltree, u uuid DEFAULT e2.uuid_generate_v4(), k cube, i isbn13, ia int[]);
INSERT INTO e (c,h,l,k,i,ia) VALUES ('ABC','a=>NULL,"b c"=>"d\"e"','a.b.c','(1,2),(3,4)','978-0-393-04002-9','{1,2}');
CREATE INDEX ON e USING gin (c "Ext ""S".gin_trgm_ops); CREATE INDEX ON e USING gist (l); CREATE INDEX ON e USING gin (ia gin__int_ops); 
CREATE VIEW ev AS SELECT * FROM e WHERE c OPERATOR("Ext ""S".=) 'abc'; CREATE VIEW ss AS SELECT query FROM pg_stat_statements;
