-- Claims jobs where some entrypoints have limits: highest priority first, then lowest id. What the planner could count with
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
