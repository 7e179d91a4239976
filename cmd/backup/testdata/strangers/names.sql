CREATE SCHEMA "Sch€ma %s $$ \ ' ""x""";
CREATE TABLE "Sch€ma %s $$ \ ' ""x"""."t
-- Data for Name: x; Type: TABLE DATA; Schema: q
\.
" ("a
b" int, "%s" text, "$1" text, "\" text, "FROM stdin;" int, "🦄" int, "select" int, " " int);
INSERT INTO "Sch€ma %s $$ \ ' ""x"""."t
-- Data for Name: x; Type: TABLE DATA; Schema: q
\.
" VALUES (1,'%d','$$','\.',2,3,4,5), (2, E'\\.', E'\r\n', E'\t', 0,0,0,0);
CREATE TABLE "x) FROM stdin;" (a int); INSERT INTO "x) FROM stdin;" VALUES (1);
CREATE TABLE "y FROM stdin;
" ("b FROM stdin;
" int); INSERT INTO "y FROM stdin;
" VALUES (1), (2);
CREATE TABLE "select" ("from" int); INSERT INTO "select" VALUES (1);
CREATE TABLE "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" (i int);
INSERT INTO "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" VALUES (1);
CREATE TABLE "ends with dot." (i int); CREATE TABLE ".starts" (i int); CREATE TABLE "a.b" ("c.d" int); INSERT INTO "a.b" VALUES (3);
CREATE TABLE "-- comment" (i int); INSERT INTO "-- comment" VALUES (1);
CREATE TABLE "cr
lf" (i int); INSERT INTO "cr
lf" VALUES (4);
CREATE SCHEMA "pg-odd"; CREATE TABLE "pg-odd".t (i int); INSERT INTO "pg-odd".t VALUES (5);
CREATE SCHEMA "PG_upper"; CREATE TABLE "PG_upper".t (i int); INSERT INTO "PG_upper".t VALUES (5);
CREATE SCHEMA pgother; CREATE TABLE pgother.t (i int); INSERT INTO pgother.t VALUES (5);
CREATE SEQUENCE "seq 'q' \ 
 nl"; SELECT nextval('"seq ''q'' \ 
 nl"');
CREATE TABLE "Name: z; Type: TABLE DATA; Schema" (i int); INSERT INTO "Name: z; Type: TABLE DATA; Schema" VALUES (6);
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $f$ SELECT '
SELECT pg_catalog.setval(''x'', 1);
SELECT pg_catalog.lo_open(1,2);
-- Data for Name: q; Type: TABLE DATA; Schema: public; Owner: x
--

COPY public.q (i) FROM stdin;
1
'::text $f$;
CREATE TABLE q (i text); INSERT INTO q VALUES ('x');
