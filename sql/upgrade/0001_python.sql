-- From every schema that the Python project has installed, back to its release 0.1, to the tables of its release 2.0.
-- Changes nothing on a table that already has it. Takes ACCESS EXCLUSIVE for moments, and for the length of a rewrite where
-- ids are still int4.

ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS queue_manager_id uuid;
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS updated timestamptz NOT NULL DEFAULT now();
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS heartbeat timestamptz NOT NULL DEFAULT now();
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS execute_after timestamptz NOT NULL DEFAULT now();
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS dedupe_key text;
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS headers jsonb;
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS attempts int4 NOT NULL DEFAULT 0;
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS slot bigint;
ALTER TABLE {queue_table} ALTER COLUMN updated SET DEFAULT now();
ALTER TABLE {queue_table} ALTER COLUMN heartbeat SET DEFAULT now();
ALTER TABLE {queue_table} ALTER COLUMN execute_after SET DEFAULT now();

ALTER TABLE {queue_table_log} ADD COLUMN IF NOT EXISTS traceback jsonb;
ALTER TABLE {queue_table_log} ADD COLUMN IF NOT EXISTS aggregated boolean DEFAULT false;

-- Rows that were written before these columns existed, and null defaults of old releases.
DO $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM pg_attribute
        WHERE attrelid = '{queue_table}'::regclass AND attname IN ('updated', 'heartbeat', 'execute_after')
            AND NOT attnotnull
    ) THEN
        UPDATE {queue_table} SET updated = coalesce(updated, now()), heartbeat = coalesce(heartbeat, now()),
            execute_after = coalesce(execute_after, now())
        WHERE updated IS NULL OR heartbeat IS NULL OR execute_after IS NULL;
        ALTER TABLE {queue_table} ALTER COLUMN updated SET NOT NULL;
        ALTER TABLE {queue_table} ALTER COLUMN heartbeat SET NOT NULL;
        ALTER TABLE {queue_table} ALTER COLUMN execute_after SET NOT NULL;
    END IF;
END
$$;

-- Ids of four bytes run out after two billion jobs. The rewrite locks the table, so it happens only where it is needed.
DO $$
DECLARE
    narrow record;
    owned text;
BEGIN
    FOR narrow IN
        SELECT attrelid::regclass AS in_table, attname AS in_column
        FROM pg_attribute
        WHERE attrelid IN (
                '{queue_table}'::regclass, '{queue_table_log}'::regclass,
                '{statistics_table}'::regclass, '{schedules_table}'::regclass
            )
            AND attname IN ('id', 'job_id', 'count') AND atttypid = 'int4'::regtype AND NOT attisdropped
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE bigint', narrow.in_table, narrow.in_column);
        owned := pg_get_serial_sequence(narrow.in_table::text, narrow.in_column);
        -- Before PostgreSQL 10 every sequence has eight bytes.
        IF owned IS NOT NULL AND current_setting('server_version_num')::int >= 100000 THEN
            EXECUTE format('ALTER SEQUENCE %s AS bigint', owned);
        END IF;
    END LOOP;
END
$$;

-- Statistics of release 0.x had an enum of their own.
DO $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM pg_attribute
        WHERE attrelid = '{statistics_table}'::regclass AND attname = 'status'
            AND atttypid <> '{queue_status_type}'::regtype
    ) THEN
        ALTER TABLE {statistics_table} ALTER COLUMN status TYPE {queue_status_type}
            USING status::text::{queue_status_type};
    END IF;
END
$$;
