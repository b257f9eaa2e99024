-- Statements on the catalog and on whole tables.

-- name: inspect
-- Lists what is there of our objects, in our schema or else the first of the search path: one row for each table, column,
-- index and so on, and what else the catalog says of it. The schema's own name is left out of every text.
WITH place AS (
    SELECT oid, quote_ident(nspname) || '.' AS qualifier FROM pg_namespace
    WHERE nspname = coalesce(nullif('{schema_name}', ''), current_schema())
), relation AS (
    SELECT class.oid, class.relname, class.relkind, class.reloptions, place.qualifier
    FROM pg_class AS class JOIN place ON class.relnamespace = place.oid
    WHERE class.relname IN (
        '{queue_table_name}', '{queue_table_log_name}', '{statistics_table_name}', '{schedules_table_name}',
        '{limits_table_name}'
    )
)
SELECT 'table' AS kind, relname::text AS name, relkind::text AS detail FROM relation
UNION ALL
SELECT 'column', relation.relname || '.' || attname,
    replace(
        format_type(atttypid, NULL)
            || CASE WHEN attnotnull THEN ' not null' ELSE '' END
            || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
            || CASE WHEN attidentity <> '' THEN ' default identity' ELSE '' END,
        qualifier, ''
    )
FROM pg_attribute JOIN relation ON attrelid = relation.oid
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'sequence', relation.relname || '.' || attname, format_type(seqtypid, NULL)
FROM pg_sequence JOIN pg_depend ON pg_depend.classid = 'pg_class'::regclass AND objid = seqrelid AND deptype IN ('a', 'i')
JOIN relation ON relation.oid = refobjid JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
UNION ALL
SELECT 'index', class.relname,
    CASE
        WHEN NOT indisvalid THEN 'invalid'
        ELSE replace(replace(replace(pg_get_indexdef(class.oid), 'CREATE ', ''), ' ONLY ', ' '), qualifier, '')
    END
FROM pg_index JOIN relation ON indrelid = relation.oid JOIN pg_class AS class ON class.oid = indexrelid
UNION ALL
SELECT 'key', relation.relname || ' ' || pg_get_constraintdef(pg_constraint.oid), conname
FROM pg_constraint JOIN relation ON conrelid = relation.oid
WHERE contype IN ('p', 'u')
UNION ALL
SELECT 'label', enumlabel, ''
FROM pg_type AS type JOIN place ON type.typnamespace = place.oid JOIN pg_enum ON enumtypid = type.oid
WHERE type.typname = '{queue_status_type_name}'
UNION ALL
SELECT 'type', typname, typtype::text
FROM pg_type AS type JOIN place ON type.typnamespace = place.oid
WHERE type.typname = '{queue_status_type_name}'
UNION ALL
SELECT 'function', proname, replace(prosrc, qualifier, '') || coalesce(' ' || array_to_string(proconfig, ' '), '')
FROM pg_proc JOIN place ON pronamespace = place.oid
WHERE proname IN ('{function_name}', {worker_function_names})
UNION ALL
SELECT 'function', format('%s(%s)', proname,
        CASE WHEN mark IS NULL THEN oidvectortypes(proargtypes) ELSE format_type(proargtypes[1], NULL) END),
    coalesce(mark, 'foreign')
FROM pg_proc JOIN place ON pronamespace = place.oid
CROSS JOIN LATERAL substring(prosrc FROM '-- pgqueuer: (version \d+, log \w+)') AS mark
WHERE proname = '{enqueue_function_name}'
UNION ALL
-- What fires it, as bits, when it is turned on; then the function that it calls.
SELECT 'trigger', tgname, CASE WHEN tgenabled = 'D' THEN 'off' ELSE replace(tgtype || ' ' || tgfoid::regproc, qualifier, '') END
FROM pg_trigger JOIN relation ON tgrelid = relation.oid
WHERE tgname = '{trigger_name}' AND NOT tgisinternal
UNION ALL
SELECT 'parameter', relation.relname || '.' || split_part(option, '=', 1), split_part(option, '=', 2)
FROM relation CROSS JOIN LATERAL unnest(reloptions) AS option
UNION ALL
SELECT 'size', relname, pg_table_size(oid)::text FROM relation
UNION ALL
SELECT 'server', 'version', current_setting('server_version_num');

-- name: rights
-- Says who we are and where, and what we may do there.
SELECT
    current_user::text AS role,
    current_database()::text AS database,
    coalesce(nullif('{schema_name}', ''), current_schema(), '')::text AS schema,
    place.oid IS NOT NULL AS schema_exists,
    coalesce(has_schema_privilege(place.oid, 'USAGE'), false) AS may_use_schema,
    coalesce(has_schema_privilege(place.oid, 'CREATE'), false) AS may_create_in_schema,
    has_database_privilege(current_database(), 'CREATE') AS may_create_schema
FROM (SELECT 1) AS one
LEFT JOIN pg_namespace AS place ON place.nspname = coalesce(nullif('{schema_name}', ''), current_schema());

-- name: ownership
-- Lists our tables that we do not own: what we may not alter or drop.
SELECT class.relname::text AS name, pg_get_userbyid(class.relowner)::text AS owner
FROM pg_class AS class JOIN pg_namespace AS place ON place.oid = class.relnamespace
WHERE place.nspname = coalesce(nullif('{schema_name}', ''), current_schema())
    AND class.relname IN (
        '{queue_table_name}', '{queue_table_log_name}', '{statistics_table_name}', '{schedules_table_name}',
        '{limits_table_name}'
    )
    AND NOT pg_has_role(class.relowner, 'USAGE');

-- name: missing_grants
-- Lists the rights on tables and functions that a worker needs and we lack.
--   $1 text   whether it has schedules, boolean
--   $2 text   whether it deletes old ones, boolean
SELECT needed.relation AS name, needed.privilege
FROM (VALUES
    ('{queue_table}', 'SELECT'), ('{queue_table}', 'UPDATE'), ('{queue_table}', 'DELETE'),
    ('{queue_table_log}', 'SELECT'), ('{queue_table_log}', 'INSERT'),
    ('{limits_table}', 'SELECT'), ('{limits_table}', 'INSERT'), ('{limits_table}', 'UPDATE'),
    ('{schedules_table}', 'SELECT'), ('{schedules_table}', 'INSERT'), ('{schedules_table}', 'UPDATE'),
    ('{schedules_table}', 'DELETE')
) AS needed(relation, privilege)
WHERE (needed.relation <> '{schedules_table}' OR $1::text::boolean AND (needed.privilege <> 'DELETE' OR $2::text::boolean))
    AND NOT has_table_privilege(needed.relation::regclass, needed.privilege)
UNION ALL
-- All may call a function, unless the database's owner thinks otherwise.
SELECT 'FUNCTION ' || string_agg(procedure.oid::regproc::text, ', ' ORDER BY procedure.proname), 'EXECUTE'
FROM pg_proc AS procedure JOIN pg_namespace AS place ON place.oid = procedure.pronamespace
WHERE place.nspname = coalesce(nullif('{schema_name}', ''), current_schema())
    AND procedure.proname IN ({worker_function_names})
    AND NOT has_function_privilege(procedure.oid, 'EXECUTE')
HAVING count(*) > 0;

-- name: create_schema
-- Creates the schema that is to hold the tables.
CREATE SCHEMA IF NOT EXISTS {schema_name};

-- name: lock_schema
-- Lets one session at a time change the schema, until the end of its transaction, without notices of what need not be done.
SELECT pg_advisory_xact_lock(hashtext('{queue_table}.schema')), set_config('client_min_messages', 'warning', true);

-- name: take_upgrade_lock
-- Tries to become the one session that upgrades these tables. The Python project's own upgrade waits for the same lock.
--   $1 int8   key of the lock
SELECT pg_try_advisory_lock($1::int8) AS taken;

-- name: drop_upgrade_lock
-- Lets others upgrade these tables.
--   $1 int8   key of the lock
SELECT pg_advisory_unlock($1::int8);

-- name: session_settings
-- Gives the process of a session, and the settings that an upgrade changes.
SELECT pg_backend_pid()::int4 AS pid, current_setting('lock_timeout') AS lock_timeout,
    current_setting('statement_timeout') AS statement_timeout,
    current_setting('client_min_messages') AS client_min_messages;

-- name: set_session
-- Sets how long the session waits for a lock and for a statement, and which notices it gets.
--   $1 text   lock_timeout
--   $2 text   statement_timeout
--   $3 text   client_min_messages
SELECT set_config('lock_timeout', $1::text, false), set_config('statement_timeout', $2::text, false),
    set_config('client_min_messages', $3::text, false), pg_backend_pid()::int4 AS pid;

-- name: lock_holders
-- Lists the sessions that hold or want a lock on one of our tables, the longest transaction first.
SELECT pid::int4, coalesce(nullif(application_name, ''), usename, '?')::text AS name, coalesce(state, '?')::text AS state
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND pid IN (
    SELECT pg_locks.pid FROM pg_locks JOIN pg_class ON pg_class.oid = relation
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = coalesce(nullif('{schema_name}', ''), current_schema()) AND relname IN (
        '{queue_table_name}', '{queue_table_log_name}', '{statistics_table_name}', '{schedules_table_name}',
        '{limits_table_name}'
    )
)
ORDER BY xact_start
LIMIT 3;

-- name: wait_briefly
-- Lets the rest of the transaction wait ten seconds for a lock, or as long as the role or the DSN says: who waits for a table
-- holds up all who come after.
SELECT set_config('lock_timeout', '10s', true) WHERE current_setting('lock_timeout') = '0';

-- name: add_labels
-- Adds the labels that an old enum lacks. Before PostgreSQL 12 each must be sent alone, outside a transaction.
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'queued';
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'picked';
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'successful';
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'exception';
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'canceled';
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'deleted';
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'failed';

-- name: make_durable
-- Every table survives a crash of the server.
ALTER TABLE {queue_table} SET LOGGED;
ALTER TABLE {queue_table_log} SET LOGGED;
ALTER TABLE {statistics_table} SET LOGGED;
ALTER TABLE {schedules_table} SET LOGGED;
ALTER TABLE {limits_table} SET LOGGED;

-- name: make_balanced
-- Jobs and schedules survive a crash of the server, log and statistics are emptied by one.
ALTER TABLE {queue_table} SET LOGGED;
ALTER TABLE {queue_table_log} SET UNLOGGED;
ALTER TABLE {statistics_table} SET UNLOGGED;
ALTER TABLE {schedules_table} SET LOGGED;
ALTER TABLE {limits_table} SET LOGGED;

-- name: make_volatile
-- Every table is emptied by a crash of the server.
ALTER TABLE {queue_table} SET UNLOGGED;
ALTER TABLE {queue_table_log} SET UNLOGGED;
ALTER TABLE {statistics_table} SET UNLOGGED;
ALTER TABLE {schedules_table} SET UNLOGGED;
ALTER TABLE {limits_table} SET UNLOGGED;

-- name: tune_autovacuum
-- Lets autovacuum keep up with a queue: soon and at full speed on the tables whose rows are rewritten all the time, seldom on
-- those that mostly grow. Takes SHARE UPDATE EXCLUSIVE, which no job waits for.
ALTER TABLE {queue_table} SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 500,
    autovacuum_vacuum_cost_limit = 10000, autovacuum_vacuum_cost_delay = 0, fillfactor = 70
);
ALTER TABLE {schedules_table} SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 500,
    autovacuum_vacuum_cost_limit = 10000, autovacuum_vacuum_cost_delay = 0, fillfactor = 70
);
ALTER TABLE {queue_table_log} SET (
    autovacuum_vacuum_scale_factor = 0.95, autovacuum_vacuum_threshold = 1000000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 10000
);
ALTER TABLE {statistics_table} SET (
    autovacuum_vacuum_scale_factor = 0.95, autovacuum_vacuum_threshold = 1000000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 10000
);

-- name: reset_autovacuum
-- Takes back what `tune_autovacuum` sets: the tables have the parameters again that `install` gives them.
ALTER TABLE {queue_table} RESET (autovacuum_vacuum_cost_limit, fillfactor);
ALTER TABLE {queue_table} SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 500
);
ALTER TABLE {schedules_table} RESET (
    autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,
    autovacuum_analyze_scale_factor, autovacuum_analyze_threshold,
    autovacuum_vacuum_cost_limit, autovacuum_vacuum_cost_delay, fillfactor
);
ALTER TABLE {queue_table_log} RESET (
    autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,
    autovacuum_analyze_scale_factor, autovacuum_analyze_threshold
);
ALTER TABLE {statistics_table} RESET (
    autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,
    autovacuum_analyze_scale_factor, autovacuum_analyze_threshold
);
