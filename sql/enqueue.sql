-- Enqueues from SQL: a trigger, psql or any language. May run again: `install` and `upgrade` both use this file.
--
-- These names are public and do not change, so `CREATE OR REPLACE` keeps who may call them and what calls them. The number of
-- the version is in render.ts and goes up with every change here. An older release finds the higher number and leaves them
-- alone. So a later version may take another parameter: it drops this signature and makes its own in one statement.
DO $install$
DECLARE
    home text := coalesce(nullif('{schema_name}', ''), current_schema());
    known oid[];
    own record;
BEGIN
    IF EXISTS (
        SELECT 1 FROM pg_proc
        WHERE pronamespace = quote_ident(home)::regnamespace AND proname = '{enqueue_function_name}'
            AND substring(prosrc FROM '-- pgqueuer: version (\d+)')::int4 > {enqueue_version}
    ) THEN
        RETURN;
    END IF;
    known := ARRAY(
        SELECT oid FROM pg_proc
        WHERE pronamespace = quote_ident(home)::regnamespace AND proname = '{enqueue_function_name}'
    );

    -- Gives the id of the job, or null where it was dropped as a duplicate. The rules are those of `Queries.enqueue`.
    CREATE OR REPLACE FUNCTION {enqueue_function}(
        entrypoint text,
        payload bytea DEFAULT NULL,
        priority bigint DEFAULT 0,             -- must fit int4; bigint, so that any number is told why it does not
        delay interval DEFAULT NULL,           -- counted from now()
        execute_after timestamptz DEFAULT NULL,
        dedupe_key text DEFAULT NULL,
        headers jsonb DEFAULT NULL,            -- an object
        on_conflict text DEFAULT 'skip'        -- or 'raise', 'update_priority'
    ) RETURNS bigint AS $function$
    -- pgqueuer: version {enqueue_version}, log {log_level}
    #variable_conflict use_column
    DECLARE
        wrong text;
        fresh bigint;
        given bigint;
    BEGIN
        wrong := CASE
            WHEN entrypoint IS NULL THEN 'Cannot use "entrypoint" as it must be a string: current value is null'
            WHEN entrypoint = '' THEN 'Cannot use "entrypoint" as it must not be empty: give it a name'
            WHEN octet_length(entrypoint) > 2000 THEN format(
                'Cannot use "entrypoint" as it must have at most 2000 bytes: it has %s', octet_length(entrypoint))
            WHEN octet_length(payload) > 104857600 THEN format(
                'Cannot enqueue as "payload" must have at most 104857600 bytes: it has %s, store it elsewhere and enqueue '
                'its address', octet_length(payload))
            WHEN priority NOT BETWEEN -2147483648 AND 2147483647 THEN format(
                'Cannot use "priority" as it must be an integer from -2147483648 to 2147483647: current value is %s', priority)
            WHEN delay IS NOT NULL AND execute_after IS NOT NULL THEN format(
                'Cannot enqueue as only one of "delay" and "execute_after" can count: current values are %s and %s, leave one '
                'out', delay, execute_after)
            WHEN delay NOT BETWEEN interval '0' AND interval '36500 days' THEN format(
                'Cannot use "delay" as it must be from 0 to 100 years: current value is %s', delay)
            WHEN execute_after < '1970-01-01 00:00:00+00' OR execute_after >= '10000-01-01 00:00:00+00' THEN format(
                'Cannot use "execute_after" as it must be a date from the year 1970 to 9999: current value is %s', execute_after)
            WHEN dedupe_key = '' THEN 'Cannot use "dedupe_key" as it must not be empty: give it a name, or null for none'
            WHEN octet_length(dedupe_key) > 2000 THEN format(
                'Cannot use "dedupe_key" as it must have at most 2000 bytes: it has %s', octet_length(dedupe_key))
            WHEN jsonb_typeof(headers) NOT IN ('object', 'null') THEN format(
                'Cannot use "headers" as it must be a JSON object: current value is of type %s, write jsonb_build_object(...)',
                jsonb_typeof(headers))
            WHEN on_conflict NOT IN ('skip', 'raise', 'update_priority') THEN format(
                'Cannot use "on_conflict" as it must be one of ''skip'', ''raise'', ''update_priority'': current value is %L',
                left(on_conflict, 60))
        END;
        IF wrong IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = wrong;
        END IF;

        priority := coalesce(priority, 0);
        execute_after := coalesce(execute_after, now() + coalesce(delay, interval '0'));
        headers := CASE jsonb_typeof(headers) WHEN 'object' THEN headers END;
        fresh := nextval(pg_get_serial_sequence('{queue_table}', 'id')::regclass);

        IF on_conflict = 'update_priority' THEN
            WITH stored AS (
                INSERT INTO {queue_table} AS job
                    (id, priority, status, entrypoint, payload, execute_after, dedupe_key, headers)
                VALUES (fresh, priority, 'queued', entrypoint, payload, execute_after, dedupe_key, headers)
                ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
                DO UPDATE SET priority = greatest(job.priority, excluded.priority),
                    -- That of a picked job is its lease.
                    updated = CASE WHEN job.status = 'picked' THEN job.updated ELSE now() END
                RETURNING id, entrypoint, priority
            ), logged AS (
                INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
                SELECT id, 'queued', entrypoint, priority FROM stored WHERE {log_steps} AND id = fresh
            )
            SELECT id INTO given FROM stored;
            RETURN given;
        END IF;

        WITH stored AS (
            INSERT INTO {queue_table} (id, priority, status, entrypoint, payload, execute_after, dedupe_key, headers)
            VALUES (fresh, priority, 'queued', entrypoint, payload, execute_after, dedupe_key, headers)
            ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
            RETURNING id, entrypoint, priority
        ), logged AS (
            INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
            SELECT id, 'queued', entrypoint, priority FROM stored WHERE {log_steps}
        )
        SELECT id INTO given FROM stored;
        -- Not left to the index, whose message would not say what to do.
        IF given IS NULL AND on_conflict = 'raise' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'unique_violation',
                MESSAGE = format('Cannot enqueue as a dedupe key is in use: offered "%s"', dedupe_key),
                HINT = 'A queued or running job has it. Use on_conflict => ''skip'' or ''update_priority'', or another key.',
                TABLE = '{queue_table_name}', CONSTRAINT = '{queue_table_name}_unique_dedupe_key';
        END IF;
        RETURN given;
    END;
    $function$ LANGUAGE plpgsql;

    -- The payload is text, written as UTF-8.
    CREATE OR REPLACE FUNCTION {enqueue_function}(
        entrypoint text, payload text, priority bigint DEFAULT 0, delay interval DEFAULT NULL,
        execute_after timestamptz DEFAULT NULL, dedupe_key text DEFAULT NULL, headers jsonb DEFAULT NULL,
        on_conflict text DEFAULT 'skip'
    ) RETURNS bigint AS $function$
    -- pgqueuer: version {enqueue_version}, log {log_level}
    BEGIN
        RETURN {enqueue_function}(
            entrypoint, convert_to(payload, 'UTF8'), priority, delay, execute_after, dedupe_key, headers, on_conflict);
    END;
    $function$ LANGUAGE plpgsql;

    -- The payload is JSON, written as UTF-8: what a typed task reads.
    CREATE OR REPLACE FUNCTION {enqueue_function}(
        entrypoint text, payload jsonb, priority bigint DEFAULT 0, delay interval DEFAULT NULL,
        execute_after timestamptz DEFAULT NULL, dedupe_key text DEFAULT NULL, headers jsonb DEFAULT NULL,
        on_conflict text DEFAULT 'skip'
    ) RETURNS bigint AS $function$
    -- pgqueuer: version {enqueue_version}, log {log_level}
    BEGIN
        RETURN {enqueue_function}(
            entrypoint, convert_to(payload::text, 'UTF8'), priority, delay, execute_after, dedupe_key, headers, on_conflict);
    END;
    $function$ LANGUAGE plpgsql;

    FOR own IN
        SELECT oid::regprocedure AS signature, oid = ANY (known) AS known FROM pg_proc
        WHERE pronamespace = quote_ident(home)::regnamespace AND proname = '{enqueue_function_name}'
            AND prosrc ~ '-- pgqueuer: version \d+'
    LOOP
        -- Whatever the caller's path is, its temporary tables included.
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', own.signature, home);
        -- It runs with the rights of its caller, so nobody gains by it. Who enqueues is granted it by name all the same.
        IF NOT own.known THEN
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', own.signature);
        END IF;
    END LOOP;
END
$install$;
