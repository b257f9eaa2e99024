-- Statements on the queue table.
--
-- Lists come as the text of an array, since every client can send text and not every client can send arrays that hold
-- null; payloads are given in base64, which takes clients less time to read than bytea, long ones of JSON as they are:
-- see sql/functions/payload.sql.
-- A claim is known by the value that `updated` got when it was made, in microseconds since 1970: its lease. Who stores an
-- outcome gives that too, since the same worker may have claimed the job again, and a statement may reach the server late,
-- or for a second time.
-- Claims give neither what they have just set nor times as text: that of a claim is its lease, and others come in
-- microseconds since 1970, as float8, since a time may be infinite. To write and read one as text takes longer than the
-- rest of a row.
-- What workers send all the time are calls of our own functions, whose plans do not depend on statistics: see
-- sql/functions/README.md.
-- Every change of status writes its log row in the same statement; {log_steps} is true or false, and says whether the
-- log has the steps of a job (queued, picked) or only how it ended and why it was tried again.
-- {log_new_jobs} is one of sql/parts/new_jobs.sql.

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
    {log_new_jobs}
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
    {log_new_jobs}
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
), inserted AS (
    -- An id that was not drawn for the input belongs to a job that was there before.
    SELECT id, entrypoint, priority FROM stored WHERE id IN (SELECT id FROM input)
), logged AS (
    {log_new_jobs}
)
SELECT string_agg(coalesce(fresh.id, raised.id)::text, ',' ORDER BY input.position) AS ids
FROM input
LEFT JOIN stored AS fresh ON fresh.id = input.id
LEFT JOIN stored AS raised ON raised.dedupe_key = input.dedupe_key;

-- name: may_count
-- Says whether this role may count its log rows as it writes them. It may not where it has no more than the rights to
-- enqueue, nor where Python or an earlier release has installed the tables.
SELECT coalesce(
    has_function_privilege(to_regproc('{count_function}')::oid, 'EXECUTE')
    AND has_table_privilege(to_regclass('{statistics_table}')::oid, 'SELECT')
    AND has_table_privilege(to_regclass('{statistics_table}')::oid, 'INSERT')
    AND has_table_privilege(to_regclass('{statistics_table}')::oid, 'UPDATE')
    AND (
        SELECT has_column_privilege(attrelid, attnum, 'INSERT') FROM pg_attribute
        WHERE attrelid = to_regclass('{queue_table_log}') AND attname = 'aggregated'
    ),
    false
) AS may;

-- name: dequeue
-- Claims ready jobs, highest priority first, then lowest id: see sql/functions/claims.sql.
--   $1 int4   most jobs to claim
--   $2 text   entrypoints, text[]
--   $3 uuid   queue manager that takes the lease
--   $4 text   entrypoint of each range, text[]; the ranges of one do not overlap, and come from the highest priority down
--   $5 text   lowest priority of each range, int4[]
--   $6 text   highest priority of each range, int4[]
--   $7 text   id after which each range begins, bigint[]
--   $8 float8   age in milliseconds up to which due times are looked at: no deferred job is due for longer
SELECT id, priority, entrypoint, dedupe, headers, attempts, slot,
    CASE
        WHEN octet_length(payload) >= 4000 AND substr(payload, 1, 1) IN ('{', '[', '"') THEN {payload_function}(payload)
        ELSE encode(payload, 'base64')
    END AS payload,
    date_part('epoch', created) * 1000000 AS created, date_part('epoch', due) * 1000000 AS due,
    (SELECT (date_part('epoch', now()) * 1000000)::bigint) AS lease
FROM {dequeue_function}(
    $1::int4, $2::text::text[], $3::uuid, $4::text::text[], $5::text::int4[], $6::text::int4[], $7::text::bigint[],
    $8::float8, {log_steps}
);

-- name: claim_limited
-- Claims ready jobs where some entrypoints have limits: see sql/functions/claim_limited.sql. Fails with 23505 if a client that takes no
-- lock got a seat first.
--   $1 int4   most jobs to claim
--   $2 int4   most of them that may be of entrypoints with limits
--   $3 uuid   queue manager that takes the lease
--   $4 text   entrypoints, text[]
--   $5 text   most picked jobs of each in the fleet, int4[]; 0: no limit
--   $6 text   most starts a second of each in the fleet, float8[]; infinity: no limit
--   $7 text   whether its jobs without a dedupe key run one after another, boolean[]
--   $8 float8   age in milliseconds up to which heartbeats are looked at: no picked job has an older one
--   $9 text   entrypoint of each range of ready jobs, text[]; as in dequeue
--   $10 text   lowest priority of each range, int4[]
--   $11 text   highest priority of each range, int4[]
--   $12 text   id after which each range begins, bigint[]
--   $13 float8   age in milliseconds up to which due times are looked at, as in dequeue
SELECT id, priority, entrypoint, dedupe, headers, attempts, slot,
    CASE
        WHEN octet_length(payload) >= 4000 AND substr(payload, 1, 1) IN ('{', '[', '"') THEN {payload_function}(payload)
        ELSE encode(payload, 'base64')
    END AS payload,
    date_part('epoch', created) * 1000000 AS created, date_part('epoch', due) * 1000000 AS due,
    (date_part('epoch', updated) * 1000000)::bigint AS lease
FROM {claim_function}(
    $1::int4, $2::int4, $3::uuid, $4::text::text[], $5::text::int4[], $6::text::float8[], $7::text::boolean[], $8::float8,
    $9::text::text[], $10::text::int4[], $11::text::int4[], $12::text::bigint[], $13::float8, {log_steps}
);

-- name: take_over
-- Deals with picked jobs whose lease has run out, and gives those it claimed: see sql/functions/claims.sql. At least one
-- row, whose id is null if there is none.
--   $1 int4   most jobs to deal with
--   $2 uuid   queue manager that takes the lease
--   $3 text   ids that the queue manager is running itself, bigint[]
--   $4 text   entrypoints, text[]
--   $5 text   age in milliseconds at which a heartbeat of each is too old, float8[]
--   $6 text   whether each has a limit, boolean[]
--   $7 text   take-overs in a row after which a job of each is held, int4[]
--   $8 float8   age in milliseconds up to which heartbeats are looked at: older ones have been dealt with
SELECT id, priority, entrypoint, dedupe, headers, attempts, slot,
    CASE
        WHEN octet_length(payload) >= 4000 AND substr(payload, 1, 1) IN ('{', '[', '"') THEN {payload_function}(payload)
        ELSE encode(payload, 'base64')
    END AS payload,
    date_part('epoch', created) * 1000000 AS created, date_part('epoch', due) * 1000000 AS due,
    (SELECT (date_part('epoch', now()) * 1000000)::bigint) AS lease, canceled, dealt
FROM {take_over_function}(
    $1::int4, $2::uuid, $3::text::bigint[], $4::text::text[], $5::text::float8[], $6::text::boolean[], $7::text::int4[],
    $8::float8, {log_steps}
);

-- name: look_ahead
-- Says what a worker without work waits for: see sql/functions/outlook.sql.
--   $1 text   event to send to every listener, or null
--   $2 text   entrypoints, text[]
--   $3 text   most picked jobs of each in the fleet, int4[]; 0: no limit
--   $4 text   most starts a second of each in the fleet, float8[]; infinity: no limit
--   $5 text   whether its jobs without a dedupe key run one after another, boolean[]
--   $6 text   age in milliseconds at which a heartbeat of each is too old, float8[]
--   $7 float8   age in milliseconds up to which heartbeats are looked at for leases, as in take_over: there are no older ones
--   $8 float8   likewise for seats, as in claim_limited
--   $9 float8   age in milliseconds up to which due times are looked at, as in dequeue
--   $10 text   entrypoint of each range of ready jobs to look at, text[]; as in dequeue
--   $11 text   lowest priority of each range, int4[]
--   $12 text   highest priority of each range, int4[]
--   $13 text   id after which each range begins, bigint[]
SELECT ready, blocked, due, first_due, token, stale
FROM {look_ahead_function}(
    $1::text, $2::text::text[], $3::text::int4[], $4::text::float8[], $5::text::boolean[], $6::text::float8[], $7::float8, $8::float8, $9::float8,
    $10::text::text[], $11::text::int4[], $12::text::int4[], $13::text::bigint[]
);

-- name: heartbeat
-- Renews leases. Gives the jobs whose lease is still held, and whether somebody wants one stopped.
--   $1 text   job ids, bigint[]
--   $2 uuid   queue manager that holds the leases
SELECT id, canceled FROM {heartbeat_function}($1::text::bigint[], $2::uuid);

-- name: keep_leases
-- Renews every lease of a queue manager, from a thread. Gives the ids.
--   $1 uuid   queue manager that holds the leases
SELECT id FROM {keep_leases_function}($1::uuid);

-- name: retry
-- Puts picked jobs back in the queue for another attempt, or ends those that somebody wants stopped. Gives their ids.
--   $1 text   job ids, bigint[]
--   $2 text   delays in milliseconds from now, float8[]
--   $3 text   tracebacks, jsonb[]
--   $4 uuid   queue manager that holds the leases
--   $5 text   leases, bigint[]
SELECT id
FROM {retry_function}($1::text::bigint[], $2::text::float8[], $3::text::jsonb[], $4::uuid, $5::text::bigint[]);

-- name: cancel
-- Ends queued and held jobs, and asks the workers of picked ones to stop them: see sql/functions/outcomes.sql. Gives the ids
-- it found in either state.
--   $1 text   job ids, bigint[]
SELECT id FROM {cancel_function}($1::text::bigint[]);

-- name: acknowledge
-- Ends picked jobs, all with one outcome. Gives the ids it ended.
--   $1 text   job ids, bigint[]
--   $2 text   outcome, of the status enum
--   $3 uuid   queue manager that holds the leases
--   $4 text   leases, bigint[]
SELECT id FROM {acknowledge_function}($1::text::bigint[], $2::text::{queue_status_type}, $3::uuid, $4::text::bigint[]);

-- name: acknowledge_failure
-- Ends picked jobs that failed. Gives the ids it ended.
--   $1 text   job ids, bigint[]
--   $2 text   tracebacks, jsonb[]
--   $3 uuid   queue manager that holds the leases
--   $4 text   leases, bigint[]
SELECT id
FROM {acknowledge_failure_function}($1::text::bigint[], $2::text::jsonb[], $3::uuid, $4::text::bigint[]);

-- name: hold
-- Keeps picked jobs as failed, or ends those that somebody wants stopped. Gives their ids.
--   $1 text   job ids, bigint[]
--   $2 text   tracebacks, jsonb[]
--   $3 uuid   queue manager that holds the leases
--   $4 text   leases, bigint[]
SELECT id FROM {hold_function}($1::text::bigint[], $2::text::jsonb[], $3::uuid, $4::text::bigint[]);

-- name: release
-- Puts picked jobs back in the queue as if they had not been claimed, or ends those that somebody wants stopped. Gives their
-- ids.
--   $1 text   job ids, bigint[]
--   $2 uuid   queue manager that holds the leases
--   $3 text   leases, bigint[]
SELECT id FROM {release_function}($1::text::bigint[], $2::uuid, $3::text::bigint[], {log_steps});

-- name: release_unknown
-- Does so with every job that a queue manager holds in the table and does not know of. Gives their ids.
--   $1 text   ids of the jobs it knows, bigint[]
--   $2 uuid   queue manager that holds the leases
--   $3 text   a moment, bigint: no lease of a later one is given up, as it may be one that the sender does not know of yet
SELECT id FROM {release_unknown_function}($1::text::bigint[], $2::uuid, $3::text::bigint, {log_steps});

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
