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
