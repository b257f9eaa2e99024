-- Statements of `pgq bench`, which works in a schema of its own.

-- name: bench_server
-- Gives the version of the server.
SELECT current_setting('server_version') AS version;

-- name: bench_write
-- Writes a row, so that its commit can be timed.
--   $1 text   anything that was not written before
INSERT INTO {limits_table} (entrypoint, tokens, refilled) VALUES ($1::text, 0, now());

-- name: bench_sessions
-- Counts the sessions of an application that are busy with a statement, by what each waits for: nothing (it computes),
-- the log of the server (a commit), another lock, the disk.
--   $1 text   name of the application
SELECT
    count(*) FILTER (WHERE wait IS NULL)::int AS computing,
    count(*) FILTER (WHERE wait ~* 'wal|syncrep|xactgroup|xactsync')::int AS committing,
    count(*) FILTER (WHERE wait !~* 'wal|syncrep|xactgroup|xactsync' AND kind IN ('Lock', 'LWLock', 'BufferPin'))::int
        AS locked,
    count(*) FILTER (WHERE wait !~* 'wal|syncrep|xactgroup|xactsync' AND kind = 'IO')::int AS reading
FROM (
    SELECT wait_event AS wait, wait_event_type AS kind FROM pg_stat_activity
    WHERE application_name = $1::text AND state = 'active' AND pid <> pg_backend_pid()
) AS busy;

-- name: bench_drop
-- Drops the schema that was made for the measurement, which is empty by then.
DROP SCHEMA IF EXISTS {schema_name};
