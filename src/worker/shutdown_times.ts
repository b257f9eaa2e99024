/** How long a shutdown waits, of jobs and of schedules alike. */

/** What a handler gets to end after its signal aborted, before its job or fire is put back. */
export const ABORT_GRACE_MS = 1_000;

/** How long a stopping worker tries to store outcomes in a database that does not answer. */
export const CLOSE_TIMEOUT_MS = 5_000;
