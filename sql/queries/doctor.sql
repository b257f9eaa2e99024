-- Statements that `pgq doctor` asks. All only read, and none reads more than it must of a long log.

-- name: examine_server
-- Says what of the server's state slows or stops a queue. The clock comes last, so that it is read next to the answer.
SELECT
    pg_is_in_recovery() AS standby,
    current_setting('transaction_read_only') = 'on' AS readonly,
    current_setting('autovacuum') = 'on' AS autovacuum,
    pg_notification_queue_usage()::float8 AS notifications,
    coalesce((
        SELECT procedure.prosrc LIKE '%''{channel}''%'
        FROM pg_proc AS procedure JOIN pg_namespace AS place ON place.oid = procedure.pronamespace
        WHERE procedure.proname = '{function_name}'
            AND place.nspname = coalesce(nullif('{schema_name}', ''), current_schema())
        LIMIT 1
    ), true) AS notifies,
    coalesce(nullif('{schema_name}', ''), current_schema(), '')::text AS schema,
    clock_timestamp() AS now;

-- name: examine_tables
-- Gives the size of each table with its indexes, its rows as the statistics collector knows them, when it was vacuumed last,
-- and what is set about it.
SELECT class.relname::text AS name, pg_total_relation_size(class.oid)::float8 AS size,
    coalesce(stat.n_live_tup, 0)::float8 AS live, coalesce(stat.n_dead_tup, 0)::float8 AS dead,
    greatest(stat.last_vacuum, stat.last_autovacuum) AS vacuumed,
    coalesce('autovacuum_enabled=false' = ANY (class.reloptions) OR 'autovacuum_enabled=off' = ANY (class.reloptions), false)
        AS unvacuumed,
    class.relpersistence = 'u' AS unlogged
FROM pg_class AS class
JOIN pg_namespace AS place ON place.oid = class.relnamespace
LEFT JOIN pg_stat_all_tables AS stat ON stat.relid = class.oid
WHERE place.nspname = coalesce(nullif('{schema_name}', ''), current_schema()) AND class.relkind = 'r'
    AND class.relname IN (
        '{queue_table_name}', '{queue_table_log_name}', '{statistics_table_name}', '{schedules_table_name}',
        '{limits_table_name}'
    )
ORDER BY class.relname;

-- name: examine_snapshots
-- Gives what keeps dead rows from being removed, the oldest first: open transactions of this database, prepared ones, and
-- replication slots. The age is in seconds; that of a slot is not known.
SELECT * FROM (
    SELECT 'session' AS kind, pid::text AS name, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age,
        concat_ws(', ', nullif(application_name, ''), usename::text, state) AS about
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND (datname = current_database() OR datname IS NULL)
        AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND backend_type NOT LIKE 'autovacuum%'
    UNION ALL
    SELECT 'prepared transaction', gid, extract(epoch FROM clock_timestamp() - prepared)::float8, owner::text
    FROM pg_prepared_xacts WHERE database = current_database()
    UNION ALL
    SELECT 'replication slot', slot_name::text, NULL, CASE WHEN active THEN 'active' ELSE 'inactive' END
    FROM pg_replication_slots WHERE age(xmin) > 1000000
) AS holder
ORDER BY age DESC NULLS LAST
LIMIT 5;

-- name: examine_log
-- Gives the age in seconds of the oldest row of the log, and how many rows no aggregation has counted yet, up to a limit.
--   $1 int4   where to stop counting
SELECT
    (
        SELECT extract(epoch FROM clock_timestamp() - created) FROM {queue_table_log} ORDER BY id LIMIT 1
    )::float8 AS oldest,
    (
        SELECT count(*) FROM (
            SELECT 1 FROM {queue_table_log} WHERE NOT aggregated LIMIT $1::int4
        ) AS pending
    )::int4 AS pending;
