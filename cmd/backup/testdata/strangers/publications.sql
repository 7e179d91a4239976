CREATE TABLE t (id int PRIMARY KEY, a text, b text); CREATE TABLE u (id int NOT NULL); CREATE UNIQUE INDEX ui ON u (id); ALTER TABLE u REPLICA IDENTITY USING INDEX ui; ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE t CLUSTER ON t_pkey;
CREATE PUBLICATION p1 FOR TABLE t (id, a) WHERE (id > 10), u WITH (publish = 'insert,update'); CREATE PUBLICATION p2 FOR ALL TABLES WITH (publish_via_partition_root = true); CREATE PUBLICATION "p 3" FOR TABLES IN SCHEMA public; CREATE PUBLICATION p4;
CREATE SUBSCRIPTION "sub x" CONNECTION 'host=127.0.0.1 port=1 password=''s e c''' PUBLICATION p, "q r" WITH (connect = false, slot_name = NONE, two_phase = true, streaming = true);
CREATE STATISTICS st (ndistinct, mcv) ON id, a FROM t; CREATE STATISTICS st2 ON (lower(a)) FROM t; ALTER STATISTICS st SET STATISTICS 55;
ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER b SET COMPRESSION pglz, ALTER a SET STATISTICS 500, ALTER b SET (n_distinct = -0.5); ALTER TABLE t SET (autovacuum_enabled = off, fillfactor = 50, toast.autovacuum_enabled = off, parallel_workers = 3);
CREATE INDEX br ON t USING brin (id) WITH (pages_per_range = 4, autosummarize); ALTER INDEX t_pkey SET (fillfactor = 70);
INSERT INTO t SELECT n, repeat(md5(n::text), 500), repeat('x', 10000) FROM generate_series(1,50) n;
