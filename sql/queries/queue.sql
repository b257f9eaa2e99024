-- Statements on the queue table.
--
-- Lists come as the text of an array, since every client can send text and not every client can send arrays that hold
-- null. Every change of status writes its log row in the same statement.

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

-- name: enqueue_or_skip
-- Inserts jobs. A job whose dedupe key is in use is left out. Gives the ids in the order of the input, empty for one left out.
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
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
    RETURNING id, entrypoint, priority
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM inserted
)
SELECT string_agg(coalesce(inserted.id::text, ''), ',' ORDER BY input.position) AS ids
FROM input LEFT JOIN inserted ON inserted.id = input.id;

-- name: enqueue_or_raise_priority
-- Inserts jobs. Where a dedupe key is in use, that job's priority becomes the higher of the two and its id is given.
-- No key may occur twice in the input.
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
), stored AS (
    INSERT INTO {queue_table} AS job (id, priority, status, entrypoint, payload, execute_after, dedupe_key, headers)
    SELECT id, priority, 'queued', entrypoint, payload,
        coalesce(due, now() + delay * interval '1 millisecond'), dedupe_key, headers
    FROM input
    -- Keys in one order in every session: two batches that share keys wait for each other and never deadlock.
    ORDER BY dedupe_key, position
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
    DO UPDATE SET priority = greatest(job.priority, excluded.priority), updated = now()
    RETURNING id, entrypoint, priority, dedupe_key
), logged AS (
    -- An id that was not drawn for the input belongs to a job that was there before.
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM stored WHERE id IN (SELECT id FROM input)
)
SELECT string_agg(coalesce(fresh.id, raised.id)::text, ',' ORDER BY input.position) AS ids
FROM input
LEFT JOIN stored AS fresh ON fresh.id = input.id
LEFT JOIN stored AS raised ON raised.dedupe_key = input.dedupe_key;

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
-- Claims picked jobs whose lease has run out. They keep their seat.
--   $1 int4     most jobs to claim
--   $2 text     entrypoints, text[]
--   $3 uuid     queue manager that takes the lease
--   $4 float8   age in milliseconds at which a heartbeat is too old
--   $5 text     ids that the queue manager is running itself, bigint[]
WITH stale AS (
    SELECT ctid AS place FROM {queue_table}
    WHERE status = 'picked'
        AND heartbeat < now() - $4::float8 * interval '1 millisecond'
        AND entrypoint = ANY ($2::text::text[])
        AND id <> ALL ($5::text::bigint[])
    ORDER BY heartbeat
    LIMIT $1::int4
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE {queue_table}
    SET updated = now(), heartbeat = now(), queue_manager_id = $3::uuid
    WHERE ctid = ANY (ARRAY(SELECT place FROM stale))
    RETURNING id, priority, queue_manager_id, created, updated, heartbeat, execute_after, status, entrypoint,
        dedupe_key, payload, headers, attempts, slot
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'picked', entrypoint, priority FROM claimed
)
SELECT id, priority, queue_manager_id AS manager, created, updated, heartbeat, execute_after AS due, status,
    entrypoint, dedupe_key AS dedupe, payload, headers, attempts, slot
FROM claimed ORDER BY priority DESC, id;

-- name: look_ahead
-- Says what a worker without work waits for: whether a job is ready, and in how many milliseconds the next deferred job
-- is due and the next lease runs out (negative: already; null: there is none).
--   $1 text     entrypoints, text[]
--   $2 float8   age in milliseconds at which a heartbeat is too old
--   $3 text     event to send to every listener, or null
SELECT
    CASE WHEN $3::text IS NOT NULL THEN pg_notify('{channel}', $3::text) END,
    EXISTS (
        SELECT 1 FROM unnest($1::text::text[]) AS wanted(entrypoint)
        CROSS JOIN LATERAL (
            SELECT 1 FROM {queue_table}
            WHERE entrypoint COLLATE "C" = wanted.entrypoint AND status = 'queued' AND execute_after <= created
            -- Any would do. The order makes the planner read the index and not the table from its start.
            ORDER BY priority DESC, id
            LIMIT 1
        ) AS job
    ) AS ready,
    (
        SELECT extract(epoch FROM min(job.execute_after) - clock_timestamp()) * 1000
        FROM unnest($1::text::text[]) AS wanted(entrypoint)
        CROSS JOIN LATERAL (
            SELECT execute_after FROM {queue_table}
            WHERE entrypoint COLLATE "C" = wanted.entrypoint AND status = 'queued' AND execute_after > created
            ORDER BY execute_after
            LIMIT 1
        ) AS job
    )::float8 AS due,
    (
        SELECT extract(epoch FROM heartbeat - clock_timestamp()) * 1000 + $2::float8
        FROM {queue_table}
        WHERE status = 'picked' AND entrypoint = ANY ($1::text::text[])
        ORDER BY heartbeat
        LIMIT 1
    )::float8 AS stale;

-- name: heartbeat
-- Renews leases. Gives the ids whose lease is still held. A row that another session has locked is passed over, since
-- to wait for it would hold up the others, and counts as held until the next time.
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
SELECT id FROM {queue_table}
WHERE id = ANY ($1::text::bigint[]) AND status = 'picked' AND queue_manager_id = $2::uuid;

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

-- name: hold
-- Keeps picked jobs as failed and logs why. Passes over a job whose lease is lost. Gives the ids it holds.
--   $1 text   job ids, bigint[]
--   $2 text   tracebacks, jsonb[]
--   $3 uuid   queue manager that holds the leases
WITH outcome AS (
    SELECT * FROM unnest($1::text::bigint[], $2::text::jsonb[]) AS given(id, traceback)
), held AS (
    UPDATE {queue_table} AS job
    SET status = 'failed', updated = now(), queue_manager_id = NULL, slot = NULL
    FROM outcome
    WHERE job.id = outcome.id AND job.status = 'picked' AND job.queue_manager_id = $3::uuid
    RETURNING job.id, job.entrypoint, job.priority, outcome.traceback
)
INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, traceback)
SELECT id, 'failed', entrypoint, priority, traceback FROM held
RETURNING job_id AS id;

-- name: release
-- Puts picked jobs back in the queue as if they had not been claimed, and wakes other workers. Gives their ids.
--   $1 text   job ids, bigint[]
--   $2 uuid   queue manager that holds the leases
WITH released AS (
    UPDATE {queue_table}
    SET status = 'queued', updated = now(), queue_manager_id = NULL, slot = NULL
    WHERE id = ANY ($1::text::bigint[]) AND status = 'picked' AND queue_manager_id = $2::uuid
    RETURNING id, entrypoint, priority
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM released
)
SELECT released.id, pg_notify('{channel}', json_build_object(
    'channel', '{channel}', 'operation', 'update', 'sent_at', now(), 'table', '{queue_table_name}',
    'type', 'table_changed_event'
)::text) FROM released;

-- name: release_unknown
-- Puts back every job that a queue manager holds in the table and does not know of: the answer to a claim was lost on
-- its way. Wakes other workers. Gives their ids.
--   $1 text   ids of the jobs it knows, bigint[]
--   $2 uuid   queue manager that holds the leases
WITH released AS (
    UPDATE {queue_table}
    SET status = 'queued', updated = now(), queue_manager_id = NULL, slot = NULL
    WHERE id <> ALL ($1::text::bigint[]) AND status = 'picked' AND queue_manager_id = $2::uuid
    RETURNING id, entrypoint, priority
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM released
)
SELECT released.id, pg_notify('{channel}', json_build_object(
    'channel', '{channel}', 'operation', 'update', 'sent_at', now(), 'table', '{queue_table_name}',
    'type', 'table_changed_event'
)::text) FROM released;

-- name: notify
-- Sends an event to every listener.
--   $1 text   event, as JSON
SELECT pg_notify('{channel}', $1::text);

-- name: ping
-- Answers, so that the caller knows the server does.
SELECT 1 AS answer;
