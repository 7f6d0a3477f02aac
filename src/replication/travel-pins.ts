import type { Range } from '../../protocol/ranges.js';
import type { StateInfo } from '../../protocol/state.js';
import type { StateId } from '../../protocol/units.js';
import {
  baseOwner,
  earlierOwner,
  isEarlierOwner,
  nextOwner,
  seedOwner,
  suspectOwner,
  travelOwner,
} from '../engine/pin-owner.js';
import type { VolumeService } from '../engine/volume-service.js';

/** The owner under which to seal a state that is to travel to a backup next. */
export const nextOf = nextOwner;

/**
 * The pins by which a volume keeps what one backup needs: `next` is a state that is to travel, `travel` the one that
 * does, `base` the one that the backup holds durably. They are all that replication must not forget.
 */
export class TravelPins {
  readonly #volume: VolumeService;
  readonly #backup: string;
  #pins: Readonly<Record<string, StateId>> = {};
  #states: readonly StateInfo[] = [];
  #distrusted: Readonly<Record<string, number>> = {};
  #distrustedFor: Readonly<Record<string, string>> = {};
  #inDoubt: Readonly<Record<string, readonly Range[]>> = {};
  #openings: readonly string[] = [];
  #written: Readonly<Record<StateId, number | null>> = {};

  constructor(volume: VolumeService, backup: string) {
    this.#volume = volume;
    this.#backup = backup;
  }

  /** The states the volume can be read at; as of the last `refresh`, like everything here. */
  get states(): readonly StateInfo[] {
    return this.#states;
  }

  get base(): StateInfo | null {
    return this.#state(this.baseOwner);
  }

  get travelling(): StateInfo | null {
    return this.#state(this.#travelOwner);
  }

  /** One that is older than what travels is not wanted any more. */
  get next(): StateInfo | null {
    const next = this.#state(nextOf(this.#backup));
    const { travelling } = this;
    return next !== null && travelling !== null && next.ordinal < travelling.ordinal ? null : next;
  }

  /** Targets that the travelling set had before it was turned to a newer one. */
  get earlier(): readonly StateInfo[] {
    return Object.keys(this.#pins).flatMap((owner) =>
      this.#isEarlier(owner) ? (this.#state(owner) ?? []) : [],
    );
  }

  /** The state of a first copy that is on its way on a disk; null: there is none. */
  get seed(): StateInfo | null {
    return this.#state(seedOwner(this.#backup));
  }

  /** This opening of the volume's state and those before it, newest first; empty: not told. */
  get openings(): readonly string[] {
    return this.#openings;
  }

  /** Bytes that clients wrote between two states; null: not known. */
  writtenBetween(from: StateId | null, to: StateId): number | null {
    const start = this.#states.findIndex(({ id }) => id === from);
    const end = this.#states.findIndex(({ id }) => id === to);
    if (start < 0 || end < start) return null;
    return this.#states
      .slice(start, end)
      .map(({ id }) => this.#written[id] ?? null)
      .reduce<number | null>((sum, bytes) => (sum === null || bytes === null ? null : sum + bytes), 0);
  }

  async refresh(): Promise<void> {
    const { pins, states, distrusted, distrustedFor, inDoubt, openings, written } =
      await this.#volume.describe();
    this.#pins = pins;
    this.#distrustedFor = distrustedFor ?? {};
    this.#inDoubt = inDoubt ?? {};
    this.#distrusted = distrusted ?? {};
    this.#openings = openings ?? [];
    this.#written = written ?? {};
    this.#states = states;
  }

  /** The next state becomes the travelling one. */
  async depart(next: StateInfo): Promise<void> {
    await this.#volume.pin(this.#travelOwner, next.id);
    await this.#volume.unpin(nextOf(this.#backup));
    await this.refresh();
  }

  /** The set that leads to this state is to be turned to a newer one. */
  async keepEarlier(state: StateInfo): Promise<void> {
    await this.#volume.pin(earlierOwner(this.#backup, state.ordinal), state.id);
    await this.refresh();
  }

  /** Of the earlier targets only these are needed any more. */
  async releaseEarlier(needed: ReadonlySet<StateId> = new Set()): Promise<void> {
    const owners = Object.entries(this.#pins).filter(
      ([owner, id]) => this.#isEarlier(owner) && !needed.has(id),
    );
    for (const [owner] of owners) await this.#volume.unpin(owner);
    if (owners.length > 0) await this.refresh();
  }

  /** A fresh state takes the place of a travelling one that can no longer be read. */
  async departAfresh(): Promise<StateInfo> {
    const state = await this.#volume.seal({ grade: 'crash', pinAs: [this.#travelOwner] });
    await this.refresh();
    return state;
  }

  /** The backup holds this state durably: what is older may go. */
  async settle(state: StateInfo): Promise<void> {
    const next = this.#state(nextOf(this.#backup));
    // Sealed while something newer was taken up: no set leads back to it.
    if (next !== null && next.ordinal < state.ordinal) await this.#volume.unpin(nextOf(this.#backup));
    await this.#volume.pin(this.baseOwner, state.id);
    // It stands beside the base, where it costs no boundary of its own.
    if (this.isSuspect) await this.#volume.pin(this.#suspectOwner, state.id);
    // What the backup holds is not older than what is on the disk.
    if (this.seed !== null && this.seed.ordinal <= state.ordinal)
      await this.#volume.unpin(seedOwner(this.#backup));
    await this.refresh();
    const left = this.earlier.filter(({ ordinal }) => ordinal > state.ordinal).map(({ id }) => id);
    await this.releaseEarlier(new Set(left));
  }

  /** The travelling state has arrived. */
  async arrive(): Promise<void> {
    await this.#volume.unpin(this.#travelOwner);
    await this.refresh();
  }

  /** May a set lack changes that went unnoticed. */
  isInDoubt(from: StateId, to: StateInfo): boolean {
    const first =
      from === this.base?.id
        ? this.#distrusted[this.baseOwner]
        : Math.min(Infinity, ...Object.values(this.#distrusted));
    return first !== undefined && to.ordinal >= first;
  }

  /** Why what is known since this backup's base is in doubt, for people; null: it is not, or that is not told. */
  get doubtText(): string | null {
    return this.#distrustedFor[this.baseOwner] ?? null;
  }

  /** The blocks that a set from there may lack changes of, where it is in doubt; null: any. */
  blocksInDoubt(from: StateId): readonly Range[] | null {
    return from === this.base?.id ? (this.#inDoubt[this.baseOwner] ?? null) : null;
  }

  /** A fresh state to be compared, which is not to travel. */
  async sealToCompare(): Promise<StateInfo> {
    const state = await this.#volume.seal({ grade: 'crash', pinAs: [this.#compareOwner] });
    await this.refresh();
    return state;
  }

  /** A compare, of all blocks or of those `within`, has found what the copy, at a state of its own, differs in from `like`. */
  async rebase(
    copy: StateInfo,
    like: StateInfo,
    differing: readonly Range[],
    within?: readonly Range[],
  ): Promise<void> {
    if (copy.id === like.id && differing.length === 0) {
      await this.#volume.pin(this.baseOwner, like.id);
    } else {
      await this.#volume.compared({
        ...{ owner: this.baseOwner, state: copy, like: like.id, differing },
        ...(within !== undefined && { within }),
      });
    }
    await this.refresh();
    const newest = this.next ?? this.travelling;
    // A set from there cannot lead to an older state.
    if (newest === null || newest.ordinal >= like.ordinal) return;
    // Nor to the one that it claims to be at, and is not.
    if (copy.id === like.id && differing.length > 0)
      await this.#volume.seal({ grade: 'crash', pinAs: [nextOf(this.#backup)] });
    else await this.#volume.pin(nextOf(this.#backup), like.id);
    await this.refresh();
  }

  /** The copy was found to hold something else than it should: all of it is to be compared, also after a restart. */
  get isSuspect(): boolean {
    return this.#pins[this.#suspectOwner] !== undefined;
  }

  /** From now on it is, until `trust`; `state` is one that the volume has. */
  async suspect(state: StateInfo): Promise<void> {
    if (this.isSuspect) return;
    await this.#volume.pin(this.#suspectOwner, state.id);
    await this.refresh();
  }

  /** All of the copy was compared. */
  async trust(): Promise<void> {
    if (!this.isSuspect) return;
    await this.#volume.unpin(this.#suspectOwner);
    await this.refresh();
  }

  /** No state is being compared any more. */
  async releaseCompared(): Promise<void> {
    if (this.#pins[this.#compareOwner] === undefined) return;
    await this.#volume.unpin(this.#compareOwner);
    await this.refresh();
  }

  /** Under which the backup's own state is pinned. */
  get baseOwner(): string {
    return baseOwner(this.#backup);
  }

  get #compareOwner(): string {
    return `compare:${this.#backup}`;
  }

  get #suspectOwner(): string {
    return suspectOwner(this.#backup);
  }

  get #travelOwner(): string {
    return travelOwner(this.#backup);
  }

  #isEarlier(owner: string): boolean {
    return isEarlierOwner(owner) && owner.endsWith(`:${this.#backup}`);
  }

  #state(owner: string): StateInfo | null {
    const id = this.#pins[owner];
    return this.#states.find((state) => state.id === id) ?? null;
  }
}
