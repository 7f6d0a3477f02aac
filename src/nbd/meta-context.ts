import type { Range } from '../../protocol/ranges.js';
import type { ChangeExtent, ExportBackend } from './backend.js';
import { Allocation, DirtyBitmap } from './wire.js';

/** A stretch with its status bits, whose meaning the context defines. `length` in bytes. */
export interface StatusExtent {
  readonly length: number;
  readonly status: number;
}

/** One kind of BLOCK_STATUS answer. A new kind is a new row in `META_CONTEXTS`. */
export interface MetaContext {
  /** `namespace:leaf`, as clients ask for it. */
  readonly name: string;
  /** The status that is always true enough, for what a back end leaves out. */
  readonly unknown: number;
  /** Can this export answer it. */
  serves(backend: ExportBackend): boolean;
  /** Extents from `range.start` on, at most `limit`. */
  extents(backend: ExportBackend, range: Range, limit: number): StatusExtent[] | Promise<StatusExtent[]>;
}

const baseAllocation: MetaContext = {
  name: 'base:allocation',
  unknown: 0,
  serves: () => true,
  extents(backend, range, limit) {
    const found = backend.allocation(range, limit);
    return found instanceof Promise ? found.then(allocationStatus) : allocationStatus(found);
  },
};

const allocationStatus = (extents: Awaited<ReturnType<ExportBackend['allocation']>>): StatusExtent[] =>
  extents.map(({ length, hole, zero }) => ({
    length,
    status: (hole ? Allocation.hole : 0) | (zero ? Allocation.zero : 0),
  }));

/** What backup programs ask qemu for: which blocks are not yet in the far copies. */
const changedBlocks: MetaContext = {
  name: 'qemu:dirty-bitmap:farcopy',
  unknown: DirtyBitmap.dirty,
  serves: (backend) => backend.changed !== undefined,
  extents(backend, range, limit) {
    const found = backend.changed?.(range, limit) ?? [];
    return found instanceof Promise ? found.then(changeStatus) : changeStatus(found);
  },
};

const changeStatus = (extents: readonly ChangeExtent[]): StatusExtent[] =>
  extents.map(({ length, changed }) => ({ length, status: changed ? DirtyBitmap.dirty : 0 }));

export const META_CONTEXTS: readonly MetaContext[] = [baseAllocation, changedBlocks];

/** Contexts that a LIST query finds: by full name, or all below a prefix that ends in a colon. */
export function listContexts(backend: ExportBackend, queries: readonly string[]): MetaContext[] {
  return META_CONTEXTS.filter(
    (context) =>
      context.serves(backend) &&
      (queries.length === 0 ||
        queries.some(
          (query) => query === context.name || (query.endsWith(':') && context.name.startsWith(query)),
        )),
  );
}

/** Contexts that a SET query selects: by full name only; anything else selects nothing. */
export function selectContexts(backend: ExportBackend, queries: readonly string[]): MetaContext[] {
  return META_CONTEXTS.filter((context) => context.serves(backend) && queries.includes(context.name));
}

/**
 * What goes on the wire for `range`: nothing empty, nothing past its end, neighbours of one status joined; never
 * nothing at all.
 */
export function tidyExtents(
  extents: readonly StatusExtent[],
  range: Range,
  limit: number,
  unknown: number,
): StatusExtent[] {
  const tidy: StatusExtent[] = [];
  let at = range.start;
  for (const extent of extents) {
    const length = Math.min(extent.length, range.end - at);
    if (length <= 0) continue;
    const last = tidy.at(-1);
    if (last?.status === extent.status) {
      tidy[tidy.length - 1] = { length: last.length + length, status: last.status };
    } else {
      if (tidy.length === limit) break;
      tidy.push({ length, status: extent.status });
    }
    at += length;
  }
  return tidy.length > 0 ? tidy : [{ length: range.end - range.start, status: unknown }];
}
