import type { Range } from '../../protocol/ranges.js';

/** What an export can do and how large it is; fixed while it is served. */
export interface ExportGeometry {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  /** Preferred block size in bytes, told to clients that ask; requests of any alignment are served. */
  readonly blockSize: number;
}

/** A stretch of an export as `base:allocation` tells it. `zero` without `hole`: allocated, reads as zeros. */
export interface AllocationExtent {
  readonly length: number;
  readonly hole: boolean;
  readonly zero: boolean;
}

/** A stretch of an export as `qemu:dirty-bitmap:farcopy` tells it. */
export interface ChangeExtent {
  readonly length: number;
  readonly changed: boolean;
}

/**
 * What the NBD server serves. Offsets and lengths were checked against `geometry` before any call. A method that can
 * answer at once returns its value, else a promise: the server takes the short way when it can. A failure is an
 * `Error`; its errno for the client comes from `errno.ts`.
 */
export interface ExportBackend {
  readonly geometry: ExportGeometry;
  /** Fills `into`, owned by the backend until it is done. */
  read(offset: number, into: Buffer): void | Promise<void>;
  /**
   * The small writes that have come in together, told before the first of them is asked for; all are asked for, in
   * this order, in the same tick unless the client goes away or is held back. Answers whether that was of use to any of
   * them; where it was not, the next ones need not be told. Absent: of no use to this export.
   */
  announce?(writes: readonly { readonly offset: number; readonly length: number }[]): boolean;
  /** Takes `from`, owned by the backend until it is done. With `fua` done means: on stable storage. */
  write(offset: number, from: Buffer, fua: boolean): void | Promise<void>;
  flush(): void | Promise<void>;
  /** Advice: the range may read as zeros or as before. */
  trim(offset: number, length: number, fua: boolean): void | Promise<void>;
  /** Afterwards the range reads as zeros. `noHole`: keep its space allocated. */
  writeZeroes(
    offset: number,
    length: number,
    options: { noHole: boolean; fua: boolean },
  ): void | Promise<void>;
  /** Advice to read ahead. */
  cache(offset: number, length: number): void | Promise<void>;
  /** Extents that cover at least a first part of `range`, at most `limit` of them. */
  allocation(range: Range, limit: number): AllocationExtent[] | Promise<AllocationExtent[]>;
  /**
   * What may differ from the far copies, told as `allocation` is. Absent: this export cannot tell, and its clients are
   * not offered `qemu:dirty-bitmap:farcopy`.
   */
  changed?(range: Range, limit: number): ChangeExtent[] | Promise<ChangeExtent[]>;
  /** A client begins to use the export; the result is called when it has ended and nothing of it is under way. */
  attach?(): () => void;
}
