import { heldOf } from '../../protocol/session/held.js';
import type { CopyStatus } from '../../protocol/messages/message.js';
import type { StateInfo } from '../../protocol/state.js';
import type { StateId } from '../../protocol/units.js';
import type { VolumeService } from '../engine/volume-service.js';
import type { Clock } from '../platform/clock.js';
import type { Coverage } from './coverage.js';
import { arrivesSoon, FINISH_FIRST, mayTurn, type PendingPolicy } from './pending-policy.js';
import type { Turning } from './set-build.js';
import type { SetSending } from './set-sending.js';
import type { RecordedParcel } from './spool-record.js';
import type { Spool, SpooledSet } from './spool.js';
import type { TravelPins } from './travel-pins.js';

export interface SetTurningOptions {
  readonly volume: VolumeService;
  readonly blockSize: number;
  readonly spool: Spool;
  readonly clock: Clock;
  /** Absent: what travels arrives before anything newer. */
  readonly pending?: PendingPolicy;
  readonly pins: TravelPins;
  readonly sending: SetSending;
  /** Rate of the line in use; undefined: fast, or none. */
  readonly bytesPerSecond: () => number | undefined;
}

/** Of a set of which nothing is encoded yet: a guess at what a block comes to. */
const GUESSED_SHARE = 0.5;
/** When less line time than this is left of a set, it is committed, and no more turned. */
const COMMIT_AHEAD_SECONDS = 10;

/**
 * Newest state wins: when a set on its way to a backup is turned to a newer state, and what stays of it. The boundary of
 * the state that was given up stays pinned until the backup holds a later one durably, for two reasons: blocks of kept
 * parcels that have changed since are asked for from there, and a COMMIT may be under way of which nothing is known.
 */
export class SetTurning {
  readonly #options: SetTurningOptions;
  readonly #policy: PendingPolicy;

  constructor(options: SetTurningOptions) {
    this.#options = options;
    this.#policy = options.pending ?? FINISH_FIRST;
  }

  /** Is it time to commit a set of which so many bytes are not held yet. */
  isTimeToCommit(bytesLeft: number): boolean {
    const rate = this.#options.bytesPerSecond();
    if (this.#policy.pending === 'finish' || rate === undefined) return true;
    return bytesLeft <= rate * COMMIT_AHEAD_SECONDS;
  }

  /** With nobody connected: may a state make way of which the backup cannot have heard. */
  mayReplaceUnheard(travelling: StateInfo, newer: StateInfo): boolean {
    const { set } = this.#options.spool;
    return set?.to === travelling.id && !set.offered && this.#mayTurn(travelling, newer, 0) !== 'no';
  }

  /**
   * Is the set that travels to be turned to `newer`. The backup has said in this session that it does not hold it
   * durably; the set from `from` is what it needs.
   */
  async isDue(from: StateId | null, travelling: StateInfo, newer: StateInfo): Promise<boolean> {
    const { sending, spool, pins } = this.#options;
    if (sending.isCommitted || (from !== null && pins.isInDoubt(from, newer))) return false;
    const set = spool.set?.to === travelling.id && spool.set.from === from ? spool.set : null;
    const answer = this.#mayTurn(travelling, newer, set?.earlier.length ?? 0);
    if (answer !== 'if-soon' || set === null) return answer !== 'no';
    return arrivesSoon(await this.#secondsLeft(set, travelling.id), await this.#secondsLeft(set, newer.id));
  }

  /** How the spooled set is turned to `to` for a copy that stands at `remote`. */
  turnTo(from: StateId | null, to: StateId, remote: CopyStatus): Turning {
    return {
      kept: () => this.#keptParcels(from, to, remote),
      count: (coverage) => this.#blocksLeft(from, to, coverage),
    };
  }

  /** Can what is spooled be gathered to its end: each state that it is asked for from is still there. */
  get isSound(): boolean {
    const { spool, pins } = this.#options;
    const { set } = spool;
    const known = new Set<StateId | null>(pins.states.map(({ id }) => id));
    return set?.coverage.every(({ asOf }) => asOf === set.from || known.has(asOf)) ?? true;
  }

  /**
   * How many first parcels of the spooled set stay when it is turned to `to`: those that the backup holds whole, and those
   * held in part of which finishing costs less than it saves. null: the spooled set cannot be turned, and another must be
   * begun.
   */
  async #keptParcels(from: StateId | null, to: StateId, remote: CopyStatus): Promise<number | null> {
    const { spool, pins } = this.#options;
    const { set } = spool;
    if (set?.from !== from || set.to === to) return null;
    const targets = [...set.earlier.map((target) => target.to), set.to];
    const pinned = new Set(pins.earlier.map(({ id }) => id));
    if (!targets.every((target) => pinned.has(target))) return null;
    const parcels = set.parcels.map(({ id }) => id);
    const earlier = [...set.earlier, { to: set.to, parcels }];
    const held = heldOf(from, { to, parcels }, earlier, remote.capture);
    if (held === null) return 0;
    for (const [index, part] of held.partial.entries()) {
      const parcel = set.parcels[held.whole + index];
      const bytes = part.held.reduce((sum, range) => sum + range.end - range.start, 0);
      if (parcel === undefined || !(await this.#isWorthFinishing(from, to, parcel, bytes)))
        return held.whole + index;
    }
    return held.whole + held.partial.length;
  }

  /** Blocks that are still to be gathered for `to`, where the far side is as of `coverage`. */
  async #blocksLeft(from: StateId | null, to: StateId, coverage: Coverage): Promise<number> {
    const { volume, pins } = this.#options;
    let blocks = 0;
    for (const { start, end, asOf } of coverage) {
      if (asOf === to) continue;
      blocks += await volume.countChanges({
        from,
        to,
        by: pins.baseOwner,
        ...(asOf !== null && asOf !== from && { since: asOf }),
        within: { start, end: end ?? Infinity },
      });
    }
    return blocks;
  }

  /** Does what is missing of a parcel cost less than its blocks that have not changed until `to`. */
  async #isWorthFinishing(
    from: StateId | null,
    to: StateId,
    { part, blocks, length }: RecordedParcel,
    held: number,
  ): Promise<boolean> {
    const { spool } = this.#options;
    const asOf = spool.set?.to ?? null;
    const changed = await this.#blocksLeft(from, to, [{ ...part, asOf }]);
    return length - held <= length * Math.max(0, 1 - changed / blocks);
  }

  #mayTurn(travelling: StateInfo, newer: StateInfo, turns: number): 'yes' | 'no' | 'if-soon' {
    const { clock, pins } = this.#options;
    return mayTurn(this.#policy, { travelling, newer, base: pins.base, now: clock.wall(), turns });
  }

  /** Of line, until a set to `to` has arrived; 0 on a fast line. */
  async #secondsLeft(set: SpooledSet, to: StateId): Promise<number> {
    const { blockSize, sending } = this.#options;
    const rate = this.#options.bytesPerSecond();
    if (rate === undefined) return 0;
    const bytes = set.parcels.reduce((sum, parcel) => sum + parcel.length, 0);
    const blocks = set.parcels.reduce((sum, parcel) => sum + parcel.blocks, 0);
    const aBlock = blocks === 0 ? blockSize * GUESSED_SHARE : bytes / blocks;
    const left = await this.#blocksLeft(set.from, to, set.coverage);
    return (Math.max(0, bytes - sending.held) + left * aBlock) / rate;
  }
}
