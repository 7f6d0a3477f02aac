import type { CaptureSummary, CopyStatus } from '../../protocol/messages/message.js';
import { SEED_OPENING } from '../../protocol/seed/seed-opening.js';
import { parcelListDigest } from '../../protocol/messages/parcel-list.js';
import type { Range } from '../../protocol/ranges.js';
import type { Millis, StateId, VolumeId } from '../../protocol/units.js';
import type { SessionLink } from './call.js';
import type { SpooledSet } from './spool.js';

/** What is heard of the backup so long after something was asked was sent after that. */
const IN_FLIGHT_MS = 2000;
/** A question that was put so long ago was dropped meanwhile. */
const FORGOTTEN_MS = 5 * 60_000;

/** The state that a copy is at, or will be when what it holds is applied. */
export const reachedBy = ({ state, capture }: CopyStatus): StateId | null =>
  capture?.durable === true ? capture.to : state;

/**
 * The session with the backup, and where its copy of one volume stands: as the session began, and as what was done in it
 * has changed that since. `status` is what the backup would tell if it were asked now.
 */
export class CopyStanding {
  readonly #volumeName: string;
  readonly #volumeId: VolumeId;
  #session: SessionLink | null = null;
  #status: CopyStatus | null = null;
  #lastWriter: string | null = null;
  /** Since when it is asked whether the copy still stands where it was told. */
  #askedAt: Millis | null = null;
  /** What the backup has told of its image at a state. It outlives the session, as that does. */
  #suspect: { readonly state: StateId; readonly blocks: readonly Range[] } | null = null;

  constructor(volumeName: string, volumeId: VolumeId) {
    this.#volumeName = volumeName;
    this.#volumeId = volumeId;
  }

  /** null: nobody is connected. */
  get session(): SessionLink | null {
    return this.#session;
  }

  /** null: nobody is connected. */
  get status(): CopyStatus | null {
    return this.#status;
  }

  get isConnected(): boolean {
    return this.#status !== null;
  }

  /**
   * Does the copy surely stand where the backup has told in this session: a copy that comes on a disk ends it, and so does a
   * start of the backup. That is known when something is heard that was sent after this was first asked; until then the answer
   * is no, and the session, in which somebody waits, is asked for a sign of life.
   */
  isStillThere(now: Millis): boolean {
    if (this.#askedAt === null || now - this.#askedAt > FORGOTTEN_MS) this.#askedAt = now;
    const heardAt = this.#session?.lastHeardAt ?? null;
    if (heardAt === null || heardAt < this.#askedAt + IN_FLIGHT_MS) return false;
    this.#askedAt = null;
    return true;
  }

  attach(session: SessionLink, status: CopyStatus): void {
    this.#askedAt = null;
    this.#session = session;
    this.#status = status;
    this.#lastWriter = status.opening ?? null;
  }

  leave(): void {
    this.#askedAt = null;
    this.#session = null;
    this.#status = null;
  }

  /** Was the copy last written by an opening of the volume's state that is not one of these; none told: that is not known. */
  isByStrangerTo(openings: readonly string[]): boolean {
    return this.#lastWriter !== null && openings.length > 0 && !openings.includes(this.#lastWriter);
  }

  /** It came on a disk, and nobody has compared it yet. */
  get isFromDisk(): boolean {
    return this.#lastWriter === SEED_OPENING;
  }

  /** Blocks of it, at this state, are perhaps not what they should be. */
  suspect(state: StateId, blocks: readonly Range[]): void {
    this.#suspect = { state, blocks };
  }

  /** The blocks to be compared before a set from this state begins. */
  suspectsAt(state: StateId): readonly Range[] {
    return this.#suspect?.state === state ? this.#suspect.blocks : [];
  }

  /** It was compared: who wrote it last, and what was suspect, does not matter any more. */
  compared(): void {
    this.#lastWriter = null;
    this.#suspect = null;
  }

  /** It holds this much of a set, which has left the line. */
  holds(capture: CaptureSummary): void {
    if (this.#status !== null) this.#status = { ...this.#status, volumeId: this.#volumeId, capture };
  }

  /** It was told to forget what it holds of a set. */
  withdrawn(): void {
    if (this.#status?.capture?.durable === false) this.#status = { ...this.#status, capture: null };
  }

  /** It holds all of the set to a state; `set` is what is spooled. */
  durable(to: StateId, set: SpooledSet | null): void {
    if (this.#status === null) return;
    const parcels = set?.to === to ? set.parcels.map(({ id }) => id) : [];
    const from = set?.to === to ? set.from : this.#status.state;
    const wholeDigest = parcelListDigest(parcels);
    this.holds({ from, to, durable: true, whole: parcels.length, wholeDigest, partial: [] });
  }

  /** It is at a state, and holds nothing more. */
  applied(state: StateId): void {
    if (this.#status === null) return;
    const volumeId = this.#volumeId;
    this.#status = { kind: 'copy-status', volume: this.#volumeName, volumeId, state, capture: null };
  }
}
