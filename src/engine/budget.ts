import type { Files } from '../platform/files.js';

/** How much of what is free or used by them before-images may take: spool and records need room on the same disk. */
const DISK_SHARE = 0.75;

/** The space before-images may take, shared by all epochs of a volume. */
export class Budget {
  #used = 0;
  /** What the disk has room for, if that is less. */
  #bound = Infinity;

  constructor(readonly configured: number) {}

  /** Bytes that may be used. What is used already stays, also when the limit falls below it. */
  get limit(): number {
    return Math.min(this.configured, this.#bound);
  }

  /** The disk has room for so much. */
  bound(bytes: number): void {
    this.#bound = Math.max(0, Math.floor(bytes));
  }

  /** Bytes taken now; may be above the limit after `force`. */
  get used(): number {
    return this.#used;
  }

  /** Takes `bytes` if, with them, no more than `share` (0 … 1) of the budget is used; else takes nothing. */
  take(bytes: number, share = 1): boolean {
    if (bytes > 0 && this.#used + bytes > this.limit * share) return false;
    this.#used += bytes;
    return true;
  }

  /** Takes what exists already. */
  force(bytes: number): void {
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}

/** Sets the bound by the free space on the disk that holds `folder`, where that can be told. */
export async function boundByDisk(budget: Budget, files: Files, folder: string): Promise<void> {
  const free = await files.freeBytes?.(folder).catch(() => undefined);
  if (free !== undefined) budget.bound((free + budget.used) * DISK_SHARE);
}
