-- Outcomes of attempts. Each passes over a job whose lease is lost. A lease is what `updated` got when the claim was made, in
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
