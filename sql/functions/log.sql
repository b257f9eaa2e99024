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

-- Looks at the first log rows behind an id and deletes those that are old and counted in the statistics. Why a held job failed
-- is kept as long as the job. Gives how many it deleted, and the id of the last one that was old (null: none was).
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
        SELECT ctid AS place, id, job_id, status, aggregated,
            created < (SELECT now() - age * interval '1 millisecond') AS old
        FROM {queue_table_log}
        WHERE id > (SELECT after)
        ORDER BY id
        LIMIT (SELECT most)
    ), gone AS (
        DELETE FROM {queue_table_log} WHERE ctid = ANY (ARRAY(
            SELECT entry.ctid FROM {queue_table_log} AS entry
            WHERE entry.ctid = ANY (ARRAY(
                SELECT seen.place FROM seen
                WHERE seen.old AND seen.aggregated
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
