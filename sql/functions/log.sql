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

-- Deletes old log rows that are counted in the statistics, those that stand first in the table. Why a held job failed is kept
-- as long as the job. Gives how many it deleted.
--
-- Without index scans, as the summary of blocks by their times answers bitmap scans alone. The index of jobs has the time,
-- too, but not in front: by it a look for rows that are not there read all of it, and had the cache hold nothing else.
CREATE OR REPLACE FUNCTION {prune_log_function}(
    age float8,   -- in milliseconds above which a row goes
    most int4
) RETURNS int4 AS $$
DECLARE
    gone int4;
BEGIN
    DELETE FROM {queue_table_log} WHERE ctid = ANY (ARRAY(
        SELECT entry.ctid FROM {queue_table_log} AS entry
        WHERE entry.created < (SELECT now() - age * interval '1 millisecond')
            AND entry.aggregated
            -- Not EXISTS: the planner might read the whole queue for it.
            AND (
                entry.status <> 'failed'
                OR (SELECT job.status FROM {queue_table} AS job WHERE job.id = entry.job_id) IS DISTINCT FROM 'failed'
            )
        LIMIT (SELECT most)
        FOR UPDATE OF entry SKIP LOCKED
    ));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_indexscan = off;
