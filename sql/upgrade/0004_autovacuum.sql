-- Storage parameters that install.sql gives to new tables. What an operator has set stays as it is.

-- step: Let autovacuum keep up with the queue
--   mends parameter {queue_table_name}.autovacuum_vacuum_scale_factor
--   mends parameter {queue_table_name}.autovacuum_vacuum_threshold
--   mends parameter {queue_table_name}.autovacuum_vacuum_cost_delay
--   mends parameter {queue_table_name}.autovacuum_analyze_scale_factor
--   mends parameter {queue_table_name}.autovacuum_analyze_threshold
--   locks {queue_table} SHARE UPDATE EXCLUSIVE
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'autovacuum_vacuum_scale_factor=0.01', 'autovacuum_vacuum_threshold=1000', 'autovacuum_vacuum_cost_delay=0',
        'autovacuum_analyze_scale_factor=0.02', 'autovacuum_analyze_threshold=500'
    ] LOOP
        IF NOT EXISTS (
            SELECT 1 FROM pg_class CROSS JOIN LATERAL unnest(reloptions) AS option
            WHERE pg_class.oid = '{queue_table}'::regclass AND split_part(option, '=', 1) = split_part(wanted, '=', 1)
        ) THEN
            EXECUTE 'ALTER TABLE {queue_table} SET (' || wanted || ')';
        END IF;
    END LOOP;
END
$$;

-- step: Let autovacuum keep up with the log
--   mends parameter {queue_table_log_name}.autovacuum_vacuum_cost_delay
--   locks {queue_table_log} SHARE UPDATE EXCLUSIVE
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM pg_class CROSS JOIN LATERAL unnest(reloptions) AS option
        WHERE pg_class.oid = '{queue_table_log}'::regclass
            AND split_part(option, '=', 1) = 'autovacuum_vacuum_cost_delay'
    ) THEN
        ALTER TABLE {queue_table_log} SET (autovacuum_vacuum_cost_delay = 0);
    END IF;
END
$$;
