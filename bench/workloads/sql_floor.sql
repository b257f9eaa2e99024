-- The least that PostgreSQL has to do for the same rows: claims, acknowledgements and full log rows on the tables of the
-- worker, from one backend, without a client.
CREATE PROCEDURE bench_floor(batch int) LANGUAGE plpgsql AS $$
DECLARE
    me uuid := gen_random_uuid();
    ids bigint[];
BEGIN
    LOOP
        WITH ready AS (
            SELECT ctid AS place FROM pgqueuer
            WHERE entrypoint COLLATE "C" = 'bench_0' AND status = 'queued' AND execute_after <= created
            ORDER BY priority DESC, id
            LIMIT batch
            FOR UPDATE SKIP LOCKED
        ), claimed AS (
            UPDATE pgqueuer
            SET status = 'picked', updated = now(), heartbeat = now(), queue_manager_id = me, slot = NULL
            WHERE ctid = ANY (ARRAY(SELECT place FROM ready))
            RETURNING id, entrypoint, priority
        ), logged AS (
            INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
            SELECT id, 'picked', entrypoint, priority FROM claimed
        )
        SELECT array_agg(id) INTO ids FROM claimed;
        COMMIT;
        EXIT WHEN ids IS NULL;

        WITH ended AS (
            DELETE FROM pgqueuer WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM pgqueuer WHERE id = ANY (ids) AND queue_manager_id IS NOT DISTINCT FROM me FOR UPDATE
            ))
            RETURNING id, entrypoint, priority
        )
        INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
        SELECT id, 'successful', entrypoint, priority FROM ended;
        COMMIT;
    END LOOP;
END
$$;
