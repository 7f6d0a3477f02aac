import type { Range } from '../../protocol/ranges.js';
import type { LineBytes } from '../../protocol/set-account.js';
import type { StateInfo } from '../../protocol/state.js';
import type { ByteCount, ParcelId, StateId, VolumeId } from '../../protocol/units.js';

/** What the primary says of a change set before it sends it. */
export interface SetOffer {
  readonly volumeId: VolumeId;
  readonly blockSize: number;
  /** null: the whole volume, for a copy that does not exist yet. */
  readonly from: StateId | null;
  readonly to: StateInfo;
  /** It came on a disk, not from the primary itself; `from` is null then. */
  readonly isSeed?: boolean;
}

/** A parcel as announced: how long it is encoded, and the digest of its decoded content (`protocol/parcel`). */
export interface ParcelAnnouncement {
  readonly id: ParcelId;
  readonly length: ByteCount;
  readonly digest: Uint8Array;
}

/** How far a set in the capture buffer has come. */
export interface CaptureStatus {
  readonly offer: SetOffer;
  readonly parcels: readonly HeldParcel[];
  /** Set by `commit`: all decoded, checked and synced; the primary may forget. */
  readonly durable: boolean;
}

/** A parcel that was announced, and the ranges of it that are kept. */
export interface HeldParcel {
  readonly id: ParcelId;
  readonly length: ByteCount;
  readonly held: readonly Range[];
}

/** A state the backup can produce: the image's own, or an earlier one. Made by a finished apply only. */
export interface RestorePoint {
  readonly state: StateInfo;
  /** When the apply ended, on the backup's clock (ms since 1970). */
  readonly appliedAt: number;
  /** Blocks in the set that led here. */
  readonly blocks: number;
  /** What that set was worth and has cost; absent: not known. */
  readonly account?: PointAccount;
  /** It came on a disk, and the primary has not confirmed it; absent: it is what the primary had. */
  readonly seed?: SeedTrust;
}

/** `unconfirmed`: the primary has not compared it yet. `differed`: it has, and found that some of it is not what it was. */
export type SeedTrust = 'unconfirmed' | 'differed';

/** Of the set that led to a restore point; each side counts what it sees on its lines, up to the commit. */
export interface PointAccount {
  /** Bytes that clients wrote on the primary; null: not known. */
  readonly written: number | null;
  readonly byPrimary: LineBytes | null;
  readonly byBackup: LineBytes | null;
}

export interface VolumeStoreStatus {
  readonly primary: string;
  readonly volume: string;
  /** null: nothing was ever offered. */
  readonly volumeId: VolumeId | null;
  readonly blockSize: number | null;
  /** The state the image equals; null while the first copy is not complete. */
  readonly state: StateInfo | null;
  readonly capture: CaptureStatus | null;
  /** The opening of the primary's volume that was last heard of (`meet`). */
  readonly opening?: string | null;
  /** Set while the primary does not trust what it knows of this copy (`distrust`). */
  readonly distrust?: Distrust | null;
  /** What a scrub has found of the image, until it is healed; absent or null: nothing. */
  readonly suspects?: Suspects | null;
  /** What keeps the volume closed, or its durable set from being applied; for people. */
  readonly fault?: string;
}

/** A primary has told that its own knowledge of the copy is in doubt; the copy is what it was. */
export interface Distrust {
  /** On the backup's clock (ms since 1970). */
  readonly since: number;
  /** In the primary's words, for people. */
  readonly why: string;
}

/** One volume's far copy. Calls that change it are run one after the other, whoever makes them. */
export interface VolumeStore {
  status(): VolumeStoreStatus;
  /** A parcel of the captured set; null: it is not known. For `status` goes through all of them. */
  parcel(id: ParcelId): HeldParcel | null;
  /**
   * Begins a set, or goes on with the one already captured if `from`, `to`, and volume are the same; another set's
   * capture is dropped without a trace first (unless it is durable: then it is applied first). Fails with
   * `other-volume`, `base-mismatch`, `geometry-mismatch`, and changes nothing then.
   */
  begin(offer: SetOffer): Promise<void>;
  /**
   * Turns the captured set to a newer state: from now on it leads to `offer.to`. Of its parcels those in `keep` stay, all
   * others are forgotten. Fails with `no-capture` if no set from `offer.from` is being collected, else as `begin`; what was
   * captured then stays as it was, or without some of the others.
   */
  turn(offer: SetOffer, keep: readonly ParcelId[]): Promise<void>;
  /**
   * Remembers which opening of the primary's volume has offered a set; durable when it resolves. To be called after
   * `begin`, which makes the copy's folder.
   */
  meet(opening: string): Promise<void>;
  /**
   * Remembers why the primary distrusts what it knows of the copy, or that it does no more: `why` null. The same again
   * changes nothing. Durable when it resolves. The copy must exist.
   */
  distrust(why: string | null): Promise<void>;
  /**
   * Keeps out all sets but those of a seed while `work` brings one in: else a primary that calls meanwhile would have it
   * dropped. Its offers fail with `in-use`. Fails as `work` does.
   */
  whileSeeded<T>(work: () => Promise<T>): Promise<T>;
  /**
   * The primary has compared one of its own states with the copy's, and found so many blocks that differ. If the copy came
   * on a disk, that is now known of it. Durable when it resolves.
   */
  compared(like: StateId, differing: number): Promise<void>;
  /**
   * Makes a parcel known; a repeated announcement is fine. A differing one takes its place if nothing is held of the
   * parcel, else it is `bad-parcel`.
   */
  announce(parcel: ParcelAnnouncement): Promise<void>;
  /** Forgets a parcel the primary no longer wants (superseded, or spoiled). */
  forget(id: ParcelId): Promise<void>;
  /**
   * Keeps a segment, or several that follow each other, given one by one. When it resolves the bytes survive a killed process and may be reported as held. The append
   * that makes a parcel whole also decodes and checks it: `bad-parcel` means that its bytes were dropped. One that
   * refers to a parcel still on its way is decoded after that. `ReferenceMismatch`: it, or others that waited for it,
   * were encoded against something else than what is held here; their bytes were dropped, their places are kept.
   */
  append(id: ParcelId, offset: number, ...parts: readonly Uint8Array[]): Promise<void>;
  /**
   * Checks that exactly `parcels`, in this order, make the set with this digest, and syncs. Resolves when DURABLE.
   * Fails with `incomplete-capture`, `digest-mismatch` or `ReferenceMismatch` (the capture stays). A repeat is answered
   * again.
   * `account` is kept with the restore point.
   */
  commit(parcels: readonly ParcelId[], digest: Uint8Array, account?: PointAccount): Promise<void>;
  /** Moves the image to the durable set's state in one atomic step. Resolves when APPLIED. */
  apply(): Promise<RestorePoint>;
  /** Drops an unfinished capture without a trace; a durable one is kept. */
  drop(): Promise<void>;
  /** Newest first; the first is the image's own state. */
  points(): readonly RestorePoint[];
  /**
   * Removes the points of these states, merging their increments into those of their older neighbours, beside
   * whatever else goes on. The newest stays, and so does a point that is open. Returns what was removed. Fails with
   * the first thing that kept a point back (`damaged`, `no-space`, `io`, the signal's reason), after removing what it
   * could; points are never lost by it.
   */
  removePoints(states: ReadonlySet<StateId>, signal?: AbortSignal): Promise<readonly RestorePoint[]>;
  /**
   * Opens a state for reading; it stays that state, whatever is applied or removed meanwhile, until closed. `unchecked`:
   * what lies in the image is read as it is there.
   */
  openState(state: StateId, checks?: 'checked' | 'unchecked'): Promise<StateReader>;
  /**
   * Reads the image, the increments and the record, and holds them against what is known of them; makes the digests of the
   * image first where there are none. Beside whatever else goes on, a slice at a time. What is found of the image is
   * suspect from then on. Fails with `unknown-point` where there is no state yet, `overwriting` where an apply could not
   * be ended, `io`, or the signal's reason.
   */
  scrub(options: ScrubOptions): Promise<ScrubReport>;
  /**
   * The primary has compared blocks (null: all) with the image, at `state`, and found them equal: what was suspect of
   * them is not any more, and their digests are made anew. Of another state than the image's it changes nothing.
   */
  trust(state: StateId, blocks: readonly Range[] | null): Promise<void>;
}

export interface ScrubOptions {
  readonly signal: AbortSignal;
  /** So many more bytes were read; the scrub goes on when it resolves. */
  readonly pace?: (bytes: number) => Promise<void>;
  /** In bytes: of the image's state, holes included, and then of the increments. */
  readonly progress?: (done: number, total: number) => void;
}

export interface ScrubReport {
  /** The image's, at the end. */
  readonly state: StateInfo;
  /** `made`: there were none, and the image was taken as it is; `remade`: those that there should be were lost. */
  readonly digests: 'checked' | 'made' | 'remade';
  /** Blocks of the image that were read. */
  readonly blocks: number;
  /** All that was read. */
  readonly bytes: number;
  /** Blocks of the image that are not what they should be. Ascending, disjoint. */
  readonly rotten: readonly Range[];
  /** Blocks of the image of which that cannot be told, for their digests have rotted. Ascending, disjoint. */
  readonly unknown: readonly Range[];
  readonly increments: ScrubbedIncrements;
  /** Points that cannot be read whole, newest first. */
  readonly points: readonly DamagedPoint[];
  /** Records of the copy that cannot be read; for people. */
  readonly records: readonly string[];
}

export interface ScrubbedIncrements {
  readonly files: number;
  /** Old blocks that were read. */
  readonly blocks: number;
  readonly damaged: readonly DamagedIncrement[];
}

/** The increment that leads back to a state: blocks of that state in it that are lost; null: all of it is. */
export interface DamagedIncrement {
  readonly state: StateId;
  readonly blocks: readonly Range[] | null;
}

export interface DamagedPoint {
  readonly state: StateInfo;
  /** How many blocks of it are lost; null: it is not known how many. */
  readonly blocks: number | null;
}

/** Blocks of the image that are perhaps not what they should be. */
export interface Suspects {
  /** On the backup's clock (ms since 1970). */
  readonly since: number;
  /** Ascending, disjoint. */
  readonly blocks: readonly Range[];
}

export interface StateReader {
  readonly state: StateInfo;
  readonly blockSize: number;
  /**
   * Fills `into` from `position` of the state; within its size. `RottenBlocks` if something of it is not what the state
   * held: of a read within one block, `into` has what is there all the same.
   */
  read(into: Uint8Array, position: number): Promise<void>;
  /** First range at or after `from` that may be other than zeros; null if none. */
  nextData(from: number): Promise<Range | null>;
  close(): Promise<void>;
}
