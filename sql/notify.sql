-- Tells listeners that the queue has changed. May run again: `install` and `upgrade` both use this file.

-- Once per statement, not per row: a batch of 1,000 is one notification. An UPDATE (claim, heartbeat) stays silent; it is
-- among the trigger's events only because it is so in the shared contract.
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RETURN NULL;
    END IF;
    PERFORM pg_notify(
        '{channel}',
        json_build_object(
            'channel', '{channel}',
            'operation', lower(TG_OP),
            'sent_at', now(),
            'table', TG_TABLE_NAME,
            'type', 'table_changed_event'
        )::text
    );
    RETURN NULL;
END;
$$ LANGUAGE plpgsql;

DROP TRIGGER IF EXISTS {trigger_name} ON {queue_table};

CREATE TRIGGER {trigger_name}
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {queue_table}
    FOR EACH STATEMENT EXECUTE PROCEDURE {function}();
