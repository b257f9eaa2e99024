-- Least privileges, which `pgq grants` prints for whoever may grant them. They are never sent.

-- name: create_role
-- Makes the role, unless it is there. It cannot log in: grant it to the one that does, or let it.
--   {role}   name of the role
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
END
$$;

-- name: grant_migrate
-- Install, upgrade and uninstall: this role owns everything, also what another one has installed.
--   {role}     name of the role
--   {schema}   schema of the tables
GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};
DO $$
DECLARE
    own text;
BEGIN
    FOR own IN
        SELECT format('ALTER TABLE %s OWNER TO {role}', class.oid::regclass) FROM pg_class AS class
        WHERE class.relnamespace = '{schema}'::regnamespace AND class.relkind = 'r' AND class.relname IN (
            '{queue_table_name}', '{queue_table_log_name}', '{statistics_table_name}', '{schedules_table_name}',
            '{limits_table_name}'
        )
        UNION ALL
        SELECT format('ALTER FUNCTION %s OWNER TO {role}', procedure.oid::regprocedure) FROM pg_proc AS procedure
        WHERE procedure.pronamespace = '{schema}'::regnamespace
            AND (procedure.proname = '{function_name}' OR procedure.proname ~ '^{prefix}(fn_)?pgqueuer_')
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO {role}', type.oid::regtype) FROM pg_type AS type
        WHERE type.typnamespace = '{schema}'::regnamespace AND type.typname = '{queue_status_type_name}'
    LOOP
        EXECUTE own;
    END LOOP;
END
$$;

-- name: grant_produce
-- Enqueue, and nothing else: this role reads no payload, and changes and deletes no job.
--   {role}     name of the role
--   {schema}   schema of the tables
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT INSERT (id, priority, status, entrypoint, payload, execute_after, dedupe_key, headers) ON {queue_table} TO {role};
GRANT SELECT (id, priority, status, entrypoint, dedupe_key, updated) ON {queue_table} TO {role};
GRANT USAGE ON SEQUENCE {queue_table}_id_seq TO {role};
GRANT INSERT (job_id, status, entrypoint, priority) ON {queue_table_log} TO {role};
GRANT EXECUTE ON FUNCTION
    {enqueue_function}(text, bytea, bigint, interval, timestamptz, text, jsonb, text),
    {enqueue_function}(text, text, bigint, interval, timestamptz, text, jsonb, text),
    {enqueue_function}(text, jsonb, bigint, interval, timestamptz, text, jsonb, text) TO {role};
-- Only for onConflict "update_priority", which may raise the priority of any job:
-- GRANT UPDATE (priority, updated), SELECT (updated) ON {queue_table} TO {role};

-- name: grant_work
-- Run a worker with schedules, whose handlers may enqueue; requeue and cancel jobs.
--   {role}     name of the role
--   {schema}   schema of the tables
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON {queue_table}, {queue_table_log}, {statistics_table}, {schedules_table} TO {role};
GRANT SELECT, INSERT, UPDATE ON {limits_table} TO {role};
GRANT USAGE ON SEQUENCE {queue_table}_id_seq, {statistics_table}_id_seq, {schedules_table}_id_seq TO {role};
GRANT EXECUTE ON FUNCTION
    {enqueue_function}(text, bytea, bigint, interval, timestamptz, text, jsonb, text),
    {enqueue_function}(text, text, bigint, interval, timestamptz, text, jsonb, text),
    {enqueue_function}(text, jsonb, bigint, interval, timestamptz, text, jsonb, text),
    {worker_functions} TO {role};

-- name: grant_read
-- Look: ls, show, failed, status, schedules, doctor and dashboard, payloads included.
--   {role}     name of the role
--   {schema}   schema of the tables
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON {queue_table}, {queue_table_log}, {statistics_table}, {schedules_table} TO {role};
GRANT EXECUTE ON FUNCTION {job_status_function} TO {role};
-- Without this, idle workers and who holds snapshots are not seen:
-- GRANT pg_read_all_stats TO {role};
