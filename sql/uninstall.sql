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
        SELECT worker.oid FROM pg_proc AS worker
        -- Beside the trigger's: another schema of the search path may have a queue of its own.
        JOIN pg_proc AS changed ON changed.oid = to_regproc('{function}') AND changed.pronamespace = worker.pronamespace
        WHERE worker.proname ~ ('^' || lower('{prefix}') || 'fn_pgqueuer_[a-z_]+_[0-9]+$')
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
