CREATE TEXT SEARCH DICTIONARY eng (TEMPLATE = snowball, Language = english, StopWords = english);
CREATE TEXT SEARCH CONFIGURATION "My Conf" (COPY = simple); ALTER TEXT SEARCH CONFIGURATION "My Conf" ALTER MAPPING FOR asciiword, word WITH eng, simple;
CREATE EXTENSION unaccent; CREATE TEXT SEARCH CONFIGURATION fr (COPY = french); ALTER TEXT SEARCH CONFIGURATION fr ALTER MAPPING FOR hword, word WITH unaccent, french_stem;
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE COLLATION "Other" FROM "C";
CREATE TABLE tx (a text COLLATE ci UNIQUE, b text COLLATE "C" GENERATED ALWAYS AS (upper(a COLLATE "C")) STORED, v tsvector GENERATED ALWAYS AS (to_tsvector('public."My Conf"', a)) STORED, v2 tsvector);
INSERT INTO tx (a, v2) VALUES ('Straße über', '''a'':1A,2B ''x\\y'':5'), ('WORLD', '');
CREATE INDEX ON tx USING gin (v); CREATE INDEX ON tx (lower(a COLLATE "C") text_pattern_ops) INCLUDE (b) WHERE a <> '';
CREATE TABLE pc (t text COLLATE ci) PARTITION BY LIST (t); CREATE TABLE pca PARTITION OF pc FOR VALUES IN ('a'); INSERT INTO pc VALUES ('A'),('a');
