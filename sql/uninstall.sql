-- Removes what `install` created and nothing else. The schema stays, since it may hold other things. May run again.
DROP TABLE IF EXISTS {queue_table};
DROP TABLE IF EXISTS {queue_table_log};
DROP TABLE IF EXISTS {statistics_table};
DROP TABLE IF EXISTS {schedules_table};
DROP TABLE IF EXISTS {limits_table};
-- Those of former releases, too, which workers of those releases send: their numbers are not known here.
DO $$
DECLARE
    function regprocedure;
BEGIN
    FOR function IN
        SELECT proc.oid FROM pg_proc AS proc JOIN pg_namespace AS space ON space.oid = proc.pronamespace
        WHERE proc.proname ~ '^{prefix}fn_pgqueuer_[a-z_]+_[0-9]+$'
            AND CASE '{schema_name}' WHEN '' THEN pg_function_is_visible(proc.oid) ELSE space.nspname = '{schema_name}' END
    LOOP
        EXECUTE 'DROP FUNCTION ' || function;
    END LOOP;
END;
$$;
DROP FUNCTION IF EXISTS {enqueue_function}(text, bytea, bigint, interval, timestamptz, text, jsonb, text);
DROP FUNCTION IF EXISTS {enqueue_function}(text, text, bigint, interval, timestamptz, text, jsonb, text);
DROP FUNCTION IF EXISTS {enqueue_function}(text, jsonb, bigint, interval, timestamptz, text, jsonb, text);
DROP FUNCTION IF EXISTS {function}();
DROP TYPE IF EXISTS {queue_status_type};
-- Left over from old releases of the Python project.
DROP TYPE IF EXISTS {legacy_status_type};
