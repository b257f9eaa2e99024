-- Every index besides the primary keys. Each statement may run again: `install` and `upgrade` both use this file.
-- "Python" marks an index that our statements do not use and a Python worker, dashboard or upgrade does.

-- The front of each entrypoint's jobs that were ready when enqueued, in the order of the claim.
-- The collation sets our two indexes of entrypoints apart from Python's. On a table without statistics the planner takes
-- any of them for as good as another, and one that is not in our order makes a claim walk and sort the whole queue.
CREATE INDEX IF NOT EXISTS {queue_table_name}_ready_idx ON {queue_table} (entrypoint COLLATE "C", priority DESC, id)
    WHERE status = 'queued' AND execute_after <= created;

-- Those of them that have a dedupe key, for claims of serialized entrypoints that pass over jobs without one.
CREATE INDEX IF NOT EXISTS {queue_table_name}_keyed_idx ON {queue_table} (entrypoint COLLATE "C", priority DESC, id)
    WHERE status = 'queued' AND execute_after <= created AND dedupe_key IS NOT NULL;

-- Jobs that wait for their time. Apart from the ready ones, so that a claim never walks over them.
CREATE INDEX IF NOT EXISTS {queue_table_name}_deferred_idx ON {queue_table} (entrypoint COLLATE "C", execute_after)
    WHERE status = 'queued' AND execute_after > created;

-- Those of them that have a dedupe key, as above.
CREATE INDEX IF NOT EXISTS {queue_table_name}_keyed_deferred_idx
    ON {queue_table} (entrypoint COLLATE "C", execute_after)
    WHERE status = 'queued' AND execute_after > created AND dedupe_key IS NOT NULL;

-- All of them by priority, for claims when more jobs are due than one claim sorts.
CREATE INDEX IF NOT EXISTS {queue_table_name}_due_idx
    ON {queue_table} (entrypoint COLLATE "C", priority DESC, execute_after)
    WHERE status = 'queued' AND execute_after > created;

-- What operators look for first.
CREATE INDEX IF NOT EXISTS {queue_table_name}_failed_idx ON {queue_table} (created DESC, id DESC)
    WHERE status = 'failed';

-- At most one live job has a dedupe key.
CREATE UNIQUE INDEX IF NOT EXISTS {queue_table_name}_unique_dedupe_key ON {queue_table} (dedupe_key)
    WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL;

-- Leases that run out first come first.
CREATE INDEX IF NOT EXISTS {queue_table_name}_picked_heartbeat_idx ON {queue_table} (heartbeat)
    WHERE status = 'picked';

-- What one worker holds. Python: what all of them hold, counted at each claim of a worker with limits; no other index can serve
-- that, as it does not name the status.
CREATE INDEX IF NOT EXISTS {queue_table_name}_queue_manager_id_idx ON {queue_table} (queue_manager_id)
    WHERE queue_manager_id IS NOT NULL;

-- No seat of a limited entrypoint is taken twice.
CREATE UNIQUE INDEX IF NOT EXISTS {queue_table_name}_picked_slot_idx ON {queue_table} (entrypoint, slot)
    WHERE status = 'picked' AND slot IS NOT NULL;

-- Python: its claim.
CREATE INDEX IF NOT EXISTS {queue_table_name}_ep_prio_id_idx ON {queue_table} (entrypoint, priority DESC, id)
    WHERE status = 'queued';

-- Python: its wait for the next deferred job.
CREATE INDEX IF NOT EXISTS {queue_table_name}_ep_ea_idx ON {queue_table} (entrypoint, execute_after)
    WHERE status = 'queued';

-- Log rows that no statistics row counts yet.
CREATE INDEX IF NOT EXISTS {queue_table_log_name}_not_aggregated ON {queue_table_log} ((1)) WHERE NOT aggregated;

-- The newest log row of a job.
CREATE INDEX IF NOT EXISTS {queue_table_log_name}_job_id_status ON {queue_table_log} (job_id, created DESC);

-- The row that an aggregation adds to. Spelt with timezone() as the Python project does, whose `upgrade` compares the text.
CREATE UNIQUE INDEX IF NOT EXISTS {statistics_table_name}_unique_count ON {statistics_table}
    (priority, date_trunc('sec', timezone('UTC', created)), status, entrypoint);

CREATE INDEX IF NOT EXISTS {statistics_table_name}_created ON {statistics_table} (created);
