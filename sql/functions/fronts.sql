-- The fronts of the indexes that claims read: for the other functions. Each is called once for all entrypoints.

-- Gives the first ready jobs of each entrypoint in ranges of their index, in the order of a claim. Ranges are read one after
-- another, and the lower ones only as far as they are needed.
-- Three statements, since neither a lock nor the condition of a partial index can depend on a parameter.
CREATE OR REPLACE FUNCTION {ready_function}(
    mode text,       -- look; lock: passes over rows that another session has locked; lock keyed: those with a dedupe key
    wanted text[],
    most int4[],     -- of each
    owner text[],    -- entrypoint of each range; the ranges of one do not overlap, and come from the highest priority down
    lowest int4[],   -- lowest priority of each range
    highest int4[],  -- highest priority of each range
    after bigint[]   -- id after which each range begins
) RETURNS TABLE (entrypoint text, place tid, id bigint, priority int4, keyless boolean) AS $$
#variable_conflict use_column
BEGIN
    IF mode = 'look' THEN
        RETURN QUERY
        SELECT asked.entrypoint, job.* FROM unnest((SELECT wanted), (SELECT most)) AS asked(entrypoint, most)
        CROSS JOIN LATERAL (
            SELECT job.* FROM unnest((SELECT owner), (SELECT lowest), (SELECT highest), (SELECT after))
                AS range(owner, lowest, highest, after)
            CROSS JOIN LATERAL (
                SELECT ctid, id::bigint, priority, dedupe_key IS NULL FROM {queue_table}
                WHERE entrypoint COLLATE "C" = range.owner AND status = 'queued' AND execute_after <= created
                    AND priority >= range.lowest AND priority <= range.highest AND id > range.after
                ORDER BY priority DESC, id
                LIMIT greatest(0, asked.most)
            ) AS job
            WHERE range.owner = asked.entrypoint
            LIMIT greatest(0, asked.most)
        ) AS job;
    ELSIF mode = 'lock' THEN
        RETURN QUERY
        SELECT asked.entrypoint, job.* FROM unnest((SELECT wanted), (SELECT most)) AS asked(entrypoint, most)
        CROSS JOIN LATERAL (
            SELECT job.* FROM unnest((SELECT owner), (SELECT lowest), (SELECT highest), (SELECT after))
                AS range(owner, lowest, highest, after)
            CROSS JOIN LATERAL (
                SELECT ctid, id::bigint, priority, dedupe_key IS NULL FROM {queue_table}
                WHERE entrypoint COLLATE "C" = range.owner AND status = 'queued' AND execute_after <= created
                    AND priority >= range.lowest AND priority <= range.highest AND id > range.after
                ORDER BY priority DESC, id
                LIMIT greatest(0, asked.most)
                FOR UPDATE SKIP LOCKED
            ) AS job
            WHERE range.owner = asked.entrypoint
            LIMIT greatest(0, asked.most)
        ) AS job;
    ELSE
        RETURN QUERY
        SELECT asked.entrypoint, job.* FROM unnest((SELECT wanted), (SELECT most)) AS asked(entrypoint, most)
        CROSS JOIN LATERAL (
            SELECT job.* FROM unnest((SELECT owner), (SELECT lowest), (SELECT highest), (SELECT after))
                AS range(owner, lowest, highest, after)
            CROSS JOIN LATERAL (
                SELECT ctid, id::bigint, priority, false FROM {queue_table}
                WHERE entrypoint COLLATE "C" = range.owner AND status = 'queued' AND execute_after <= created
                    AND dedupe_key IS NOT NULL
                    AND priority >= range.lowest AND priority <= range.highest AND id > range.after
                ORDER BY priority DESC, id
                LIMIT greatest(0, asked.most)
                FOR UPDATE SKIP LOCKED
            ) AS job
            WHERE range.owner = asked.entrypoint
            LIMIT greatest(0, asked.most)
        ) AS job;
    END IF;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off;

-- Gives how many of the first ready jobs of all entrypoints belong to each, in the order in which they are wanted: more than
-- will be claimed are not locked. It looks no further into each than twice its equal share at first. Where all that it has
-- seen of one is among the first jobs, there may be more of that, and it looks as far as the claim may go.
CREATE OR REPLACE FUNCTION {share_function}(
    wanted text[],
    most int4,           -- of all
    rooms int4[],        -- most of each
    limited boolean[],   -- whether each has a limit
    startable int4,      -- most of all that have one
    owner text[],        -- entrypoint of each range, and so on, as above
    lowest int4[],
    highest int4[],
    after bigint[]
) RETURNS int4[] AS $$
DECLARE
    depth int4 := 2 * most / greatest(1, cardinality(wanted)) + 10;
    share int4[];
    complete boolean;
BEGIN
    LOOP
        SELECT array_agg(seen.jobs ORDER BY seen.position), bool_and(seen.jobs < depth OR seen.jobs >= seen.room)
        INTO share, complete
        FROM (
            SELECT asked.position, asked.room, count(first.entrypoint)::int4 AS jobs
            FROM unnest((SELECT wanted), (SELECT rooms)) WITH ORDINALITY AS asked(entrypoint, room, position)
            LEFT JOIN (
                SELECT front.entrypoint FROM (
                    SELECT job.entrypoint, job.priority, job.id, gate.limited,
                        row_number() OVER (PARTITION BY gate.limited ORDER BY job.priority DESC, job.id) AS start
                    FROM {ready_function}(
                        'look', wanted, ARRAY(SELECT least(room, depth) FROM unnest(rooms) AS each(room)),
                        owner, lowest, highest, after
                    ) AS job
                    JOIN unnest((SELECT wanted), (SELECT limited)) AS gate(entrypoint, limited)
                        ON gate.entrypoint = job.entrypoint
                ) AS front
                -- Those that may not start must not count: they would take the place of jobs that may.
                WHERE NOT front.limited OR front.start <= startable
                ORDER BY front.priority DESC, front.id
                LIMIT (SELECT most)
            ) AS first ON first.entrypoint = asked.entrypoint
            GROUP BY asked.position, asked.room
        ) AS seen;
        EXIT WHEN complete IS NOT FALSE OR depth >= most;
        depth := most;
    END LOOP;
    RETURN share;
END;
$$ LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off;

-- Gives the places of due jobs of each entrypoint, some of them more than once: the thousand that are due longest, so that
-- none waits for ever. Where there are more, also up to a thousand by priority: deferred jobs cannot be in the order of a
-- claim before they are due, as no index knows the time; so each priority is looked at by itself, those due longest first,
-- and at most 64 of them. Where jobs without a dedupe key are not wanted, also the thousand with one that are due longest:
-- they may stand behind very many without.
CREATE OR REPLACE FUNCTION {due_function}(
    wanted text[],
    keyless boolean[],     -- what is wanted of each: true: jobs without a dedupe key; false: those with one; null: both
    instant timestamptz,
    oldest timestamptz     -- of those of which both are wanted, none became due before
) RETURNS TABLE (part int4, place tid) AS $$
#variable_conflict use_column
DECLARE
    parts int4[];
    places tid[];
    crowded int4;
    level bigint;
    given int4;
    total int4;
BEGIN
    SELECT array_agg(asked.part::int4), array_agg(job.ctid) INTO parts, places
    FROM unnest((SELECT wanted), (SELECT keyless)) WITH ORDINALITY AS asked(entrypoint, keyless, part)
    CROSS JOIN LATERAL (
        SELECT ctid FROM {queue_table}
        WHERE entrypoint COLLATE "C" = asked.entrypoint AND status = 'queued' AND execute_after > created
            AND execute_after <= (SELECT instant)
            AND execute_after >= CASE WHEN asked.keyless IS NULL THEN (SELECT oldest) ELSE '-infinity' END
        ORDER BY execute_after
        LIMIT 1000
    ) AS job;
    RETURN QUERY SELECT * FROM unnest(parts, places);

    IF false = ANY (keyless) THEN
        RETURN QUERY
        SELECT asked.part::int4, job.ctid
        FROM unnest((SELECT wanted), (SELECT keyless)) WITH ORDINALITY AS asked(entrypoint, keyless, part)
        CROSS JOIN LATERAL (
            SELECT ctid FROM {queue_table}
            WHERE entrypoint COLLATE "C" = asked.entrypoint AND status = 'queued' AND execute_after > created
                AND execute_after <= (SELECT instant) AND dedupe_key IS NOT NULL
            ORDER BY execute_after
            LIMIT CASE WHEN NOT asked.keyless THEN 1000 ELSE 0 END
        ) AS job;
    END IF;

    FOR crowded IN SELECT found.part FROM unnest(parts) AS found(part) GROUP BY found.part HAVING count(*) = 1000 LOOP
        level := 2147483648;  -- above every priority
        total := 0;
        FOR turn IN 1 .. 64 LOOP
            level := (
                SELECT priority FROM {queue_table}
                WHERE entrypoint COLLATE "C" = (SELECT wanted[crowded]) AND status = 'queued' AND execute_after > created
                    AND priority < (SELECT level)
                ORDER BY priority DESC
                LIMIT 1
            );
            EXIT WHEN level IS NULL;
            RETURN QUERY
                SELECT crowded, ctid FROM {queue_table}
                WHERE entrypoint COLLATE "C" = (SELECT wanted[crowded]) AND status = 'queued' AND execute_after > created
                    -- Not "=": one index alone has this order.
                    AND priority >= (SELECT level) AND priority <= (SELECT level) AND execute_after <= (SELECT instant)
                ORDER BY priority DESC, execute_after
                LIMIT 1000;
            GET DIAGNOSTICS given = ROW_COUNT;
            total := total + given;
            EXIT WHEN total >= 1000;
        END LOOP;
    END LOOP;
END;
$$ LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off;
