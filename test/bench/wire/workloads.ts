import type { Workload } from './workload.js';
import { blockWorkloads } from './workloads/blocks.js';
import { fileWorkloads } from './workloads/files.js';
import { postgresWorkloads } from './workloads/postgres.js';
import { sqliteWorkloads } from './workloads/sqlite.js';

/** In the order of the table. */
export const WORKLOADS: readonly Workload[] = [
  ...sqliteWorkloads,
  ...fileWorkloads,
  ...postgresWorkloads,
  ...blockWorkloads,
];
