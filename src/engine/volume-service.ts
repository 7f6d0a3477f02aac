import type { Scanned, ScanRequest } from '../../protocol/compare/scan.js';
import type { Range } from '../../protocol/ranges.js';
import type { Grade, StateInfo } from '../../protocol/state.js';
import type { BlockIndex, ByteCount, GroupId, StateId, VolumeId, WallTime } from '../../protocol/units.js';

/**
 * What replication asks of a volume. The engine's `Volume` answers it directly in its worker thread; `host/` carries
 * the same calls over a message port, so everything here can be cloned.
 */
export interface VolumeService {
  describe(): Promise<VolumeDescription>;
  /**
   * Seals the open epoch and opens the next, in one step against writes in flight. Resolves when the new state's
   * record, maps and the volume are synced, so that its id may leave the machine. The owners in `pinAs` are moved to
   * the new state in the same record (an unpinned boundary may be merged away at any time).
   */
  seal(request: SealRequest): Promise<StateInfo>;
  /**
   * Seals as `seal` does, if the condition holds at the very instant at which the epoch is closed; a write that comes
   * before voids it. Else nothing has happened.
   */
  sealIf(request: SealRequest, condition: SealCondition): Promise<SealAttempt>;
  /** Takes a step in sealing several volumes together. Steps of another ticket wait until this one is over. */
  groupStep(step: GroupStep): Promise<GroupAnswer>;
  /** Moves (or makes) an owner's pin; durable when it resolves. Fails with `unknown-state`. */
  pin(owner: string, state: StateId): Promise<void>;
  /** Removes an owner's pin; absent is fine. Epochs that nobody needs are dropped or merged in the background. */
  unpin(owner: string): Promise<void>;
  /** How many blocks a change set holds at the most. Fails with `unknown-state`. */
  countChanges(set: SetPartBounds): Promise<number>;
  /**
   * The next part of a change set in block order, as it was at `set.to`. Blocks that were written and are as the far
   * side has them already are left out where that is certain.
   */
  collect(request: CollectRequest): Promise<Collected>;
  /** Blocks of a state as a far copy at that state surely holds them. Fails with `unknown-state`. */
  readBase(request: BaseRequest): Promise<BaseBlocks>;
  /**
   * Digests of a state's blocks, for a compare (`protocol/compare`); as many nodes as are soon done. Fails with
   * `unknown-state`: a state must be pinned while it is compared.
   */
  digests(request: DigestRequest): Promise<Scanned>;
  /**
   * A compare has found what a far copy's state differs in from one of this volume's: from now on, durably, sets of
   * this owner may start from it, whatever was in doubt or not known of it. Moves the owner's pin there. Fails with
   * `unknown-state`, also where only a part was compared and that does not do, and has changed nothing then.
   */
  compared(finding: CompareFinding): Promise<void>;
}

export interface DigestRequest extends ScanRequest {
  readonly state: StateId;
}

export interface CompareFinding {
  /** Whose base this is, as in `pin`. */
  readonly owner: string;
  /** The far copy's state; it need not be known here. */
  readonly state: StateInfo;
  /** The state of this volume that it was compared with. */
  readonly like: StateId;
  /** The blocks that differ: ascending, disjoint. */
  readonly differing: readonly Range[];
  /**
   * Only these blocks were compared, and all that was in doubt is among them: of the others what is marked as changed
   * since `state` differs. The owner's pin must be at `state`. Absent: all were.
   */
  readonly within?: readonly Range[];
}

export interface VolumeDescription {
  readonly id: VolumeId;
  readonly name: string;
  readonly sizeBytes: ByteCount;
  readonly blockSize: number;
  /** The states this volume can still answer for, oldest first. */
  readonly states: readonly StateInfo[];
  readonly lastState: StateInfo | null;
  readonly pins: Readonly<Record<string, StateId>>;
  /** Blocks written since the last seal. */
  readonly dirtyBlocks: number;
  /** Bytes that clients wrote from a state to the next of `states`, by the earlier one's id; null: not known. */
  readonly written?: Readonly<Record<StateId, number | null>>;
  /** Bytes of before-images kept now. */
  readonly beforeImageBytes: number;
  /** Why the volume's maps or syncs are distrusted, for people; empty when all is well. */
  readonly warnings: readonly string[];
  readonly connectedClients: number;
  /** Names of this opening of the volume's state and of those before it, newest first: 16 hex digits each. */
  readonly openings?: readonly string[];
  /**
   * By owner of a pin: sets from there to states of this ordinal or a higher one may lack changes, or be the whole
   * volume. A compare finds what really differs. An owner that is absent need not worry.
   */
  readonly distrusted?: Readonly<Record<string, number>>;
  /** By the same owners: why, for people. */
  readonly distrustedFor?: Readonly<Record<string, string>>;
  /** By owner of a pin that is distrusted: the only blocks of which changes may lack; absent: of any. Ascending, disjoint. */
  readonly inDoubt?: Readonly<Record<string, readonly Range[]>>;
}

export interface SealRequest {
  readonly grade: Grade;
  readonly note?: string;
  readonly pinAs: readonly string[];
  /** Of a seal of several volumes: what their states bear in common. */
  readonly group?: GroupId;
  readonly time?: WallTime;
}

/**
 * One volume's part in sealing several at one instant. All are made ready; then all hold back new writes (those that
 * were admitted go on); when the last of them does, each opens its next epoch and lets the writes go on; when the last
 * of them has, each names its state. So no write that was sent after another one was answered is in without the other.
 *
 *   prepare → hold → flip → name      `abandon` at any step before `name`
 */
export type GroupStep =
  | { readonly kind: 'prepare'; readonly ticket: string }
  /** Writes are held for `HELD_AT_MOST_MS`, then they go on by themselves and `flip` answers `too-late`. */
  | { readonly kind: 'hold'; readonly ticket: string; readonly quietMs?: number }
  | {
      readonly kind: 'flip';
      readonly ticket: string;
      readonly isPinned: boolean;
      readonly notAfter?: WallTime;
    }
  | { readonly kind: 'name'; readonly ticket: string; readonly request: SealRequest }
  /** Also for a ticket that is not known. */
  | { readonly kind: 'abandon'; readonly ticket: string };

export type GroupAnswer = { readonly kind: 'done' } | SealAttempt;

export interface SealCondition {
  /** Nothing was written for so long since the flush that covered the last write. */
  readonly quietMs?: number;
  /** It is not later than this, on the wall clock, which all threads share. */
  readonly notAfter?: WallTime;
}

export type SealAttempt =
  | {
      readonly kind: 'sealed';
      readonly state: StateInfo;
      /** Of a seal of several volumes: all their states, by the volume's name. */
      readonly group?: Readonly<Record<string, StateInfo>>;
    }
  /** `quietForMs`: how long nothing was written; null: writing, or not flushed since. */
  | { readonly kind: 'not-quiet'; readonly quietForMs: number | null }
  | { readonly kind: 'too-late' };

/** A change set `Si→Sk`; `from: null` means the whole volume, for a copy that does not exist yet. */
export interface SetBounds {
  readonly from: StateId | null;
  readonly to: StateId;
  /** Whose pin `from` is: what a compare has found for this owner then counts. */
  readonly by?: string;
  /**
   * Only what changed since this later state is asked for, as far as it differs from that one: the far side has the
   * rest as it was then. `from` stays the state that the far side's image is at. Absent: `from` itself.
   */
  readonly since?: StateId;
}

/** A part of a set, by blocks. */
export interface SetPartBounds extends SetBounds {
  readonly within?: Range;
}

export interface CollectRequest extends SetBounds {
  /** Where to go on: 0, then the last answer's `next`. */
  readonly cursor: BlockIndex;
  /** Where to stop at the latest; absent: at the end of the volume. */
  readonly end?: BlockIndex;
  /** How much block content to gather at the most; at least one block is gathered. */
  readonly maxContentBytes: number;
}

export interface BaseRequest {
  readonly state: StateId;
  /** Whose base the state is, as in `SetBounds`. */
  readonly by?: string;
  /** The blocks wanted, 64 MiB of content at the most; of those past the end of the volume nothing is known. */
  readonly runs: readonly { readonly start: BlockIndex; readonly count: number }[];
}

/** Content of blocks in some order. */
export interface BaseBlocks {
  /** A block's bytes for each block asked for; owned by the caller. */
  readonly content: Uint8Array;
  /** For each block 1: that is its content; 0: it cannot be told. */
  readonly known: Uint8Array;
}

/** Blocks that follow each other: with content, or all zeros. */
export interface BlockRun {
  readonly start: BlockIndex;
  readonly count: number;
  readonly zero: boolean;
}

export interface Collected {
  /** Ascending and disjoint. Of a `from: null` set zero runs are left out: a new copy starts as zeros. */
  readonly runs: readonly BlockRun[];
  /** Content of the runs that are not zero, in order; owned by the caller. */
  readonly content: Uint8Array;
  /** What the blocks of `content` held at `from`, in the same order; null: of a `from: null` set. */
  readonly before: BaseBlocks | null;
  /** Cursor for the next call, or null when the set has been gathered to its end. */
  readonly next: BlockIndex | null;
  /** Blocks whose content at `to` can no longer be told; not empty: the set must be given up for a newer state. */
  readonly unavailable: readonly BlockIndex[];
  /** Blocks that come later may be unavailable: the state was given up, for want of space or because a disk failed. */
  readonly isGivenUp?: boolean;
}
