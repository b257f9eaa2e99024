-- Statements that operators ask about the queue as a whole. All but `remove_schedules` only read.

-- name: depth
-- Counts the jobs of each entrypoint by what they wait for, and says how long the oldest ready one has waited. Reads the
-- whole queue.
SELECT entrypoint,
    count(*) FILTER (WHERE status = 'queued' AND execute_after <= now()) AS ready,
    count(*) FILTER (WHERE status = 'queued' AND execute_after > now()) AS deferred,
    count(*) FILTER (WHERE status = 'picked') AS picked,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    (extract(epoch FROM max(now() - greatest(created, execute_after))
        FILTER (WHERE status = 'queued' AND execute_after <= now())))::float8 AS oldest
FROM {queue_table}
GROUP BY entrypoint
ORDER BY entrypoint;

-- name: recent_ends
-- Counts how jobs ended of late, by entrypoint and status: from the statistics, and from the log what those do not count yet.
--   $1 float8   how far to look back, in milliseconds
SELECT entrypoint, status::text AS status, sum(count)::bigint AS count
FROM (
    SELECT entrypoint, status, count FROM {statistics_table}
    WHERE created >= now() - $1::float8 * interval '1 millisecond'
        AND status IN ('successful', 'exception', 'canceled', 'failed')
    UNION ALL
    SELECT entrypoint, status, 1 FROM {queue_table_log}
    WHERE NOT aggregated AND created >= now() - $1::float8 * interval '1 millisecond'
        AND status IN ('successful', 'exception', 'canceled', 'failed')
) AS ends
GROUP BY entrypoint, ends.status
ORDER BY entrypoint, ends.status;

-- name: recent_durations
-- Gives in seconds how long the jobs that ended last had waited and run, by entrypoint: the median and what one in twenty
-- exceeds. A wait goes from the last enqueue or retry to the claim, and so holds the delay of a deferred job.
--   $1 float8   how far to look back, in milliseconds
--   $2 int4     most jobs to look at
WITH ended AS (
    SELECT job_id, entrypoint, created FROM {queue_table_log}
    WHERE created >= now() - $1::float8 * interval '1 millisecond'
        AND status IN ('successful', 'exception', 'canceled', 'failed')
    ORDER BY id DESC
    LIMIT $2::int4
), timed AS (
    SELECT ended.entrypoint,
        greatest(0, extract(epoch FROM ended.created - picked.created))::float8 AS run,
        greatest(0, extract(epoch FROM picked.created - queued.created))::float8 AS wait
    FROM ended
    CROSS JOIN LATERAL (
        SELECT created, status FROM {queue_table_log}
        WHERE job_id = ended.job_id AND status IN ('queued', 'picked')
        ORDER BY created DESC, id DESC
        LIMIT 1
    ) AS picked
    LEFT JOIN LATERAL (
        SELECT created FROM {queue_table_log}
        WHERE job_id = ended.job_id AND status = 'queued'
        ORDER BY created DESC, id DESC
        LIMIT 1
    ) AS queued ON true
    -- Else it was canceled while it waited.
    WHERE picked.status = 'picked'
)
SELECT entrypoint, count(*) AS sample,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY wait) AS wait,
    percentile_disc(0.95) WITHIN GROUP (ORDER BY wait) AS longwait,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY run) AS run,
    percentile_disc(0.95) WITHIN GROUP (ORDER BY run) AS longrun
FROM timed
GROUP BY entrypoint
ORDER BY entrypoint;

-- name: holders
-- Gives each worker that holds jobs: how many, of which entrypoints, and how many seconds ago it renewed a lease last.
SELECT queue_manager_id::text AS id, count(*) AS jobs, json_agg(DISTINCT entrypoint)::text AS entrypoints,
    extract(epoch FROM clock_timestamp() - max(heartbeat))::float8 AS silence
FROM {queue_table}
WHERE status = 'picked' AND queue_manager_id IS NOT NULL
GROUP BY queue_manager_id
ORDER BY silence, queue_manager_id;

-- name: listening_sessions
-- Counts sessions of this database that listen to our channel and do nothing else, as those of our workers do, and sessions
-- whose statements we may not see.
SELECT
    count(*) FILTER (WHERE query ~* '^\s*listen\s+"?{channel}"?\s*;?\s*$')::int4 AS listening,
    count(*) FILTER (WHERE query = '<insufficient privilege>')::int4 AS hidden,
    clock_timestamp() AS now
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();

-- name: list_schedules
-- Lists the schedules. A paused one has no next run.
SELECT id, entrypoint, expression, coalesce(status::text, 'queued') AS status, created, updated, heartbeat,
    CASE WHEN isfinite(next_run) THEN next_run END AS next, last_run AS last, now() AS now
FROM {schedules_table}
ORDER BY entrypoint, expression;

-- name: remove_schedules
-- Deletes schedules. Gives what it deleted.
--   $1 text   ids or entrypoints, text[]
DELETE FROM {schedules_table}
WHERE id::text = ANY ($1::text::text[]) OR entrypoint = ANY ($1::text::text[])
RETURNING id, entrypoint, expression;
