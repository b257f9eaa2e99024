-- Columns and a table of our own, which the Python project neither reads nor minds. Takes ACCESS EXCLUSIVE for a moment.

ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS take_overs int4 NOT NULL DEFAULT 0;
ALTER TABLE {queue_table} ADD COLUMN IF NOT EXISTS cancel_requested boolean NOT NULL DEFAULT false;
