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
