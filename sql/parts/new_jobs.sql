-- How the statements that enqueue write the log rows of `inserted`, which is what they have inserted.

-- name: logged_to_count_later
-- The rows are counted into the statistics by whoever does that next.
INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority)
SELECT id, 'queued', entrypoint, priority FROM inserted WHERE {log_steps}

-- name: logged_and_counted
-- Counts them, too, if it can at once: see {count_function}. Not in a caller's transaction, which would keep the counts
-- locked for as long as it goes on, and not where the reading of a count may make a transaction fail.
INSERT INTO {queue_table_log} (job_id, status, entrypoint, priority, aggregated)
SELECT id, 'queued', entrypoint, priority,
    (
        SELECT CASE WHEN current_setting('transaction_isolation') = 'read committed' THEN
            {count_function}(now(), array_agg(inserted.entrypoint), array_agg(inserted.priority), 'queued')
        ELSE false END
        FROM inserted
    )
FROM inserted WHERE {log_steps}
