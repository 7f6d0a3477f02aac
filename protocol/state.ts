import type { ByteCount, GroupId, StateId, WallTime } from './units.js';

/** How a state's consistency is known (DESIGN section 1). */
export const GRADES = ['application', 'quiet', 'crash'] as const;
export type Grade = (typeof GRADES)[number];

/** The content and size of a volume at one instant: what both sides say of a state. */
export interface StateInfo {
  readonly id: StateId;
  /** The state sealed before this one on the primary; null for a volume's first. */
  readonly parent: StateId | null;
  /** For people only; rises by one with each seal of the volume. */
  readonly ordinal: number;
  /** When the epoch was sealed, on the primary's clock. */
  readonly time: WallTime;
  readonly grade: Grade;
  /** Size of the volume in this state. */
  readonly size: ByteCount;
  readonly note?: string;
  /** States of other volumes that bear the same are of the same instant, across all of them. */
  readonly group?: GroupId;
}
