-- From every schema that the Python project has installed, back to its release 0.1, to the tables of its release 2.0.
-- Each step is a transaction of its own, and changes nothing where it is not needed. The lines below its name say which
-- differences it mends, which lock it takes, and whether the table is written anew under it.

-- step: Add the column queue_manager_id
--   mends column {queue_table_name}.queue_manager_id
--   locks {queue_table} ACCESS EXCLUSIVE
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS queue_manager_id uuid;

-- step: Add the column updated
--   mends column {queue_table_name}.updated
--   locks {queue_table} ACCESS EXCLUSIVE
--   rewrites before PostgreSQL 11
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS updated timestamptz NOT NULL DEFAULT now();

-- step: Add the column heartbeat
--   mends column {queue_table_name}.heartbeat
--   locks {queue_table} ACCESS EXCLUSIVE
--   rewrites before PostgreSQL 11
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS heartbeat timestamptz NOT NULL DEFAULT now();

-- step: Add the column execute_after
--   mends column {queue_table_name}.execute_after
--   locks {queue_table} ACCESS EXCLUSIVE
--   rewrites before PostgreSQL 11
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS execute_after timestamptz NOT NULL DEFAULT now();

-- step: Add the column dedupe_key
--   mends column {queue_table_name}.dedupe_key
--   locks {queue_table} ACCESS EXCLUSIVE
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS dedupe_key text;

-- step: Add the column headers
--   mends column {queue_table_name}.headers
--   locks {queue_table} ACCESS EXCLUSIVE
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS headers jsonb;

-- step: Add the column attempts
--   mends column {queue_table_name}.attempts
--   locks {queue_table} ACCESS EXCLUSIVE
--   rewrites before PostgreSQL 11
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS attempts int4 NOT NULL DEFAULT 0;

-- step: Add the column slot
--   mends column {queue_table_name}.slot
--   locks {queue_table} ACCESS EXCLUSIVE
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS slot bigint;

-- step: Add the column traceback
--   mends column {queue_table_log_name}.traceback
--   locks {queue_table_log} ACCESS EXCLUSIVE
ALTER TABLE {queue_table_log} ADD COLUMN IF NOT EXISTS traceback jsonb;

-- step: Add the column aggregated
--   mends column {queue_table_log_name}.aggregated
--   locks {queue_table_log} ACCESS EXCLUSIVE
--   rewrites before PostgreSQL 11
ALTER TABLE {queue_table_log} ADD COLUMN IF NOT EXISTS aggregated boolean DEFAULT false;

-- step: Give updated its default
--   mends column {queue_table_name}.updated default now()
--   locks {queue_table} ACCESS EXCLUSIVE
ALTER TABLE {queue_table} ALTER COLUMN updated SET DEFAULT now();

-- step: Give heartbeat its default
--   mends column {queue_table_name}.heartbeat default now()
--   locks {queue_table} ACCESS EXCLUSIVE
ALTER TABLE {queue_table} ALTER COLUMN heartbeat SET DEFAULT now();

-- step: Give execute_after its default
--   mends column {queue_table_name}.execute_after default now()
--   locks {queue_table} ACCESS EXCLUSIVE
ALTER TABLE {queue_table} ALTER COLUMN execute_after SET DEFAULT now();

-- step: Fill in the times that old releases left out
--   mends column {queue_table_name}.updated not null
--   mends column {queue_table_name}.heartbeat not null
--   mends column {queue_table_name}.execute_after not null
--   locks {queue_table} ACCESS EXCLUSIVE
-- Looks first: where nothing is null already, an update and three scans would only lock the table.
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

-- step: Widen {queue_table_name}.id to eight bytes
--   mends column {queue_table_name}.id as bigint
--   mends sequence of {queue_table_name}.id as bigint
--   locks {queue_table} ACCESS EXCLUSIVE
--   rewrites always
DO $$
DECLARE
    owned text := pg_get_serial_sequence('{queue_table}', 'id');
BEGIN
    IF EXISTS (
        SELECT 1 FROM pg_attribute
        WHERE attrelid = '{queue_table}'::regclass AND attname = 'id' AND atttypid = 'int4'::regtype
    ) THEN
        ALTER TABLE {queue_table} ALTER COLUMN id TYPE bigint;
    END IF;
    IF owned IS NOT NULL THEN
        EXECUTE format('ALTER SEQUENCE %s AS bigint', owned);
    END IF;
END
$$;

-- step: Widen {queue_table_log_name}.id to eight bytes
--   mends column {queue_table_log_name}.id as bigint
--   mends sequence of {queue_table_log_name}.id as bigint
--   locks {queue_table_log} ACCESS EXCLUSIVE
--   rewrites always
DO $$
DECLARE
    owned text := pg_get_serial_sequence('{queue_table_log}', 'id');
BEGIN
    IF EXISTS (
        SELECT 1 FROM pg_attribute
        WHERE attrelid = '{queue_table_log}'::regclass AND attname = 'id' AND atttypid = 'int4'::regtype
    ) THEN
        ALTER TABLE {queue_table_log} ALTER COLUMN id TYPE bigint;
    END IF;
    IF owned IS NOT NULL THEN
        EXECUTE format('ALTER SEQUENCE %s AS bigint', owned);
    END IF;
END
$$;

-- step: Widen {queue_table_log_name}.job_id to eight bytes
--   mends column {queue_table_log_name}.job_id as bigint
--   locks {queue_table_log} ACCESS EXCLUSIVE
--   rewrites always
DO $$
DECLARE
    owned text := pg_get_serial_sequence('{queue_table_log}', 'job_id');
BEGIN
    IF EXISTS (
        SELECT 1 FROM pg_attribute
        WHERE attrelid = '{queue_table_log}'::regclass AND attname = 'job_id' AND atttypid = 'int4'::regtype
    ) THEN
        ALTER TABLE {queue_table_log} ALTER COLUMN job_id TYPE bigint;
    END IF;
    IF owned IS NOT NULL THEN
        EXECUTE format('ALTER SEQUENCE %s AS bigint', owned);
    END IF;
END
$$;

-- step: Widen {statistics_table_name}.id to eight bytes
--   mends column {statistics_table_name}.id as bigint
--   mends sequence of {statistics_table_name}.id as bigint
--   locks {statistics_table} ACCESS EXCLUSIVE
--   rewrites always
DO $$
DECLARE
    owned text := pg_get_serial_sequence('{statistics_table}', 'id');
BEGIN
    IF EXISTS (
        SELECT 1 FROM pg_attribute
        WHERE attrelid = '{statistics_table}'::regclass AND attname = 'id' AND atttypid = 'int4'::regtype
    ) THEN
        ALTER TABLE {statistics_table} ALTER COLUMN id TYPE bigint;
    END IF;
    IF owned IS NOT NULL THEN
        EXECUTE format('ALTER SEQUENCE %s AS bigint', owned);
    END IF;
END
$$;

-- step: Widen {statistics_table_name}.count to eight bytes
--   mends column {statistics_table_name}.count as bigint
--   locks {statistics_table} ACCESS EXCLUSIVE
--   rewrites always
DO $$
DECLARE
    owned text := pg_get_serial_sequence('{statistics_table}', 'count');
BEGIN
    IF EXISTS (
        SELECT 1 FROM pg_attribute
        WHERE attrelid = '{statistics_table}'::regclass AND attname = 'count' AND atttypid = 'int4'::regtype
    ) THEN
        ALTER TABLE {statistics_table} ALTER COLUMN count TYPE bigint;
    END IF;
    IF owned IS NOT NULL THEN
        EXECUTE format('ALTER SEQUENCE %s AS bigint', owned);
    END IF;
END
$$;

-- step: Widen {schedules_table_name}.id to eight bytes
--   mends column {schedules_table_name}.id as bigint
--   mends sequence of {schedules_table_name}.id as bigint
--   locks {schedules_table} ACCESS EXCLUSIVE
--   rewrites always
DO $$
DECLARE
    owned text := pg_get_serial_sequence('{schedules_table}', 'id');
BEGIN
    IF EXISTS (
        SELECT 1 FROM pg_attribute
        WHERE attrelid = '{schedules_table}'::regclass AND attname = 'id' AND atttypid = 'int4'::regtype
    ) THEN
        ALTER TABLE {schedules_table} ALTER COLUMN id TYPE bigint;
    END IF;
    IF owned IS NOT NULL THEN
        EXECUTE format('ALTER SEQUENCE %s AS bigint', owned);
    END IF;
END
$$;

-- step: Give the statistics the enum of the queue, in place of one of their own
--   mends column {statistics_table_name}.status as {queue_status_type_name}
--   locks {statistics_table} ACCESS EXCLUSIVE
--   rewrites always
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

-- step: Let the seconds of statistics be those of the database's time zone
--   mends column {statistics_table_name}.created default date_trunc('sec'::text, now())
--   locks {statistics_table} ACCESS EXCLUSIVE
ALTER TABLE {statistics_table} ALTER COLUMN created SET DEFAULT date_trunc('sec', now());

-- step: Let statistics do without a column of old releases, which nobody writes
--   mends column {statistics_table_name}.time_in_queue nullable
--   locks {statistics_table} ACCESS EXCLUSIVE
DO $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM pg_attribute
        WHERE attrelid = '{statistics_table}'::regclass AND attname = 'time_in_queue' AND attnotnull
    ) THEN
        ALTER TABLE {statistics_table} ALTER COLUMN time_in_queue DROP NOT NULL;
    END IF;
END
$$;

-- step: Let the index of the statistics be built anew where it is spelt with AT TIME ZONE
--   locks {statistics_table} ACCESS EXCLUSIVE
-- It mends nothing by itself, so it is only part of the script that `pgq sql upgrade` prints: `pgq upgrade` builds the new
-- one first. The Python project's upgrade compares the text too.
DO $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
        WHERE relname = '{statistics_table_name}_unique_count' AND indrelid = '{statistics_table}'::regclass
            AND pg_get_indexdef(indexrelid) LIKE '%AT TIME ZONE%'
    ) THEN
        DROP INDEX {schema_prefix}{statistics_table_name}_unique_count;
    END IF;
END
$$;
