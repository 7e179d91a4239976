-- Settings of the database that change how a dump is written or read.
DO $$ DECLARE setting text; BEGIN
	FOREACH setting IN ARRAY ARRAY['session_preload_libraries = auto_explain', 'extra_float_digits = -15', 'xmloption = document', 'array_nulls = off',
		'standard_conforming_strings = off', 'bytea_output = escape', 'client_encoding = latin1', 'quote_all_identifiers = on', 'check_function_bodies = on',
		'row_security = off', 'default_table_access_method = heap', 'session_replication_role = replica', 'transform_null_equals = on',
		'default_transaction_isolation = serializable', 'default_transaction_deferrable = on'] LOOP
		EXECUTE format('ALTER DATABASE %I SET ', current_database()) || setting;
	END LOOP;
END $$;
CREATE TABLE f (f float8, r real, x xml, a text[], s text, b bytea);
INSERT INTO f VALUES (0.1::float8 + 0.2::float8, 1.1::real / 3, 'a<b/>', '{NULL,"NULL"}', E'a\\b''c', '\x00ff5c');
COMMENT ON TABLE f IS E'back\\slash';
