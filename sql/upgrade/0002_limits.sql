-- Columns of our own, which the Python project neither reads nor minds.

-- step: Add the column take_overs
--   mends column {queue_table_name}.take_overs
--   locks {queue_table} ACCESS EXCLUSIVE
--   rewrites before PostgreSQL 11
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS take_overs int4 NOT NULL DEFAULT 0;

-- step: Add the column cancel_requested
--   mends column {queue_table_name}.cancel_requested
--   locks {queue_table} ACCESS EXCLUSIVE
--   rewrites before PostgreSQL 11
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS cancel_requested boolean NOT NULL DEFAULT false;
