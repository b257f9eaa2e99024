// Made by sql/bundle.ts from the files in sql/. Do not edit: change those and run `npm run sql`.

/** Scripts of several statements, from `sql/*.sql`. */
export const scripts: {
  readonly enqueue: string;
  readonly indexes: string;
  readonly install: string;
  readonly notify: string;
  readonly uninstall: string;
  readonly functions: string;
} = {
  enqueue: `-- Enqueues from SQL: a trigger, psql or any language. May run again: \`install\` and \`upgrade\` both use this file.
--
-- These names are public and do not change, so \`CREATE OR REPLACE\` keeps who may call them and what calls them. The number of
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
            AND substring(prosrc FROM '-- pgqueuer: version (\\d+)')::int4 > {enqueue_version}
    ) THEN
        RETURN;
    END IF;
    known := ARRAY(
        SELECT oid FROM pg_proc
        WHERE pronamespace = quote_ident(home)::regnamespace AND proname = '{enqueue_function_name}'
    );

    -- Gives the id of the job, or null where it was dropped as a duplicate. The rules are those of \`Queries.enqueue\`.
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
            AND prosrc ~ '-- pgqueuer: version \\d+'
    LOOP
        -- Whatever the caller's path is, its temporary tables included.
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', own.signature, home);
        -- It runs with the rights of its caller, so nobody gains by it. Who enqueues is granted it by name all the same.
        IF NOT own.known THEN
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', own.signature);
        END IF;
    END LOOP;
END
$install$;`,
  indexes: `-- Every index besides the primary keys. Each statement may run again: \`install\` and \`upgrade\` both use this file.
-- "Python" marks an index that our statements do not use and a Python worker, dashboard or upgrade does.

-- The front of each entrypoint's jobs that were ready when enqueued, in the order of the claim.
-- The collation sets our two indexes of entrypoints apart from Python's. On a table without statistics the planner takes
-- any of them for as good as another, and one that is not in our order makes a claim walk and sort the whole queue.
CREATE INDEX IF NOT EXISTS {queue_table_name}_ready_idx ON {queue_table} (entrypoint COLLATE "C", priority DESC, id)
    WHERE status = 'queued' AND execute_after <= created;

-- Those of them that have a dedupe key, for claims of serialized entrypoints that pass over jobs without one.
CREATE INDEX IF NOT EXISTS {queue_table_name}_keyed_idx ON {queue_table} (entrypoint COLLATE "C", priority DESC, id)
    WHERE status = 'queued' AND execute_after <= created AND dedupe_key IS NOT NULL;

-- Jobs that wait for their time. Apart from the ready ones, so that a claim never walks over them.
CREATE INDEX IF NOT EXISTS {queue_table_name}_deferred_idx ON {queue_table} (entrypoint COLLATE "C", execute_after)
    WHERE status = 'queued' AND execute_after > created;

-- Those of them that have a dedupe key, as above.
CREATE INDEX IF NOT EXISTS {queue_table_name}_keyed_deferred_idx
    ON {queue_table} (entrypoint COLLATE "C", execute_after)
    WHERE status = 'queued' AND execute_after > created AND dedupe_key IS NOT NULL;

-- All of them by priority, for claims when more jobs are due than one claim sorts.
CREATE INDEX IF NOT EXISTS {queue_table_name}_due_idx
    ON {queue_table} (entrypoint COLLATE "C", priority DESC, execute_after)
    WHERE status = 'queued' AND execute_after > created;

-- What operators look for first.
CREATE INDEX IF NOT EXISTS {queue_table_name}_failed_idx ON {queue_table} (created DESC, id DESC)
    WHERE status = 'failed';

-- At most one live job has a dedupe key.
CREATE UNIQUE INDEX IF NOT EXISTS {queue_table_name}_unique_dedupe_key ON {queue_table} (dedupe_key)
    WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL;

-- Leases that run out first come first.
CREATE INDEX IF NOT EXISTS {queue_table_name}_picked_heartbeat_idx ON {queue_table} (heartbeat)
    WHERE status = 'picked';

-- What one worker holds. Python: what all of them hold, counted at each claim of a worker with limits; no other index can serve
-- that, as it does not name the status.
CREATE INDEX IF NOT EXISTS {queue_table_name}_queue_manager_id_idx ON {queue_table} (queue_manager_id)
    WHERE queue_manager_id IS NOT NULL;

-- No seat of a limited entrypoint is taken twice.
CREATE UNIQUE INDEX IF NOT EXISTS {queue_table_name}_picked_slot_idx ON {queue_table} (entrypoint, slot)
    WHERE status = 'picked' AND slot IS NOT NULL;

-- Python: its claim.
CREATE INDEX IF NOT EXISTS {queue_table_name}_ep_prio_id_idx ON {queue_table} (entrypoint, priority DESC, id)
    WHERE status = 'queued';

-- Python: its wait for the next deferred job.
CREATE INDEX IF NOT EXISTS {queue_table_name}_ep_ea_idx ON {queue_table} (entrypoint, execute_after)
    WHERE status = 'queued';

-- Log rows that no statistics row counts yet.
CREATE INDEX IF NOT EXISTS {queue_table_log_name}_not_aggregated ON {queue_table_log} ((1)) WHERE NOT aggregated;

-- The newest log row of a job.
CREATE INDEX IF NOT EXISTS {queue_table_log_name}_job_id_status ON {queue_table_log} (job_id, created DESC);

-- The row that an aggregation adds to. Spelt with timezone() as the Python project does, whose \`upgrade\` compares the text.
CREATE UNIQUE INDEX IF NOT EXISTS {statistics_table_name}_unique_count ON {statistics_table}
    (priority, date_trunc('sec', timezone('UTC', created)), status, entrypoint);

CREATE INDEX IF NOT EXISTS {statistics_table_name}_created ON {statistics_table} (created);`,
  install: `-- The type and the tables, shared with the Python project of the same name: columns, types and defaults are a contract.
-- Creates only what is missing. What an older table lacks is added by the steps in upgrade/.

DO $$
BEGIN
    IF to_regtype('{queue_status_type}') IS NULL THEN
        CREATE TYPE {queue_status_type} AS ENUM (
            'queued', 'picked', 'successful', 'exception', 'canceled', 'deleted', 'failed'
        );
    END IF;
END
$$;

-- Jobs that are not finished. A finished job is a row of the log.
CREATE TABLE IF NOT EXISTS {queue_table} (
    id bigserial PRIMARY KEY,
    priority int4 NOT NULL,
    -- Who holds the lease. Not null exactly while the job is picked: others count these rows.
    queue_manager_id uuid,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    heartbeat timestamptz NOT NULL DEFAULT now(),
    execute_after timestamptz NOT NULL DEFAULT now(),
    status {queue_status_type} NOT NULL,
    entrypoint text NOT NULL,
    dedupe_key text,
    payload bytea,
    headers jsonb,
    attempts int4 NOT NULL DEFAULT 0,
    -- Seat of a picked job of an entrypoint with a concurrency limit.
    slot bigint,
    -- Ours: workers in a row that died while they ran the job.
    take_overs int4 NOT NULL DEFAULT 0,
    -- Ours: somebody wants the picked job stopped. It keeps its key and seat until it has.
    cancel_requested boolean NOT NULL DEFAULT false
)
-- Each job leaves three dead rows behind, and claims walk over their index entries: by the defaults they pile up to a fifth
-- of a backlog, and are then removed at a pace that spares the disk. See docs/performance.md.
WITH (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 500
);

-- One row for each change of a job's status. \`aggregated\` is never written as null: such a row would never be counted.
CREATE TABLE IF NOT EXISTS {queue_table_log} (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    created timestamptz NOT NULL DEFAULT now(),
    job_id bigint NOT NULL,
    status {queue_status_type} NOT NULL,
    priority int4 NOT NULL,
    entrypoint text NOT NULL,
    traceback jsonb,
    aggregated boolean DEFAULT false
)
-- Each row is written twice and deleted once.
WITH (autovacuum_vacuum_cost_delay = 0);

-- Log rows folded into counts per second.
CREATE TABLE IF NOT EXISTS {statistics_table} (
    id bigserial PRIMARY KEY,
    created timestamptz NOT NULL DEFAULT date_trunc('sec', now()),
    count bigint NOT NULL,
    priority int4 NOT NULL,
    status {queue_status_type} NOT NULL,
    entrypoint text NOT NULL
);

-- One row for each cron expression of each entrypoint.
CREATE TABLE IF NOT EXISTS {schedules_table} (
    id bigserial PRIMARY KEY,
    expression text NOT NULL,
    entrypoint text NOT NULL,
    heartbeat timestamptz NOT NULL DEFAULT now(),
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    next_run timestamptz NOT NULL DEFAULT now(),
    last_run timestamptz,
    status {queue_status_type} DEFAULT 'queued',
    CONSTRAINT {schedules_table_name}_expression_entrypoint_key UNIQUE (expression, entrypoint)
);

-- Ours: one row for each entrypoint with a limit. Who claims from it locks the row.
CREATE TABLE IF NOT EXISTS {limits_table} (
    entrypoint text PRIMARY KEY,
    -- Token bucket of the rate limit: what was left when it was last taken from, and when that was.
    tokens float8 NOT NULL,
    refilled timestamptz NOT NULL
);`,
  notify: `-- Tells listeners that the queue has changed. May run again: \`install\` and \`upgrade\` both use this file.

-- Once per statement, not per row: a batch of 1,000 is one notification. An UPDATE (claim, heartbeat) stays silent; it is
-- among the trigger's events only because it is so in the shared contract.
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RETURN NULL;
    END IF;
    PERFORM pg_notify(
        '{channel}',
        json_build_object(
            'channel', '{channel}',
            'operation', lower(TG_OP),
            'sent_at', now(),
            'table', TG_TABLE_NAME,
            'type', 'table_changed_event'
        )::text
    );
    RETURN NULL;
END;
$$ LANGUAGE plpgsql;

DROP TRIGGER IF EXISTS {trigger_name} ON {queue_table};

CREATE TRIGGER {trigger_name}
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {queue_table}
    FOR EACH STATEMENT EXECUTE PROCEDURE {function}();`,
  uninstall: `-- Removes what \`install\` created and nothing else. The schema stays, since it may hold other things. May run again.
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
DROP TYPE IF EXISTS {legacy_status_type};`,
  functions: `-- Claims jobs where some entrypoints have limits: highest priority first, then lowest id. What the planner could count with
-- stands in subqueries, as in all of them.
--
-- A function, since each of its statements sees what has been committed by then: in one statement the picked jobs would be
-- counted as they were before the lock was had. It locks the row of each limited entrypoint, so that one worker at a time
-- claims from it. An entrypoint that another worker has locked is passed over: nobody waits, and the unlimited ones go on.
-- Python workers take no such lock; against them the unique index of seats decides (23505: claim again), and so it does where
-- a picked job has been overlooked as its heartbeat is older than one could be.
CREATE OR REPLACE FUNCTION {claim_function}(
    most int4,
    startable int4,       -- most of them that may be of entrypoints with limits
    manager uuid,
    wanted text[],
    concurrency int4[],   -- most picked jobs of the fleet; 0: no limit
    rate float8[],        -- most starts a second of the fleet; infinity: no limit
    serialized boolean[], -- jobs without a dedupe key run one after another
    seat_age float8,      -- age in milliseconds up to which heartbeats are looked at: no picked job has an older one
    owner text[],         -- entrypoint of each range of ready jobs, and so on, as in a claim without limits
    lowest int4[],
    highest int4[],
    after bigint[],
    due_age float8,       -- age in milliseconds up to which due times are looked at, but for serialized ones
    log_steps boolean     -- write a log row for each claim
) RETURNS TABLE (
    id bigint, priority int4, manager_id uuid, created timestamptz, updated timestamptz, heartbeat timestamptz,
    due timestamptz, status {queue_status_type}, entrypoint text, dedupe text, payload bytea, headers jsonb,
    attempts int4, slot bigint
) AS $$
#variable_conflict use_column
DECLARE
    locked text[];
    instant timestamptz;
BEGIN
    -- The first claim of an entrypoint makes its row, and so does the first after a crash that emptied the table. A new
    -- bucket is full.
    INSERT INTO {limits_table} (entrypoint, tokens, refilled)
    SELECT asked.entrypoint, least(greatest(1, asked.rate), 1e9), clock_timestamp()
    FROM unnest((SELECT wanted), (SELECT concurrency), (SELECT rate), (SELECT serialized))
        AS asked(entrypoint, concurrency, rate, serialized)
    WHERE (asked.concurrency > 0 OR asked.rate < 'infinity' OR asked.serialized)
        AND NOT EXISTS (SELECT 1 FROM {limits_table} AS gate WHERE gate.entrypoint = asked.entrypoint)
    ORDER BY asked.entrypoint
    ON CONFLICT DO NOTHING;

    locked := ARRAY(
        SELECT gate.entrypoint FROM {limits_table} AS gate WHERE gate.entrypoint = ANY ((SELECT wanted)::text[])
        ORDER BY gate.entrypoint FOR UPDATE SKIP LOCKED
    );
    -- After the locks: the starts of an entrypoint get instants in the order of its claims, so that its rate is exact.
    instant := clock_timestamp();

    RETURN QUERY
    WITH asked AS (
        SELECT * FROM unnest((SELECT wanted), (SELECT concurrency), (SELECT rate), (SELECT serialized))
            AS asked(entrypoint, concurrency, rate, serialized)
    ), picked AS (
        SELECT job.entrypoint, job.slot FROM {queue_table} AS job
        WHERE job.status = 'picked' AND job.heartbeat >= instant - (SELECT seat_age) * interval '1 millisecond'
            AND job.entrypoint = ANY (ARRAY(SELECT asked.entrypoint FROM asked WHERE asked.concurrency > 0))
    ), gate AS (
        SELECT asked.*,
            asked.concurrency > 0 OR asked.rate < 'infinity' OR asked.serialized AS limited,
            CASE WHEN asked.rate < 'infinity' THEN least(
                greatest(1, asked.rate),
                bucket.tokens + extract(epoch FROM instant - bucket.refilled) * asked.rate
            ) END AS tokens,
            CASE WHEN asked.concurrency > 0 THEN
                asked.concurrency - (SELECT count(*) FROM picked WHERE picked.entrypoint = asked.entrypoint)
            END AS seats,
            asked.serialized AND EXISTS (
                SELECT 1 FROM (
                    SELECT job.id FROM {queue_table} AS job
                    WHERE job.status = 'picked' AND job.entrypoint = asked.entrypoint AND job.dedupe_key IS NULL
                    ORDER BY job.heartbeat
                    LIMIT 1
                ) AS first
            ) AS keyless_runs
        FROM asked LEFT JOIN {limits_table} AS bucket ON bucket.entrypoint = asked.entrypoint
    ), opened AS (
        SELECT gate.*,
            CASE WHEN gate.limited THEN least(most, startable, gate.seats, floor(gate.tokens))::int4 ELSE most END AS room
        FROM gate
        WHERE NOT gate.limited OR gate.entrypoint = ANY ((SELECT locked)::text[])
    ), front AS (
        SELECT array_agg(opened.entrypoint) AS names,
            array_agg(CASE WHEN opened.serialized THEN 0 ELSE opened.room END) AS rooms,
            array_agg(opened.limited) AS limited
        FROM opened
    ), share AS (
        SELECT share.entrypoint, share.jobs FROM front CROSS JOIN LATERAL unnest(front.names, {share_function}(
            front.names, most, front.rooms, front.limited, startable, owner, lowest, highest, after
        )) AS share(entrypoint, jobs)
    ), reach AS (
        SELECT array_agg(
            CASE
                WHEN opened.keyless_runs THEN 0
                WHEN opened.serialized THEN opened.room
                ELSE coalesce(share.jobs, 0)
            END
        ) AS rooms, array_agg(CASE WHEN opened.serialized THEN opened.room ELSE 0 END) AS keyed_rooms,
            array_agg(opened.entrypoint) AS names, bool_or(opened.serialized) AS any_serialized
        FROM opened LEFT JOIN share ON share.entrypoint = opened.entrypoint
    ), ready AS (
        SELECT job.place, job.id, job.priority, job.entrypoint, job.keyless
        FROM reach CROSS JOIN LATERAL {ready_function}(
            'lock', reach.names, reach.rooms, owner, lowest, highest, after
        ) AS job
    ), keyed AS (
        -- Only one job without a key may go: those with one that stand behind such jobs.
        SELECT job.place, job.id, job.priority, job.entrypoint, job.keyless
        FROM reach CROSS JOIN LATERAL {ready_function}(
            'lock keyed', reach.names, reach.keyed_rooms, owner, lowest, highest, after
        ) AS job
        WHERE reach.any_serialized
    ), part AS (
        -- Of jobs without a key a serialized entrypoint starts one: they must not hide those that have one.
        SELECT opened.entrypoint, opened.room, NULL::boolean AS keyless FROM opened WHERE NOT opened.serialized
        UNION ALL SELECT opened.entrypoint, opened.room, false FROM opened WHERE opened.serialized
        UNION ALL SELECT opened.entrypoint, least(opened.room, 1), true FROM opened
            WHERE opened.serialized AND NOT opened.keyless_runs
    ), found AS (
        SELECT asked.entrypoint, asked.keyless, asked.room, place.places FROM (
            SELECT part.*, row_number() OVER (ORDER BY part.entrypoint, part.keyless) AS number FROM part
        ) AS asked
        JOIN (
            SELECT due.part, array_agg(due.place) AS places
            FROM (
                SELECT array_agg(part.entrypoint ORDER BY part.entrypoint, part.keyless) AS names,
                    array_agg(part.keyless ORDER BY part.entrypoint, part.keyless) AS keyless
                FROM part
            ) AS wanted
            CROSS JOIN LATERAL {due_function}(
                wanted.names, wanted.keyless, instant, instant - due_age * interval '1 millisecond'
            ) AS due
            GROUP BY due.part
        ) AS place ON place.part = asked.number
    ), due AS (
        -- As many of each as it has room for: one that is full must not hide the others.
        SELECT job.* FROM found CROSS JOIN LATERAL (
            SELECT ctid AS place, job.id, job.priority, job.entrypoint, job.dedupe_key IS NULL AS keyless
            FROM {queue_table} AS job
            -- Written so that no index serves: the rows are found by their places.
            WHERE job.status IS NOT DISTINCT FROM 'queued'
                AND (found.keyless IS NULL OR found.keyless = (job.dedupe_key IS NULL))
                AND job.ctid = ANY (found.places)
            ORDER BY job.priority DESC, job.id
            LIMIT greatest(0, found.room)
            FOR UPDATE SKIP LOCKED
        ) AS job
    ), ranked AS (
        SELECT candidate.*, opened.room, opened.concurrency, opened.serialized, opened.limited,
            row_number() OVER (
                PARTITION BY candidate.entrypoint, opened.serialized AND candidate.keyless
                ORDER BY candidate.priority DESC, candidate.id
            ) AS turn
        FROM (
            SELECT * FROM ready
            UNION ALL SELECT * FROM keyed WHERE NOT EXISTS (SELECT 1 FROM ready WHERE ready.id = keyed.id)
            UNION ALL SELECT * FROM due
        ) AS candidate
        JOIN opened ON opened.entrypoint = candidate.entrypoint
    ), allowed AS (
        SELECT ranked.*,
            row_number() OVER (PARTITION BY ranked.entrypoint ORDER BY ranked.priority DESC, ranked.id) AS rank
        FROM ranked WHERE NOT (ranked.serialized AND ranked.keyless AND ranked.turn > 1)
    ), fitting AS (
        SELECT allowed.*,
            row_number() OVER (PARTITION BY allowed.limited ORDER BY allowed.priority DESC, allowed.id) AS start
        FROM allowed WHERE allowed.rank <= allowed.room
    ), chosen AS (
        SELECT * FROM fitting WHERE NOT fitting.limited OR fitting.start <= startable
        ORDER BY fitting.priority DESC, fitting.id
        LIMIT (SELECT most)
    ), seat AS (
        -- The free ones of each entrypoint, in an array: by its place there each job finds its own.
        SELECT opened.entrypoint, ARRAY(
            SELECT number FROM generate_series(0, opened.concurrency - 1) AS number
            WHERE NOT EXISTS (
                SELECT 1 FROM picked WHERE picked.entrypoint = opened.entrypoint AND picked.slot = number
            )
            ORDER BY number
            LIMIT greatest(0, opened.room)
        ) AS numbers
        FROM opened WHERE opened.concurrency > 0
    ), seated AS (
        SELECT chosen.id, seat.numbers[chosen.rank] AS slot
        FROM chosen JOIN seat ON seat.entrypoint = chosen.entrypoint
        -- Always so. What is named once is put in place of its name, and would be computed for each job.
        WHERE EXISTS (SELECT 1 FROM seat)
    ), claimed AS (
        UPDATE {queue_table} AS job
        SET status = 'picked', updated = instant, heartbeat = instant, queue_manager_id = manager,
            -- As one value, likewise: it does not depend on the job.
            slot = ((SELECT jsonb_object_agg(seated.id, seated.slot) FROM seated) ->> job.id::text)::bigint
        WHERE job.ctid = ANY (ARRAY(SELECT place FROM chosen))
        RETURNING job.*
    ), charged AS (
        UPDATE {limits_table} AS bucket
        SET tokens = taken.tokens - taken.jobs, refilled = instant
        FROM (
            SELECT gate.entrypoint, gate.tokens, count(*) AS jobs
            FROM claimed JOIN gate ON gate.entrypoint = claimed.entrypoint
            WHERE gate.tokens IS NOT NULL
            GROUP BY gate.entrypoint, gate.tokens
        ) AS taken
        WHERE bucket.entrypoint = taken.entrypoint
    ), logged AS (
        INSERT INTO {queue_table_log} (created, job_id, status, entrypoint, priority, aggregated)
        SELECT instant, claimed.id, 'picked', claimed.entrypoint, claimed.priority,
            (
                -- For fewer a count of their own saves nothing.
                SELECT CASE WHEN count(*) >= 10 THEN
                    {count_function}(instant, array_agg(claimed.entrypoint), array_agg(claimed.priority), 'picked')
                ELSE false END
                FROM claimed
            )
        FROM claimed WHERE log_steps
    )
    SELECT claimed.id::bigint, claimed.priority, claimed.queue_manager_id, claimed.created, claimed.updated,
        claimed.heartbeat, claimed.execute_after, claimed.status, claimed.entrypoint, claimed.dedupe_key,
        claimed.payload, claimed.headers, claimed.attempts, claimed.slot
    FROM claimed ORDER BY claimed.priority DESC, claimed.id;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- Claims without limits.

-- Claims ready jobs, highest priority first, then lowest id.
--
-- Ready jobs are read in ranges of their index, deferred ones whose time has come from indexes of their own, so that
-- deferred jobs in front of the queue cost nothing. A range that begins behind the jobs claimed last leaves out their dead
-- index entries, which nobody can remove while any session holds an old snapshot. Rows that another session has locked are
-- passed over. The UPDATE finds the locked rows by their place, not by a join.
CREATE OR REPLACE FUNCTION {dequeue_function}(
    most int4,
    wanted text[],
    manager uuid,       -- queue manager that takes the lease
    owner text[],       -- entrypoint of each range; the ranges of one do not overlap, and come from the highest priority down
    lowest int4[],      -- lowest priority of each range
    highest int4[],     -- highest priority of each range
    after bigint[],     -- id after which each range begins
    due_age float8,     -- age in milliseconds up to which due times are looked at: no deferred job is due for longer
    log_steps boolean   -- write a log row for each claim
) RETURNS TABLE (
    id bigint, priority int4, entrypoint text, dedupe text, payload bytea, headers jsonb, attempts int4, slot bigint,
    created timestamptz, due timestamptz
) AS $$
#variable_conflict use_column
DECLARE
    share int4[] := ARRAY[most];
BEGIN
    IF cardinality(wanted) > 1 THEN
        share := {share_function}(
            wanted, most, array_fill(most, ARRAY[cardinality(wanted)]), array_fill(false, ARRAY[cardinality(wanted)]), 0,
            owner, lowest, highest, after
        );
    END IF;
    RETURN QUERY
    WITH candidate AS (
        SELECT job.place, job.id, job.priority
        FROM {ready_function}('lock', wanted, share, owner, lowest, highest, after) AS job
        UNION ALL
        SELECT job.* FROM (
            SELECT ctid AS place, id, priority FROM {queue_table}
            -- Written so that no index serves: the rows are found by their places.
            WHERE status IS NOT DISTINCT FROM 'queued'
                AND ctid = ANY (ARRAY(SELECT found.place FROM {due_function}(
                    wanted, NULL, now(), now() - due_age * interval '1 millisecond'
                ) AS found))
            ORDER BY priority DESC, id
            LIMIT (SELECT most)
            FOR UPDATE SKIP LOCKED
        ) AS job
    ), claimed AS (
        UPDATE {queue_table}
        -- A claim without a seat clears the seat: a value left by another client could hit the index of seats.
        SET status = 'picked', updated = now(), heartbeat = now(), queue_manager_id = manager, slot = NULL
        WHERE ctid = ANY (ARRAY(
            SELECT candidate.place FROM candidate ORDER BY candidate.priority DESC, candidate.id LIMIT (SELECT most)
        ))
        RETURNING id::bigint, priority, entrypoint, dedupe_key, payload, headers, attempts, slot, created, execute_after
    ), logged AS (
        INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, aggregated)
        SELECT claimed.id, 'picked', claimed.entrypoint, claimed.priority,
            (
                -- For fewer a count of their own saves nothing.
                SELECT CASE WHEN count(*) >= 10 THEN
                    {count_function}(now(), array_agg(claimed.entrypoint), array_agg(claimed.priority), 'picked')
                ELSE false END
                FROM claimed
            )
        FROM claimed WHERE log_steps
    )
    SELECT * FROM claimed ORDER BY claimed.priority DESC, claimed.id;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- Deals with picked jobs whose lease has run out: claims them; puts those of limited entrypoints back, to be claimed
-- within the limits; keeps as failed those whose workers died too often in a row. Gives the claimed ones, and in each row how
-- many it dealt with; if it claimed none, one row with that alone.
--
-- Entries of jobs that have ended stand in front of those of jobs that run, and stay there while any session holds an old
-- snapshot. To begin behind them spares a walk over all of them.
CREATE OR REPLACE FUNCTION {take_over_function}(
    most int4,
    manager uuid,        -- queue manager that takes the lease
    running bigint[],    -- ids that the queue manager is running itself
    wanted text[],
    timeout float8[],    -- age in milliseconds at which a heartbeat of each is too old
    limited boolean[],   -- whether each has a limit
    take_overs int4[],   -- take-overs in a row after which a job of each is held
    oldest float8,       -- age in milliseconds up to which heartbeats are looked at: older ones have been dealt with
    log_steps boolean    -- write a log row for each claim
) RETURNS TABLE (
    id bigint, priority int4, entrypoint text, dedupe text, payload bytea, headers jsonb, attempts int4, slot bigint,
    created timestamptz, due timestamptz, canceled boolean, dealt int4
) AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH asked AS (
        SELECT * FROM unnest((SELECT wanted), (SELECT timeout), (SELECT limited), (SELECT take_overs))
            AS asked(entrypoint, timeout, limited, allowed)
    ), stale AS (
        SELECT job.ctid AS place,
            CASE
                -- To be ended by the one who claims it.
                WHEN job.cancel_requested THEN 'claim'
                WHEN job.take_overs + 1 >= asked.allowed THEN 'hold'
                WHEN asked.limited THEN 'put back'
                ELSE 'claim'
            END AS fate
        FROM {queue_table} AS job JOIN asked ON asked.entrypoint = job.entrypoint
        WHERE job.status = 'picked'
            AND job.heartbeat < now() - (SELECT min(asked.timeout) FROM asked) * interval '1 millisecond'
            AND job.heartbeat < now() - asked.timeout * interval '1 millisecond'
            AND job.heartbeat >= now() - (SELECT oldest) * interval '1 millisecond'
            AND job.id <> ALL ((SELECT running)::bigint[])
        ORDER BY job.heartbeat
        LIMIT (SELECT most)
        FOR UPDATE OF job SKIP LOCKED
    ), claimed AS (
        UPDATE {queue_table}
        SET updated = now(), heartbeat = now(), queue_manager_id = manager, take_overs = take_overs + 1
        WHERE ctid = ANY (ARRAY(SELECT stale.place FROM stale WHERE stale.fate = 'claim'))
        RETURNING id::bigint, priority, entrypoint, dedupe_key, payload, headers, attempts, slot, created, execute_after,
            cancel_requested
    ), put_back AS (
        UPDATE {queue_table}
        SET status = 'queued', updated = now(), queue_manager_id = NULL, slot = NULL, take_overs = take_overs + 1
        WHERE ctid = ANY (ARRAY(SELECT stale.place FROM stale WHERE stale.fate = 'put back'))
        RETURNING id, entrypoint, priority
    ), held AS (
        UPDATE {queue_table}
        SET status = 'failed', updated = now(), queue_manager_id = NULL, slot = NULL, take_overs = take_overs + 1
        WHERE ctid = ANY (ARRAY(SELECT stale.place FROM stale WHERE stale.fate = 'hold'))
        RETURNING id, entrypoint, priority, take_overs
    ), logged AS (
        INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, traceback)
        SELECT claimed.id, 'picked'::{queue_status_type}, claimed.entrypoint, claimed.priority, NULL::jsonb FROM claimed
        WHERE log_steps
        UNION ALL SELECT put_back.id, 'queued', put_back.entrypoint, put_back.priority, NULL FROM put_back WHERE log_steps
        UNION ALL SELECT held.id, 'failed', held.entrypoint, held.priority, jsonb_build_object(
            'job_id', held.id, 'timestamp', now(), 'exception_type', 'WorkerDied',
            'exception_message', format('%s workers in a row died while they ran this job', held.take_overs),
            'traceback', '', 'additional_context', jsonb_build_object('entrypoint', held.entrypoint)
        ) FROM held
    )
    SELECT claimed.*, (SELECT count(*) FROM stale)::int4
    FROM (SELECT) AS one LEFT JOIN claimed ON true
    ORDER BY claimed.priority DESC, claimed.id;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- The fronts of the indexes that claims read: for the other functions. Each is called once for all entrypoints.

-- Gives the first ready jobs of each entrypoint in ranges of their index, in the order of a claim. Ranges are read one after
-- another, and the lower ones only as far as they are needed.
-- Three statements, since neither a lock nor the condition of a partial index can depend on a parameter.
CREATE OR REPLACE FUNCTION {ready_function}(
    mode text,       -- look; lock: passes over rows that another session has locked; lock keyed: those with a dedupe key
    wanted text[],
    most int4[],     -- of each
    owner text[],    -- entrypoint of each range; the ranges of one do not overlap, and come from the highest priority down
    lowest int4[],   -- lowest priority of each range
    highest int4[],  -- highest priority of each range
    after bigint[]   -- id after which each range begins
) RETURNS TABLE (entrypoint text, place tid, id bigint, priority int4, keyless boolean) AS $$
#variable_conflict use_column
BEGIN
    IF mode = 'look' THEN
        RETURN QUERY
        SELECT asked.entrypoint, job.* FROM unnest((SELECT wanted), (SELECT most)) AS asked(entrypoint, most)
        CROSS JOIN LATERAL (
            SELECT job.* FROM unnest((SELECT owner), (SELECT lowest), (SELECT highest), (SELECT after))
                AS range(owner, lowest, highest, after)
            CROSS JOIN LATERAL (
                SELECT ctid, id::bigint, priority, dedupe_key IS NULL FROM {queue_table}
                WHERE entrypoint COLLATE "C" = range.owner AND status = 'queued' AND execute_after <= created
                    AND priority >= range.lowest AND priority <= range.highest AND id > range.after
                ORDER BY priority DESC, id
                LIMIT greatest(0, asked.most)
            ) AS job
            WHERE range.owner = asked.entrypoint
            LIMIT greatest(0, asked.most)
        ) AS job;
    ELSIF mode = 'lock' THEN
        RETURN QUERY
        SELECT asked.entrypoint, job.* FROM unnest((SELECT wanted), (SELECT most)) AS asked(entrypoint, most)
        CROSS JOIN LATERAL (
            SELECT job.* FROM unnest((SELECT owner), (SELECT lowest), (SELECT highest), (SELECT after))
                AS range(owner, lowest, highest, after)
            CROSS JOIN LATERAL (
                SELECT ctid, id::bigint, priority, dedupe_key IS NULL FROM {queue_table}
                WHERE entrypoint COLLATE "C" = range.owner AND status = 'queued' AND execute_after <= created
                    AND priority >= range.lowest AND priority <= range.highest AND id > range.after
                ORDER BY priority DESC, id
                LIMIT greatest(0, asked.most)
                FOR UPDATE SKIP LOCKED
            ) AS job
            WHERE range.owner = asked.entrypoint
            LIMIT greatest(0, asked.most)
        ) AS job;
    ELSE
        RETURN QUERY
        SELECT asked.entrypoint, job.* FROM unnest((SELECT wanted), (SELECT most)) AS asked(entrypoint, most)
        CROSS JOIN LATERAL (
            SELECT job.* FROM unnest((SELECT owner), (SELECT lowest), (SELECT highest), (SELECT after))
                AS range(owner, lowest, highest, after)
            CROSS JOIN LATERAL (
                SELECT ctid, id::bigint, priority, false FROM {queue_table}
                WHERE entrypoint COLLATE "C" = range.owner AND status = 'queued' AND execute_after <= created
                    AND dedupe_key IS NOT NULL
                    AND priority >= range.lowest AND priority <= range.highest AND id > range.after
                ORDER BY priority DESC, id
                LIMIT greatest(0, asked.most)
                FOR UPDATE SKIP LOCKED
            ) AS job
            WHERE range.owner = asked.entrypoint
            LIMIT greatest(0, asked.most)
        ) AS job;
    END IF;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off;

-- Gives how many of the first ready jobs of all entrypoints belong to each, in the order in which they are wanted: more than
-- will be claimed are not locked. It looks no further into each than twice its equal share at first. Where all that it has
-- seen of one is among the first jobs, there may be more of that, and it looks as far as the claim may go.
CREATE OR REPLACE FUNCTION {share_function}(
    wanted text[],
    most int4,           -- of all
    rooms int4[],        -- most of each
    limited boolean[],   -- whether each has a limit
    startable int4,      -- most of all that have one
    owner text[],        -- entrypoint of each range, and so on, as above
    lowest int4[],
    highest int4[],
    after bigint[]
) RETURNS int4[] AS $$
DECLARE
    depth int4 := 2 * most / greatest(1, cardinality(wanted)) + 10;
    share int4[];
    complete boolean;
BEGIN
    LOOP
        SELECT array_agg(seen.jobs ORDER BY seen.position), bool_and(seen.jobs < depth OR seen.jobs >= seen.room)
        INTO share, complete
        FROM (
            SELECT asked.position, asked.room, count(first.entrypoint)::int4 AS jobs
            FROM unnest((SELECT wanted), (SELECT rooms)) WITH ORDINALITY AS asked(entrypoint, room, position)
            LEFT JOIN (
                SELECT front.entrypoint FROM (
                    SELECT job.entrypoint, job.priority, job.id, gate.limited,
                        row_number() OVER (PARTITION BY gate.limited ORDER BY job.priority DESC, job.id) AS start
                    FROM {ready_function}(
                        'look', wanted, ARRAY(SELECT least(room, depth) FROM unnest(rooms) AS each(room)),
                        owner, lowest, highest, after
                    ) AS job
                    JOIN unnest((SELECT wanted), (SELECT limited)) AS gate(entrypoint, limited)
                        ON gate.entrypoint = job.entrypoint
                ) AS front
                -- Those that may not start must not count: they would take the place of jobs that may.
                WHERE NOT front.limited OR front.start <= startable
                ORDER BY front.priority DESC, front.id
                LIMIT (SELECT most)
            ) AS first ON first.entrypoint = asked.entrypoint
            GROUP BY asked.position, asked.room
        ) AS seen;
        EXIT WHEN complete IS NOT FALSE OR depth >= most;
        depth := most;
    END LOOP;
    RETURN share;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- Gives the places of due jobs of each entrypoint, some of them more than once: the thousand that are due longest, so that
-- none waits for ever. Where there are more, also up to a thousand by priority: deferred jobs cannot be in the order of a
-- claim before they are due, as no index knows the time; so each priority is looked at by itself, those due longest first,
-- and at most 64 of them. Where jobs without a dedupe key are not wanted, also the thousand with one that are due longest:
-- they may stand behind very many without.
CREATE OR REPLACE FUNCTION {due_function}(
    wanted text[],
    keyless boolean[],     -- what is wanted of each: true: jobs without a dedupe key; false: those with one; null: both
    instant timestamptz,
    oldest timestamptz     -- of those of which both are wanted, none became due before
) RETURNS TABLE (part int4, place tid) AS $$
#variable_conflict use_column
DECLARE
    parts int4[];
    places tid[];
    crowded int4;
    level bigint;
    given int4;
    total int4;
BEGIN
    SELECT array_agg(asked.part::int4), array_agg(job.ctid) INTO parts, places
    FROM unnest((SELECT wanted), (SELECT keyless)) WITH ORDINALITY AS asked(entrypoint, keyless, part)
    CROSS JOIN LATERAL (
        SELECT ctid FROM {queue_table}
        WHERE entrypoint COLLATE "C" = asked.entrypoint AND status = 'queued' AND execute_after > created
            AND execute_after <= (SELECT instant)
            AND execute_after >= CASE WHEN asked.keyless IS NULL THEN (SELECT oldest) ELSE '-infinity' END
        ORDER BY execute_after
        LIMIT 1000
    ) AS job;
    RETURN QUERY SELECT * FROM unnest(parts, places);

    IF false = ANY (keyless) THEN
        RETURN QUERY
        SELECT asked.part::int4, job.ctid
        FROM unnest((SELECT wanted), (SELECT keyless)) WITH ORDINALITY AS asked(entrypoint, keyless, part)
        CROSS JOIN LATERAL (
            SELECT ctid FROM {queue_table}
            WHERE entrypoint COLLATE "C" = asked.entrypoint AND status = 'queued' AND execute_after > created
                AND execute_after <= (SELECT instant) AND dedupe_key IS NOT NULL
            ORDER BY execute_after
            LIMIT CASE WHEN NOT asked.keyless THEN 1000 ELSE 0 END
        ) AS job;
    END IF;

    FOR crowded IN SELECT found.part FROM unnest(parts) AS found(part) GROUP BY found.part HAVING count(*) = 1000 LOOP
        level := 2147483648;  -- above every priority
        total := 0;
        FOR turn IN 1 .. 64 LOOP
            level := (
                SELECT priority FROM {queue_table}
                WHERE entrypoint COLLATE "C" = (SELECT wanted[crowded]) AND status = 'queued' AND execute_after > created
                    AND priority < (SELECT level)
                ORDER BY priority DESC
                LIMIT 1
            );
            EXIT WHEN level IS NULL;
            RETURN QUERY
                SELECT crowded, ctid FROM {queue_table}
                WHERE entrypoint COLLATE "C" = (SELECT wanted[crowded]) AND status = 'queued' AND execute_after > created
                    -- Not "=": one index alone has this order.
                    AND priority >= (SELECT level) AND priority <= (SELECT level) AND execute_after <= (SELECT instant)
                ORDER BY priority DESC, execute_after
                LIMIT 1000;
            GET DIAGNOSTICS given = ROW_COUNT;
            total := total + given;
            EXIT WHEN total >= 1000;
        END LOOP;
    END LOOP;
END;
$$ LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off;

-- The leases that a worker holds.

-- Renews leases. Gives the jobs whose lease is still held, and whether somebody wants one stopped. A row that another
-- session has locked is passed over, since to wait for it would hold up the others, and counts as held until the next time.
CREATE OR REPLACE FUNCTION {heartbeat_function}(
    ids bigint[],
    manager uuid   -- queue manager that holds the leases
) RETURNS TABLE (id bigint, canceled boolean) AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH renewed AS (
        UPDATE {queue_table} SET heartbeat = now()
        WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM {queue_table}
            WHERE id = ANY ((SELECT ids)::bigint[]) AND status IS NOT DISTINCT FROM 'picked'
                AND queue_manager_id IS NOT DISTINCT FROM manager
            FOR UPDATE SKIP LOCKED
        ))
    )
    SELECT job.id::bigint, job.cancel_requested FROM {queue_table} AS job
    WHERE job.id = ANY ((SELECT ids)::bigint[]) AND job.status IS NOT DISTINCT FROM 'picked'
        AND job.queue_manager_id IS NOT DISTINCT FROM manager;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- Renews every lease of a queue manager. Sent by a thread while the main thread, which knows which jobs it runs, is blocked.
-- A row that another session has locked is passed over. Gives the ids.
CREATE OR REPLACE FUNCTION {keep_leases_function}(
    manager uuid   -- queue manager that holds the leases
) RETURNS TABLE (id bigint) AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    UPDATE {queue_table} AS job SET heartbeat = now()
    WHERE job.ctid = ANY (ARRAY(
        SELECT ctid FROM {queue_table} WHERE status IS NOT DISTINCT FROM 'picked' AND queue_manager_id = (SELECT manager)
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING job.id::bigint;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- The log, as workers read and prune it.

-- Says where jobs stand: the status of a row of the queue; of a job that is gone, how it ended. One whose rows were removed
-- without a word in the log, as by TRUNCATE, was deleted. Null for an id of which neither table knows.
-- A row that ends a job counts before any other of the log: written in a transaction that began before the claim, it is
-- the older one by its time.
CREATE OR REPLACE FUNCTION {job_status_function}(ids bigint[]) RETURNS TABLE (id bigint, status text) AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT wanted.id, coalesce(
        (SELECT job.status FROM {queue_table} AS job WHERE job.id = wanted.id),
        (
            SELECT entry.status FROM {queue_table_log} AS entry
            WHERE entry.job_id = wanted.id AND entry.status IN ('successful', 'exception', 'canceled', 'deleted')
            ORDER BY entry.created DESC, entry.id DESC
            LIMIT 1
        ),
        (SELECT 'deleted'::{queue_status_type} FROM {queue_table_log} AS entry WHERE entry.job_id = wanted.id LIMIT 1)
    )::text
    FROM unnest((SELECT ids)) AS wanted(id);
END;
$$ LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off;

-- Counts log rows of one second and status for the statement that writes them: all of them, or none. Says whether it did. If not,
-- they are counted later, which writes each of them anew with all its index entries: a fifth of what a job costs the server.
--
-- No claim waits for it. Where the table or a row is locked, by another claim for a moment or by an aggregation for seconds, they
-- are counted later, and so where the role may not count. A row that another session has just inserted is waited for, as
-- nothing shows it: once in a second, for a commit of a claim most often. By the time-out no two wait for each other, either.
CREATE OR REPLACE FUNCTION {count_function}(
    instant timestamptz,
    entrypoints text[],   -- of each row
    priorities int4[],    -- of each row
    outcome {queue_status_type}
) RETURNS boolean AS $$
#variable_conflict use_column
DECLARE
    names text[];
    levels int4[];
    numbers bigint[];
    places tid[];
BEGIN
    SELECT array_agg(part.entrypoint), array_agg(part.priority), array_agg(part.number) INTO names, levels, numbers
    FROM (
        SELECT entry.entrypoint, entry.priority, count(*) AS number
        FROM unnest((SELECT entrypoints), (SELECT priorities)) AS entry(entrypoint, priority)
        GROUP BY entry.entrypoint, entry.priority
        ORDER BY entry.entrypoint, entry.priority
    ) AS part;
    BEGIN
        LOCK TABLE {statistics_table} IN ROW EXCLUSIVE MODE NOWAIT;
        INSERT INTO {statistics_table} (created, entrypoint, priority, status, count)
        SELECT date_trunc('second', instant), part.entrypoint, part.priority, outcome, 0
        FROM unnest((SELECT names), (SELECT levels)) AS part(entrypoint, priority)
        -- A conflict with one that is there and locked would be waited for. Not EXISTS: the planner might read all counts for it.
        WHERE (
            SELECT counted.id FROM {statistics_table} AS counted
            WHERE counted.priority = part.priority AND counted.status = outcome AND counted.entrypoint = part.entrypoint
                AND date_trunc('sec', timezone('UTC', counted.created)) = date_trunc('sec', timezone('UTC', instant))
        ) IS NULL
        ON CONFLICT DO NOTHING;
        SELECT array_agg(free.place), array_agg(free.number) INTO places, numbers
        FROM (
            SELECT counted.place, part.number
            FROM unnest((SELECT names), (SELECT levels), (SELECT numbers)) AS part(entrypoint, priority, number)
            CROSS JOIN LATERAL (
                SELECT ctid AS place FROM {statistics_table}
                WHERE priority = part.priority AND status = outcome AND entrypoint = part.entrypoint
                    AND date_trunc('sec', timezone('UTC', created)) = date_trunc('sec', timezone('UTC', instant))
                FOR UPDATE SKIP LOCKED
            ) AS counted
        ) AS free;
        IF cardinality(places) = cardinality(names) THEN
            -- Not by a join: that would read all counts.
            UPDATE {statistics_table} SET count = count + numbers[array_position(places, ctid)]
            WHERE ctid = ANY ((SELECT places)::tid[]);
        ELSE
            RAISE lock_not_available;
        END IF;
        RETURN true;
    EXCEPTION WHEN lock_not_available OR deadlock_detected OR serialization_failure OR insufficient_privilege THEN
        RETURN false;
    END;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET lock_timeout = 20;

-- Folds log rows into counts per second, as many as it takes half a second for. Says whether there are more. Does nothing while
-- another session does it. Not for a caller's transaction: it holds its locks until the end.
--
-- Each row is counted once, whoever aggregates at the same time:
-- * What is counted is what the UPDATE has flagged, not what a snapshot showed.
-- * Each statement of the function has a snapshot of its own, so the rows that an earlier holder of the lock flagged are seen.
-- * A Python dashboard aggregates without the advisory lock and counts what its snapshot shows. The lock on the table
--   keeps it waiting before it takes that snapshot, and us until it has committed. Reading is not held up.
--
-- Nobody can count at once meanwhile, so each run makes work for the next. It must be less than it has done: a run ends,
-- also where new rows keep coming, and the next one is not begun for several times as long.
CREATE OR REPLACE FUNCTION {aggregate_function}() RETURNS boolean AS $$
DECLARE
    number int8;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('{statistics_table}')) THEN
        RETURN false;
    END IF;
    LOCK TABLE {statistics_table} IN SHARE ROW EXCLUSIVE MODE;
    -- Many: while an old snapshot keeps the entries of those that are flagged, each run walks over them first.
    WITH counted AS (
        UPDATE {queue_table_log} SET aggregated = true
        WHERE NOT aggregated AND ctid = ANY (ARRAY(
            SELECT ctid FROM {queue_table_log} WHERE NOT aggregated LIMIT 50000
        ))
        RETURNING created, entrypoint, priority, status
    ), added AS (
        INSERT INTO {statistics_table} AS statistics (created, entrypoint, priority, status, count)
        SELECT date_trunc('second', created), entrypoint, priority, status, count(*)
        FROM counted
        GROUP BY date_trunc('second', created), entrypoint, priority, status
        ON CONFLICT (priority, date_trunc('sec', timezone('UTC', created)), status, entrypoint)
        DO UPDATE SET count = statistics.count + excluded.count
    )
    SELECT count(*) INTO number FROM counted;
    RETURN number = 50000;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET lock_timeout = 3000;

-- Looks at the first log rows behind an id and deletes those that are old and counted in the statistics. Why a held job failed
-- is kept as long as the job. Gives how many it deleted, and the id of the last one that was old and counted (null: none was).
--
-- Ids are drawn in the order of time, near enough. To go by the time itself would take an index of it: a btree makes an insert
-- a quarter more expensive, and a summary of blocks (BRIN) is of no use any more once new rows have taken the place of old
-- ones, as it never forgets an old time.
CREATE OR REPLACE FUNCTION {prune_log_function}(
    age float8,    -- in milliseconds above which a row goes
    most int4,     -- rows to look at
    after bigint   -- id behind which to look
) RETURNS TABLE (gone int4, last bigint) AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH seen AS (
        SELECT ctid AS place, id, job_id, status,
            aggregated AND created < (SELECT now() - age * interval '1 millisecond') AS old
        FROM {queue_table_log}
        WHERE id > (SELECT after)
        ORDER BY id
        LIMIT (SELECT most)
    ), gone AS (
        DELETE FROM {queue_table_log} WHERE ctid = ANY (ARRAY(
            SELECT entry.ctid FROM {queue_table_log} AS entry
            WHERE entry.ctid = ANY (ARRAY(
                SELECT seen.place FROM seen
                WHERE seen.old
                    -- Not EXISTS: the planner might read the whole queue for it.
                    AND (
                        seen.status <> 'failed'
                        OR (SELECT job.status FROM {queue_table} AS job WHERE job.id = seen.job_id) IS DISTINCT FROM 'failed'
                    )
            ))
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone)::int4, max(seen.id)::bigint FROM seen WHERE seen.old;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off;

-- Outcomes of attempts. Each passes over a job whose lease is lost. A lease is what \`updated\` got when the claim was made, in
-- microseconds since 1970.
--
-- The fence is written so that only the primary key serves. By the indexes of picked jobs and of the queue manager's the
-- planner walked all that was ever claimed, as dead entries: seven times the work, and more the longer it went on. For the
-- same reason a join with given ids is either LATERAL or "= ANY (ARRAY[...])" and not "=": where the statistics say that the
-- table is empty, a planner takes a walk over the whole primary key for as good as a look at one id.

-- Wakes workers: jobs may be ready or seats free, and an UPDATE tells nobody.
CREATE OR REPLACE FUNCTION {wake_function}() RETURNS void AS $$
BEGIN
    PERFORM pg_notify('{channel}', json_build_object(
        'channel', '{channel}', 'operation', 'update', 'sent_at', now(), 'table', '{queue_table_name}',
        'type', 'table_changed_event'
    )::text);
END;
$$ LANGUAGE plpgsql;

-- Ends picked jobs, all with one outcome: deletes them and logs it. Gives the ids it ended. The log has the time of this
-- statement: in the transaction of a handler, now() is when that began.
CREATE OR REPLACE FUNCTION {acknowledge_function}(
    ids bigint[],
    outcome {queue_status_type},
    manager uuid,      -- queue manager that holds the leases
    leases bigint[]
) RETURNS TABLE (id bigint) AS $$
#variable_conflict use_column
DECLARE
    instant timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH given AS (
        SELECT given.id, timestamptz 'epoch' + given.lease * interval '1 microsecond' AS claimed
        FROM unnest((SELECT ids), (SELECT leases)) AS given(id, lease)
    ), ended AS (
        DELETE FROM {queue_table} AS job USING given
        WHERE job.id = ANY (ARRAY[given.id]) AND job.updated = given.claimed
            AND job.status IS NOT DISTINCT FROM 'picked' AND job.queue_manager_id IS NOT DISTINCT FROM manager
        RETURNING job.id, job.entrypoint, job.priority
    )
    INSERT INTO {queue_table_log} AS entry (job_id, status, entrypoint, priority, created, aggregated)
    SELECT ended.id, outcome, ended.entrypoint, ended.priority, instant,
        (
            -- For fewer a count of their own saves nothing.
            SELECT CASE WHEN count(*) >= 10 THEN
                {count_function}(instant, array_agg(ended.entrypoint), array_agg(ended.priority), outcome)
            ELSE false END
            FROM ended
        )
    FROM ended
    RETURNING entry.job_id::bigint;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- Ends picked jobs that failed: deletes them and logs why. Gives the ids it ended.
CREATE OR REPLACE FUNCTION {acknowledge_failure_function}(
    ids bigint[],
    tracebacks jsonb[],
    manager uuid,      -- queue manager that holds the leases
    leases bigint[]
) RETURNS TABLE (id bigint) AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH given AS (
        SELECT given.id, given.traceback, timestamptz 'epoch' + given.lease * interval '1 microsecond' AS claimed
        FROM unnest((SELECT ids), (SELECT tracebacks), (SELECT leases)) AS given(id, traceback, lease)
    ), ended AS (
        DELETE FROM {queue_table} AS job USING given
        WHERE job.id = ANY (ARRAY[given.id]) AND job.updated = given.claimed
            AND job.status IS NOT DISTINCT FROM 'picked' AND job.queue_manager_id IS NOT DISTINCT FROM manager
        RETURNING job.id, job.entrypoint, job.priority, given.traceback
    )
    INSERT INTO {queue_table_log} AS entry (job_id, status, entrypoint, priority, traceback)
    SELECT ended.id, 'exception', ended.entrypoint, ended.priority, ended.traceback FROM ended
    RETURNING entry.job_id::bigint;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- Keeps picked jobs as failed and logs why. Ends those that somebody wants stopped. Gives the ids of both. Wakes workers.
CREATE OR REPLACE FUNCTION {hold_function}(
    ids bigint[],
    tracebacks jsonb[],
    manager uuid,      -- queue manager that holds the leases
    leases bigint[]
) RETURNS TABLE (id bigint) AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH mine AS (
        SELECT job.*, outcome.traceback
        FROM (
            SELECT * FROM unnest((SELECT ids), (SELECT tracebacks), (SELECT leases)) AS outcome(id, traceback, lease)
            ORDER BY outcome.id
        ) AS outcome
        CROSS JOIN LATERAL (
            SELECT id, cancel_requested FROM {queue_table}
            WHERE id = outcome.id AND updated = timestamptz 'epoch' + outcome.lease * interval '1 microsecond'
                AND status IS NOT DISTINCT FROM 'picked' AND queue_manager_id IS NOT DISTINCT FROM manager
            FOR UPDATE
        ) AS job
    ), held AS (
        UPDATE {queue_table} AS job
        SET status = 'failed', updated = now(), queue_manager_id = NULL, slot = NULL, take_overs = 0
        FROM mine
        WHERE job.id = ANY (ARRAY[mine.id]) AND NOT mine.cancel_requested
        RETURNING job.id, job.status, job.entrypoint, job.priority, mine.traceback
    ), canceled AS (
        DELETE FROM {queue_table} AS job USING mine
        WHERE job.id = ANY (ARRAY[mine.id]) AND mine.cancel_requested
        RETURNING job.id, 'canceled'::{queue_status_type}, job.entrypoint, job.priority, mine.traceback
    ), done AS (
        SELECT * FROM held UNION ALL SELECT * FROM canceled
    ), logged AS (
        INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, traceback)
        SELECT * FROM done
    )
    SELECT done.id::bigint FROM done;
    IF FOUND THEN
        PERFORM {wake_function}();
    END IF;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- Puts picked jobs back in the queue as if they had not been claimed, and wakes other workers. Ends those that somebody
-- wants stopped. Gives the ids of both.
CREATE OR REPLACE FUNCTION {release_function}(
    ids bigint[],
    manager uuid,      -- queue manager that holds the leases
    leases bigint[],
    log_steps boolean
) RETURNS TABLE (id bigint) AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH mine AS (
        SELECT job.*
        FROM (
            SELECT * FROM unnest((SELECT ids), (SELECT leases)) AS outcome(id, lease)
            ORDER BY outcome.id
        ) AS outcome
        CROSS JOIN LATERAL (
            SELECT id, cancel_requested FROM {queue_table}
            WHERE id = outcome.id AND updated = timestamptz 'epoch' + outcome.lease * interval '1 microsecond'
                AND status IS NOT DISTINCT FROM 'picked' AND queue_manager_id IS NOT DISTINCT FROM manager
            FOR UPDATE
        ) AS job
    ), released AS (
        UPDATE {queue_table} AS job
        SET status = 'queued', updated = now(), queue_manager_id = NULL, slot = NULL, take_overs = 0
        FROM mine
        WHERE job.id = ANY (ARRAY[mine.id]) AND NOT mine.cancel_requested
        RETURNING job.id, job.status, job.entrypoint, job.priority
    ), canceled AS (
        DELETE FROM {queue_table} AS job USING mine
        WHERE job.id = ANY (ARRAY[mine.id]) AND mine.cancel_requested
        RETURNING job.id, 'canceled'::{queue_status_type}, job.entrypoint, job.priority
    ), done AS (
        SELECT * FROM released UNION ALL SELECT * FROM canceled
    ), logged AS (
        INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
        SELECT * FROM done WHERE log_steps OR done.status <> 'queued'
    )
    SELECT done.id::bigint FROM done;
    IF FOUND THEN
        PERFORM {wake_function}();
    END IF;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- Puts back every job that a queue manager holds in the table and does not know of: the answer to a claim was lost on
-- its way. Ends those that somebody wants stopped. Wakes other workers. Gives the ids of both.
CREATE OR REPLACE FUNCTION {release_unknown_function}(
    known bigint[],      -- ids of the jobs it knows
    manager uuid,        -- queue manager that holds the leases
    moment bigint,       -- no later lease is given up, as it may be one that the sender does not know of yet
    log_steps boolean
) RETURNS TABLE (id bigint) AS $$
DECLARE
    ids bigint[];
    leases bigint[];
BEGIN
    SELECT array_agg(job.id), array_agg((date_part('epoch', job.updated) * 1000000)::bigint) INTO ids, leases
    FROM {queue_table} AS job
    WHERE job.id <> ALL ((SELECT known)::bigint[]) AND job.status IS NOT DISTINCT FROM 'picked'
        AND job.queue_manager_id = (SELECT manager)
        AND job.updated <= timestamptz 'epoch' + (SELECT moment) * interval '1 microsecond';
    RETURN QUERY SELECT * FROM {release_function}(ids, manager, leases, log_steps);
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- Puts picked jobs back in the queue for another attempt, logs why, and wakes the workers. Ends those that somebody wants
-- stopped. Gives the ids of both.
CREATE OR REPLACE FUNCTION {retry_function}(
    ids bigint[],
    delays float8[],   -- in milliseconds from now
    tracebacks jsonb[],
    manager uuid,      -- queue manager that holds the leases
    leases bigint[]
) RETURNS TABLE (id bigint) AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    -- Locked first: a cancel that has the row is waited for and then seen.
    WITH mine AS (
        SELECT job.*, outcome.delay, outcome.traceback
        FROM (
            SELECT * FROM unnest((SELECT ids), (SELECT delays), (SELECT tracebacks), (SELECT leases))
                AS outcome(id, delay, traceback, lease)
            ORDER BY outcome.id
        ) AS outcome
        CROSS JOIN LATERAL (
            SELECT id, cancel_requested FROM {queue_table}
            WHERE id = outcome.id AND updated = timestamptz 'epoch' + outcome.lease * interval '1 microsecond'
                AND status IS NOT DISTINCT FROM 'picked' AND queue_manager_id IS NOT DISTINCT FROM manager
            FOR UPDATE
        ) AS job
    ), retried AS (
        UPDATE {queue_table} AS job
        SET status = 'queued', updated = now(), queue_manager_id = NULL, slot = NULL, take_overs = 0,
            attempts = job.attempts + 1,
            -- Without a delay the job is ready at once, in the index of ready jobs.
            execute_after = CASE WHEN mine.delay > 0 THEN now() + mine.delay * interval '1 millisecond'
                ELSE job.created END
        FROM mine
        WHERE job.id = ANY (ARRAY[mine.id]) AND NOT mine.cancel_requested
        RETURNING job.id, job.status, job.entrypoint, job.priority, mine.traceback
    ), canceled AS (
        DELETE FROM {queue_table} AS job USING mine
        WHERE job.id = ANY (ARRAY[mine.id]) AND mine.cancel_requested
        RETURNING job.id, 'canceled'::{queue_status_type}, job.entrypoint, job.priority, mine.traceback
    ), done AS (
        SELECT * FROM retried UNION ALL SELECT * FROM canceled
    ), logged AS (
        INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, traceback)
        SELECT * FROM done
    )
    SELECT done.id::bigint FROM done;
    IF FOUND THEN
        PERFORM {wake_function}();
    END IF;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- Ends queued and held jobs, and asks the workers of picked ones to stop them: those keep key and seat until they have.
-- Gives the ids it found in either state.
CREATE OR REPLACE FUNCTION {cancel_function}(ids bigint[]) RETURNS TABLE (id bigint) AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH found AS (
        SELECT job.place, job.id, job.status
        FROM (SELECT * FROM unnest((SELECT ids)) AS wanted(id) ORDER BY wanted.id) AS wanted
        CROSS JOIN LATERAL (
            SELECT ctid AS place, id, status FROM {queue_table} WHERE id = wanted.id FOR UPDATE
        ) AS job
    ), ended AS (
        DELETE FROM {queue_table}
        WHERE ctid = ANY (ARRAY(SELECT found.place FROM found WHERE found.status <> 'picked'))
        RETURNING id, entrypoint, priority
    ), logged AS (
        INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
        SELECT ended.id, 'canceled', ended.entrypoint, ended.priority FROM ended
    ), marked AS (
        UPDATE {queue_table} SET cancel_requested = true
        WHERE ctid = ANY (ARRAY(SELECT found.place FROM found WHERE found.status = 'picked'))
        RETURNING id
    ), told AS (
        -- A notification holds 8,000 bytes.
        SELECT pg_notify('{channel}', json_build_object(
            'channel', '{channel}', 'ids', json_agg(numbered.id), 'sent_at', now(), 'type', 'cancellation_event'
        )::text)
        FROM (SELECT marked.id, row_number() OVER (ORDER BY marked.id) / 300 AS part FROM marked) AS numbered
        GROUP BY numbered.part
    )
    SELECT done.id::bigint FROM (SELECT ended.id FROM ended UNION ALL SELECT marked.id FROM marked) AS done
    -- Always so: what nobody asks for is not done.
    WHERE (SELECT count(*) FROM told) >= 0;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- What a worker without work waits for.

-- Says whether a job may start now, and in how many milliseconds the next deferred job is due, the first of all was or will
-- be, the next token of a rate comes and the next lease runs out (null: there is none); and whether a job waits for a seat,
-- so that the end of another is worth waking for.
CREATE OR REPLACE FUNCTION {look_ahead_function}(
    event text,           -- to send to every listener, or null
    wanted text[],
    concurrency int4[],   -- most picked jobs of each in the fleet; 0: no limit
    rate float8[],        -- most starts a second of each in the fleet; infinity: no limit
    serialized boolean[], -- whether its jobs without a dedupe key run one after another
    timeout float8[],     -- age in milliseconds at which a heartbeat of each is too old
    lease_age float8,     -- age in milliseconds up to which heartbeats are looked at for leases: there are no older ones
    seat_age float8,      -- likewise for seats
    due_age float8,       -- likewise for due times, but for serialized entrypoints
    owner text[],         -- entrypoint of each range of ready jobs to look at
    lowest int4[],        -- lowest priority of each range
    highest int4[],       -- highest priority of each range
    after bigint[]        -- id after which each range begins
) RETURNS TABLE (ready boolean, blocked boolean, due float8, first_due float8, token float8, stale float8) AS $$
#variable_conflict use_column
BEGIN
    IF event IS NOT NULL THEN
        PERFORM pg_notify('{channel}', event);
    END IF;
    RETURN QUERY
    WITH asked AS (
        SELECT * FROM unnest((SELECT wanted), (SELECT concurrency), (SELECT rate), (SELECT serialized), (SELECT timeout))
            AS asked(entrypoint, concurrency, rate, serialized, timeout)
    ), range AS (
        SELECT * FROM unnest((SELECT owner), (SELECT lowest), (SELECT highest), (SELECT after))
            AS range(entrypoint, lowest, highest, after)
    ), gate AS (
        SELECT asked.*,
            asked.serialized AND EXISTS (
                SELECT 1 FROM (
                    SELECT id FROM {queue_table} AS job
                    WHERE job.status = 'picked' AND job.entrypoint = asked.entrypoint AND job.dedupe_key IS NULL
                    ORDER BY job.heartbeat
                    LIMIT 1
                ) AS first
            ) AS keyless_runs,
            asked.concurrency > 0 AND asked.concurrency <= (
                SELECT count(*) FROM (
                    SELECT job.id FROM {queue_table} AS job
                    WHERE job.status = 'picked' AND job.entrypoint = asked.entrypoint
                        AND job.heartbeat >= now() - (SELECT seat_age) * interval '1 millisecond'
                    ORDER BY job.heartbeat
                    LIMIT asked.concurrency
                ) AS picked
            ) AS taken,
            CASE WHEN asked.rate < 'infinity' THEN (
                SELECT (1 - least(
                    greatest(1, asked.rate),
                    bucket.tokens + extract(epoch FROM clock_timestamp() - bucket.refilled) * asked.rate
                )) / asked.rate * 1000
                FROM {limits_table} AS bucket WHERE bucket.entrypoint = asked.entrypoint
            ) END AS token
        FROM asked
    ), seen AS (
        -- Behind a running job without a key the others without one are not looked at: there may be very many of them.
        SELECT gate.*,
            CASE WHEN gate.keyless_runs THEN EXISTS (
                SELECT 1 FROM (
                    SELECT id FROM {queue_table} AS job
                    WHERE job.entrypoint COLLATE "C" = gate.entrypoint AND job.status = 'queued'
                        AND job.execute_after <= job.created AND job.dedupe_key IS NOT NULL
                    -- Any would do. The order makes the planner read the index and not the table from its start.
                    ORDER BY job.priority DESC, job.id
                    LIMIT 1
                ) AS first
            ) ELSE EXISTS (
                SELECT 1 FROM range CROSS JOIN LATERAL (
                    SELECT id FROM {queue_table} AS job
                    WHERE job.entrypoint COLLATE "C" = range.entrypoint AND job.status = 'queued'
                        AND job.execute_after <= job.created
                        AND job.priority >= range.lowest AND job.priority <= range.highest AND job.id > range.after
                    ORDER BY job.priority DESC, job.id
                    LIMIT 1
                ) AS first
                WHERE range.entrypoint = gate.entrypoint
            ) END AS ready,
            CASE WHEN gate.keyless_runs THEN (
                SELECT extract(epoch FROM job.execute_after - clock_timestamp()) * 1000 FROM {queue_table} AS job
                WHERE job.entrypoint COLLATE "C" = gate.entrypoint AND job.status = 'queued'
                    AND job.execute_after > job.created AND job.dedupe_key IS NOT NULL
                ORDER BY job.execute_after
                LIMIT 1
            ) ELSE (
                SELECT extract(epoch FROM job.execute_after - clock_timestamp()) * 1000 FROM {queue_table} AS job
                WHERE job.entrypoint COLLATE "C" = gate.entrypoint AND job.status = 'queued'
                    AND job.execute_after > job.created
                    AND job.execute_after >= CASE WHEN gate.serialized THEN '-infinity'
                        ELSE now() - (SELECT due_age) * interval '1 millisecond' END
                ORDER BY job.execute_after
                LIMIT 1
            ) END AS due,
            (
                SELECT extract(epoch FROM job.heartbeat - clock_timestamp()) * 1000 + gate.timeout
                FROM {queue_table} AS job
                WHERE job.status = 'picked' AND job.entrypoint = gate.entrypoint AND gate.timeout > 0
                    AND job.heartbeat >= now() - (SELECT lease_age) * interval '1 millisecond'
                ORDER BY job.heartbeat
                LIMIT 1
            ) AS stale
        FROM gate
    ), weighed AS (
        SELECT seen.*, seen.ready OR coalesce(seen.due <= 0, false) AS work FROM seen
    ), waiting AS (
        -- Where jobs with a key may start, those without are no reason to wait. Where none may, none is in front of them.
        SELECT weighed.*, CASE WHEN keyless_runs AND NOT work THEN
            EXISTS (
                SELECT 1 FROM (
                    SELECT id FROM {queue_table} AS job
                    WHERE job.entrypoint COLLATE "C" = weighed.entrypoint AND job.status = 'queued'
                        AND job.execute_after <= job.created AND job.dedupe_key IS NULL
                    ORDER BY job.priority DESC, job.id
                    LIMIT 1
                ) AS first
            ) OR EXISTS (
                SELECT 1 FROM (
                    SELECT id FROM {queue_table} AS job
                    WHERE job.entrypoint COLLATE "C" = weighed.entrypoint AND job.status = 'queued'
                        AND job.execute_after > job.created AND job.execute_after <= clock_timestamp()
                        AND job.dedupe_key IS NULL
                    ORDER BY job.execute_after
                    LIMIT 1
                ) AS first
            )
        ELSE false END AS keyless_waits
        FROM weighed
    )
    SELECT
        coalesce(bool_or(work AND NOT taken AND coalesce(token <= 0, true)), false) AS ready,
        coalesce(bool_or(work AND taken OR keyless_waits), false) AS blocked,
        min(due) FILTER (WHERE due > 0)::float8 AS due,
        min(due) FILTER (WHERE NOT serialized)::float8 AS first_due,
        min(token) FILTER (WHERE work AND NOT taken AND token > 0)::float8 AS token,
        min(stale)::float8 AS stale
    FROM waiting;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off;

-- Gives a payload that begins like JSON's objects, arrays and strings as text: as it is, or in base64, which begins otherwise.
--
-- Of a long one base64 costs the server and the client more than all else. Others are hardly ever text, and to learn that they are
-- none takes as long as base64.
CREATE OR REPLACE FUNCTION {payload_function}(payload bytea) RETURNS text AS $$
BEGIN
    -- In any other encoding what arrives need not be what was stored.
    IF getdatabaseencoding() = 'UTF8' AND current_setting('client_encoding') = 'UTF8' THEN
        BEGIN
            RETURN convert_from(payload, 'UTF8');
        EXCEPTION WHEN character_not_in_repertoire THEN
            -- A byte is null, or begins no letter.
        END;
    END IF;
    RETURN encode(payload, 'base64');
END;
$$ LANGUAGE plpgsql STABLE;`,
};

/** Steps from older schemas, in order, from `sql/upgrade/*.sql`. */
export const upgradeSteps: {
  readonly "0001_python": string;
  readonly "0002_limits": string;
  readonly "0003_lean_indexes": string;
  readonly "0004_autovacuum": string;
} = {
  "0001_python": `-- From every schema that the Python project has installed, back to its release 0.1, to the tables of its release 2.0.
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
-- It mends nothing by itself, so it is only part of the script that \`pgq sql upgrade\` prints: \`pgq upgrade\` builds the new
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
$$;`,
  "0002_limits": `-- Columns of our own, which the Python project neither reads nor minds.

-- step: Add the column take_overs
--   mends column {queue_table_name}.take_overs
--   locks {queue_table} ACCESS EXCLUSIVE
--   rewrites before PostgreSQL 11
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS take_overs int4 NOT NULL DEFAULT 0;

-- step: Add the column cancel_requested
--   mends column {queue_table_name}.cancel_requested
--   locks {queue_table} ACCESS EXCLUSIVE
--   rewrites before PostgreSQL 11
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS cancel_requested boolean NOT NULL DEFAULT false;`,
  "0003_lean_indexes": `-- Indexes that no statement of ours uses and that cost each job more than they give a Python worker or dashboard. The Python
-- project's own upgrade makes them again, and this takes them away again. Its counts read the index of heartbeats in place of
-- that of \`updated\`.

-- step: Drop the index {queue_table_name}_priority_id_id1_idx
--   mends index {queue_table_name}_priority_id_id1_idx dropped
--   locks {queue_table} ACCESS EXCLUSIVE
DROP INDEX IF EXISTS {schema_prefix}{queue_table_name}_priority_id_id1_idx;

-- step: Drop the index {queue_table_name}_updated_id_id1_idx
--   mends index {queue_table_name}_updated_id_id1_idx dropped
--   locks {queue_table} ACCESS EXCLUSIVE
DROP INDEX IF EXISTS {schema_prefix}{queue_table_name}_updated_id_id1_idx;

-- step: Drop the index {queue_table_log_name}_created
--   mends index {queue_table_log_name}_created dropped
--   locks {queue_table_log} ACCESS EXCLUSIVE
DROP INDEX IF EXISTS {schema_prefix}{queue_table_log_name}_created;

-- step: Drop the index {queue_table_log_name}_status
--   mends index {queue_table_log_name}_status dropped
--   locks {queue_table_log} ACCESS EXCLUSIVE
DROP INDEX IF EXISTS {schema_prefix}{queue_table_log_name}_status;`,
  "0004_autovacuum": `-- Storage parameters that install.sql gives to new tables. What an operator has set stays as it is.

-- step: Let autovacuum keep up with the queue
--   mends parameter {queue_table_name}.autovacuum_vacuum_scale_factor
--   mends parameter {queue_table_name}.autovacuum_vacuum_threshold
--   mends parameter {queue_table_name}.autovacuum_vacuum_cost_delay
--   mends parameter {queue_table_name}.autovacuum_analyze_scale_factor
--   mends parameter {queue_table_name}.autovacuum_analyze_threshold
--   locks {queue_table} SHARE UPDATE EXCLUSIVE
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'autovacuum_vacuum_scale_factor=0.01', 'autovacuum_vacuum_threshold=1000', 'autovacuum_vacuum_cost_delay=0',
        'autovacuum_analyze_scale_factor=0.02', 'autovacuum_analyze_threshold=500'
    ] LOOP
        IF NOT EXISTS (
            SELECT 1 FROM pg_class CROSS JOIN LATERAL unnest(reloptions) AS option
            WHERE pg_class.oid = '{queue_table}'::regclass AND split_part(option, '=', 1) = split_part(wanted, '=', 1)
        ) THEN
            EXECUTE 'ALTER TABLE {queue_table} SET (' || wanted || ')';
        END IF;
    END LOOP;
END
$$;

-- step: Let autovacuum keep up with the log
--   mends parameter {queue_table_log_name}.autovacuum_vacuum_cost_delay
--   locks {queue_table_log} SHARE UPDATE EXCLUSIVE
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM pg_class CROSS JOIN LATERAL unnest(reloptions) AS option
        WHERE pg_class.oid = '{queue_table_log}'::regclass
            AND split_part(option, '=', 1) = 'autovacuum_vacuum_cost_delay'
    ) THEN
        ALTER TABLE {queue_table_log} SET (autovacuum_vacuum_cost_delay = 0);
    END IF;
END
$$;`,
};

/** SQL that is only printed, from `sql/print/*.sql`. */
export const printed: {
  readonly enable_trigger: string;
  readonly allow_writes: string;
  readonly start_autovacuum: string;
  readonly find_open_transactions: string;
  readonly allow_autovacuum: string;
  readonly vacuum_table: string;
  readonly end_session: string;
  readonly end_prepared: string;
  readonly drop_slot: string;
  readonly see_sessions: string;
  readonly add_label: string;
  readonly change_column: string;
  readonly drop_index: string;
  readonly set_default: string;
  readonly drop_default: string;
  readonly set_not_null: string;
  readonly drop_not_null: string;
  readonly add_key: string;
  readonly widen_sequence: string;
  readonly swap_index: string;
  readonly create_role: string;
  readonly grant_migrate: string;
  readonly grant_produce: string;
  readonly grant_work: string;
  readonly grant_read: string;
} = {
  enable_trigger: `-- Lets a trigger that was turned off fire again.
ALTER TABLE {queue_table} ENABLE TRIGGER {trigger_name};`,
  allow_writes: `-- Lets a role write that was made read-only.
ALTER ROLE {role} SET default_transaction_read_only = off;`,
  start_autovacuum: `-- Turns autovacuum on for the whole server.
ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();`,
  find_open_transactions: `-- Finds the sessions that do nothing and have a transaction open.
SELECT pid, application_name, xact_start, query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' ORDER BY xact_start;`,
  allow_autovacuum: `-- Turns autovacuum on for a table.
ALTER TABLE {table} RESET (autovacuum_enabled);`,
  vacuum_table: `-- Removes dead rows.
VACUUM (ANALYZE) {table};`,
  end_session: `-- Ends a session, and rolls back its transaction.
SELECT pg_terminate_backend({pid});`,
  end_prepared: `-- Rolls back a prepared transaction.
ROLLBACK PREPARED {gid};`,
  drop_slot: `-- Drops a replication slot that nobody reads any more.
SELECT pg_drop_replication_slot({slot});`,
  see_sessions: `-- Lets a role see the sessions of others.
GRANT pg_read_all_stats TO {role};`,
  add_label: `-- Adds a label that an old enum lacks.
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS {label};`,
  change_column: `-- Gives a column the type that this version needs.
ALTER TABLE {table} ALTER COLUMN {column} TYPE {type};`,
  drop_index: `-- Drops what is left of an index whose build has failed.
DROP INDEX CONCURRENTLY {index};`,
  set_default: `-- Gives a column the default that this version needs.
ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {value};`,
  drop_default: `-- Takes a default from a column.
ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT;`,
  set_not_null: `-- Lets a column hold no null. Fails where it holds some.
ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL;`,
  drop_not_null: `-- Lets a column hold null.
ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL;`,
  add_key: `-- Adds a primary or unique key.
ALTER TABLE {table} ADD {key};`,
  widen_sequence: `-- Lets a sequence go beyond two billion.
DO $$ BEGIN EXECUTE format('ALTER SEQUENCE %s AS bigint', pg_get_serial_sequence('{table}', '{column}')); END $$;`,
  swap_index: `-- Puts an index in the place of an older one of its name.
DROP INDEX IF EXISTS {index}; ALTER INDEX {built} RENAME TO {name};`,
  create_role: `-- Makes the role, unless it is there. It cannot log in: grant it to the one that does, or let it.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
END
$$;`,
  grant_migrate: `-- Install, upgrade and uninstall: this role owns everything, also what another one has installed.
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
$$;`,
  grant_produce: `-- Enqueue, and nothing else: this role reads no payload, and changes and deletes no job.
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
-- GRANT UPDATE (priority, updated), SELECT (updated) ON {queue_table} TO {role};`,
  grant_work: `-- Run a worker with schedules, whose handlers may enqueue; requeue and cancel jobs.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON {queue_table}, {queue_table_log}, {statistics_table}, {schedules_table} TO {role};
GRANT SELECT, INSERT, UPDATE ON {limits_table} TO {role};
GRANT USAGE ON SEQUENCE {queue_table}_id_seq, {statistics_table}_id_seq, {schedules_table}_id_seq TO {role};
GRANT EXECUTE ON FUNCTION
    {enqueue_function}(text, bytea, bigint, interval, timestamptz, text, jsonb, text),
    {enqueue_function}(text, text, bigint, interval, timestamptz, text, jsonb, text),
    {enqueue_function}(text, jsonb, bigint, interval, timestamptz, text, jsonb, text),
    {worker_functions} TO {role};`,
  grant_read: `-- Look: ls, show, failed, status, schedules, doctor and dashboard, payloads included.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON {queue_table}, {queue_table_log}, {statistics_table}, {schedules_table} TO {role};
GRANT EXECUTE ON FUNCTION {job_status_function} TO {role};
-- Without this, idle workers and who holds snapshots are not seen:
-- GRANT pg_read_all_stats TO {role};`,
};

/** Parts of statements, from `sql/parts/*.sql`. */
export const parts: {
  readonly logged_to_count_later: string;
  readonly logged_and_counted: string;
} = {
  logged_to_count_later: `INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
SELECT id, 'queued', entrypoint, priority FROM inserted WHERE {log_steps}`,
  logged_and_counted: `INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, aggregated)
SELECT id, 'queued', entrypoint, priority,
    (
        SELECT CASE WHEN current_setting('transaction_isolation') = 'read committed' THEN
            {count_function}(now(), array_agg(inserted.entrypoint), array_agg(inserted.priority), 'queued')
        ELSE false END
        FROM inserted
    )
FROM inserted WHERE {log_steps}`,
};

/** Single statements, from `sql/queries/*.sql`. */
export const statements: {
  readonly bench_server: string;
  readonly bench_write: string;
  readonly bench_sessions: string;
  readonly bench_drop: string;
  readonly examine_server: string;
  readonly examine_tables: string;
  readonly examine_snapshots: string;
  readonly examine_log: string;
  readonly job_status: string;
  readonly queue_size: string;
  readonly log_statistics: string;
  readonly aggregate: string;
  readonly prune_log: string;
  readonly prune_statistics: string;
  readonly list_failed: string;
  readonly requeue: string;
  readonly list_jobs: string;
  readonly list_ended: string;
  readonly find_job: string;
  readonly job_log: string;
  readonly depth: string;
  readonly recent_ends: string;
  readonly recent_durations: string;
  readonly holders: string;
  readonly listening_sessions: string;
  readonly list_schedules: string;
  readonly remove_schedules: string;
  readonly enqueue: string;
  readonly enqueue_or_skip: string;
  readonly enqueue_or_raise_priority: string;
  readonly may_count: string;
  readonly dequeue: string;
  readonly claim_limited: string;
  readonly take_over: string;
  readonly look_ahead: string;
  readonly heartbeat: string;
  readonly keep_leases: string;
  readonly retry: string;
  readonly cancel: string;
  readonly acknowledge: string;
  readonly acknowledge_failure: string;
  readonly hold: string;
  readonly release: string;
  readonly release_unknown: string;
  readonly moment: string;
  readonly notify: string;
  readonly listen: string;
  readonly begin: string;
  readonly begin_for_handler: string;
  readonly commit: string;
  readonly rollback: string;
  readonly identify_transaction: string;
  readonly require_transaction: string;
  readonly ping: string;
  readonly array_types: string;
  readonly schedule_outlook: string;
  readonly clean_schedules: string;
  readonly add_schedules: string;
  readonly move_schedule: string;
  readonly claim_fire: string;
  readonly pass_fire: string;
  readonly enqueue_fire: string;
  readonly take_over_fire: string;
  readonly heartbeat_fires: string;
  readonly finish_fire: string;
  readonly release_fire: string;
  readonly inspect: string;
  readonly rights: string;
  readonly ownership: string;
  readonly missing_grants: string;
  readonly create_schema: string;
  readonly lock_schema: string;
  readonly take_upgrade_lock: string;
  readonly drop_upgrade_lock: string;
  readonly session_settings: string;
  readonly set_session: string;
  readonly lock_holders: string;
  readonly wait_briefly: string;
  readonly add_labels: string;
  readonly make_durable: string;
  readonly make_balanced: string;
  readonly make_volatile: string;
  readonly tune_autovacuum: string;
  readonly reset_autovacuum: string;
  readonly find_jobs: string;
  readonly make_due: string;
} = {
  bench_server: `SELECT current_setting('server_version') AS version`,
  bench_write: `INSERT INTO {limits_table} (entrypoint, tokens, refilled) VALUES ($1::text, 0, now())`,
  bench_sessions: `SELECT
    count(*) FILTER (WHERE wait IS NULL)::int AS computing,
    count(*) FILTER (WHERE wait ~* 'wal|syncrep|xactgroup|xactsync')::int AS committing,
    count(*) FILTER (WHERE wait !~* 'wal|syncrep|xactgroup|xactsync' AND kind IN ('Lock', 'LWLock', 'BufferPin'))::int
        AS locked,
    count(*) FILTER (WHERE wait !~* 'wal|syncrep|xactgroup|xactsync' AND kind = 'IO')::int AS reading
FROM (
    SELECT wait_event AS wait, wait_event_type AS kind FROM pg_stat_activity
    WHERE application_name = $1::text AND state = 'active' AND pid <> pg_backend_pid()
) AS busy`,
  bench_drop: `DROP SCHEMA IF EXISTS {schema_name}`,
  examine_server: `SELECT
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
    clock_timestamp() AS now`,
  examine_tables: `SELECT class.relname::text AS name, pg_total_relation_size(class.oid)::float8 AS size,
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
ORDER BY class.relname`,
  examine_snapshots: `SELECT * FROM (
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
LIMIT 5`,
  examine_log: `SELECT
    (
        SELECT extract(epoch FROM clock_timestamp() - created) FROM {queue_table_log} ORDER BY id LIMIT 1
    )::float8 AS oldest,
    (
        SELECT count(*) FROM (
            SELECT 1 FROM {queue_table_log} WHERE NOT aggregated LIMIT $1::int4
        ) AS pending
    )::int4 AS pending`,
  job_status: `SELECT id, status FROM {job_status_function}($1::text::bigint[])`,
  queue_size: `SELECT entrypoint, priority, status::text AS status, count(*) AS count
FROM {queue_table}
GROUP BY entrypoint, priority, status
ORDER BY count(*) DESC, entrypoint, priority DESC, status`,
  log_statistics: `WITH counted AS (
    SELECT created, entrypoint, priority, status, count
    FROM {statistics_table}
    WHERE $1::float8 IS NULL OR created >= now() - $1::float8 * interval '1 millisecond'
    -- A row that this order leaves out is also left out below, as at least $2 rows stand before it.
    ORDER BY created DESC, entrypoint, priority DESC, status
    LIMIT $2::int4
), pending AS (
    SELECT date_trunc('second', created) AS created, entrypoint, priority, status, count(*) AS count
    FROM {queue_table_log}
    WHERE NOT aggregated
        AND ($1::float8 IS NULL OR date_trunc('second', created) >= now() - $1::float8 * interval '1 millisecond')
    GROUP BY 1, 2, 3, 4
)
SELECT created, entrypoint, priority, status::text AS status, sum(count)::bigint AS count
FROM (SELECT * FROM counted UNION ALL SELECT * FROM pending) AS both_of_them
GROUP BY created, entrypoint, priority, both_of_them.status
ORDER BY created DESC, entrypoint, priority DESC, both_of_them.status
LIMIT $2::int4`,
  aggregate: `SELECT {aggregate_function}() AS more`,
  prune_log: `SELECT gone, last FROM {prune_log_function}($1::float8, $2::int4, $3::int8)`,
  prune_statistics: `WITH gone AS (
    DELETE FROM {statistics_table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {statistics_table}
        WHERE created < now() - $1::float8 * interval '1 millisecond'
        ORDER BY created
        LIMIT $2::int4
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*)::int4 AS count FROM gone`,
  list_failed: `SELECT id, priority, queue_manager_id AS manager, created, updated, heartbeat, execute_after AS due, status,
    entrypoint, dedupe_key AS dedupe, encode(payload, 'base64') AS payload, headers, attempts, slot,
    (
        SELECT traceback FROM {queue_table_log} AS entry
        WHERE entry.job_id = job.id AND entry.status = 'failed'
        ORDER BY entry.created DESC, entry.id DESC
        LIMIT 1
    )::text AS traceback
FROM {queue_table} AS job
WHERE status = 'failed'
ORDER BY created DESC, id DESC
LIMIT $1::int4`,
  requeue: `WITH held AS (
    -- In one order in every session, so that two calls wait for each other and never deadlock.
    SELECT id, dedupe_key FROM {queue_table}
    WHERE id = ANY ($1::text::bigint[]) AND status = 'failed'
    ORDER BY id
    FOR UPDATE
), ranked AS (
    SELECT id, dedupe_key, row_number() OVER (PARTITION BY dedupe_key ORDER BY id) AS place FROM held
), chosen AS (
    SELECT id FROM ranked
    WHERE dedupe_key IS NULL OR (place = 1 AND NOT EXISTS (
        SELECT 1 FROM {queue_table} AS live
        WHERE live.dedupe_key = ranked.dedupe_key AND live.status IN ('queued', 'picked')
    ))
), requeued AS (
    UPDATE {queue_table}
    -- As if it had been ready when it was enqueued: that puts it in the index of ready jobs, in its place of old.
    SET status = 'queued', execute_after = created, updated = now(), attempts = 0, queue_manager_id = NULL, slot = NULL,
        take_overs = 0, cancel_requested = false
    WHERE id = ANY (ARRAY(SELECT id FROM chosen))
    RETURNING id, entrypoint, priority
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM requeued WHERE {log_steps}
), told AS (
    SELECT pg_notify('{channel}', json_build_object(
        'channel', '{channel}', 'operation', 'update', 'sent_at', now(), 'table', '{queue_table_name}',
        'type', 'table_changed_event'
    )::text)::text AS answer
    FROM requeued
    LIMIT 1
)
SELECT held.id, requeued.id IS NOT NULL AS requeued, told.answer
FROM held LEFT JOIN requeued ON requeued.id = held.id LEFT JOIN told ON true
ORDER BY held.id`,
  list_jobs: `WITH bounds AS (
    SELECT coalesce(now() - $4::float8 * interval '1 millisecond', '-infinity') AS earliest,
        coalesce(now() - $3::float8 * interval '1 millisecond', 'infinity') AS latest
), found AS (
    (
        SELECT id FROM {queue_table}
        WHERE status = 'queued' AND 'queued' = ANY ($1::text::text[])
            AND ($2::text IS NULL OR entrypoint = $2::text)
            AND ($6::text IS NULL OR position(lower($6::text) IN lower(entrypoint)) > 0)
            AND created BETWEEN (SELECT earliest FROM bounds) AND (SELECT latest FROM bounds)
        ORDER BY id DESC LIMIT $5::int4
    )
    UNION ALL
    (
        SELECT id FROM {queue_table}
        WHERE status = 'picked' AND 'picked' = ANY ($1::text::text[])
            AND ($2::text IS NULL OR entrypoint = $2::text)
            AND ($6::text IS NULL OR position(lower($6::text) IN lower(entrypoint)) > 0)
            AND created BETWEEN (SELECT earliest FROM bounds) AND (SELECT latest FROM bounds)
        ORDER BY id DESC LIMIT $5::int4
    )
    UNION ALL
    (
        SELECT id FROM {queue_table}
        WHERE status = 'failed' AND 'failed' = ANY ($1::text::text[])
            AND ($2::text IS NULL OR entrypoint = $2::text)
            AND ($6::text IS NULL OR position(lower($6::text) IN lower(entrypoint)) > 0)
            AND created BETWEEN (SELECT earliest FROM bounds) AND (SELECT latest FROM bounds)
        ORDER BY id DESC LIMIT $5::int4
    )
), newest AS (
    SELECT id FROM found ORDER BY id DESC LIMIT $5::int4
)
SELECT job.id, job.status::text AS status, job.entrypoint, job.priority, job.attempts, job.created, job.updated,
    job.heartbeat, job.execute_after AS due, job.queue_manager_id::text AS manager, job.slot, job.dedupe_key AS dedupe,
    job.headers::text AS headers, octet_length(job.payload) AS size, job.cancel_requested AS canceled,
    job.take_overs AS takeovers, now() AS now,
    CASE WHEN job.status = 'failed' THEN (
        SELECT json_build_object(
            'type', entry.traceback ->> 'exception_type', 'message', entry.traceback ->> 'exception_message'
        )
        FROM {queue_table_log} AS entry
        WHERE entry.job_id = job.id AND entry.status = 'failed'
        ORDER BY entry.created DESC, entry.id DESC
        LIMIT 1
    )::text END AS error
FROM newest JOIN {queue_table} AS job ON job.id = newest.id
ORDER BY job.id DESC`,
  list_ended: `SELECT job_id AS id, status::text AS status, entrypoint, priority, created AS ended, now() AS now,
    json_build_object(
        'type', traceback ->> 'exception_type', 'message', traceback ->> 'exception_message'
    )::text AS error
FROM {queue_table_log} AS entry
WHERE status = ANY ($1::text::{queue_status_type}[])
    AND ($2::text IS NULL OR entrypoint = $2::text)
    AND ($6::text IS NULL OR position(lower($6::text) IN lower(entrypoint)) > 0)
    AND created BETWEEN coalesce(now() - $4::float8 * interval '1 millisecond', '-infinity')
        AND coalesce(now() - $3::float8 * interval '1 millisecond', 'infinity')
ORDER BY entry.id DESC
LIMIT $5::int4`,
  find_job: `SELECT id, status::text AS status, entrypoint, priority, attempts, created, updated, heartbeat, execute_after AS due,
    queue_manager_id::text AS manager, slot, dedupe_key AS dedupe, headers::text AS headers,
    octet_length(payload) AS size, cancel_requested AS canceled, take_overs AS takeovers, now() AS now,
    NULL::text AS error, CASE WHEN $2::text::boolean THEN encode(payload, 'hex') END AS payload
FROM {queue_table}
WHERE id = $1::int8`,
  job_log: `SELECT created, status::text AS status, entrypoint, priority, traceback::text AS traceback, now() AS now
FROM (
    SELECT * FROM {queue_table_log} WHERE job_id = $1::int8
    ORDER BY created DESC, id DESC
    LIMIT $2::int4
) AS entry
ORDER BY created, id`,
  depth: `SELECT entrypoint,
    count(*) FILTER (WHERE status = 'queued' AND execute_after <= now()) AS ready,
    count(*) FILTER (WHERE status = 'queued' AND execute_after > now()) AS deferred,
    count(*) FILTER (WHERE status = 'picked') AS picked,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    (extract(epoch FROM max(now() - greatest(created, execute_after))
        FILTER (WHERE status = 'queued' AND execute_after <= now())))::float8 AS oldest
FROM {queue_table}
GROUP BY entrypoint
ORDER BY entrypoint`,
  recent_ends: `SELECT entrypoint, status::text AS status, sum(count)::bigint AS count
FROM (
    SELECT entrypoint, status, count FROM {statistics_table}
    WHERE created >= now() - $1::float8 * interval '1 millisecond'
        AND status IN ('successful', 'exception', 'canceled', 'failed')
    UNION ALL
    SELECT entrypoint, status, 1 FROM {queue_table_log}
    WHERE NOT aggregated AND created >= now() - $1::float8 * interval '1 millisecond'
        AND status IN ('successful', 'exception', 'canceled', 'failed')
) AS ends
GROUP BY entrypoint, ends.status
ORDER BY entrypoint, ends.status`,
  recent_durations: `WITH ended AS (
    SELECT job_id, entrypoint, created FROM {queue_table_log}
    WHERE created >= now() - $1::float8 * interval '1 millisecond'
        AND status IN ('successful', 'exception', 'canceled', 'failed')
    ORDER BY id DESC
    LIMIT $2::int4
), timed AS (
    SELECT ended.entrypoint,
        greatest(0, extract(epoch FROM ended.created - picked.created))::float8 AS run,
        greatest(0, extract(epoch FROM picked.created - queued.created))::float8 AS wait
    FROM ended
    CROSS JOIN LATERAL (
        SELECT created, status FROM {queue_table_log}
        WHERE job_id = ended.job_id AND status IN ('queued', 'picked')
        ORDER BY created DESC, id DESC
        LIMIT 1
    ) AS picked
    LEFT JOIN LATERAL (
        SELECT created FROM {queue_table_log}
        WHERE job_id = ended.job_id AND status = 'queued'
        ORDER BY created DESC, id DESC
        LIMIT 1
    ) AS queued ON true
    -- Else it was canceled while it waited.
    WHERE picked.status = 'picked'
)
SELECT entrypoint, count(*) AS sample,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY wait) AS wait,
    percentile_disc(0.95) WITHIN GROUP (ORDER BY wait) AS longwait,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY run) AS run,
    percentile_disc(0.95) WITHIN GROUP (ORDER BY run) AS longrun
FROM timed
GROUP BY entrypoint
ORDER BY entrypoint`,
  holders: `SELECT queue_manager_id::text AS id, count(*) AS jobs, json_agg(DISTINCT entrypoint)::text AS entrypoints,
    extract(epoch FROM clock_timestamp() - max(heartbeat))::float8 AS silence
FROM {queue_table}
WHERE status = 'picked' AND queue_manager_id IS NOT NULL
GROUP BY queue_manager_id
ORDER BY silence, queue_manager_id`,
  listening_sessions: `SELECT
    count(*) FILTER (WHERE query ~* '^\\s*listen\\s+"?{channel}"?\\s*;?\\s*$')::int4 AS listening,
    count(*) FILTER (WHERE query = '<insufficient privilege>')::int4 AS hidden,
    clock_timestamp() AS now
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  list_schedules: `SELECT id, entrypoint, expression, coalesce(status::text, 'queued') AS status, created, updated, heartbeat,
    CASE WHEN isfinite(next_run) THEN next_run END AS next, last_run AS last, now() AS now
FROM {schedules_table}
ORDER BY entrypoint, expression`,
  remove_schedules: `DELETE FROM {schedules_table}
WHERE id::text = ANY ($1::text::text[]) OR entrypoint = ANY ($1::text::text[])
RETURNING id, entrypoint, expression`,
  enqueue: `WITH input AS (
    SELECT nextval((SELECT pg_get_serial_sequence('{queue_table}', 'id')::regclass)) AS id,
        jobs.payload, jobs.due, jobs.dedupe_key, jobs.headers, jobs.position,
        coalesce(jobs.priority, (SELECT ($1::text::int4[])[1])) AS priority,
        coalesce(jobs.entrypoint, (SELECT ($2::text::text[])[1])) AS entrypoint,
        coalesce(jobs.delay, (SELECT ($4::text::float8[])[1])) AS delay
    FROM unnest(
        $1::text::int4[], $2::text::text[], $3::text::bytea[], $4::text::float8[],
        $5::text::timestamptz[], $6::text::text[], $7::text::jsonb[]
    ) WITH ORDINALITY AS jobs(priority, entrypoint, payload, delay, due, dedupe_key, headers, position)
    WHERE $8::text IS NULL
        OR pg_backend_pid() || ' ' || (extract(epoch FROM now()) * 1000000)::bigint = $8::text
), inserted AS (
    INSERT INTO {queue_table} (id, priority, status, entrypoint, payload, execute_after, dedupe_key, headers)
    SELECT id, priority, 'queued', entrypoint, payload,
        coalesce(due, now() + delay * interval '1 millisecond'), dedupe_key, headers
    FROM input
    -- Keys in one order in every session: two batches that share keys wait for each other and never deadlock.
    ORDER BY dedupe_key, position
    RETURNING id, entrypoint, priority
), logged AS (
    {log_new_jobs}
)
SELECT string_agg(id::text, ',' ORDER BY position) AS ids FROM input`,
  enqueue_or_skip: `WITH input AS (
    SELECT nextval((SELECT pg_get_serial_sequence('{queue_table}', 'id')::regclass)) AS id,
        jobs.payload, jobs.due, jobs.dedupe_key, jobs.headers, jobs.position,
        coalesce(jobs.priority, (SELECT ($1::text::int4[])[1])) AS priority,
        coalesce(jobs.entrypoint, (SELECT ($2::text::text[])[1])) AS entrypoint,
        coalesce(jobs.delay, (SELECT ($4::text::float8[])[1])) AS delay
    FROM unnest(
        $1::text::int4[], $2::text::text[], $3::text::bytea[], $4::text::float8[],
        $5::text::timestamptz[], $6::text::text[], $7::text::jsonb[]
    ) WITH ORDINALITY AS jobs(priority, entrypoint, payload, delay, due, dedupe_key, headers, position)
    WHERE $8::text IS NULL
        OR pg_backend_pid() || ' ' || (extract(epoch FROM now()) * 1000000)::bigint = $8::text
), inserted AS (
    INSERT INTO {queue_table} (id, priority, status, entrypoint, payload, execute_after, dedupe_key, headers)
    SELECT id, priority, 'queued', entrypoint, payload,
        coalesce(due, now() + delay * interval '1 millisecond'), dedupe_key, headers
    FROM input
    -- Keys in one order in every session: two batches that share keys wait for each other and never deadlock.
    ORDER BY dedupe_key, position
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
    RETURNING id, entrypoint, priority
), logged AS (
    {log_new_jobs}
)
SELECT string_agg(coalesce(inserted.id::text, ''), ',' ORDER BY input.position) AS ids
FROM input LEFT JOIN inserted ON inserted.id = input.id`,
  enqueue_or_raise_priority: `WITH input AS (
    SELECT nextval((SELECT pg_get_serial_sequence('{queue_table}', 'id')::regclass)) AS id,
        jobs.payload, jobs.due, jobs.dedupe_key, jobs.headers, jobs.position,
        coalesce(jobs.priority, (SELECT ($1::text::int4[])[1])) AS priority,
        coalesce(jobs.entrypoint, (SELECT ($2::text::text[])[1])) AS entrypoint,
        coalesce(jobs.delay, (SELECT ($4::text::float8[])[1])) AS delay
    FROM unnest(
        $1::text::int4[], $2::text::text[], $3::text::bytea[], $4::text::float8[],
        $5::text::timestamptz[], $6::text::text[], $7::text::jsonb[]
    ) WITH ORDINALITY AS jobs(priority, entrypoint, payload, delay, due, dedupe_key, headers, position)
    WHERE $8::text IS NULL
        OR pg_backend_pid() || ' ' || (extract(epoch FROM now()) * 1000000)::bigint = $8::text
), stored AS (
    INSERT INTO {queue_table} AS job (id, priority, status, entrypoint, payload, execute_after, dedupe_key, headers)
    SELECT id, priority, 'queued', entrypoint, payload,
        coalesce(due, now() + delay * interval '1 millisecond'), dedupe_key, headers
    FROM input
    -- Keys in one order in every session: two batches that share keys wait for each other and never deadlock.
    ORDER BY dedupe_key, position
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
    DO UPDATE SET priority = greatest(job.priority, excluded.priority),
        -- That of a picked job is its lease.
        updated = CASE WHEN job.status = 'picked' THEN job.updated ELSE now() END
    RETURNING id, entrypoint, priority, dedupe_key
), inserted AS (
    -- An id that was not drawn for the input belongs to a job that was there before.
    SELECT id, entrypoint, priority FROM stored WHERE id IN (SELECT id FROM input)
), logged AS (
    {log_new_jobs}
)
SELECT string_agg(coalesce(fresh.id, raised.id)::text, ',' ORDER BY input.position) AS ids
FROM input
LEFT JOIN stored AS fresh ON fresh.id = input.id
LEFT JOIN stored AS raised ON raised.dedupe_key = input.dedupe_key`,
  may_count: `SELECT coalesce(
    has_function_privilege(to_regproc('{count_function}')::oid, 'EXECUTE')
    AND has_table_privilege(to_regclass('{statistics_table}')::oid, 'SELECT')
    AND has_table_privilege(to_regclass('{statistics_table}')::oid, 'INSERT')
    AND has_table_privilege(to_regclass('{statistics_table}')::oid, 'UPDATE')
    AND (
        SELECT has_column_privilege(attrelid, attnum, 'INSERT') FROM pg_attribute
        WHERE attrelid = to_regclass('{queue_table_log}') AND attname = 'aggregated'
    ),
    false
) AS may`,
  dequeue: `SELECT id, priority, entrypoint, dedupe, headers, attempts, slot,
    CASE
        WHEN octet_length(payload) >= 4000 AND substr(payload, 1, 1) IN ('{', '[', '"') THEN {payload_function}(payload)
        ELSE encode(payload, 'base64')
    END AS payload,
    date_part('epoch', created) * 1000000 AS created, date_part('epoch', due) * 1000000 AS due,
    (SELECT (date_part('epoch', now()) * 1000000)::bigint) AS lease
FROM {dequeue_function}(
    $1::int4, $2::text::text[], $3::uuid, $4::text::text[], $5::text::int4[], $6::text::int4[], $7::text::bigint[],
    $8::float8, {log_steps}
)`,
  claim_limited: `SELECT id, priority, entrypoint, dedupe, headers, attempts, slot,
    CASE
        WHEN octet_length(payload) >= 4000 AND substr(payload, 1, 1) IN ('{', '[', '"') THEN {payload_function}(payload)
        ELSE encode(payload, 'base64')
    END AS payload,
    date_part('epoch', created) * 1000000 AS created, date_part('epoch', due) * 1000000 AS due,
    (date_part('epoch', updated) * 1000000)::bigint AS lease
FROM {claim_function}(
    $1::int4, $2::int4, $3::uuid, $4::text::text[], $5::text::int4[], $6::text::float8[], $7::text::boolean[], $8::float8,
    $9::text::text[], $10::text::int4[], $11::text::int4[], $12::text::bigint[], $13::float8, {log_steps}
)`,
  take_over: `SELECT id, priority, entrypoint, dedupe, headers, attempts, slot,
    CASE
        WHEN octet_length(payload) >= 4000 AND substr(payload, 1, 1) IN ('{', '[', '"') THEN {payload_function}(payload)
        ELSE encode(payload, 'base64')
    END AS payload,
    date_part('epoch', created) * 1000000 AS created, date_part('epoch', due) * 1000000 AS due,
    (SELECT (date_part('epoch', now()) * 1000000)::bigint) AS lease, canceled, dealt
FROM {take_over_function}(
    $1::int4, $2::uuid, $3::text::bigint[], $4::text::text[], $5::text::float8[], $6::text::boolean[], $7::text::int4[],
    $8::float8, {log_steps}
)`,
  look_ahead: `SELECT ready, blocked, due, first_due, token, stale
FROM {look_ahead_function}(
    $1::text, $2::text::text[], $3::text::int4[], $4::text::float8[], $5::text::boolean[], $6::text::float8[], $7::float8, $8::float8, $9::float8,
    $10::text::text[], $11::text::int4[], $12::text::int4[], $13::text::bigint[]
)`,
  heartbeat: `SELECT id, canceled FROM {heartbeat_function}($1::text::bigint[], $2::uuid)`,
  keep_leases: `SELECT id FROM {keep_leases_function}($1::uuid)`,
  retry: `SELECT id
FROM {retry_function}($1::text::bigint[], $2::text::float8[], $3::text::jsonb[], $4::uuid, $5::text::bigint[])`,
  cancel: `SELECT id FROM {cancel_function}($1::text::bigint[])`,
  acknowledge: `SELECT id FROM {acknowledge_function}($1::text::bigint[], $2::text::{queue_status_type}, $3::uuid, $4::text::bigint[])`,
  acknowledge_failure: `SELECT id
FROM {acknowledge_failure_function}($1::text::bigint[], $2::text::jsonb[], $3::uuid, $4::text::bigint[])`,
  hold: `SELECT id FROM {hold_function}($1::text::bigint[], $2::text::jsonb[], $3::uuid, $4::text::bigint[])`,
  release: `SELECT id FROM {release_function}($1::text::bigint[], $2::uuid, $3::text::bigint[], {log_steps})`,
  release_unknown: `SELECT id FROM {release_unknown_function}($1::text::bigint[], $2::uuid, $3::text::bigint, {log_steps})`,
  moment: `SELECT (date_part('epoch', clock_timestamp()) * 1000000)::bigint AS moment`,
  notify: `SELECT pg_notify('{channel}', $1::text)`,
  listen: `LISTEN "{channel}"`,
  begin: `BEGIN`,
  begin_for_handler: `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE`,
  commit: `COMMIT`,
  rollback: `ROLLBACK`,
  identify_transaction: `SELECT pg_backend_pid() || ' ' || (extract(epoch FROM now()) * 1000000)::bigint AS transaction`,
  require_transaction: `LOCK TABLE pg_catalog.pg_am IN ACCESS SHARE MODE`,
  ping: `SELECT 1 AS answer`,
  array_types: `SELECT array_type.oid AS id, element.oid AS element, element.typdelim AS delimiter
FROM pg_catalog.pg_type AS element
JOIN pg_catalog.pg_type AS array_type ON array_type.oid = element.typarray`,
  schedule_outlook: `SELECT wanted.position::int4 AS position, schedule.id, coalesce(schedule.status::text, 'queued') AS status,
    schedule.next_run::text AS version,
    (extract(epoch FROM schedule.next_run) * 1000)::float8 AS next,
    (extract(epoch FROM schedule.heartbeat) * 1000)::float8 AS heartbeat,
    (extract(epoch FROM now()) * 1000)::float8 AS now
FROM unnest($1::text::text[], $2::text::text[]) WITH ORDINALITY AS wanted(expression, entrypoint, position)
LEFT JOIN {schedules_table} AS schedule
    ON schedule.expression = wanted.expression AND schedule.entrypoint = wanted.entrypoint`,
  clean_schedules: `DELETE FROM {schedules_table} AS schedule
WHERE entrypoint = ANY ($3::text::text[]) AND NOT EXISTS (
    SELECT 1 FROM unnest($1::text::text[], $2::text::text[]) AS registered(expression, entrypoint)
    WHERE registered.expression = schedule.expression AND registered.entrypoint = schedule.entrypoint
)
RETURNING entrypoint, expression`,
  add_schedules: `INSERT INTO {schedules_table} (expression, entrypoint, next_run)
SELECT expression, entrypoint, to_timestamp(next / 1000)
FROM unnest($1::text::text[], $2::text::text[], $3::text::float8[]) AS given(expression, entrypoint, next)
ORDER BY expression, entrypoint
ON CONFLICT (expression, entrypoint) DO NOTHING`,
  move_schedule: `UPDATE {schedules_table}
SET next_run = to_timestamp($3::float8 / 1000), updated = now()
WHERE id = $1::int8 AND coalesce(status, 'queued') = 'queued' AND next_run = $2::text::timestamptz
RETURNING id`,
  claim_fire: `UPDATE {schedules_table}
SET status = 'picked', next_run = to_timestamp($3::float8 / 1000), heartbeat = now(), updated = clock_timestamp()
WHERE id = $1::int8 AND coalesce(status, 'queued') = 'queued' AND next_run = $2::text::timestamptz
RETURNING updated::text AS token`,
  pass_fire: `UPDATE {schedules_table}
SET next_run = to_timestamp($3::float8 / 1000), last_run = now(), updated = now()
WHERE id = $1::int8 AND coalesce(status, 'queued') = 'queued' AND next_run = $2::text::timestamptz
RETURNING id`,
  enqueue_fire: `WITH fired AS (
    UPDATE {schedules_table}
    SET next_run = to_timestamp($3::float8 / 1000), last_run = now(), updated = now()
    WHERE id = $1::int8 AND coalesce(status, 'queued') = 'queued' AND next_run = $2::text::timestamptz
    RETURNING id, entrypoint
), inserted AS (
    INSERT INTO {queue_table} (priority, status, entrypoint, payload, dedupe_key)
    SELECT 0, 'queued', entrypoint, convert_to($5::text, 'UTF8'), $4::text FROM fired
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
    RETURNING id, entrypoint, priority
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM inserted WHERE {log_steps}
)
SELECT id FROM fired`,
  take_over_fire: `UPDATE {schedules_table}
SET heartbeat = now(), updated = clock_timestamp()
WHERE id = $1::int8 AND status = 'picked' AND next_run = $2::text::timestamptz
    AND heartbeat <= now() - $3::float8 * interval '1 millisecond'
RETURNING updated::text AS token`,
  heartbeat_fires: `WITH mine AS (
    SELECT * FROM unnest($1::text::int8[], $2::text::text[]) AS given(id, token)
), renewed AS (
    UPDATE {schedules_table} AS schedule SET heartbeat = now()
    FROM mine
    WHERE schedule.id = mine.id AND schedule.status = 'picked' AND schedule.updated = mine.token::timestamptz
)
SELECT schedule.id FROM {schedules_table} AS schedule JOIN mine ON mine.id = schedule.id
WHERE schedule.status IS DISTINCT FROM 'picked' OR schedule.updated <> mine.token::timestamptz`,
  finish_fire: `UPDATE {schedules_table}
SET status = 'queued', last_run = now(), updated = now()
WHERE id = $1::int8 AND status = 'picked' AND updated = $2::text::timestamptz
RETURNING id`,
  release_fire: `UPDATE {schedules_table}
SET status = 'queued', next_run = to_timestamp($3::float8 / 1000), updated = now()
WHERE id = $1::int8 AND status = 'picked' AND updated = $2::text::timestamptz
RETURNING id`,
  inspect: `WITH place AS (
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
CROSS JOIN LATERAL substring(prosrc FROM '-- pgqueuer: (version \\d+, log \\w+)') AS mark
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
SELECT 'server', 'version', current_setting('server_version_num')`,
  rights: `SELECT
    current_user::text AS role,
    current_database()::text AS database,
    coalesce(nullif('{schema_name}', ''), current_schema(), '')::text AS schema,
    place.oid IS NOT NULL AS schema_exists,
    coalesce(has_schema_privilege(place.oid, 'USAGE'), false) AS may_use_schema,
    coalesce(has_schema_privilege(place.oid, 'CREATE'), false) AS may_create_in_schema,
    has_database_privilege(current_database(), 'CREATE') AS may_create_schema
FROM (SELECT 1) AS one
LEFT JOIN pg_namespace AS place ON place.nspname = coalesce(nullif('{schema_name}', ''), current_schema())`,
  ownership: `SELECT class.relname::text AS name, pg_get_userbyid(class.relowner)::text AS owner
FROM pg_class AS class JOIN pg_namespace AS place ON place.oid = class.relnamespace
WHERE place.nspname = coalesce(nullif('{schema_name}', ''), current_schema())
    AND class.relname IN (
        '{queue_table_name}', '{queue_table_log_name}', '{statistics_table_name}', '{schedules_table_name}',
        '{limits_table_name}'
    )
    AND NOT pg_has_role(class.relowner, 'USAGE')`,
  missing_grants: `SELECT needed.relation AS name, needed.privilege
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
HAVING count(*) > 0`,
  create_schema: `CREATE SCHEMA IF NOT EXISTS {schema_name}`,
  lock_schema: `SELECT pg_advisory_xact_lock(hashtext('{queue_table}.schema')), set_config('client_min_messages', 'warning', true)`,
  take_upgrade_lock: `SELECT pg_try_advisory_lock($1::int8) AS taken`,
  drop_upgrade_lock: `SELECT pg_advisory_unlock($1::int8)`,
  session_settings: `SELECT pg_backend_pid()::int4 AS pid, current_setting('lock_timeout') AS lock_timeout,
    current_setting('statement_timeout') AS statement_timeout,
    current_setting('client_min_messages') AS client_min_messages`,
  set_session: `SELECT set_config('lock_timeout', $1::text, false), set_config('statement_timeout', $2::text, false),
    set_config('client_min_messages', $3::text, false), pg_backend_pid()::int4 AS pid`,
  lock_holders: `SELECT pid::int4, coalesce(nullif(application_name, ''), usename, '?')::text AS name, coalesce(state, '?')::text AS state
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
LIMIT 3`,
  wait_briefly: `SELECT set_config('lock_timeout', '10s', true) WHERE current_setting('lock_timeout') = '0'`,
  add_labels: `ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'queued';
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'picked';
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'successful';
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'exception';
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'canceled';
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'deleted';
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS 'failed'`,
  make_durable: `ALTER TABLE {queue_table} SET LOGGED;
ALTER TABLE {queue_table_log} SET LOGGED;
ALTER TABLE {statistics_table} SET LOGGED;
ALTER TABLE {schedules_table} SET LOGGED;
ALTER TABLE {limits_table} SET LOGGED`,
  make_balanced: `ALTER TABLE {queue_table} SET LOGGED;
ALTER TABLE {queue_table_log} SET UNLOGGED;
ALTER TABLE {statistics_table} SET UNLOGGED;
ALTER TABLE {schedules_table} SET LOGGED;
ALTER TABLE {limits_table} SET LOGGED`,
  make_volatile: `ALTER TABLE {queue_table} SET UNLOGGED;
ALTER TABLE {queue_table_log} SET UNLOGGED;
ALTER TABLE {statistics_table} SET UNLOGGED;
ALTER TABLE {schedules_table} SET UNLOGGED;
ALTER TABLE {limits_table} SET UNLOGGED`,
  tune_autovacuum: `ALTER TABLE {queue_table} SET (
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
)`,
  reset_autovacuum: `ALTER TABLE {queue_table} RESET (autovacuum_vacuum_cost_limit, fillfactor);
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
)`,
  find_jobs: `SELECT id, priority, queue_manager_id AS manager, created, updated, heartbeat, execute_after AS due, status,
    entrypoint, dedupe_key AS dedupe, encode(payload, 'base64') AS payload, headers, attempts, slot
FROM {queue_table}
WHERE ($1::text IS NULL OR status = $1::text::{queue_status_type}) AND ($2::text IS NULL OR entrypoint = $2::text)
ORDER BY id DESC
LIMIT $3::int4`,
  make_due: `WITH changed AS (
    UPDATE {queue_table} SET execute_after = created, updated = now()
    WHERE status = 'queued' AND execute_after > created AND entrypoint = ANY ($1::text::text[])
    RETURNING 1
)
SELECT count(*)::int4 AS count FROM changed`,
};
