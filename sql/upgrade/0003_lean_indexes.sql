-- Indexes that no statement of ours uses and that cost each job more than they give a Python worker or dashboard. The Python
-- project's own upgrade makes them again, and this takes them away again. Takes ACCESS EXCLUSIVE for moments.

DROP INDEX IF EXISTS {schema_prefix}{queue_table_name}_priority_id_id1_idx;
DROP INDEX IF EXISTS {schema_prefix}{queue_table_log_name}_created;
DROP INDEX IF EXISTS {schema_prefix}{queue_table_log_name}_status;
