-- Statements that `pgq doctor` prescribes. They are printed, never sent; what a hole stands for is said below its name.

-- name: enable_trigger
-- Lets a trigger that was turned off fire again.
ALTER TABLE {queue_table} ENABLE TRIGGER {trigger_name};

-- name: allow_writes
-- Lets a role write that was made read-only.
--   {role}   name of the role
ALTER ROLE {role} SET default_transaction_read_only = off;

-- name: start_autovacuum
-- Turns autovacuum on for the whole server.
ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();

-- name: find_open_transactions
-- Finds the sessions that do nothing and have a transaction open.
SELECT pid, application_name, xact_start, query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' ORDER BY xact_start;

-- name: allow_autovacuum
-- Turns autovacuum on for a table.
--   {table}   qualified name of the table
ALTER TABLE {table} RESET (autovacuum_enabled);

-- name: vacuum_table
-- Removes dead rows.
--   {table}   qualified name of the table
VACUUM (ANALYZE) {table};

-- name: end_session
-- Ends a session, and rolls back its transaction.
--   {pid}   process id of its backend
SELECT pg_terminate_backend({pid});

-- name: end_prepared
-- Rolls back a prepared transaction.
--   {gid}   its identifier, as a literal
ROLLBACK PREPARED {gid};

-- name: drop_slot
-- Drops a replication slot that nobody reads any more.
--   {slot}   its name, as a literal
SELECT pg_drop_replication_slot({slot});

-- name: see_sessions
-- Lets a role see the sessions of others.
--   {role}   name of the role
GRANT pg_read_all_stats TO {role};

-- name: add_label
-- Adds a label that an old enum lacks.
--   {label}   the label, as a literal
ALTER TYPE {queue_status_type} ADD VALUE IF NOT EXISTS {label};

-- name: change_column
-- Gives a column the type that this version needs.
--   {table}    qualified name of the table
--   {column}   name of the column
--   {type}     the type
ALTER TABLE {table} ALTER COLUMN {column} TYPE {type};

-- name: drop_index
-- Drops what is left of an index whose build has failed.
--   {index}   qualified name of the index
DROP INDEX CONCURRENTLY {index};

-- name: set_default
-- Gives a column the default that this version needs.
--   {table}    qualified name of the table
--   {column}   name of the column
--   {value}    the default
ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {value};

-- name: drop_default
-- Takes a default from a column.
--   {table}    qualified name of the table
--   {column}   name of the column
ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT;

-- name: set_not_null
-- Lets a column hold no null. Fails where it holds some.
--   {table}    qualified name of the table
--   {column}   name of the column
ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL;

-- name: drop_not_null
-- Lets a column hold null.
--   {table}    qualified name of the table
--   {column}   name of the column
ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL;

-- name: add_key
-- Adds a primary or unique key.
--   {table}   qualified name of the table
--   {key}     the constraint
ALTER TABLE {table} ADD {key};

-- name: widen_sequence
-- Lets a sequence go beyond two billion.
--   {table}    qualified name of the table
--   {column}   name of the column that it numbers
DO $$ BEGIN EXECUTE format('ALTER SEQUENCE %s AS bigint', pg_get_serial_sequence('{table}', '{column}')); END $$;

-- name: swap_index
-- Puts an index in the place of an older one of its name.
--   {index}   qualified name of the older one
--   {built}   qualified name of the new one
--   {name}    the name without a schema
DROP INDEX IF EXISTS {index}; ALTER INDEX {built} RENAME TO {name};
