/** The tests that other servers must pass too, and poolers in front of one: all that touches SQL. */

/** What reads and changes the catalog. */
export const CATALOG: readonly string[] = [
  "test/schema.test.ts",
  "test/upgrade",
  "test/queries",
];

/** Whatever needs no database runs on one version, in the suite itself. */
export const CORE: readonly string[] = [
  ...CATALOG,
  "test/plans.test.ts",
  "test/guarantees",
  "test/cli/schema_commands.test.ts",
  "test/cli/maintenance_commands.test.ts",
  "test/cli/doctor_command.test.ts",
  "test/cli/grants_command.test.ts",
  "test/cli/job_commands.test.ts",
  "test/cli/overview_commands.test.ts",
  "test/worker/aggregator.test.ts",
  "test/worker/completion_watcher.test.ts",
  "test/worker/schedule_manager.test.ts",
  "test/worker/pg_queuer.test.ts",
  "test/drivers/conformance.test.ts",
];
