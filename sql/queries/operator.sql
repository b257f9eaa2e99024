-- Statements that operators ask by hand. They write nothing.

-- name: list_jobs
-- Lists jobs of the queue without their payloads, the newest first. A held job comes with why it failed last.
-- A branch for each status, since the indexes of the queue are partial ones: picked and held jobs are few among many.
--   $1 text     statuses, text[]
--   $2 text     entrypoint, or null for any
--   $3 float8   least age in milliseconds, or null
--   $4 float8   greatest age in milliseconds, or null
--   $5 int4     most jobs
--   $6 text     what its entrypoint must contain, in small or capital letters, or null
WITH bounds AS (
    SELECT coalesce(now() - $4::float8 * interval '1 millisecond', '-infinity') AS earliest,
        coalesce(now() - $3::float8 * interval '1 millisecond', 'infinity') AS latest
), found AS (
    (
        SELECT id FROM {queue_table}
        WHERE status = 'queued' AND 'queued' = ANY ($1::text::text[])
            AND ($2::text IS NULL OR entrypoint = $2::text)
            AND ($6::text IS NULL OR position(lower($6::text) IN lower(entrypoint)) > 0)
            AND created BETWEEN (SELECT earliest FROM bounds) AND (SELECT latest FROM bounds)
        ORDER BY id DESC LIMIT $5::int4
    )
    UNION ALL
    (
        SELECT id FROM {queue_table}
        WHERE status = 'picked' AND 'picked' = ANY ($1::text::text[])
            AND ($2::text IS NULL OR entrypoint = $2::text)
            AND ($6::text IS NULL OR position(lower($6::text) IN lower(entrypoint)) > 0)
            AND created BETWEEN (SELECT earliest FROM bounds) AND (SELECT latest FROM bounds)
        ORDER BY id DESC LIMIT $5::int4
    )
    UNION ALL
    (
        SELECT id FROM {queue_table}
        WHERE status = 'failed' AND 'failed' = ANY ($1::text::text[])
            AND ($2::text IS NULL OR entrypoint = $2::text)
            AND ($6::text IS NULL OR position(lower($6::text) IN lower(entrypoint)) > 0)
            AND created BETWEEN (SELECT earliest FROM bounds) AND (SELECT latest FROM bounds)
        ORDER BY id DESC LIMIT $5::int4
    )
), newest AS (
    SELECT id FROM found ORDER BY id DESC LIMIT $5::int4
)
SELECT job.id, job.status::text AS status, job.entrypoint, job.priority, job.attempts, job.created, job.updated,
    job.heartbeat, job.execute_after AS due, job.queue_manager_id::text AS manager, job.slot, job.dedupe_key AS dedupe,
    job.headers::text AS headers, octet_length(job.payload) AS size, job.cancel_requested AS canceled,
    job.take_overs AS takeovers, now() AS now,
    CASE WHEN job.status = 'failed' THEN (
        SELECT json_build_object(
            'type', entry.traceback ->> 'exception_type', 'message', entry.traceback ->> 'exception_message'
        )
        FROM {queue_table_log} AS entry
        WHERE entry.job_id = job.id AND entry.status = 'failed'
        ORDER BY entry.created DESC, entry.id DESC
        LIMIT 1
    )::text END AS error
FROM newest JOIN {queue_table} AS job ON job.id = newest.id
ORDER BY job.id DESC;

-- name: list_ended
-- Lists jobs that are gone, from the log: how each ended, the last end first.
--   $1 text     statuses, text[]
--   $2 text     entrypoint, or null for any
--   $3 float8   least milliseconds since the end, or null
--   $4 float8   most milliseconds since the end, or null
--   $5 int4     most jobs
--   $6 text     what its entrypoint must contain, in small or capital letters, or null
SELECT job_id AS id, status::text AS status, entrypoint, priority, created AS ended, now() AS now,
    json_build_object(
        'type', traceback ->> 'exception_type', 'message', traceback ->> 'exception_message'
    )::text AS error
FROM {queue_table_log} AS entry
WHERE status = ANY ($1::text::{queue_status_type}[])
    AND ($2::text IS NULL OR entrypoint = $2::text)
    AND ($6::text IS NULL OR position(lower($6::text) IN lower(entrypoint)) > 0)
    AND created BETWEEN coalesce(now() - $4::float8 * interval '1 millisecond', '-infinity')
        AND coalesce(now() - $3::float8 * interval '1 millisecond', 'infinity')
ORDER BY entry.id DESC
LIMIT $5::int4;

-- name: find_job
-- Gives one job of the queue, with its payload on request only.
--   $1 int8   id
--   $2 text   whether the payload is wanted, boolean
SELECT id, status::text AS status, entrypoint, priority, attempts, created, updated, heartbeat, execute_after AS due,
    queue_manager_id::text AS manager, slot, dedupe_key AS dedupe, headers::text AS headers,
    octet_length(payload) AS size, cancel_requested AS canceled, take_overs AS takeovers, now() AS now,
    NULL::text AS error, CASE WHEN $2::text::boolean THEN encode(payload, 'hex') END AS payload
FROM {queue_table}
WHERE id = $1::int8;

-- name: job_log
-- Gives the last log rows of one job, the oldest first.
--   $1 int8   id
--   $2 int4   most rows
SELECT created, status::text AS status, entrypoint, priority, traceback::text AS traceback, now() AS now
FROM (
    SELECT * FROM {queue_table_log} WHERE job_id = $1::int8
    ORDER BY created DESC, id DESC
    LIMIT $2::int4
) AS entry
ORDER BY created, id;
