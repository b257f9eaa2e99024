-- Statements on the log and the statistics, and what operators ask about jobs.

-- name: job_status
-- Says where jobs stand: see sql/functions/log.sql.
--   $1 text   job ids, bigint[]
SELECT id, status FROM {job_status_function}($1::text::bigint[]);

-- name: queue_size
-- Counts the rows of the queue by entrypoint, priority and status.
SELECT entrypoint, priority, status::text AS status, count(*) AS count
FROM {queue_table}
GROUP BY entrypoint, priority, status
ORDER BY count(*) DESC, entrypoint, priority DESC, status;

-- name: log_statistics
-- Counts log rows by second, entrypoint, priority and status, newest first. What no aggregation has counted yet is added
-- from the log, in the same snapshot: so nothing is missed or counted twice, nothing is written, and no lock is taken.
--   $1 float8   age in milliseconds of the oldest second, or null for no bound
--   $2 int4     most rows
WITH counted AS (
    SELECT created, entrypoint, priority, status, count
    FROM {statistics_table}
    WHERE $1::float8 IS NULL OR created >= now() - $1::float8 * interval '1 millisecond'
    -- A row that this order leaves out is also left out below, as at least $2 rows stand before it.
    ORDER BY created DESC, entrypoint, priority DESC, status
    LIMIT $2::int4
), pending AS (
    SELECT date_trunc('second', created) AS created, entrypoint, priority, status, count(*) AS count
    FROM {queue_table_log}
    WHERE NOT aggregated
        AND ($1::float8 IS NULL OR date_trunc('second', created) >= now() - $1::float8 * interval '1 millisecond')
    GROUP BY 1, 2, 3, 4
)
SELECT created, entrypoint, priority, status::text AS status, sum(count)::bigint AS count
FROM (SELECT * FROM counted UNION ALL SELECT * FROM pending) AS both_of_them
GROUP BY created, entrypoint, priority, both_of_them.status
ORDER BY created DESC, entrypoint, priority DESC, both_of_them.status
LIMIT $2::int4;

-- name: aggregate
-- Folds log rows into counts per second: see sql/functions/log.sql. Says whether there may be more of them.
SELECT {aggregate_function}() AS more;

-- name: prune_log
-- Deletes old log rows: see sql/functions/log.sql. Gives how many it deleted, and the id of the last row that was
-- old and counted (null: none was).
--   $1 float8   age in milliseconds above which a row goes
--   $2 int4     rows to look at
--   $3 int8     id behind which to look
SELECT gone, last FROM {prune_log_function}($1::float8, $2::int4, $3::int8);

-- name: prune_statistics
-- Deletes the oldest counts. Gives how many it deleted.
--   $1 float8   age in milliseconds above which a row goes
--   $2 int4     most rows to delete
WITH gone AS (
    DELETE FROM {statistics_table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {statistics_table}
        WHERE created < now() - $1::float8 * interval '1 millisecond'
        ORDER BY created
        LIMIT $2::int4
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*)::int4 AS count FROM gone;

-- name: list_failed
-- Gives held jobs, the newest first, with why each failed last.
--   $1 int4   most jobs
SELECT id, priority, queue_manager_id AS manager, created, updated, heartbeat, execute_after AS due, status,
    entrypoint, dedupe_key AS dedupe, encode(payload, 'base64') AS payload, headers, attempts, slot,
    (
        SELECT traceback FROM {queue_table_log} AS entry
        WHERE entry.job_id = job.id AND entry.status = 'failed'
        ORDER BY entry.created DESC, entry.id DESC
        LIMIT 1
    )::text AS traceback
FROM {queue_table} AS job
WHERE status = 'failed'
ORDER BY created DESC, id DESC
LIMIT $1::int4;

-- name: requeue
-- Queues held jobs again, ready at once and with no attempt charged, and wakes workers. Passes over one whose dedupe key
-- belongs to a live job, and all but the first of several with one key. Gives each held job and whether it was queued.
--   $1 text   job ids, bigint[]
WITH held AS (
    -- In one order in every session, so that two calls wait for each other and never deadlock.
    SELECT id, dedupe_key FROM {queue_table}
    WHERE id = ANY ($1::text::bigint[]) AND status = 'failed'
    ORDER BY id
    FOR UPDATE
), ranked AS (
    SELECT id, dedupe_key, row_number() OVER (PARTITION BY dedupe_key ORDER BY id) AS place FROM held
), chosen AS (
    SELECT id FROM ranked
    WHERE dedupe_key IS NULL OR (place = 1 AND NOT EXISTS (
        SELECT 1 FROM {queue_table} AS live
        WHERE live.dedupe_key = ranked.dedupe_key AND live.status IN ('queued', 'picked')
    ))
), requeued AS (
    UPDATE {queue_table}
    -- As if it had been ready when it was enqueued: that puts it in the index of ready jobs, in its place of old.
    SET status = 'queued', execute_after = created, updated = now(), attempts = 0, queue_manager_id = NULL, slot = NULL,
        take_overs = 0, cancel_requested = false
    WHERE id = ANY (ARRAY(SELECT id FROM chosen))
    RETURNING id, entrypoint, priority
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM requeued WHERE {log_steps}
), told AS (
    SELECT pg_notify('{channel}', json_build_object(
        'channel', '{channel}', 'operation', 'update', 'sent_at', now(), 'table', '{queue_table_name}',
        'type', 'table_changed_event'
    )::text)::text AS answer
    FROM requeued
    LIMIT 1
)
SELECT held.id, requeued.id IS NOT NULL AS requeued, told.answer
FROM held LEFT JOIN requeued ON requeued.id = held.id LEFT JOIN told ON true
ORDER BY held.id;
