-- Frozen: what a worker and a producer of 23 November 2026 sent, on the tables of schema.sql.

-- name: enqueue
-- Inserts jobs. A dedupe key in use fails the whole statement with 23505. Gives the ids in the order of the input.
--   $1 text   priorities, int4[]
--   $2 text   entrypoints, text[]
--   $3 text   payloads, bytea[]
--   $4 text   delays in milliseconds from now, float8[]
--   $5 text   instants not to start before, timestamptz[]; null where the delay counts
--   $6 text   dedupe keys, text[]
--   $7 text   headers, jsonb[]
WITH input AS (
    SELECT nextval(sequence.id) AS id, jobs.*
    FROM (SELECT pg_get_serial_sequence('{queue_table}', 'id')::regclass AS id) AS sequence,
    unnest(
        $1::text::int4[], $2::text::text[], $3::text::bytea[], $4::text::float8[],
        $5::text::timestamptz[], $6::text::text[], $7::text::jsonb[]
    ) WITH ORDINALITY AS jobs(priority, entrypoint, payload, delay, due, dedupe_key, headers, position)
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
    SELECT id, 'queued', entrypoint, priority FROM inserted
)
SELECT string_agg(id::text, ',' ORDER BY position) AS ids FROM input;

-- name: claim_limited
-- Claims ready jobs where some entrypoints have limits: see sql/functions.sql. Fails with 23505 if a client that takes no
-- lock got a seat first.
--   $1 int4   most jobs to claim
--   $2 uuid   queue manager that takes the lease
--   $3 text   entrypoints, text[]
--   $4 text   most picked jobs of each in the fleet, int4[]; 0: no limit
--   $5 text   most starts a second of each in the fleet, float8[]; infinity: no limit
--   $6 text   whether its jobs without a dedupe key run one after another, boolean[]
SELECT id, priority, manager_id AS manager, created, updated, heartbeat, due, status, entrypoint, dedupe, payload,
    headers, attempts, slot
FROM {schema_prefix}{prefix}fn_pgqueuer_claim_1(
    $1::int4, $2::uuid, $3::text::text[], $4::text::int4[], $5::text::float8[], $6::text::boolean[]
);

-- name: dequeue
-- Claims ready jobs, highest priority first, then lowest id.
--
-- Two ranges of two indexes are read, each from its front: jobs that were ready when they were enqueued, and deferred
-- jobs whose time has come. Deferred jobs in front of the queue cost nothing. Rows that another session has locked are
-- passed over. The UPDATE finds the locked rows by their place, not by a join.
--   $1 int4   most jobs to claim
--   $2 text   entrypoints, text[]
--   $3 uuid   queue manager that takes the lease
WITH ready AS (
    SELECT job.place, job.id, job.priority
    FROM unnest($2::text::text[]) AS wanted(entrypoint)
    CROSS JOIN LATERAL (
        SELECT ctid AS place, id, priority FROM {queue_table}
        WHERE entrypoint COLLATE "C" = wanted.entrypoint AND status = 'queued' AND execute_after <= created
        ORDER BY priority DESC, id
        LIMIT $1::int4
        FOR UPDATE SKIP LOCKED
    ) AS job
), due AS (
    -- The thousand that are due longest, of each entrypoint: they are sorted, so there is a bound.
    SELECT ctid AS place, id, priority FROM {queue_table}
    WHERE status = 'queued' AND ctid = ANY (ARRAY(
        SELECT job.place
        FROM unnest($2::text::text[]) AS wanted(entrypoint)
        CROSS JOIN LATERAL (
            SELECT ctid AS place FROM {queue_table}
            WHERE entrypoint COLLATE "C" = wanted.entrypoint AND status = 'queued' AND execute_after > created
                AND execute_after <= now()
            ORDER BY execute_after
            LIMIT 1000
        ) AS job
    ))
    ORDER BY priority DESC, id
    LIMIT $1::int4
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE {queue_table}
    -- A claim without a seat clears the seat: a value left by another client could hit the index of seats.
    SET status = 'picked', updated = now(), heartbeat = now(), queue_manager_id = $3::uuid, slot = NULL
    WHERE ctid = ANY (ARRAY(
        SELECT place FROM (SELECT * FROM ready UNION ALL SELECT * FROM due) AS candidates
        ORDER BY priority DESC, id
        LIMIT $1::int4
    ))
    RETURNING id, priority, queue_manager_id, created, updated, heartbeat, execute_after, status, entrypoint,
        dedupe_key, payload, headers, attempts, slot
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'picked', entrypoint, priority FROM claimed
)
SELECT id, priority, queue_manager_id AS manager, created, updated, heartbeat, execute_after AS due, status,
    entrypoint, dedupe_key AS dedupe, payload, headers, attempts, slot
FROM claimed ORDER BY priority DESC, id;

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
WITH asked AS (
    SELECT * FROM unnest($4::text::text[], $5::text::float8[], $6::text::boolean[], $7::text::int4[])
        AS asked(entrypoint, timeout, limited, most)
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
        AND job.id <> ALL ($3::text::bigint[])
    ORDER BY job.heartbeat
    LIMIT $1::int4
    FOR UPDATE OF job SKIP LOCKED
), claimed AS (
    UPDATE {queue_table}
    SET updated = now(), heartbeat = now(), queue_manager_id = $2::uuid, take_overs = take_overs + 1
    WHERE ctid = ANY (ARRAY(SELECT place FROM stale WHERE fate = 'claim'))
    RETURNING id, priority, queue_manager_id, created, updated, heartbeat, execute_after, status, entrypoint,
        dedupe_key, payload, headers, attempts, slot, cancel_requested
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
    UNION ALL SELECT id, 'queued', entrypoint, priority, NULL FROM put_back
    UNION ALL SELECT id, 'failed', entrypoint, priority, jsonb_build_object(
        'job_id', id, 'timestamp', now(), 'exception_type', 'WorkerDied',
        'exception_message', format('%s workers in a row died while they ran this job', take_overs),
        'traceback', '', 'additional_context', jsonb_build_object('entrypoint', entrypoint)
    ) FROM held
)
SELECT id, priority, queue_manager_id AS manager, created, updated, heartbeat, execute_after AS due, status,
    entrypoint, dedupe_key AS dedupe, payload, headers, attempts, slot, cancel_requested AS canceled
FROM claimed ORDER BY priority DESC, id;

-- name: heartbeat
-- Renews leases. Gives the jobs whose lease is still held, and whether somebody wants one stopped. A row that another
-- session has locked is passed over, since to wait for it would hold up the others, and counts as held until the next time.
--   $1 text   job ids, bigint[]
--   $2 uuid   queue manager that holds the leases
WITH renewed AS (
    UPDATE {queue_table} SET heartbeat = now()
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {queue_table}
        WHERE id = ANY ($1::text::bigint[]) AND status = 'picked' AND queue_manager_id = $2::uuid
        FOR UPDATE SKIP LOCKED
    ))
)
SELECT id, cancel_requested AS canceled FROM {queue_table}
WHERE id = ANY ($1::text::bigint[]) AND status = 'picked' AND queue_manager_id = $2::uuid;

-- name: retry
-- Puts picked jobs back in the queue for another attempt, logs why, and wakes the workers. Ends those that somebody wants
-- stopped. Passes over a job whose lease is lost. Gives the other ids.
--   $1 text   job ids, bigint[]
--   $2 text   delays in milliseconds from now, float8[]
--   $3 text   tracebacks, jsonb[]
--   $4 uuid   queue manager that holds the leases
WITH outcome AS (
    SELECT * FROM unnest($1::text::bigint[], $2::text::float8[], $3::text::jsonb[]) AS given(id, delay, traceback)
), mine AS (
    -- Locked first: a cancel that has the row is waited for and then seen.
    SELECT job.id, job.cancel_requested, outcome.delay, outcome.traceback
    FROM {queue_table} AS job JOIN outcome ON outcome.id = job.id
    WHERE job.status = 'picked' AND job.queue_manager_id = $4::uuid
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

-- name: acknowledge
-- Ends picked jobs: deletes them and logs their outcomes. Passes over a job whose lease is lost. Gives the ids it ended.
--   $1 text   job ids, bigint[]
--   $2 text   outcomes, status enum[]
--   $3 text   tracebacks, jsonb[]
--   $4 uuid   queue manager that holds the leases
WITH outcome AS (
    SELECT * FROM unnest($1::text::bigint[], $2::text::{queue_status_type}[], $3::text::jsonb[])
        AS given(id, status, traceback)
), ended AS (
    DELETE FROM {queue_table} AS job USING outcome
    WHERE job.id = outcome.id AND job.status = 'picked' AND job.queue_manager_id = $4::uuid
    RETURNING job.id, outcome.status, job.entrypoint, job.priority, outcome.traceback
)
INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, traceback)
SELECT id, status, entrypoint, priority, traceback FROM ended
RETURNING job_id AS id;
