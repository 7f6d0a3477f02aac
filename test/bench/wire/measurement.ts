import type { ChangedContent } from './changed-content.js';
import type { RivalCost } from './rivals.js';

/** A workload's row. */
export interface Measurement {
  readonly workload: string;
  readonly title: string;
  /** Blocks in which the image after differs from the one before. */
  readonly changedBlocks: number;
  readonly zeroBlocks: number;
  readonly ours: {
    /** Encoded parcels of the set. */
    readonly encodedBytes: number;
    readonly parcels: number;
    /** Messages about the set both ways, before framing and sealing. */
    readonly messageBytes: number;
    readonly blocks: number;
    readonly seconds: number;
    /** The whole volume, quickly, before the workload. */
    readonly firstCopyBytes: number;
  };
  readonly content?: ChangedContent;
  /** By name; what is not here was not measured. */
  readonly rivals: Readonly<Record<string, RivalCost>>;
}
