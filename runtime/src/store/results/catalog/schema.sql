-- The catalog of PostgreSQL as far as clients ask for it. `pgc` stands for `pg_catalog`, `isc` for
-- `information_schema`: DuckDB has schemas of these names, in which nothing can be made. The tables
-- `our_…` are filled at the start; the rest is derived from them, or empty.
CREATE SCHEMA pgc;
CREATE SCHEMA isc;
SET search_path = 'pgc';

CREATE TABLE program (version VARCHAR);
INSERT INTO program VALUES ('');
CREATE TABLE our_types (oid BIGINT, name VARCHAR, sql_name VARCHAR, size SMALLINT, category VARCHAR);
CREATE TABLE our_tables (oid BIGINT, name VARCHAR, about VARCHAR);
CREATE TABLE our_columns (table_oid BIGINT, number SMALLINT, name VARCHAR, about VARCHAR, type_oid BIGINT);

-- Types that casts name.
CREATE TYPE name AS VARCHAR;
CREATE TYPE "char" AS VARCHAR;
CREATE TYPE cstring AS VARCHAR;
CREATE TYPE jsonb AS VARCHAR;
CREATE TYPE xid AS BIGINT;
CREATE TYPE cid AS BIGINT;
CREATE TYPE oidvector AS VARCHAR;
CREATE TYPE int2vector AS VARCHAR;
CREATE TYPE aclitem AS VARCHAR;
CREATE TYPE pg_node_tree AS VARCHAR;
CREATE TYPE isc.sql_identifier AS VARCHAR;
CREATE TYPE isc.character_data AS VARCHAR;
CREATE TYPE isc.yes_or_no AS VARCHAR;
CREATE TYPE isc.cardinal_number AS INTEGER;

CREATE TABLE pg_namespace (oid BIGINT, nspname VARCHAR, nspowner BIGINT, nspacl VARCHAR[]);
INSERT INTO pg_namespace VALUES (11, 'pg_catalog', 10, NULL), (2200, 'public', 10, NULL), (13000, 'information_schema', 10, NULL);

CREATE TABLE pg_roles (
    oid BIGINT, rolname VARCHAR, rolsuper BOOLEAN, rolinherit BOOLEAN, rolcreaterole BOOLEAN, rolcreatedb BOOLEAN,
    rolcanlogin BOOLEAN, rolreplication BOOLEAN, rolconnlimit INTEGER, rolpassword VARCHAR, rolvaliduntil TIMESTAMPTZ,
    rolbypassrls BOOLEAN, rolconfig VARCHAR[]);
INSERT INTO pg_roles VALUES (10, 'extrack', false, true, false, false, true, false, -1, NULL, NULL, false, NULL);
CREATE VIEW pg_authid AS SELECT * FROM pg_roles;
CREATE VIEW pg_user AS
    SELECT rolname AS usename, oid AS usesysid, rolcreatedb AS usecreatedb, rolsuper AS usesuper, rolreplication AS userepl,
        rolbypassrls AS usebypassrls, NULL::VARCHAR AS passwd, rolvaliduntil AS valuntil, rolconfig AS useconfig
    FROM pg_roles;
CREATE VIEW pg_shadow AS SELECT * FROM pg_user;
CREATE TABLE pg_group (groname VARCHAR, grosysid BIGINT, grolist BIGINT[]);
CREATE TABLE pg_auth_members (oid BIGINT, roleid BIGINT, member BIGINT, grantor BIGINT, admin_option BOOLEAN, inherit_option BOOLEAN, set_option BOOLEAN);

CREATE TABLE pg_database (
    oid BIGINT, datname VARCHAR, datdba BIGINT, encoding INTEGER, datlocprovider VARCHAR, datistemplate BOOLEAN, datallowconn BOOLEAN,
    datconnlimit INTEGER, datfrozenxid BIGINT, datminmxid BIGINT, dattablespace BIGINT, datcollate VARCHAR, datctype VARCHAR,
    daticulocale VARCHAR, daticurules VARCHAR, datcollversion VARCHAR, datacl VARCHAR[]);
INSERT INTO pg_database VALUES (16383, 'extrack', 10, 6, 'c', false, true, -1, 0, 0, 1663, 'C.UTF-8', 'C.UTF-8', NULL, NULL, NULL, NULL);
CREATE TABLE pg_tablespace (oid BIGINT, spcname VARCHAR, spcowner BIGINT, spcacl VARCHAR[], spcoptions VARCHAR[]);
INSERT INTO pg_tablespace VALUES (1663, 'pg_default', 10, NULL, NULL);

-- A macro, because some clients ask for settings where no subquery can stand.
CREATE MACRO our_settings() AS MAP {
    'application_name': '', 'bytea_output': 'hex', 'client_encoding': 'UTF8', 'client_min_messages': 'notice', 'cluster_name': 'extrack',
    'datestyle': 'ISO, MDY', 'default_transaction_isolation': 'repeatable read', 'default_transaction_read_only': 'on', 'extra_float_digits': '1',
    'in_hot_standby': 'off', 'integer_datetimes': 'on', 'intervalstyle': 'postgres', 'is_superuser': 'off', 'lc_collate': 'C.UTF-8',
    'lc_ctype': 'C.UTF-8', 'lc_messages': 'C', 'max_connections': '64', 'max_identifier_length': '63', 'max_index_keys': '32',
    'search_path': '"$user", public', 'server_encoding': 'UTF8', 'server_version_num': '160000', 'session_authorization': 'extrack', 'ssl': 'off',
    'standard_conforming_strings': 'on', 'statement_timeout': '120000', 'timezone': 'UTC', 'transaction_isolation': 'repeatable read',
    'transaction_read_only': 'on', 'default_table_access_method': 'heap', 'row_security': 'on', 'idle_in_transaction_session_timeout': '0',
    'lock_timeout': '0', 'block_size': '8192', 'edb_redwood_date': 'off', 'wal_level': 'minimal', 'jit': 'off'
};
CREATE VIEW pg_settings AS
    SELECT s.name, pgc.our_settings()[s.name] AS setting, NULL::VARCHAR AS unit, 'Client' AS category, '' AS short_desc, '' AS extra_desc,
        'user' AS context, 'string' AS vartype, 'default' AS source, NULL::VARCHAR AS min_val, NULL::VARCHAR AS max_val,
        NULL::VARCHAR[] AS enumvals, pgc.our_settings()[s.name] AS boot_val, pgc.our_settings()[s.name] AS reset_val, false AS pending_restart
    FROM (SELECT unnest(map_keys(pgc.our_settings())) AS name) s;

CREATE VIEW pg_type AS
    SELECT oid, name AS typname, 11 AS typnamespace, 10 AS typowner, size AS typlen, size > 0 AS typbyval, 'b' AS typtype, category AS typcategory,
        name IN ('text', 'float8', 'bool', 'timestamptz', 'interval') AS typispreferred, true AS typisdefined, ',' AS typdelim, 0 AS typrelid,
        0 AS typsubscript, 0 AS typelem, 0 AS typarray, name || 'in' AS typinput, name || 'out' AS typoutput, name || 'recv' AS typreceive,
        name || 'send' AS typsend, '-' AS typmodin, '-' AS typmodout, '-' AS typanalyze, 'i' AS typalign, 'x' AS typstorage,
        false AS typnotnull, 0 AS typbasetype, -1 AS typtypmod, 0 AS typndims, 0 AS typcollation, NULL::VARCHAR AS typdefaultbin,
        NULL::VARCHAR AS typdefault, NULL::VARCHAR[] AS typacl, NULL::BIGINT AS xmin
    FROM our_types;
CREATE VIEW pg_class AS
    SELECT t.oid, t.name AS relname, t.namespace AS relnamespace, 0 AS reltype, 0 AS reloftype, 10 AS relowner, 2 AS relam, 0 AS relfilenode,
        0 AS reltablespace, 0 AS relpages, -1::FLOAT AS reltuples, 0 AS relallvisible, 0 AS reltoastrelid, false AS relhasindex, false AS relisshared,
        'p' AS relpersistence, 'r' AS relkind, t.columns AS relnatts, 0 AS relchecks, false AS relhasrules, false AS relhastriggers,
        false AS relhassubclass, false AS relrowsecurity, false AS relforcerowsecurity, true AS relispopulated, 'd' AS relreplident,
        false AS relispartition, 0 AS relrewrite, 0 AS relfrozenxid, 0 AS relminmxid, NULL::VARCHAR[] AS relacl, NULL::VARCHAR[] AS reloptions,
        NULL::VARCHAR AS relpartbound, false AS relhasoids, NULL::BIGINT AS xmin
    FROM (
        SELECT oid, name, 2200 AS namespace, (SELECT count(*) FROM our_columns c WHERE c.table_oid = o.oid)::SMALLINT AS columns FROM our_tables o
        UNION ALL
        SELECT oid, name, 11, 0 FROM (VALUES (1247, 'pg_type'), (1249, 'pg_attribute'), (1255, 'pg_proc'), (1259, 'pg_class'), (2615, 'pg_namespace')) v(oid, name)
    ) t;
CREATE VIEW pg_attribute AS
    SELECT c.table_oid AS attrelid, c.name AS attname, c.type_oid AS atttypid, -1 AS attstattarget, t.size AS attlen, c.number AS attnum,
        0 AS attndims, -1 AS attcacheoff, -1 AS atttypmod, t.size > 0 AS attbyval, 'i' AS attalign, 'p' AS attstorage, '' AS attcompression,
        false AS attnotnull, false AS atthasdef, false AS atthasmissing, '' AS attidentity, '' AS attgenerated, false AS attisdropped,
        true AS attislocal, 0 AS attinhcount, 0 AS attcollation, NULL::VARCHAR[] AS attacl, NULL::VARCHAR[] AS attoptions,
        NULL::VARCHAR[] AS attfdwoptions, NULL::VARCHAR[] AS attmissingval
    FROM our_columns c JOIN our_types t ON t.oid = c.type_oid;
CREATE VIEW pg_description AS
    SELECT oid AS objoid, 1259 AS classoid, 0 AS objsubid, about AS description FROM our_tables
    UNION ALL
    SELECT table_oid, 1259, number, about FROM our_columns WHERE about <> '';
CREATE TABLE pg_shdescription (objoid BIGINT, classoid BIGINT, description VARCHAR);
CREATE TABLE pg_am (oid BIGINT, amname VARCHAR, amhandler VARCHAR, amtype VARCHAR);
INSERT INTO pg_am VALUES (2, 'heap', 'heap_tableam_handler', 't');
CREATE TABLE pg_language (oid BIGINT, lanname VARCHAR, lanowner BIGINT, lanispl BOOLEAN, lanpltrusted BOOLEAN, lanplcallfoid BIGINT, laninline BIGINT, lanvalidator BIGINT, lanacl VARCHAR[]);
INSERT INTO pg_language VALUES (14, 'sql', 10, false, true, 0, 0, 0, NULL);

-- What there is none of.
CREATE TABLE pg_proc (oid BIGINT, proname VARCHAR, pronamespace BIGINT, proowner BIGINT, prolang BIGINT, procost FLOAT, prorows FLOAT, provariadic BIGINT, prosupport VARCHAR, prokind VARCHAR, prosecdef BOOLEAN, proleakproof BOOLEAN, proisstrict BOOLEAN, proretset BOOLEAN, provolatile VARCHAR, proparallel VARCHAR, pronargs SMALLINT, pronargdefaults SMALLINT, prorettype BIGINT, proargtypes BIGINT[], proallargtypes BIGINT[], proargmodes VARCHAR[], proargnames VARCHAR[], proargdefaults VARCHAR, protrftypes BIGINT[], prosrc VARCHAR, probin VARCHAR, prosqlbody VARCHAR, proconfig VARCHAR[], proacl VARCHAR[]);
CREATE TABLE pg_index (indexrelid BIGINT, indrelid BIGINT, indnatts SMALLINT, indnkeyatts SMALLINT, indisunique BOOLEAN, indnullsnotdistinct BOOLEAN, indisprimary BOOLEAN, indisexclusion BOOLEAN, indimmediate BOOLEAN, indisclustered BOOLEAN, indisvalid BOOLEAN, indcheckxmin BOOLEAN, indisready BOOLEAN, indislive BOOLEAN, indisreplident BOOLEAN, indkey SMALLINT[], indcollation BIGINT[], indclass BIGINT[], indoption SMALLINT[], indexprs VARCHAR, indpred VARCHAR);
CREATE TABLE pg_constraint (oid BIGINT, conname VARCHAR, connamespace BIGINT, contype VARCHAR, condeferrable BOOLEAN, condeferred BOOLEAN, convalidated BOOLEAN, conrelid BIGINT, contypid BIGINT, conindid BIGINT, conparentid BIGINT, confrelid BIGINT, confupdtype VARCHAR, confdeltype VARCHAR, confmatchtype VARCHAR, conislocal BOOLEAN, coninhcount INTEGER, connoinherit BOOLEAN, conkey SMALLINT[], confkey SMALLINT[], conpfeqop BIGINT[], conppeqop BIGINT[], conffeqop BIGINT[], confdelsetcols SMALLINT[], conexclop BIGINT[], conbin VARCHAR);
CREATE TABLE pg_inherits (inhrelid BIGINT, inhparent BIGINT, inhseqno INTEGER, inhdetachpending BOOLEAN);
CREATE TABLE pg_policy (oid BIGINT, polname VARCHAR, polrelid BIGINT, polcmd VARCHAR, polpermissive BOOLEAN, polroles BIGINT[], polqual VARCHAR, polwithcheck VARCHAR);
CREATE TABLE pg_statistic_ext (oid BIGINT, stxrelid BIGINT, stxname VARCHAR, stxnamespace BIGINT, stxowner BIGINT, stxstattarget INTEGER, stxkeys SMALLINT[], stxkind VARCHAR[], stxexprs VARCHAR);
CREATE TABLE pg_publication (oid BIGINT, pubname VARCHAR, pubowner BIGINT, puballtables BOOLEAN, pubinsert BOOLEAN, pubupdate BOOLEAN, pubdelete BOOLEAN, pubtruncate BOOLEAN, pubviaroot BOOLEAN);
CREATE TABLE pg_publication_rel (oid BIGINT, prpubid BIGINT, prrelid BIGINT, prqual VARCHAR, prattrs SMALLINT[]);
CREATE TABLE pg_publication_namespace (oid BIGINT, pnpubid BIGINT, pnnspid BIGINT);
CREATE TABLE pg_subscription (oid BIGINT, subdbid BIGINT, subname VARCHAR, subowner BIGINT, subenabled BOOLEAN);
CREATE TABLE pg_trigger (oid BIGINT, tgrelid BIGINT, tgparentid BIGINT, tgname VARCHAR, tgfoid BIGINT, tgtype SMALLINT, tgenabled VARCHAR, tgisinternal BOOLEAN, tgconstrrelid BIGINT, tgconstrindid BIGINT, tgconstraint BIGINT, tgdeferrable BOOLEAN, tginitdeferred BOOLEAN, tgnargs SMALLINT, tgattr SMALLINT[], tgargs VARCHAR, tgqual VARCHAR, tgoldtable VARCHAR, tgnewtable VARCHAR);
CREATE TABLE pg_attrdef (oid BIGINT, adrelid BIGINT, adnum SMALLINT, adbin VARCHAR);
CREATE TABLE pg_rewrite (oid BIGINT, rulename VARCHAR, ev_class BIGINT, ev_type VARCHAR, ev_enabled VARCHAR, is_instead BOOLEAN, ev_qual VARCHAR, ev_action VARCHAR);
CREATE TABLE pg_depend (classid BIGINT, objid BIGINT, objsubid INTEGER, refclassid BIGINT, refobjid BIGINT, refobjsubid INTEGER, deptype VARCHAR);
CREATE TABLE pg_shdepend (dbid BIGINT, classid BIGINT, objid BIGINT, objsubid INTEGER, refclassid BIGINT, refobjid BIGINT, deptype VARCHAR);
CREATE TABLE pg_enum (oid BIGINT, enumtypid BIGINT, enumsortorder FLOAT, enumlabel VARCHAR);
CREATE TABLE pg_range (rngtypid BIGINT, rngsubtype BIGINT, rngmultitypid BIGINT, rngcollation BIGINT, rngsubopc BIGINT);
CREATE TABLE pg_collation (oid BIGINT, collname VARCHAR, collnamespace BIGINT, collowner BIGINT, collprovider VARCHAR, collisdeterministic BOOLEAN, collencoding INTEGER, collcollate VARCHAR, collctype VARCHAR, colliculocale VARCHAR, collversion VARCHAR);
CREATE TABLE pg_sequence (seqrelid BIGINT, seqtypid BIGINT, seqstart BIGINT, seqincrement BIGINT, seqmax BIGINT, seqmin BIGINT, seqcache BIGINT, seqcycle BOOLEAN);
CREATE TABLE pg_foreign_table (ftrelid BIGINT, ftserver BIGINT, ftoptions VARCHAR[]);
CREATE TABLE pg_foreign_server (oid BIGINT, srvname VARCHAR, srvowner BIGINT, srvfdw BIGINT, srvtype VARCHAR, srvversion VARCHAR, srvacl VARCHAR[], srvoptions VARCHAR[]);
CREATE TABLE pg_foreign_data_wrapper (oid BIGINT, fdwname VARCHAR, fdwowner BIGINT, fdwhandler BIGINT, fdwvalidator BIGINT, fdwacl VARCHAR[], fdwoptions VARCHAR[]);
CREATE TABLE pg_partitioned_table (partrelid BIGINT, partstrat VARCHAR, partnatts SMALLINT, partdefid BIGINT, partattrs SMALLINT[]);
CREATE TABLE pg_event_trigger (oid BIGINT, evtname VARCHAR, evtevent VARCHAR, evtowner BIGINT, evtfoid BIGINT, evtenabled VARCHAR, evttags VARCHAR[]);
CREATE TABLE pg_extension (oid BIGINT, extname VARCHAR, extowner BIGINT, extnamespace BIGINT, extrelocatable BOOLEAN, extversion VARCHAR, extconfig BIGINT[], extcondition VARCHAR[]);
CREATE TABLE pg_available_extensions (name VARCHAR, default_version VARCHAR, installed_version VARCHAR, comment VARCHAR);
CREATE TABLE pg_operator (oid BIGINT, oprname VARCHAR, oprnamespace BIGINT, oprowner BIGINT, oprkind VARCHAR, oprleft BIGINT, oprright BIGINT, oprresult BIGINT, oprcode VARCHAR);
CREATE TABLE pg_opclass (oid BIGINT, opcmethod BIGINT, opcname VARCHAR, opcnamespace BIGINT, opcowner BIGINT, opcfamily BIGINT, opcintype BIGINT, opcdefault BOOLEAN, opckeytype BIGINT);
CREATE TABLE pg_cast (oid BIGINT, castsource BIGINT, casttarget BIGINT, castfunc BIGINT, castcontext VARCHAR, castmethod VARCHAR);
CREATE TABLE pg_aggregate (aggfnoid BIGINT, aggkind VARCHAR, aggnumdirectargs SMALLINT);
CREATE TABLE pg_conversion (oid BIGINT, conname VARCHAR, connamespace BIGINT, conowner BIGINT, conforencoding INTEGER, contoencoding INTEGER, conproc BIGINT, condefault BOOLEAN);
CREATE TABLE pg_largeobject_metadata (oid BIGINT, lomowner BIGINT, lomacl VARCHAR[]);
CREATE TABLE pg_default_acl (oid BIGINT, defaclrole BIGINT, defaclnamespace BIGINT, defaclobjtype VARCHAR, defaclacl VARCHAR[]);
CREATE TABLE pg_db_role_setting (setdatabase BIGINT, setrole BIGINT, setconfig VARCHAR[]);
CREATE TABLE pg_seclabel (objoid BIGINT, classoid BIGINT, objsubid INTEGER, provider VARCHAR, label VARCHAR);
CREATE TABLE pg_stat_activity (datid BIGINT, datname VARCHAR, pid INTEGER, usesysid BIGINT, usename VARCHAR, application_name VARCHAR, client_addr VARCHAR, client_hostname VARCHAR, client_port INTEGER, backend_start TIMESTAMPTZ, xact_start TIMESTAMPTZ, query_start TIMESTAMPTZ, state_change TIMESTAMPTZ, wait_event_type VARCHAR, wait_event VARCHAR, state VARCHAR, backend_xid BIGINT, backend_xmin BIGINT, query VARCHAR, backend_type VARCHAR);
CREATE TABLE pg_stat_ssl (pid INTEGER, ssl BOOLEAN, version VARCHAR, cipher VARCHAR);
CREATE TABLE pg_stat_user_tables (relid BIGINT, schemaname VARCHAR, relname VARCHAR, seq_scan BIGINT, n_live_tup BIGINT, n_dead_tup BIGINT);
CREATE TABLE pg_locks (locktype VARCHAR, database BIGINT, relation BIGINT, pid INTEGER, mode VARCHAR, granted BOOLEAN);
CREATE TABLE pg_timezone_names (name VARCHAR, abbrev VARCHAR, utc_offset INTERVAL, is_dst BOOLEAN);
INSERT INTO pg_timezone_names VALUES ('UTC', 'UTC', INTERVAL 0 SECOND, false);

CREATE VIEW pg_tables AS
    SELECT n.nspname AS schemaname, c.relname AS tablename, 'extrack' AS tableowner, NULL::VARCHAR AS tablespace, false AS hasindexes,
        false AS hasrules, false AS hastriggers, false AS rowsecurity
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace;
CREATE TABLE pg_views (schemaname VARCHAR, viewname VARCHAR, viewowner VARCHAR, definition VARCHAR);
CREATE TABLE pg_matviews (schemaname VARCHAR, matviewname VARCHAR, matviewowner VARCHAR, tablespace VARCHAR, hasindexes BOOLEAN, ispopulated BOOLEAN, definition VARCHAR);
CREATE TABLE pg_indexes (schemaname VARCHAR, tablename VARCHAR, indexname VARCHAR, tablespace VARCHAR, indexdef VARCHAR);
CREATE TABLE pg_sequences (schemaname VARCHAR, sequencename VARCHAR, sequenceowner VARCHAR, data_type VARCHAR);
CREATE TABLE pg_stats (schemaname VARCHAR, tablename VARCHAR, attname VARCHAR, inherited BOOLEAN, null_frac FLOAT, avg_width INTEGER, n_distinct FLOAT);

CREATE VIEW isc.schemata AS
    SELECT 'extrack' AS catalog_name, nspname AS schema_name, 'extrack' AS schema_owner, NULL::VARCHAR AS default_character_set_catalog,
        NULL::VARCHAR AS default_character_set_schema, NULL::VARCHAR AS default_character_set_name, NULL::VARCHAR AS sql_path
    FROM pgc.pg_namespace;
CREATE VIEW isc.tables AS
    SELECT 'extrack' AS table_catalog, n.nspname AS table_schema, c.relname AS table_name, 'BASE TABLE' AS table_type,
        NULL::VARCHAR AS self_referencing_column_name, NULL::VARCHAR AS reference_generation, NULL::VARCHAR AS user_defined_type_catalog,
        NULL::VARCHAR AS user_defined_type_schema, NULL::VARCHAR AS user_defined_type_name, 'NO' AS is_insertable_into, 'NO' AS is_typed,
        NULL::VARCHAR AS commit_action
    FROM pgc.pg_class c JOIN pgc.pg_namespace n ON n.oid = c.relnamespace;
CREATE VIEW isc.columns AS
    SELECT 'extrack' AS table_catalog, 'public' AS table_schema, o.name AS table_name, c.name AS column_name, c.number::INTEGER AS ordinal_position,
        NULL::VARCHAR AS column_default, 'YES' AS is_nullable, t.sql_name AS data_type, NULL::INTEGER AS character_maximum_length,
        CASE WHEN t.name = 'text' THEN 1073741824 END::INTEGER AS character_octet_length,
        CASE t.name WHEN 'int2' THEN 16 WHEN 'int4' THEN 32 WHEN 'int8' THEN 64 WHEN 'float4' THEN 24 WHEN 'float8' THEN 53 END::INTEGER AS numeric_precision,
        CASE WHEN t.name IN ('int2', 'int4', 'int8', 'float4', 'float8') THEN 2 WHEN t.name = 'numeric' THEN 10 END::INTEGER AS numeric_precision_radix,
        CASE WHEN t.name IN ('int2', 'int4', 'int8') THEN 0 END::INTEGER AS numeric_scale,
        CASE WHEN t.name IN ('time', 'timestamp', 'timestamptz', 'interval') THEN 6 WHEN t.name = 'date' THEN 0 END::INTEGER AS datetime_precision,
        NULL::VARCHAR AS interval_type, NULL::INTEGER AS interval_precision, NULL::VARCHAR AS character_set_catalog, NULL::VARCHAR AS character_set_schema,
        NULL::VARCHAR AS character_set_name, NULL::VARCHAR AS collation_catalog, NULL::VARCHAR AS collation_schema, NULL::VARCHAR AS collation_name,
        NULL::VARCHAR AS domain_catalog, NULL::VARCHAR AS domain_schema, NULL::VARCHAR AS domain_name, 'extrack' AS udt_catalog, 'pg_catalog' AS udt_schema,
        t.name AS udt_name, NULL::VARCHAR AS scope_catalog, NULL::VARCHAR AS scope_schema, NULL::VARCHAR AS scope_name,
        NULL::INTEGER AS maximum_cardinality, c.number::VARCHAR AS dtd_identifier, 'NO' AS is_self_referencing, 'NO' AS is_identity,
        NULL::VARCHAR AS identity_generation, NULL::VARCHAR AS identity_start, NULL::VARCHAR AS identity_increment, NULL::VARCHAR AS identity_maximum,
        NULL::VARCHAR AS identity_minimum, 'NO' AS identity_cycle, 'NEVER' AS is_generated, NULL::VARCHAR AS generation_expression, 'NO' AS is_updatable
    FROM pgc.our_columns c JOIN pgc.our_tables o ON o.oid = c.table_oid JOIN pgc.our_types t ON t.oid = c.type_oid;
CREATE VIEW isc.table_privileges AS
    SELECT 'extrack' AS grantor, 'extrack' AS grantee, 'extrack' AS table_catalog, 'public' AS table_schema, name AS table_name,
        'SELECT' AS privilege_type, 'NO' AS is_grantable, 'YES' AS with_hierarchy
    FROM pgc.our_tables;
CREATE VIEW isc.role_table_grants AS SELECT * FROM isc.table_privileges;
CREATE TABLE isc.views (table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, view_definition VARCHAR, check_option VARCHAR, is_updatable VARCHAR);
CREATE TABLE isc.table_constraints (constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, constraint_type VARCHAR, is_deferrable VARCHAR, initially_deferred VARCHAR, enforced VARCHAR);
CREATE TABLE isc.key_column_usage (constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, column_name VARCHAR, ordinal_position INTEGER, position_in_unique_constraint INTEGER);
CREATE TABLE isc.referential_constraints (constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, unique_constraint_catalog VARCHAR, unique_constraint_schema VARCHAR, unique_constraint_name VARCHAR, match_option VARCHAR, update_rule VARCHAR, delete_rule VARCHAR);
CREATE TABLE isc.constraint_column_usage (table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, column_name VARCHAR, constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR);
CREATE TABLE isc.routines (specific_catalog VARCHAR, specific_schema VARCHAR, specific_name VARCHAR, routine_catalog VARCHAR, routine_schema VARCHAR, routine_name VARCHAR, routine_type VARCHAR, data_type VARCHAR, routine_definition VARCHAR, external_language VARCHAR);
CREATE TABLE isc.parameters (specific_catalog VARCHAR, specific_schema VARCHAR, specific_name VARCHAR, ordinal_position INTEGER, parameter_mode VARCHAR, parameter_name VARCHAR, data_type VARCHAR);
CREATE TABLE isc.sequences (sequence_catalog VARCHAR, sequence_schema VARCHAR, sequence_name VARCHAR, data_type VARCHAR);
CREATE TABLE isc.triggers (trigger_catalog VARCHAR, trigger_schema VARCHAR, trigger_name VARCHAR, event_manipulation VARCHAR, event_object_schema VARCHAR, event_object_table VARCHAR);
CREATE TABLE isc.check_constraints (constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, check_clause VARCHAR);
CREATE TABLE isc.element_types (object_catalog VARCHAR, object_schema VARCHAR, object_name VARCHAR, object_type VARCHAR, collection_type_identifier VARCHAR, data_type VARCHAR, udt_name VARCHAR);
CREATE TABLE isc.domains (domain_catalog VARCHAR, domain_schema VARCHAR, domain_name VARCHAR, data_type VARCHAR);
CREATE TABLE isc.character_sets (character_set_catalog VARCHAR, character_set_schema VARCHAR, character_set_name VARCHAR, character_repertoire VARCHAR, form_of_use VARCHAR, default_collate_catalog VARCHAR, default_collate_schema VARCHAR, default_collate_name VARCHAR);
INSERT INTO isc.character_sets VALUES (NULL, NULL, 'UTF8', 'UCS', 'UTF8', 'extrack', 'pg_catalog', 'C');

-- The session.
CREATE MACRO version() AS (SELECT 'PostgreSQL ' || version FROM pgc.program);
CREATE MACRO current_user() AS 'extrack';
CREATE MACRO "user"() AS 'extrack';
CREATE MACRO session_user() AS 'extrack';
CREATE MACRO current_role() AS 'extrack';
CREATE MACRO current_database() AS 'extrack';
CREATE MACRO current_catalog() AS 'extrack';
CREATE MACRO current_schema() AS 'public';
CREATE MACRO current_schemas(all_of_them) AS CASE WHEN all_of_them THEN ['pg_catalog', 'public'] ELSE ['public'] END;
CREATE MACRO current_setting(wanted) AS pgc.our_settings()[lower(wanted)], (wanted, missing_ok) AS pgc.our_settings()[lower(wanted)];
CREATE MACRO set_config(wanted, given, is_local) AS given;
CREATE MACRO pg_backend_pid() AS 0;
CREATE MACRO pg_is_in_recovery() AS false;
CREATE MACRO pg_postmaster_start_time() AS NULL::TIMESTAMPTZ;
CREATE MACRO pg_client_encoding() AS 'UTF8';
CREATE MACRO getdatabaseencoding() AS 'UTF8';
CREATE MACRO pg_encoding_to_char(encoding) AS 'UTF8';
CREATE MACRO pg_char_to_encoding(given) AS 6;
CREATE MACRO inet_server_addr() AS NULL::VARCHAR;
CREATE MACRO inet_server_port() AS NULL::INTEGER;
CREATE MACRO inet_client_addr() AS NULL::VARCHAR;
CREATE MACRO inet_client_port() AS NULL::INTEGER;
CREATE MACRO txid_current() AS 1::BIGINT;
CREATE MACRO pg_my_temp_schema() AS 0;
CREATE MACRO pg_is_other_temp_schema(thing) AS false;

-- Names and numbers of things. Arguments are put in where they are named, so that a column of a
-- subquery would be taken for one of the same name outside: these have names of their own.
CREATE VIEW our_class_keys AS SELECT oid AS key_oid, relname AS key_name FROM pg_class;
CREATE VIEW our_namespace_keys AS SELECT oid AS key_oid, nspname AS key_name FROM pg_namespace;
CREATE VIEW our_type_keys AS SELECT oid AS key_oid, name AS key_name, sql_name AS key_sql_name FROM our_types;
CREATE VIEW our_description_keys AS SELECT objoid AS key_oid, objsubid AS key_place, description AS key_text FROM pg_description;
CREATE MACRO bare_name(wanted) AS replace(replace(replace(wanted::VARCHAR, 'pg_catalog.', ''), 'public.', ''), '"', '');
CREATE MACRO to_regclass(wanted) AS (SELECT key_oid FROM pgc.our_class_keys WHERE key_name = pgc.bare_name(wanted));
CREATE MACRO regclass_of(wanted) AS coalesce(TRY_CAST(wanted AS BIGINT), (SELECT key_oid FROM pgc.our_class_keys WHERE key_name = pgc.bare_name(wanted)));
CREATE MACRO regclass_name(wanted) AS coalesce((SELECT key_name FROM pgc.our_class_keys WHERE key_oid = TRY_CAST(wanted AS BIGINT)), wanted::VARCHAR);
CREATE MACRO regnamespace_of(wanted) AS (SELECT key_oid FROM pgc.our_namespace_keys WHERE key_name = pgc.bare_name(wanted));
CREATE MACRO regnamespace_name(wanted) AS (SELECT key_name FROM pgc.our_namespace_keys WHERE key_oid = TRY_CAST(wanted AS BIGINT));
CREATE MACRO to_regtype(wanted) AS (SELECT key_oid FROM pgc.our_type_keys WHERE pgc.bare_name(wanted) IN (key_name, key_sql_name));
CREATE MACRO regtype_of(wanted) AS (SELECT key_oid FROM pgc.our_type_keys WHERE pgc.bare_name(wanted) IN (key_name, key_sql_name));
CREATE MACRO regtype_name(wanted) AS coalesce((SELECT key_sql_name FROM pgc.our_type_keys WHERE key_oid = TRY_CAST(wanted AS BIGINT)), wanted::VARCHAR);
CREATE MACRO regproc_of(wanted) AS pgc.bare_name(wanted);
CREATE MACRO regproc_name(wanted) AS wanted::VARCHAR;
CREATE MACRO regrole_of(wanted) AS 10;
CREATE MACRO regrole_name(wanted) AS 'extrack';
CREATE MACRO format_type(kind, modifier) AS
    coalesce((SELECT key_sql_name FROM pgc.our_type_keys WHERE key_oid = kind), CASE WHEN kind IS NOT NULL THEN '???' END);
CREATE MACRO obj_description(thing) AS (SELECT key_text FROM pgc.our_description_keys WHERE key_oid = thing AND key_place = 0),
    (thing, catalog_name) AS (SELECT key_text FROM pgc.our_description_keys WHERE key_oid = thing AND key_place = 0 AND catalog_name = 'pg_class');
CREATE MACRO col_description(thing, place) AS (SELECT key_text FROM pgc.our_description_keys WHERE key_oid = thing AND key_place = place);
CREATE MACRO shobj_description(object, kind) AS NULL::VARCHAR;
CREATE MACRO quote_ident(given) AS CASE WHEN regexp_matches(given, '^[a-z_][a-z0-9_]*$') THEN given ELSE '"' || replace(given, '"', '""') || '"' END;
CREATE MACRO quote_literal(value) AS '''' || replace(value, '''', '''''') || '''';
CREATE MACRO parse_ident(given) AS string_split(replace(given, '"', ''), '.'),
    (given, is_strict) AS string_split(replace(given, '"', ''), '.');

-- What may be done.
CREATE MACRO has_table_privilege(a, b) AS NOT contains(lower(b), 'insert') AND NOT contains(lower(b), 'update') AND NOT contains(lower(b), 'delete'),
    (a, b, c) AS NOT contains(lower(c), 'insert') AND NOT contains(lower(c), 'update') AND NOT contains(lower(c), 'delete');
CREATE MACRO has_any_column_privilege(a, b) AS lower(b) = 'select', (a, b, c) AS lower(c) = 'select';
CREATE MACRO has_column_privilege(a, b, c) AS lower(c) = 'select', (a, b, c, d) AS lower(d) = 'select';
CREATE MACRO has_schema_privilege(a, b) AS lower(b) = 'usage', (a, b, c) AS lower(c) = 'usage';
CREATE MACRO has_database_privilege(a, b) AS lower(b) = 'connect', (a, b, c) AS lower(c) = 'connect';
CREATE MACRO has_function_privilege(a, b) AS true, (a, b, c) AS true;
CREATE MACRO has_sequence_privilege(a, b) AS false, (a, b, c) AS false;
CREATE MACRO has_type_privilege(a, b) AS true, (a, b, c) AS true;
CREATE MACRO pg_has_role(a, b) AS true, (a, b, c) AS true;

-- What there is nothing to say about.
CREATE MACRO pg_get_userbyid(thing) AS 'extrack';
CREATE MACRO pg_get_expr(a, b) AS NULL::VARCHAR, (a, b, c) AS NULL::VARCHAR;
CREATE MACRO pg_get_viewdef(a) AS NULL::VARCHAR, (a, b) AS NULL::VARCHAR;
CREATE MACRO pg_get_indexdef(a) AS NULL::VARCHAR, (a, b, c) AS NULL::VARCHAR;
CREATE MACRO pg_get_constraintdef(a) AS NULL::VARCHAR, (a, b) AS NULL::VARCHAR;
CREATE MACRO pg_get_triggerdef(a) AS NULL::VARCHAR, (a, b) AS NULL::VARCHAR;
CREATE MACRO pg_get_ruledef(a) AS NULL::VARCHAR, (a, b) AS NULL::VARCHAR;
CREATE MACRO pg_get_functiondef(a) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_result(a) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_arguments(a) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_identity_arguments(a) AS NULL::VARCHAR;
CREATE MACRO pg_get_partkeydef(a) AS NULL::VARCHAR;
CREATE MACRO pg_get_partition_constraintdef(a) AS NULL::VARCHAR;
CREATE MACRO pg_get_statisticsobjdef_columns(a) AS NULL::VARCHAR;
CREATE MACRO pg_get_serial_sequence(a, b) AS NULL::VARCHAR;
CREATE MACRO pg_relation_is_publishable(a) AS false;
CREATE MACRO pg_relation_is_updatable(a, b) AS 0;
CREATE MACRO pg_table_is_visible(thing) AS EXISTS (SELECT 1 FROM pgc.our_class_keys WHERE key_oid = thing);
CREATE MACRO pg_type_is_visible(thing) AS true;
CREATE MACRO pg_function_is_visible(thing) AS true;
CREATE MACRO pg_collation_is_visible(thing) AS true;
CREATE MACRO pg_conversion_is_visible(thing) AS true;
CREATE MACRO pg_operator_is_visible(thing) AS true;
CREATE MACRO pg_opclass_is_visible(thing) AS true;
CREATE MACRO pg_statistics_obj_is_visible(thing) AS true;
CREATE MACRO pg_table_size(thing) AS 0::BIGINT;
CREATE MACRO pg_relation_size(thing) AS 0::BIGINT, (thing, fork) AS 0::BIGINT;
CREATE MACRO pg_total_relation_size(thing) AS 0::BIGINT;
CREATE MACRO pg_indexes_size(thing) AS 0::BIGINT;
CREATE MACRO pg_database_size(thing) AS 0::BIGINT;
CREATE MACRO pg_tablespace_size(thing) AS 0::BIGINT;
CREATE MACRO pg_tablespace_location(thing) AS '';
CREATE MACRO pg_size_pretty(bytes) AS bytes || ' bytes';
CREATE MACRO pg_stat_get_numscans(thing) AS 0::BIGINT;
CREATE MACRO pg_sequence_last_value(thing) AS NULL::BIGINT;
CREATE MACRO pg_options_to_table(options) AS TABLE SELECT ''::VARCHAR AS option_name, ''::VARCHAR AS option_value WHERE false;
CREATE MACRO pg_get_keywords() AS TABLE SELECT 'summarize'::VARCHAR AS word, 'R'::VARCHAR AS catcode, 'reserved'::VARCHAR AS catdesc;
CREATE MACRO pg_listening_channels() AS TABLE SELECT ''::VARCHAR AS pg_listening_channels WHERE false;
CREATE MACRO pg_partition_ancestors(thing) AS TABLE SELECT NULL::BIGINT AS relid WHERE false;
CREATE MACRO pg_show_all_settings() AS TABLE SELECT * FROM pgc.pg_settings;
CREATE MACRO isc._pg_expandarray(items) AS {'x': NULL::BIGINT, 'n': NULL::INTEGER};
CREATE MACRO isc._pg_truetypid(a, b) AS NULL::BIGINT;
CREATE MACRO isc._pg_truetypmod(a, b) AS NULL::INTEGER;
CREATE MACRO isc._pg_char_max_length(a, b) AS NULL::INTEGER;

-- Functions and operators that DuckDB lacks, or means otherwise.
CREATE MACRO regexp_full_match(value, pattern) AS regexp_matches(value, pattern);
CREATE MACRO "~*"(value, pattern) AS regexp_matches(value, pattern, 'i');
CREATE MACRO "!~*"(value, pattern) AS NOT regexp_matches(value, pattern, 'i');
CREATE MACRO array_lower(items, dimension) AS CASE WHEN len(items) > 0 THEN 1 END;
CREATE MACRO array_upper(items, dimension) AS CASE WHEN len(items) > 0 THEN len(items) END;
CREATE MACRO string_to_array(value, delimiter) AS TABLE SELECT string_split(value, delimiter) AS string_to_array;
CREATE MACRO format(pattern, a) AS regexp_replace(pattern, '%[sIL]', a::VARCHAR),
    (pattern, a, b) AS regexp_replace(regexp_replace(pattern, '%[sIL]', a::VARCHAR), '%[sIL]', b::VARCHAR);
CREATE MACRO btrim(value) AS trim(value), (value, characters) AS trim(value, characters);
-- At most 100 items of 200 characters: the guard takes it for small.
CREATE MACRO array_to_string(items, delimiter) AS
    list_aggregate(list_transform(list_slice(items, 1, 100), lambda item: left(item::VARCHAR, 200)), 'string_agg', left(delimiter, 10));
CREATE MACRO generate_subscripts(items, dimension) AS unnest(items);
CREATE MACRO to_char(value, format) AS value::VARCHAR;
