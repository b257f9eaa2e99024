-- The fronts of the indexes that claims read: for the other functions.

-- Gives the first ready jobs of an entrypoint in ranges of their index, which are given from the highest priority down, in
-- the order of a claim. Ranges are read one after another, and the lower ones only as far as they are needed.
CREATE OR REPLACE FUNCTION {ready_function}(
    wanted text,
    most int4,
    mode text,        -- look; lock: passes over rows that another session has locked; lock keyed: those with a dedupe key
    lowest int4[],    -- lowest priority of each range
    highest int4[],   -- highest priority of each range
    after bigint[]    -- id after which each range begins
) RETURNS TABLE (place tid, id bigint, priority int4, keyless boolean) AS $$
#variable_conflict use_column
BEGIN
    IF most <= 0 THEN
        RETURN;
    ELSIF mode = 'look' THEN
        RETURN QUERY
        SELECT job.* FROM unnest((SELECT lowest), (SELECT highest), (SELECT after)) AS range(lowest, highest, after)
        CROSS JOIN LATERAL (
            SELECT ctid, id::bigint, priority, dedupe_key IS NULL FROM {queue_table}
            WHERE entrypoint COLLATE "C" = (SELECT wanted) AND status = 'queued' AND execute_after <= created
                AND priority >= range.lowest AND priority <= range.highest AND id > range.after
            ORDER BY priority DESC, id
            LIMIT (SELECT most)
        ) AS job
        LIMIT (SELECT most);
    ELSIF mode = 'lock' THEN
        RETURN QUERY
        SELECT job.* FROM unnest((SELECT lowest), (SELECT highest), (SELECT after)) AS range(lowest, highest, after)
        CROSS JOIN LATERAL (
            SELECT ctid, id::bigint, priority, dedupe_key IS NULL FROM {queue_table}
            WHERE entrypoint COLLATE "C" = (SELECT wanted) AND status = 'queued' AND execute_after <= created
                AND priority >= range.lowest AND priority <= range.highest AND id > range.after
            ORDER BY priority DESC, id
            LIMIT (SELECT most)
            FOR UPDATE SKIP LOCKED
        ) AS job
        LIMIT (SELECT most);
    ELSE
        RETURN QUERY
        SELECT job.* FROM unnest((SELECT lowest), (SELECT highest), (SELECT after)) AS range(lowest, highest, after)
        CROSS JOIN LATERAL (
            SELECT ctid, id::bigint, priority, false FROM {queue_table}
            WHERE entrypoint COLLATE "C" = (SELECT wanted) AND status = 'queued' AND execute_after <= created
                AND dedupe_key IS NOT NULL
                AND priority >= range.lowest AND priority <= range.highest AND id > range.after
            ORDER BY priority DESC, id
            LIMIT (SELECT most)
            FOR UPDATE SKIP LOCKED
        ) AS job
        LIMIT (SELECT most);
    END IF;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off;

-- Gives the places of due jobs of an entrypoint, some of them more than once: the thousand that are due longest, so that
-- none waits for ever. Where there are more, also up to a thousand by priority: deferred jobs cannot be in the order of a
-- claim before they are due, as no index knows the time; so each priority is looked at by itself, those due longest first,
-- and at most 64 of them. For jobs with a dedupe key alone (`keyless` is false) also the thousand of them that are due
-- longest: they may stand behind very many without one.
CREATE OR REPLACE FUNCTION {due_function}(wanted text, instant timestamptz, keyless boolean) RETURNS SETOF tid AS $$
DECLARE
    level bigint := 2147483648;  -- above every priority
    given int4;
    total int4 := 0;
BEGIN
    IF NOT keyless THEN
        RETURN QUERY
            SELECT ctid FROM {queue_table}
            WHERE entrypoint COLLATE "C" = (SELECT wanted) AND status = 'queued' AND execute_after > created
                AND execute_after <= (SELECT instant) AND dedupe_key IS NOT NULL
            ORDER BY execute_after
            LIMIT 1000;
    END IF;
    RETURN QUERY
        SELECT ctid FROM {queue_table}
        WHERE entrypoint COLLATE "C" = (SELECT wanted) AND status = 'queued' AND execute_after > created
            AND execute_after <= (SELECT instant)
        ORDER BY execute_after
        LIMIT 1000;
    GET DIAGNOSTICS given = ROW_COUNT;
    IF given < 1000 THEN
        RETURN;
    END IF;
    FOR turn IN 1 .. 64 LOOP
        level := (
            SELECT priority FROM {queue_table}
            WHERE entrypoint COLLATE "C" = (SELECT wanted) AND status = 'queued' AND execute_after > created
                AND priority < (SELECT level)
            ORDER BY priority DESC
            LIMIT 1
        );
        EXIT WHEN level IS NULL;
        RETURN QUERY
            SELECT ctid FROM {queue_table}
            WHERE entrypoint COLLATE "C" = (SELECT wanted) AND status = 'queued' AND execute_after > created
                -- Not "=": one index alone has this order.
                AND priority >= (SELECT level) AND priority <= (SELECT level) AND execute_after <= (SELECT instant)
            ORDER BY priority DESC, execute_after
            LIMIT 1000;
        GET DIAGNOSTICS given = ROW_COUNT;
        total := total + given;
        EXIT WHEN total >= 1000;
    END LOOP;
END;
$$ LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off;
