import type { Range } from '../ranges.js';
import type { StateInfo } from '../state.js';
import type { SetAccount } from '../set-account.js';
import type { ByteCount, ParcelId, StateId, VolumeId } from '../units.js';

/**
 * The control messages of a session (PROTOCOL.md, "Session messages"). Each that changes something names the volume
 * and the state it leads to, so that a late or doubled one is recognised and ignored.
 */
export type Message =
  | CopyStatus
  | CopiesTold
  | Offer
  | Announce
  | Withdraw
  | Commit
  | Durable
  | Applied
  | Refused
  | Spoiled
  | BaseMismatch
  | Suspect
  | Compare
  | CompareRoot
  | CompareAsk
  | CompareDigests
  | CompareOver;

/** What either side says of itself inside the handshake. */
export interface Hello {
  /** The site's configured name, for people; who it is, its key says. */
  readonly name: string;
  /** Program and version, for the log. */
  readonly software: string;
  /** A backup's copies of the peer's volumes, as many as fit; empty from a primary. */
  readonly copies: readonly CopyStatus[];
  /**
   * From a backup: every copy is in `copies`; a volume that is not there has no copy. From a primary, which has none: false
   * if it knows of `Suspect`.
   */
  readonly complete: boolean;
}

/** Backup to primary: where the copy of a volume stands. */
export interface CopyStatus {
  readonly kind: 'copy-status';
  readonly volume: string;
  /** null: nothing was ever offered under this name. */
  readonly volumeId: VolumeId | null;
  /** The state the image equals; null: none yet. */
  readonly state: StateId | null;
  readonly capture: CaptureSummary | null;
  /** The opening of the volume that was last heard of in an offer (`Offer.opening`); absent: none. */
  readonly opening?: string;
}

/** Backup to primary: every copy that the hello had no room for has been told; a volume not told of has no copy. */
export interface CopiesTold {
  readonly kind: 'copies-told';
}

/** What the backup holds of a set that is not yet applied. */
export interface CaptureSummary {
  readonly from: StateId | null;
  readonly to: StateId;
  readonly durable: boolean;
  /** How many of the first parcels, in the order of their announcement, are held whole. */
  readonly whole: number;
  /** `parcelListDigest` of their ids. */
  readonly wholeDigest: Uint8Array;
  /** Of later parcels, what is held. */
  readonly partial: readonly { readonly id: ParcelId; readonly held: readonly Range[] }[];
}

/** Primary to backup: a change set is coming. Repeated at the start of each session that goes on with it. */
export interface Offer {
  readonly kind: 'offer';
  readonly volume: string;
  readonly volumeId: VolumeId;
  readonly blockSize: number;
  readonly from: StateId | null;
  readonly to: StateInfo;
  /** The set was turned to a newer state: what the backup holds of it so far, and is to keep. */
  readonly keeps?: KeptCapture;
  /**
   * Which opening of the volume's state speaks: 16 hex digits, random, new with each. The backup remembers the last; a
   * primary that does not know it among those before it has lost a part of its history, or is not the only one.
   */
  readonly opening?: string;
}

/** What stays of a capture whose set leads to a newer state now; all else that it holds is dropped. */
export interface KeptCapture {
  /** The state that it led to. */
  readonly to: StateId;
  /** How many of the first parcels, in the order of their announcement. */
  readonly whole: number;
  /** `parcelListDigest` of their ids. */
  readonly wholeDigest: Uint8Array;
  /** Further ones, in that order. */
  readonly partial: readonly ParcelId[];
}

/** Primary to backup: the set's next parcel; its segments may follow at once. */
export interface Announce {
  readonly kind: 'announce';
  readonly volume: string;
  readonly to: StateId;
  readonly parcel: ParcelId;
  readonly length: ByteCount;
  /** `parcelDigest` of the decoded form. */
  readonly digest: Uint8Array;
}

/** Primary to backup: the set of this state will not be completed; forget what is held of it. */
export interface Withdraw {
  readonly kind: 'withdraw';
  readonly volume: string;
  readonly to: StateId;
}

/** Primary to backup: the set is these parcels and no others. May arrive before they are held. */
export interface Commit {
  readonly kind: 'commit';
  readonly volume: string;
  readonly from: StateId | null;
  readonly to: StateId;
  readonly parcels: number;
  /** `parcelListDigest` of all ids in order. */
  readonly parcelsDigest: Uint8Array;
  /** `SetDigest` of the final content. */
  readonly digest: Uint8Array;
  /** What the set was worth and has cost, for the restore point; absent: not told. */
  readonly account?: SetAccount;
}

/** Backup to primary: the whole set is checked and synced; the primary may forget it. */
export interface Durable {
  readonly kind: 'durable';
  readonly volume: string;
  readonly to: StateId;
}

/** Backup to primary: the image equals this state. */
export interface Applied {
  readonly kind: 'applied';
  readonly volume: string;
  readonly to: StateId;
}

export const REFUSAL_CODES = [
  'unknown-volume',
  'other-volume',
  'base-mismatch',
  'geometry-mismatch',
  'digest-mismatch',
  'no-space',
  'failed',
] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

/** Backup to primary: this set is not taken. */
export interface Refused {
  readonly kind: 'refused';
  readonly volume: string;
  readonly to: StateId;
  readonly code: RefusalCode;
  readonly text: string;
}

/** Backup to primary: a parcel arrived whole and did not decode to its digest; nothing of it is held now. */
export interface Spoiled {
  readonly kind: 'spoiled';
  readonly volume: string;
  readonly to: StateId;
  readonly parcel: ParcelId;
}

/**
 * Backup to primary: a parcel arrived whole, and what it refers to is not what is held here, so that it did not decode to
 * its digest; nothing of it is held now. It is to come again, encoded without references, under the same id.
 */
export interface BaseMismatch {
  readonly kind: 'base-mismatch';
  readonly volume: string;
  readonly to: StateId;
  readonly parcel: ParcelId;
  /** The blocks of the base state that it refers to, at least; one or more of them are wrong here. */
  readonly base: readonly Range[];
}

/**
 * Backup to primary: blocks of the image are perhaps not what they should be. They are to be compared before the next set
 * from that state begins. Only to a primary that knows of it (`Hello.complete`).
 */
export interface Suspect {
  readonly kind: 'suspect';
  readonly volume: string;
  /** Which the image is at. */
  readonly state: StateId;
  readonly blocks: readonly Range[];
}

/**
 * Primary to backup: digest the image, to be compared with state `to` of the primary (`protocol/compare`). A newer compare
 * of the volume takes the place of an older one; `serial` tells their messages apart.
 */
export interface Compare {
  readonly kind: 'compare';
  readonly volume: string;
  readonly to: StateId;
  readonly serial: number;
  readonly volumeId: VolumeId;
  readonly blockSize: number;
  /** Size of the volume at `to`, which both trees have. */
  readonly blocks: number;
  /** 16 random bytes. */
  readonly key: Uint8Array;
  /** Only these blocks are compared: on both sides all others are not read and count as zeros. Absent: all are. */
  readonly within?: readonly Range[];
  /** Why the primary does not trust what it knows of the copy, for people; absent: it was asked for. */
  readonly why?: string;
}

/** Backup to primary: the root of the image's tree. */
export interface CompareRoot {
  readonly kind: 'compare-root';
  readonly volume: string;
  readonly to: StateId;
  readonly serial: number;
  /** The state that the image equals, and goes on to equal until the compare is over. */
  readonly state: StateInfo;
  readonly root: Uint8Array;
  /** What the compare said behind its key was heeded; absent: by a backup that does not know of it. */
  readonly heeded?: true;
}

/** Primary to backup: the digests below some nodes. Answered in the order of the questions. */
export interface CompareAsk {
  readonly kind: 'compare-ask';
  readonly volume: string;
  readonly to: StateId;
  readonly serial: number;
  readonly level: number;
  readonly depth: number;
  readonly nodes: readonly number[];
}

/** Backup to primary: the answer, 16 bytes a digest. */
export interface CompareDigests {
  readonly kind: 'compare-digests';
  readonly volume: string;
  readonly to: StateId;
  readonly serial: number;
  readonly digests: Uint8Array;
}

/** Primary to backup: nothing more will be asked. */
export interface CompareOver {
  readonly kind: 'compare-over';
  readonly volume: string;
  readonly to: StateId;
  readonly serial: number;
  /** It came to its end: so many blocks differ. Only to a backup that has heeded the compare. */
  readonly differing?: number;
}
