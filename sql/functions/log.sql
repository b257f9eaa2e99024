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
