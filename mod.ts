/**
 * A PostgreSQL job queue for Node, Deno and Bun: enqueue in the transaction you already have, run the jobs in workers that
 * wake by LISTEN/NOTIFY. Shares its tables with the Python project `pgqueuer`.
 *
 * @module
 */
export type { Sql, TransactionSql } from "postgres";
export type {
  ChannelListener,
  Driver,
  DriverAddress,
  Executor,
  OpenTransaction,
  Parameter,
  Session,
  Subscription,
  TransactionEnd,
  Transactions,
} from "./src/driver.ts";
export { fromNodePostgres, type NodePostgresOptions } from "./src/drivers/node_postgres.ts";
export type {
  ClientOf,
  NodePostgresPool,
  NodePostgresPoolClient,
} from "./src/drivers/node_postgres_connection.ts";
export type { NodePostgresClient } from "./src/drivers/node_postgres_listener.ts";
export {
  fromPostgresJs,
  type PostgresJsClient,
  type PostgresJsOptions,
} from "./src/drivers/postgres_js.ts";
export type { PostgresJsReservedClient } from "./src/drivers/postgres_js_connection.ts";
export { openWorkerDriver, WorkerDriver } from "./src/drivers/worker_driver.ts";
export type { WorkerDriverOptions } from "./src/drivers/worker_driver_options.ts";
export { hostOptions, normalizeDsn, type NormalizeDsnOptions, redactDsn } from "./src/dsn.ts";
export type { MissedFires } from "./src/cron.ts";
export type { Duration } from "./src/duration.ts";
export {
  DuplicateJobError,
  InvalidPayloadError,
  JobCanceledError,
  JobNotFoundError,
  JobTimeoutError,
  LeaseLostError,
  PgQueuerError,
  SchemaError,
  ShutdownError,
  WaitTimeoutError,
} from "./src/errors.ts";
export { getQueue, type TransactionHandle } from "./src/get_queue.ts";
export type { DrizzleTransaction } from "./src/clients/drizzle.ts";
export type { KnexTransaction } from "./src/clients/knex.ts";
export type { KyselyTransaction } from "./src/clients/kysely.ts";
export type { MikroOrmEntityManager } from "./src/clients/mikro_orm.ts";
export type { PGliteTransaction } from "./src/clients/pglite.ts";
export type { PrismaTransaction } from "./src/clients/prisma.ts";
export type { SequelizeTransaction } from "./src/clients/sequelize.ts";
export type { TypeOrmEntityManager, TypeOrmQueryRunner } from "./src/clients/typeorm.ts";
export { type ClientExecutor, fromClient } from "./src/clients/from_client.ts";
export type { NodePostgresConnection } from "./src/clients/node_postgres.ts";
export type {
  PostgresJsConnection,
  PostgresJsReserved,
  PostgresJsTransaction,
} from "./src/clients/postgres_js.ts";
export type { QueryFunction } from "./src/clients/query_function.ts";
export type { Traceback } from "./src/traceback.ts";
export type { Headers, Job, JobId, JobStatus, Json } from "./src/job.ts";
export type { Logger } from "./src/logger.ts";
export type {
  EnqueueableTask,
  EnqueueBatchOptions,
  EnqueueOptions,
  NewJob,
  OnConflict,
} from "./src/new_job.ts";
export { PgQueuer } from "./src/pg_queuer.ts";
export type { PgQueuerOptions } from "./src/pg_queuer_options.ts";
export {
  type Codec,
  type SchemaIssue,
  type SchemaResult,
  type StandardSchema,
  type Task,
  task,
  type TaskDefinition,
} from "./src/task.ts";
export { type OnFailure, type RetryOptions, RetryRequested } from "./src/retry.ts";
export { runWorker, type RunWorkerOptions } from "./src/run_worker.ts";
export type { Restart } from "./src/supervisor.ts";
export type {
  FactoryContext,
  HeldWorker,
  RunnableWorker,
  WorkerFactory,
} from "./src/worker_factory.ts";
export { WorkerProbe } from "./src/worker_probe.ts";
export type { EntrypointOptions, TransactionalOptions } from "./src/worker/entrypoint.ts";
export type { FailedJob, LogStatistics, QueueSize, RequeueResult } from "./src/queries/log.ts";
export type { QueriesOptions } from "./src/queries/enqueue.ts";
export { Queries } from "./src/queries/queries.ts";
export type { InstallResult } from "./src/queries/schema.ts";
export type { Fire, ScheduleContext, ScheduleHandler, ScheduleOptions } from "./src/schedule.ts";
export {
  type Durability,
  type LogLevel,
  resolveSettings,
  type Settings,
  type SettingsOptions,
} from "./src/settings.ts";
export {
  CompletionWatcher,
  type CompletionWatcherOptions,
  type EndedStatus,
  type WaitOptions,
} from "./src/worker/completion_watcher.ts";
export type { HealthOptions, WorkerHealth, WorkerState } from "./src/worker/health.ts";
export type {
  Handler,
  JobContext,
  TaskHandler,
  TransactionalHandler,
  TransactionalTaskHandler,
  TransactionContext,
} from "./src/worker/run_job.ts";
export type { RunOptions } from "./src/worker/run_options.ts";
