-- Removes what `install` created and nothing else. The schema stays, since it may hold other things. May run again.
DROP TABLE IF EXISTS {queue_table};
DROP TABLE IF EXISTS {queue_table_log};
DROP TABLE IF EXISTS {statistics_table};
DROP TABLE IF EXISTS {schedules_table};
DROP TABLE IF EXISTS {limits_table};
DROP FUNCTION IF EXISTS {schema_prefix}{prefix}fn_pgqueuer_claim_1(int4, uuid, text[], int4[], float8[], boolean[]);
DROP FUNCTION IF EXISTS {schema_prefix}{prefix}fn_pgqueuer_claim_2(int4, int4, uuid, text[], int4[], float8[], boolean[], boolean);
DROP FUNCTION IF EXISTS {schema_prefix}{prefix}fn_pgqueuer_claim_3(int4, int4, uuid, text[], int4[], float8[], boolean[], boolean);
DROP FUNCTION IF EXISTS {schema_prefix}{prefix}fn_pgqueuer_due_1(text, timestamptz);
DROP FUNCTION IF EXISTS
    {worker_functions};
DROP FUNCTION IF EXISTS {enqueue_function}(text, bytea, bigint, interval, timestamptz, text, jsonb, text);
DROP FUNCTION IF EXISTS {enqueue_function}(text, text, bigint, interval, timestamptz, text, jsonb, text);
DROP FUNCTION IF EXISTS {enqueue_function}(text, jsonb, bigint, interval, timestamptz, text, jsonb, text);
DROP FUNCTION IF EXISTS {function}();
DROP TYPE IF EXISTS {queue_status_type};
-- Left over from old releases of the Python project.
DROP TYPE IF EXISTS {legacy_status_type};
