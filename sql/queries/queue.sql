-- Statements on the queue table.
--
-- Lists come as the text of an array, since every client can send text and not every client can send arrays that hold
-- null; payloads are given in base64, which takes clients less time to read than bytea.
-- A claim is known by the value that `updated` got when it was made, in microseconds since 1970: its lease. Who stores an
-- outcome gives that too, since the same worker may have claimed the job again, and a statement may reach the server late,
-- or for a second time.
-- Claims give neither what they have just set nor times as text: that of a claim is its lease, and others come in
-- microseconds since 1970, as float8, since a time may be infinite. To write and read one as text takes longer than the
-- rest of a row.
-- A parameter that the planner could count with stands in a subquery, whose value it cannot see. So no plan looks better for
-- one value than for all of them, and the server keeps its first plan: to plan a claim takes longer than to claim ten jobs.
-- Every change of status writes its log row in the same statement; {log_steps} is true or false, and says whether the
-- log has the steps of a job (queued, picked) or only how it ended and why it was tried again.

-- name: enqueue
-- Inserts jobs. A dedupe key in use fails the whole statement with 23505. Gives the ids in the order of the input.
--   $1 text   priorities, int4[]; one, if it is the same for all
--   $2 text   entrypoints, text[]; one, if it is the same for all
--   $3 text   payloads, bytea[]; as many as there are jobs
--   $4 text   delays in milliseconds from now, float8[]; one, if it is the same for all
--   $5 text   instants not to start before, timestamptz[]; null where the delay counts; none, if it counts for all
--   $6 text   dedupe keys, text[]; none, if no job has one
--   $7 text   headers, jsonb[]; none, if no job has any
--   $8 text   the transaction that it must be, or null; in any other nothing is inserted, and ids is null
WITH input AS (
    SELECT nextval((SELECT pg_get_serial_sequence('{queue_table}', 'id')::regclass)) AS id,
        jobs.payload, jobs.due, jobs.dedupe_key, jobs.headers, jobs.position,
        coalesce(jobs.priority, (SELECT ($1::text::int4[])[1])) AS priority,
        coalesce(jobs.entrypoint, (SELECT ($2::text::text[])[1])) AS entrypoint,
        coalesce(jobs.delay, (SELECT ($4::text::float8[])[1])) AS delay
    FROM unnest(
        $1::text::int4[], $2::text::text[], $3::text::bytea[], $4::text::float8[],
        $5::text::timestamptz[], $6::text::text[], $7::text::jsonb[]
    ) WITH ORDINALITY AS jobs(priority, entrypoint, payload, delay, due, dedupe_key, headers, position)
    WHERE $8::text IS NULL
        OR pg_backend_pid() || ' ' || (extract(epoch FROM now()) * 1000000)::bigint = $8::text
), inserted AS (
    INSERT INTO {queue_table} (id, priority, status, entrypoint, payload, execute_after, dedupe_key, headers)
    SELECT id, priority, 'queued', entrypoint, payload,
        coalesce(due, now() + delay * interval '1 millisecond'), dedupe_key, headers
    FROM input
    -- Keys in one order in every session: two batches that share keys wait for each other and never deadlock.
    ORDER BY dedupe_key, position
    RETURNING id, entrypoint, priority
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM inserted WHERE {log_steps}
)
SELECT string_agg(id::text, ',' ORDER BY position) AS ids FROM input;

-- name: enqueue_or_skip
-- Inserts jobs. A job whose dedupe key is in use is left out. Gives the ids in the order of the input, empty for one left out.
--   $1 text   priorities, int4[]; one, if it is the same for all
--   $2 text   entrypoints, text[]; one, if it is the same for all
--   $3 text   payloads, bytea[]; as many as there are jobs
--   $4 text   delays in milliseconds from now, float8[]; one, if it is the same for all
--   $5 text   instants not to start before, timestamptz[]; null where the delay counts; none, if it counts for all
--   $6 text   dedupe keys, text[]; none, if no job has one
--   $7 text   headers, jsonb[]; none, if no job has any
--   $8 text   the transaction that it must be, or null; in any other nothing is inserted, and ids is null
WITH input AS (
    SELECT nextval((SELECT pg_get_serial_sequence('{queue_table}', 'id')::regclass)) AS id,
        jobs.payload, jobs.due, jobs.dedupe_key, jobs.headers, jobs.position,
        coalesce(jobs.priority, (SELECT ($1::text::int4[])[1])) AS priority,
        coalesce(jobs.entrypoint, (SELECT ($2::text::text[])[1])) AS entrypoint,
        coalesce(jobs.delay, (SELECT ($4::text::float8[])[1])) AS delay
    FROM unnest(
        $1::text::int4[], $2::text::text[], $3::text::bytea[], $4::text::float8[],
        $5::text::timestamptz[], $6::text::text[], $7::text::jsonb[]
    ) WITH ORDINALITY AS jobs(priority, entrypoint, payload, delay, due, dedupe_key, headers, position)
    WHERE $8::text IS NULL
        OR pg_backend_pid() || ' ' || (extract(epoch FROM now()) * 1000000)::bigint = $8::text
), inserted AS (
    INSERT INTO {queue_table} (id, priority, status, entrypoint, payload, execute_after, dedupe_key, headers)
    SELECT id, priority, 'queued', entrypoint, payload,
        coalesce(due, now() + delay * interval '1 millisecond'), dedupe_key, headers
    FROM input
    -- Keys in one order in every session: two batches that share keys wait for each other and never deadlock.
    ORDER BY dedupe_key, position
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
    RETURNING id, entrypoint, priority
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM inserted WHERE {log_steps}
)
SELECT string_agg(coalesce(inserted.id::text, ''), ',' ORDER BY input.position) AS ids
FROM input LEFT JOIN inserted ON inserted.id = input.id;

-- name: enqueue_or_raise_priority
-- Inserts jobs. Where a dedupe key is in use, that job's priority becomes the higher of the two and its id is given.
-- No key may occur twice in the input.
--   $1 text   priorities, int4[]; one, if it is the same for all
--   $2 text   entrypoints, text[]; one, if it is the same for all
--   $3 text   payloads, bytea[]; as many as there are jobs
--   $4 text   delays in milliseconds from now, float8[]; one, if it is the same for all
--   $5 text   instants not to start before, timestamptz[]; null where the delay counts; none, if it counts for all
--   $6 text   dedupe keys, text[]; none, if no job has one
--   $7 text   headers, jsonb[]; none, if no job has any
--   $8 text   the transaction that it must be, or null; in any other nothing is inserted, and ids is null
WITH input AS (
    SELECT nextval((SELECT pg_get_serial_sequence('{queue_table}', 'id')::regclass)) AS id,
        jobs.payload, jobs.due, jobs.dedupe_key, jobs.headers, jobs.position,
        coalesce(jobs.priority, (SELECT ($1::text::int4[])[1])) AS priority,
        coalesce(jobs.entrypoint, (SELECT ($2::text::text[])[1])) AS entrypoint,
        coalesce(jobs.delay, (SELECT ($4::text::float8[])[1])) AS delay
    FROM unnest(
        $1::text::int4[], $2::text::text[], $3::text::bytea[], $4::text::float8[],
        $5::text::timestamptz[], $6::text::text[], $7::text::jsonb[]
    ) WITH ORDINALITY AS jobs(priority, entrypoint, payload, delay, due, dedupe_key, headers, position)
    WHERE $8::text IS NULL
        OR pg_backend_pid() || ' ' || (extract(epoch FROM now()) * 1000000)::bigint = $8::text
), stored AS (
    INSERT INTO {queue_table} AS job (id, priority, status, entrypoint, payload, execute_after, dedupe_key, headers)
    SELECT id, priority, 'queued', entrypoint, payload,
        coalesce(due, now() + delay * interval '1 millisecond'), dedupe_key, headers
    FROM input
    -- Keys in one order in every session: two batches that share keys wait for each other and never deadlock.
    ORDER BY dedupe_key, position
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
    DO UPDATE SET priority = greatest(job.priority, excluded.priority),
        -- That of a picked job is its lease.
        updated = CASE WHEN job.status = 'picked' THEN job.updated ELSE now() END
    RETURNING id, entrypoint, priority, dedupe_key
), logged AS (
    -- An id that was not drawn for the input belongs to a job that was there before.
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM stored
    WHERE {log_steps} AND id IN (SELECT id FROM input)
)
SELECT string_agg(coalesce(fresh.id, raised.id)::text, ',' ORDER BY input.position) AS ids
FROM input
LEFT JOIN stored AS fresh ON fresh.id = input.id
LEFT JOIN stored AS raised ON raised.dedupe_key = input.dedupe_key;

-- name: dequeue
-- Claims ready jobs, highest priority first, then lowest id.
--
-- Ready jobs are read in ranges of their index, deferred ones whose time has come from indexes of their own, so that
-- deferred jobs in front of the queue cost nothing. A range that begins behind the jobs claimed last leaves out their dead
-- index entries, which nobody can remove while any session holds an old snapshot. Rows that another session has locked are
-- passed over. The UPDATE finds the locked rows by their place, not by a join.
--   $1 int4   most jobs to claim
--   $2 text   entrypoints, text[]
--   $3 uuid   queue manager that takes the lease
--   $4 text   entrypoint of each range, text[]; the ranges of one do not overlap
--   $5 text   lowest priority of each range, int4[]
--   $6 text   highest priority of each range, int4[]
--   $7 text   id after which each range begins, bigint[]
WITH range AS (
    SELECT * FROM unnest(
        (SELECT $4::text::text[]), (SELECT $5::text::int4[]), (SELECT $6::text::int4[]), (SELECT $7::text::bigint[])
    )
        AS range(entrypoint, lowest, highest, after)
), wanted AS (
    SELECT entrypoint FROM unnest((SELECT $2::text::text[])) AS wanted(entrypoint)
), share AS (
    -- How many of the first jobs belong to each of several entrypoints: more than will be claimed are not locked.
    SELECT entrypoint, count(*) AS jobs FROM (
        SELECT wanted.entrypoint FROM wanted CROSS JOIN LATERAL (
            SELECT job.priority, job.id
            FROM (SELECT * FROM range WHERE range.entrypoint = wanted.entrypoint ORDER BY highest DESC) AS range
            CROSS JOIN LATERAL (
                SELECT priority, id FROM {queue_table}
                WHERE entrypoint COLLATE "C" = range.entrypoint AND status = 'queued' AND execute_after <= created
                    AND priority >= range.lowest AND priority <= range.highest AND id > range.after
                ORDER BY priority DESC, id
                LIMIT (SELECT $1::int4)
            ) AS job
            LIMIT (SELECT $1::int4)
        ) AS job
        WHERE (SELECT cardinality($2::text::text[]) > 1)
        ORDER BY job.priority DESC, job.id
        LIMIT (SELECT $1::int4)
    ) AS front
    GROUP BY entrypoint
), ready AS (
    SELECT job.place, job.id, job.priority
    FROM wanted LEFT JOIN share ON share.entrypoint = wanted.entrypoint
    CROSS JOIN LATERAL (
        SELECT job.place, job.id, job.priority
        FROM (SELECT * FROM range WHERE range.entrypoint = wanted.entrypoint ORDER BY highest DESC) AS range
        CROSS JOIN LATERAL (
            SELECT ctid AS place, id, priority FROM {queue_table}
            WHERE entrypoint COLLATE "C" = range.entrypoint AND status = 'queued' AND execute_after <= created
                AND priority >= range.lowest AND priority <= range.highest AND id > range.after
            ORDER BY priority DESC, id
            LIMIT (SELECT $1::int4)
            FOR UPDATE SKIP LOCKED
        ) AS job
        -- Ranges are read one after another, and the lower ones only as far as they are needed.
        LIMIT CASE WHEN (SELECT cardinality($2::text::text[]) > 1) THEN coalesce(share.jobs, 0) ELSE (SELECT $1::int4) END
    ) AS job
), longest AS (
    -- They are sorted, so there is a bound.
    SELECT wanted.entrypoint, job.place FROM wanted CROSS JOIN LATERAL (
        SELECT ctid AS place FROM {queue_table}
        WHERE entrypoint COLLATE "C" = wanted.entrypoint AND status = 'queued' AND execute_after > created
            AND execute_after <= now()
        ORDER BY execute_after
        LIMIT 1000
    ) AS job
), crowded AS (
    SELECT entrypoint FROM longest GROUP BY entrypoint HAVING count(*) = 1000
), due AS (
    SELECT ctid AS place, id, priority FROM {queue_table}
    WHERE status = 'queued' AND ctid = ANY (ARRAY(
        SELECT place FROM longest
        UNION ALL
        SELECT job.place FROM crowded CROSS JOIN LATERAL {due_function}(crowded.entrypoint, now()) AS job(place)
    ))
    ORDER BY priority DESC, id
    LIMIT (SELECT $1::int4)
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE {queue_table}
    -- A claim without a seat clears the seat: a value left by another client could hit the index of seats.
    SET status = 'picked', updated = now(), heartbeat = now(), queue_manager_id = $3::uuid, slot = NULL
    WHERE ctid = ANY (ARRAY(
        SELECT place FROM (SELECT * FROM ready UNION ALL SELECT * FROM due) AS candidates
        ORDER BY priority DESC, id
        LIMIT (SELECT $1::int4)
    ))
    RETURNING id, priority, created, execute_after, entrypoint, dedupe_key, payload, headers, attempts, slot
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'picked', entrypoint, priority FROM claimed WHERE {log_steps}
)
SELECT id, priority, entrypoint, dedupe_key AS dedupe, encode(payload, 'base64') AS payload, headers, attempts, slot,
    date_part('epoch', created) * 1000000 AS created, date_part('epoch', execute_after) * 1000000 AS due,
    (SELECT (date_part('epoch', now()) * 1000000)::bigint) AS lease
-- Sorted first, apart from the payloads: a sort of texts that do not fit into work_mem goes through a file.
FROM (SELECT * FROM claimed ORDER BY priority DESC, id OFFSET 0) AS sorted;

-- name: claim_limited
-- Claims ready jobs where some entrypoints have limits: see sql/functions.sql. Fails with 23505 if a client that takes no
-- lock got a seat first.
--   $1 int4   most jobs to claim
--   $2 int4   most of them that may be of entrypoints with limits
--   $3 uuid   queue manager that takes the lease
--   $4 text   entrypoints, text[]
--   $5 text   most picked jobs of each in the fleet, int4[]; 0: no limit
--   $6 text   most starts a second of each in the fleet, float8[]; infinity: no limit
--   $7 text   whether its jobs without a dedupe key run one after another, boolean[]
SELECT id, priority, entrypoint, dedupe, encode(payload, 'base64') AS payload, headers, attempts, slot,
    date_part('epoch', created) * 1000000 AS created, date_part('epoch', due) * 1000000 AS due,
    (date_part('epoch', updated) * 1000000)::bigint AS lease
FROM {claim_function}(
    $1::int4, $2::int4, $3::uuid, $4::text::text[], $5::text::int4[], $6::text::float8[], $7::text::boolean[], {log_steps}
);

-- name: take_over
-- Deals with picked jobs whose lease has run out: claims them; puts those of limited entrypoints back, to be claimed
-- within the limits; keeps as failed those whose workers died too often in a row. Gives the claimed ones.
--   $1 int4   most jobs to deal with
--   $2 uuid   queue manager that takes the lease
--   $3 text   ids that the queue manager is running itself, bigint[]
--   $4 text   entrypoints, text[]
--   $5 text   age in milliseconds at which a heartbeat of each is too old, float8[]
--   $6 text   whether each has a limit, boolean[]
--   $7 text   take-overs in a row after which a job of each is held, int4[]
--   $8 float8   age in milliseconds up to which heartbeats are looked at: older ones have been dealt with
--
-- Entries of jobs that have ended stand in front of those of jobs that run, and stay there while any session holds an old
-- snapshot. To begin behind them spares a walk over all of them.
WITH asked AS (
    SELECT * FROM unnest(
        (SELECT $4::text::text[]), (SELECT $5::text::float8[]), (SELECT $6::text::boolean[]), (SELECT $7::text::int4[])
    ) AS asked(entrypoint, timeout, limited, most)
), stale AS (
    SELECT job.ctid AS place, job.queue_manager_id AS dead,
        CASE
            -- To be ended by the one who claims it.
            WHEN job.cancel_requested THEN 'claim'
            WHEN job.take_overs + 1 >= asked.most THEN 'hold'
            WHEN asked.limited THEN 'put back'
            ELSE 'claim'
        END AS fate
    FROM {queue_table} AS job JOIN asked ON asked.entrypoint = job.entrypoint
    WHERE job.status = 'picked'
        AND job.heartbeat < now() - (SELECT min(timeout) FROM asked) * interval '1 millisecond'
        AND job.heartbeat < now() - asked.timeout * interval '1 millisecond'
        AND job.heartbeat >= now() - (SELECT $8::float8) * interval '1 millisecond'
        AND job.id <> ALL ((SELECT $3::text::bigint[])::bigint[])
    ORDER BY job.heartbeat
    LIMIT (SELECT $1::int4)
    FOR UPDATE OF job SKIP LOCKED
), claimed AS (
    UPDATE {queue_table}
    SET updated = now(), heartbeat = now(), queue_manager_id = $2::uuid, take_overs = take_overs + 1
    WHERE ctid = ANY (ARRAY(SELECT place FROM stale WHERE fate = 'claim'))
    RETURNING id, priority, created, execute_after, entrypoint, dedupe_key, payload, headers, attempts, slot,
        cancel_requested
), put_back AS (
    UPDATE {queue_table}
    SET status = 'queued', updated = now(), queue_manager_id = NULL, slot = NULL, take_overs = take_overs + 1
    WHERE ctid = ANY (ARRAY(SELECT place FROM stale WHERE fate = 'put back'))
    RETURNING id, entrypoint, priority
), held AS (
    UPDATE {queue_table}
    SET status = 'failed', updated = now(), queue_manager_id = NULL, slot = NULL, take_overs = take_overs + 1
    WHERE ctid = ANY (ARRAY(SELECT place FROM stale WHERE fate = 'hold'))
    RETURNING id, entrypoint, priority, take_overs
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, traceback)
    SELECT id, 'picked'::{queue_status_type}, entrypoint, priority, NULL::jsonb FROM claimed
    WHERE {log_steps}
    UNION ALL SELECT id, 'queued', entrypoint, priority, NULL FROM put_back WHERE {log_steps}
    UNION ALL SELECT id, 'failed', entrypoint, priority, jsonb_build_object(
        'job_id', id, 'timestamp', now(), 'exception_type', 'WorkerDied',
        'exception_message', format('%s workers in a row died while they ran this job', take_overs),
        'traceback', '', 'additional_context', jsonb_build_object('entrypoint', entrypoint)
    ) FROM held
)
SELECT id, priority, entrypoint, dedupe_key AS dedupe, encode(payload, 'base64') AS payload, headers, attempts, slot,
    date_part('epoch', created) * 1000000 AS created, date_part('epoch', execute_after) * 1000000 AS due,
    (SELECT (date_part('epoch', now()) * 1000000)::bigint) AS lease, cancel_requested AS canceled,
    (SELECT count(*) FROM stale)::int4 AS dealt
-- At least one row, without a job. Sorted first, as in dequeue.
FROM (SELECT claimed.* FROM (SELECT) AS one LEFT JOIN claimed ON true ORDER BY priority DESC, id OFFSET 0) AS sorted;

-- name: look_ahead
-- Says what a worker without work waits for: whether a job may start now, and in how many milliseconds the next deferred
-- job is due, the next token of a rate comes and the next lease runs out (null: there is none); and whether a job waits
-- for a seat, so that the end of another is worth waking for.
--   $1 text   event to send to every listener, or null
--   $2 text   entrypoints, text[]
--   $3 text   most picked jobs of each in the fleet, int4[]; 0: no limit
--   $4 text   most starts a second of each in the fleet, float8[]; infinity: no limit
--   $5 text   whether its jobs without a dedupe key run one after another, boolean[]
--   $6 text   age in milliseconds at which a heartbeat of each is too old, float8[]
--   $7 float8   age in milliseconds up to which heartbeats are looked at, as in take_over: there are no older ones
--   $8 text   entrypoint of each range of ready jobs to look at, text[]; as in dequeue
--   $9 text   lowest priority of each range, int4[]
--   $10 text   highest priority of each range, int4[]
--   $11 text   id after which each range begins, bigint[]
WITH asked AS (
    SELECT * FROM unnest(
        (SELECT $2::text::text[]), (SELECT $3::text::int4[]), (SELECT $4::text::float8[]), (SELECT $5::text::boolean[]),
        (SELECT $6::text::float8[])
    ) AS asked(entrypoint, concurrency, rate, serialized, timeout)
), range AS (
    SELECT * FROM unnest(
        (SELECT $8::text::text[]), (SELECT $9::text::int4[]), (SELECT $10::text::int4[]), (SELECT $11::text::bigint[])
    )
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
            ORDER BY job.execute_after
            LIMIT 1
        ) END AS due,
        (
            SELECT extract(epoch FROM job.heartbeat - clock_timestamp()) * 1000 + gate.timeout
            FROM {queue_table} AS job
            WHERE job.status = 'picked' AND job.entrypoint = gate.entrypoint AND gate.timeout > 0
                AND job.heartbeat >= now() - (SELECT $7::float8) * interval '1 millisecond'
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
    CASE WHEN $1::text IS NOT NULL THEN pg_notify('{channel}', $1::text) END,
    coalesce(bool_or(work AND NOT taken AND coalesce(token <= 0, true)), false) AS ready,
    coalesce(bool_or(work AND taken OR keyless_waits), false) AS blocked,
    min(due) FILTER (WHERE due > 0)::float8 AS due,
    min(token) FILTER (WHERE work AND NOT taken AND token > 0)::float8 AS token,
    min(stale)::float8 AS stale
FROM waiting;

-- name: heartbeat
-- Renews leases. Gives the jobs whose lease is still held, and whether somebody wants one stopped. A row that another
-- session has locked is passed over, since to wait for it would hold up the others, and counts as held until the next time.
--   $1 text   job ids, bigint[]
--   $2 uuid   queue manager that holds the leases
WITH renewed AS (
    UPDATE {queue_table} SET heartbeat = now()
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {queue_table}
        WHERE id = ANY ((SELECT $1::text::bigint[])::bigint[]) AND status IS NOT DISTINCT FROM 'picked'
        AND queue_manager_id IS NOT DISTINCT FROM $2::uuid
        FOR UPDATE SKIP LOCKED
    ))
)
SELECT id, cancel_requested AS canceled FROM {queue_table}
WHERE id = ANY ((SELECT $1::text::bigint[])::bigint[]) AND status IS NOT DISTINCT FROM 'picked'
        AND queue_manager_id IS NOT DISTINCT FROM $2::uuid;

-- name: keep_leases
-- Renews every lease of a queue manager. Sent by a thread while the main thread, which knows which jobs it runs, is blocked.
-- A row that another session has locked is passed over. Gives the ids.
--   $1 uuid   queue manager that holds the leases
UPDATE {queue_table} SET heartbeat = now()
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {queue_table} WHERE status = 'picked' AND queue_manager_id = $1::uuid FOR UPDATE SKIP LOCKED
))
RETURNING id;

-- name: retry
-- Puts picked jobs back in the queue for another attempt, logs why, and wakes the workers. Ends those that somebody wants
-- stopped. Passes over a job whose lease is lost. Gives the other ids.
--   $1 text   job ids, bigint[]
--   $2 text   delays in milliseconds from now, float8[]
--   $3 text   tracebacks, jsonb[]
--   $4 uuid   queue manager that holds the leases
--   $5 text   leases, bigint[]
WITH outcome AS (
    SELECT given.*, timestamptz 'epoch' + lease * interval '1 microsecond' AS claimed
    FROM unnest(
        (SELECT $1::text::bigint[]), (SELECT $2::text::float8[]), (SELECT $3::text::jsonb[]), (SELECT $5::text::bigint[])
    ) AS given(id, delay, traceback, lease)
), mine AS (
    -- Locked first: a cancel that has the row is waited for and then seen.
    SELECT job.id, job.cancel_requested, outcome.delay, outcome.traceback
    FROM {queue_table} AS job JOIN outcome ON outcome.id = job.id AND outcome.claimed = job.updated
    WHERE job.status IS NOT DISTINCT FROM 'picked' AND job.queue_manager_id IS NOT DISTINCT FROM $4::uuid
    ORDER BY job.id
    FOR UPDATE OF job
), retried AS (
    UPDATE {queue_table} AS job
    SET status = 'queued', updated = now(), queue_manager_id = NULL, slot = NULL, take_overs = 0,
        attempts = job.attempts + 1,
        -- Without a delay the job is ready at once, in the index of ready jobs.
        execute_after = CASE WHEN mine.delay > 0 THEN now() + mine.delay * interval '1 millisecond'
            ELSE job.created END
    FROM mine
    WHERE job.id = mine.id AND NOT mine.cancel_requested
    RETURNING job.id, job.status, job.entrypoint, job.priority, mine.traceback
), canceled AS (
    DELETE FROM {queue_table} AS job USING mine
    WHERE job.id = mine.id AND mine.cancel_requested
    RETURNING job.id, 'canceled'::{queue_status_type}, job.entrypoint, job.priority, mine.traceback
), done AS (
    SELECT * FROM retried UNION ALL SELECT * FROM canceled
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, traceback)
    SELECT id, status, entrypoint, priority, traceback FROM done
)
SELECT done.id, pg_notify('{channel}', json_build_object(
    'channel', '{channel}', 'operation', 'update', 'sent_at', now(), 'table', '{queue_table_name}',
    'type', 'table_changed_event'
)::text) FROM done;

-- name: cancel
-- Ends queued and held jobs, and asks the workers of picked ones to stop them: those keep key and seat until they have.
-- Gives the ids it found in either state.
--   $1 text   job ids, bigint[]
WITH found AS (
    SELECT ctid AS place, id, status FROM {queue_table} WHERE id = ANY ((SELECT $1::text::bigint[])::bigint[])
    ORDER BY id
    FOR UPDATE
), ended AS (
    DELETE FROM {queue_table}
    WHERE ctid = ANY (ARRAY(SELECT place FROM found WHERE status <> 'picked'))
    RETURNING id, entrypoint, priority
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'canceled', entrypoint, priority FROM ended
), marked AS (
    UPDATE {queue_table} SET cancel_requested = true
    WHERE ctid = ANY (ARRAY(SELECT place FROM found WHERE status = 'picked'))
    RETURNING id
), told AS (
    -- A notification holds 8,000 bytes.
    SELECT pg_notify('{channel}', json_build_object(
        'channel', '{channel}', 'ids', json_agg(id), 'sent_at', now(), 'type', 'cancellation_event'
    )::text)
    FROM (SELECT id, row_number() OVER (ORDER BY id) / 300 AS part FROM marked) AS numbered
    GROUP BY part
)
SELECT id, (SELECT count(*) FROM told) AS told FROM (SELECT id FROM ended UNION ALL SELECT id FROM marked) AS done;

-- name: acknowledge
-- Ends picked jobs, all with one outcome: deletes them and logs it. Passes over a job whose lease is lost. Gives the ids it
-- ended. The log has the time of this statement: in the transaction of a handler, now() is when that began.
--   $1 text   job ids, bigint[]
--   $2 text   outcome, of the status enum
--   $3 uuid   queue manager that holds the leases
--   $4 text   leases, bigint[]
WITH outcome AS (
    SELECT id, timestamptz 'epoch' + lease * interval '1 microsecond' AS claimed
    FROM unnest((SELECT $1::text::bigint[]), (SELECT $4::text::bigint[])) AS given(id, lease)
), ended AS (
    DELETE FROM {queue_table} AS job USING outcome
    -- The fence is written so that only the primary key serves. By the indexes of picked jobs and of the queue manager's the
    -- planner walked all that was ever claimed, as dead entries: seven times the work, and more the longer it went on.
    WHERE job.id = outcome.id AND job.updated = outcome.claimed AND job.status IS NOT DISTINCT FROM 'picked'
        AND job.queue_manager_id IS NOT DISTINCT FROM $3::uuid
    RETURNING job.id, job.entrypoint, job.priority
)
INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, created)
SELECT id, $2::text::{queue_status_type}, entrypoint, priority, clock_timestamp() FROM ended
RETURNING job_id AS id;

-- name: acknowledge_failure
-- Ends picked jobs that failed: deletes them and logs why. Passes over a job whose lease is lost. Gives the ids it ended.
--   $1 text   job ids, bigint[]
--   $2 text   tracebacks, jsonb[]
--   $3 uuid   queue manager that holds the leases
--   $4 text   leases, bigint[]
WITH outcome AS (
    SELECT given.*, timestamptz 'epoch' + lease * interval '1 microsecond' AS claimed
    FROM unnest((SELECT $1::text::bigint[]), (SELECT $2::text::jsonb[]), (SELECT $4::text::bigint[]))
        AS given(id, traceback, lease)
), ended AS (
    DELETE FROM {queue_table} AS job USING outcome
    WHERE job.id = outcome.id AND job.updated = outcome.claimed AND job.status IS NOT DISTINCT FROM 'picked'
        AND job.queue_manager_id IS NOT DISTINCT FROM $3::uuid
    RETURNING job.id, job.entrypoint, job.priority, outcome.traceback
)
INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, traceback)
SELECT id, 'exception', entrypoint, priority, traceback FROM ended
RETURNING job_id AS id;

-- name: hold
-- Keeps picked jobs as failed and logs why. Ends those that somebody wants stopped. Passes over a job whose lease is lost.
-- Gives the other ids.
--   $1 text   job ids, bigint[]
--   $2 text   tracebacks, jsonb[]
--   $3 uuid   queue manager that holds the leases
--   $4 text   leases, bigint[]
WITH outcome AS (
    SELECT given.*, timestamptz 'epoch' + lease * interval '1 microsecond' AS claimed
    FROM unnest((SELECT $1::text::bigint[]), (SELECT $2::text::jsonb[]), (SELECT $4::text::bigint[]))
        AS given(id, traceback, lease)
), mine AS (
    SELECT job.id, job.cancel_requested, outcome.traceback
    FROM {queue_table} AS job JOIN outcome ON outcome.id = job.id AND outcome.claimed = job.updated
    WHERE job.status IS NOT DISTINCT FROM 'picked' AND job.queue_manager_id IS NOT DISTINCT FROM $3::uuid
    ORDER BY job.id
    FOR UPDATE OF job
), held AS (
    UPDATE {queue_table} AS job
    SET status = 'failed', updated = now(), queue_manager_id = NULL, slot = NULL, take_overs = 0
    FROM mine
    WHERE job.id = mine.id AND NOT mine.cancel_requested
    RETURNING job.id, job.status, job.entrypoint, job.priority, mine.traceback
), canceled AS (
    DELETE FROM {queue_table} AS job USING mine
    WHERE job.id = mine.id AND mine.cancel_requested
    RETURNING job.id, 'canceled'::{queue_status_type}, job.entrypoint, job.priority, mine.traceback
), done AS (
    SELECT * FROM held UNION ALL SELECT * FROM canceled
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, traceback)
    SELECT id, status, entrypoint, priority, traceback FROM done
)
-- Its seat is free, and an UPDATE tells nobody.
SELECT done.id, pg_notify('{channel}', json_build_object(
    'channel', '{channel}', 'operation', 'update', 'sent_at', now(), 'table', '{queue_table_name}',
    'type', 'table_changed_event'
)::text) FROM done;

-- name: release
-- Puts picked jobs back in the queue as if they had not been claimed, and wakes other workers. Ends those that somebody
-- wants stopped. Gives the ids of both.
--   $1 text   job ids, bigint[]
--   $2 uuid   queue manager that holds the leases
--   $3 text   leases, bigint[]
WITH mine AS (
    SELECT job.id, job.cancel_requested
    FROM {queue_table} AS job JOIN unnest((SELECT $1::text::bigint[]), (SELECT $3::text::bigint[])) AS given(id, lease)
        ON given.id = job.id AND job.updated = timestamptz 'epoch' + given.lease * interval '1 microsecond'
    WHERE job.status IS NOT DISTINCT FROM 'picked' AND job.queue_manager_id IS NOT DISTINCT FROM $2::uuid
    ORDER BY job.id
    FOR UPDATE OF job
), released AS (
    UPDATE {queue_table} AS job
    SET status = 'queued', updated = now(), queue_manager_id = NULL, slot = NULL, take_overs = 0
    FROM mine
    WHERE job.id = mine.id AND NOT mine.cancel_requested
    RETURNING job.id, job.status, job.entrypoint, job.priority
), canceled AS (
    DELETE FROM {queue_table} AS job USING mine
    WHERE job.id = mine.id AND mine.cancel_requested
    RETURNING job.id, 'canceled'::{queue_status_type}, job.entrypoint, job.priority
), done AS (
    SELECT * FROM released UNION ALL SELECT * FROM canceled
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, status, entrypoint, priority FROM done WHERE {log_steps} OR status <> 'queued'
)
SELECT done.id, pg_notify('{channel}', json_build_object(
    'channel', '{channel}', 'operation', 'update', 'sent_at', now(), 'table', '{queue_table_name}',
    'type', 'table_changed_event'
)::text) FROM done;

-- name: release_unknown
-- Puts back every job that a queue manager holds in the table and does not know of: the answer to a claim was lost on
-- its way. Ends those that somebody wants stopped. Wakes other workers. Gives the ids of both.
--   $1 text   ids of the jobs it knows, bigint[]
--   $2 uuid   queue manager that holds the leases
--   $3 text   a moment, bigint: no lease of a later one is given up, as it may be one that the sender does not know of yet
WITH mine AS (
    SELECT id, cancel_requested FROM {queue_table}
    WHERE id <> ALL ((SELECT $1::text::bigint[])::bigint[]) AND status = 'picked' AND queue_manager_id = $2::uuid
        AND updated <= timestamptz 'epoch' + $3::text::bigint * interval '1 microsecond'
    ORDER BY id
    FOR UPDATE
), released AS (
    UPDATE {queue_table} AS job
    SET status = 'queued', updated = now(), queue_manager_id = NULL, slot = NULL, take_overs = 0
    FROM mine
    WHERE job.id = mine.id AND NOT mine.cancel_requested
    RETURNING job.id, job.status, job.entrypoint, job.priority
), canceled AS (
    DELETE FROM {queue_table} AS job USING mine
    WHERE job.id = mine.id AND mine.cancel_requested
    RETURNING job.id, 'canceled'::{queue_status_type}, job.entrypoint, job.priority
), done AS (
    SELECT * FROM released UNION ALL SELECT * FROM canceled
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, status, entrypoint, priority FROM done WHERE {log_steps} OR status <> 'queued'
)
SELECT done.id, pg_notify('{channel}', json_build_object(
    'channel', '{channel}', 'operation', 'update', 'sent_at', now(), 'table', '{queue_table_name}',
    'type', 'table_changed_event'
)::text) FROM done;

-- name: moment
-- Says what time it is, in the unit of leases.
SELECT (date_part('epoch', clock_timestamp()) * 1000000)::bigint AS moment;

-- name: notify
-- Sends an event to every listener.
--   $1 text   event, as JSON
SELECT pg_notify('{channel}', $1::text);

-- name: listen
-- Listens to the channel, for clients that have no call for it.
LISTEN "{channel}";

-- name: begin
-- Opens a transaction, for clients that have no call for it.
BEGIN;

-- name: begin_for_handler
-- Opens the transaction of a handler, whatever the database's defaults. A stricter level would fail with 40001 wherever a
-- heartbeat has renewed the job's lease meanwhile.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;

-- name: commit
-- Ends a transaction, for clients that have no call for it.
COMMIT;

-- name: rollback
-- Takes back a transaction, for clients that have no call for it.
ROLLBACK;

-- name: identify_transaction
-- Gives what the statements of one transaction have in common. Outside of a block each statement is one.
SELECT pg_backend_pid() || ' ' || (extract(epoch FROM now()) * 1000000)::bigint AS transaction;

-- name: require_transaction
-- Fails with 25P01 outside a transaction block, and does nothing in one: nobody takes a lock that this one is in the way
-- of. Everybody may read the table, so it needs no right.
LOCK TABLE pg_catalog.pg_am IN ACCESS SHARE MODE;

-- name: ping
-- Answers, so that the caller knows the server does.
SELECT 1 AS answer;

-- name: array_types
-- Types of arrays, for a client that does not ask for them by itself.
SELECT array_type.oid AS id, element.oid AS element, element.typdelim AS delimiter
FROM pg_catalog.pg_type AS element
JOIN pg_catalog.pg_type AS array_type ON array_type.oid = element.typarray;
