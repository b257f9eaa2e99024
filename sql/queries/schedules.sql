-- Statements on the table of schedules.
--
-- The table has no column for an owner. So the value that `updated` got when a fire was claimed is the claim's token:
-- heartbeats leave it alone, and whoever takes the fire over changes it. Likewise `next_run` is compared with what was
-- read before it is moved on: of all workers that see a due time, one gets it. Both go through the client as text, which
-- keeps the microseconds.

-- name: schedule_outlook
-- Gives the rows of some schedules and the time by this server's clock. A schedule without a row gives nulls.
--   $1 text   expressions, text[]
--   $2 text   entrypoints, text[]
SELECT wanted.position::int4 AS position, schedule.id, coalesce(schedule.status::text, 'queued') AS status,
    schedule.next_run::text AS version,
    (extract(epoch FROM schedule.next_run) * 1000)::float8 AS next,
    (extract(epoch FROM schedule.heartbeat) * 1000)::float8 AS heartbeat,
    (extract(epoch FROM now()) * 1000)::float8 AS now
FROM unnest($1::text::text[], $2::text::text[]) WITH ORDINALITY AS wanted(expression, entrypoint, position)
LEFT JOIN {schedules_table} AS schedule
    ON schedule.expression = wanted.expression AND schedule.entrypoint = wanted.entrypoint;

-- name: clean_schedules
-- Deletes the rows of some entrypoints, except those of registered schedules. Gives the expressions that are gone.
--   $1 text   expressions of registered schedules, text[]
--   $2 text   their entrypoints, text[]
--   $3 text   entrypoints to clean, text[]
DELETE FROM {schedules_table} AS schedule
WHERE entrypoint = ANY ($3::text::text[]) AND NOT EXISTS (
    SELECT 1 FROM unnest($1::text::text[], $2::text::text[]) AS registered(expression, entrypoint)
    WHERE registered.expression = schedule.expression AND registered.entrypoint = schedule.entrypoint
)
RETURNING entrypoint, expression;

-- name: add_schedules
-- Adds rows. One that is there already stays as it is.
--   $1 text   expressions, text[]
--   $2 text   entrypoints, text[]
--   $3 text   next fires in milliseconds since 1970, float8[]
INSERT INTO {schedules_table} (expression, entrypoint, next_run)
SELECT expression, entrypoint, to_timestamp(next / 1000)
FROM unnest($1::text::text[], $2::text::text[], $3::text::float8[]) AS given(expression, entrypoint, next)
ORDER BY expression, entrypoint
ON CONFLICT (expression, entrypoint) DO NOTHING;

-- name: move_schedule
-- Moves a row to another fire, if nobody has moved it since it was read. Gives its id.
--   $1 int8     id
--   $2 text     next_run as it was read
--   $3 float8   next fire in milliseconds since 1970
UPDATE {schedules_table}
SET next_run = to_timestamp($3::float8 / 1000), updated = now()
WHERE id = $1::int8 AND coalesce(status, 'queued') = 'queued' AND next_run = $2::text::timestamptz
RETURNING id;

-- name: claim_fire
-- Takes a due fire and moves the row on, if nobody has since it was read. Gives the claim's token.
--   $1 int8     id
--   $2 text     next_run as it was read
--   $3 float8   next fire in milliseconds since 1970
UPDATE {schedules_table}
SET status = 'picked', next_run = to_timestamp($3::float8 / 1000), heartbeat = now(), updated = clock_timestamp()
WHERE id = $1::int8 AND coalesce(status, 'queued') = 'queued' AND next_run = $2::text::timestamptz
RETURNING updated::text AS token;

-- name: pass_fire
-- Takes a due fire without a lease and moves the row on, if nobody has since it was read. Gives its id.
--   $1 int8     id
--   $2 text     next_run as it was read
--   $3 float8   next fire in milliseconds since 1970
UPDATE {schedules_table}
SET next_run = to_timestamp($3::float8 / 1000), last_run = now(), updated = now()
WHERE id = $1::int8 AND coalesce(status, 'queued') = 'queued' AND next_run = $2::text::timestamptz
RETURNING id;

-- name: enqueue_fire
-- Takes a due fire, moves the row on and enqueues a job, all or nothing, if nobody has since it was read. Gives its id.
--   $1 int8     id
--   $2 text     next_run as it was read
--   $3 float8   next fire in milliseconds since 1970
--   $4 text     dedupe key of the job
--   $5 text     payload of the job
WITH fired AS (
    UPDATE {schedules_table}
    SET next_run = to_timestamp($3::float8 / 1000), last_run = now(), updated = now()
    WHERE id = $1::int8 AND coalesce(status, 'queued') = 'queued' AND next_run = $2::text::timestamptz
    RETURNING id, entrypoint
), inserted AS (
    INSERT INTO {queue_table} (priority, status, entrypoint, payload, dedupe_key)
    SELECT 0, 'queued', entrypoint, convert_to($5::text, 'UTF8'), $4::text FROM fired
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
    RETURNING id, entrypoint, priority
), logged AS (
    INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM inserted WHERE {log_steps}
)
SELECT id FROM fired;

-- name: take_over_fire
-- Takes a fire whose worker went silent, if nobody has since it was read. The row keeps its next fire. Gives the claim's
-- token.
--   $1 int8     id
--   $2 text     next_run as it was read
--   $3 float8   age in milliseconds at which a heartbeat is too old
UPDATE {schedules_table}
SET heartbeat = now(), updated = clock_timestamp()
WHERE id = $1::int8 AND status = 'picked' AND next_run = $2::text::timestamptz
    AND heartbeat <= now() - $3::float8 * interval '1 millisecond'
RETURNING updated::text AS token;

-- name: heartbeat_fires
-- Renews the leases of fires. Gives the ids of those that somebody else has taken over. A row that is gone is nobody's.
--   $1 text   ids, int8[]
--   $2 text   tokens, text[]
WITH mine AS (
    SELECT * FROM unnest($1::text::int8[], $2::text::text[]) AS given(id, token)
), renewed AS (
    UPDATE {schedules_table} AS schedule SET heartbeat = now()
    FROM mine
    WHERE schedule.id = mine.id AND schedule.status = 'picked' AND schedule.updated = mine.token::timestamptz
)
SELECT schedule.id FROM {schedules_table} AS schedule JOIN mine ON mine.id = schedule.id
WHERE schedule.status IS DISTINCT FROM 'picked' OR schedule.updated <> mine.token::timestamptz;

-- name: finish_fire
-- Ends a fire: the row waits for its next one. Does nothing if the lease is lost.
--   $1 int8   id
--   $2 text   token of the claim
UPDATE {schedules_table}
SET status = 'queued', last_run = now(), updated = now()
WHERE id = $1::int8 AND status = 'picked' AND updated = $2::text::timestamptz
RETURNING id;

-- name: release_fire
-- Puts a fire back that did not come to its end, for any worker. Does nothing if the lease is lost.
--   $1 int8     id
--   $2 text     token of the claim
--   $3 float8   the fire in milliseconds since 1970
UPDATE {schedules_table}
SET status = 'queued', next_run = to_timestamp($3::float8 / 1000), updated = now()
WHERE id = $1::int8 AND status = 'picked' AND updated = $2::text::timestamptz
RETURNING id;
