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
