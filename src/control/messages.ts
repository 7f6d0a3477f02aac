import { z } from 'zod';
import type { ApplianceControl, Progress } from './appliance-control.js';
import type { ApplianceErrorCode } from '../appliance/errors.js';

/*
 * What travels over the control socket: one JSON object a line, UTF-8.
 *
 *   client: {"id": 1, "method": "sync", "params": {"volume": "ledger"}}     {"cancel": 1}
 *   server: {"id": 1, "progress": {…}} …, then one of {"id": 1, "result": …} and {"id": 1, "error": {…}}
 *           {"id": 2, "ready": {…}}   once, of a request that serves until it is cancelled
 *
 * Requests of one connection run side by side; a connection that ends cancels those it began.
 */

/** Longest request line; the largest is a restore with two paths and a note. */
export const MAX_REQUEST_BYTES = 64 * 1024;
/** Longest answer line: the points of many volumes, some 250 bytes each. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Requests under way on one connection; a person or a script has one. */
export const MAX_REQUESTS_UNDER_WAY = 16;
/** Connections at once: scripts, a terminal UI, a monitor. */
export const MAX_CONNECTIONS = 64;

export type ControlMethod = keyof ApplianceControl;

/** Parameters of each method, as `ApplianceControl` takes them. */
export const PARAMETERS = {
  status: z.strictObject({}),
  sync: z.strictObject({
    volume: z.string(),
    to: z.string().optional(),
    timeoutMs: z.number().positive().optional(),
  }),
  compare: z.strictObject({ volume: z.string(), to: z.string().optional() }),
  snapshot: z.strictObject({ volume: z.string(), note: z.string().max(4096).optional() }),
  pause: z.strictObject({ volume: z.string().optional() }),
  resume: z.strictObject({ volume: z.string().optional() }),
  hangUp: z.strictObject({ link: z.string().optional() }),
  points: z.strictObject({ volume: z.string().optional() }),
  restore: z.strictObject({
    volume: z.string(),
    at: z.string().optional(),
    to: z.string().startsWith('/'),
    force: z.boolean(),
    damaged: z.boolean().optional(),
  }),
  export: z.strictObject({
    volume: z.string(),
    at: z.string().optional(),
    socket: z.string().startsWith('/'),
    writable: z.boolean(),
  }),
  drill: z.strictObject({
    volume: z.string(),
    at: z.string().optional(),
    command: z.string().min(1).max(4096).optional(),
    timeoutMs: z.number().positive().optional(),
  }),
  scrub: z.strictObject({ volume: z.string(), bytesPerSecond: z.number().positive().optional() }),
  prune: z.strictObject({ volume: z.string(), dryRun: z.boolean() }),
  seedExport: z.strictObject({
    volume: z.string(),
    backup: z.string().optional(),
    to: z.string().startsWith('/'),
    force: z.boolean(),
  }),
  seedDrop: z.strictObject({ volume: z.string(), backup: z.string().optional() }),
  seedImport: z.strictObject({ path: z.string().startsWith('/'), as: z.string().optional() }),
} satisfies Record<ControlMethod, z.ZodType>;

export const requestSchema = z.union([
  z.strictObject({
    id: z.number().int().nonnegative(),
    method: z.enum(Object.keys(PARAMETERS) as [ControlMethod, ...ControlMethod[]]),
    params: z.record(z.string(), z.unknown()).default({}),
  }),
  z.strictObject({ cancel: z.number().int().nonnegative() }),
]);

export type ControlRequest =
  | { readonly id: number; readonly method: ControlMethod; readonly params: unknown }
  | { readonly cancel: number };

/** `id` is null where a request was too broken to have one. */
export type ControlAnswer =
  | { readonly id: number; readonly progress: Progress }
  | { readonly id: number; readonly ready: unknown }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number | null; readonly error: WireError };

export interface WireError {
  readonly code: ApplianceErrorCode;
  readonly message: string;
  readonly hint?: string;
}

export const lineOf = (message: ControlRequest | ControlAnswer): string => `${JSON.stringify(message)}\n`;
