-- Indexes that no statement of ours uses and that cost each job more than they give a Python worker or dashboard. The Python
-- project's own upgrade makes them again, and this takes them away again. Its counts read the index of heartbeats in place of
-- that of `updated`.

-- step: Drop the index {queue_table_name}_priority_id_id1_idx
--   mends index {queue_table_name}_priority_id_id1_idx dropped
--   locks {queue_table} ACCESS EXCLUSIVE
DROP INDEX IF EXISTS {schema_prefix}{queue_table_name}_priority_id_id1_idx;

-- step: Drop the index {queue_table_name}_updated_id_id1_idx
--   mends index {queue_table_name}_updated_id_id1_idx dropped
--   locks {queue_table} ACCESS EXCLUSIVE
DROP INDEX IF EXISTS {schema_prefix}{queue_table_name}_updated_id_id1_idx;

-- step: Drop the index {queue_table_log_name}_created
--   mends index {queue_table_log_name}_created dropped
--   locks {queue_table_log} ACCESS EXCLUSIVE
DROP INDEX IF EXISTS {schema_prefix}{queue_table_log_name}_created;

-- step: Drop the index {queue_table_log_name}_status
--   mends index {queue_table_log_name}_status dropped
--   locks {queue_table_log} ACCESS EXCLUSIVE
DROP INDEX IF EXISTS {schema_prefix}{queue_table_log_name}_status;
