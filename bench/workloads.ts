/** Every workload, in the order of the table. */
import type { Workload } from "./bench.ts";
import { backlogs } from "./workloads/backlogs.ts";
import { drains } from "./workloads/drain.ts";
import { enqueues } from "./workloads/enqueues.ts";
import { handlers } from "./workloads/handlers.ts";
import { latency } from "./workloads/latency.ts";
import { pressures } from "./workloads/pressure.ts";
import { soak } from "./workloads/soak.ts";
import { sqlFloor } from "./workloads/sql_floor.ts";

export const WORKLOADS: readonly Workload[] = [
  ...enqueues,
  ...drains,
  ...backlogs,
  latency,
  sqlFloor,
  ...handlers,
  ...pressures,
  soak,
];
