-- Statements of the testing kit.

-- name: find_jobs
-- Gives rows of the queue, the newest first.
--   $1 text   the only status to give, or null
--   $2 text   the only entrypoint to give, or null
--   $3 int4   most rows, or null
SELECT id, priority, queue_manager_id AS manager, created, updated, heartbeat, execute_after AS due, status,
    entrypoint, dedupe_key AS dedupe, encode(payload, 'base64') AS payload, headers, attempts, slot
FROM {queue_table}
WHERE ($1::text IS NULL OR status = $1::text::{queue_status_type}) AND ($2::text IS NULL OR entrypoint = $2::text)
ORDER BY id DESC
LIMIT $3::int4;

-- name: make_due
-- Makes queued jobs ready that are deferred. Gives how many.
--   $1 text   entrypoints, text[]
WITH changed AS (
    UPDATE {queue_table} SET execute_after = created, updated = now()
    WHERE status = 'queued' AND execute_after > created AND entrypoint = ANY ($1::text::text[])
    RETURNING 1
)
SELECT count(*)::int4 AS count FROM changed;
