import type { StateId } from '../../protocol/units.js';
import { comparedOf, heldBy } from './epoch-list.js';
import type { History } from './history.js';
import { isBoundaryOnly } from './pin-owner.js';
import type { EpochsRecord } from './volume-record.js';

/*
 * Which before-images somebody cannot do without, and which only make deltas smaller.
 *
 * A state that is to be sent, compared or read is pinned by an owner `kind:name`; what it needs is the content, at
 * that state, of the blocks of its set: those that changed since the owner's base, or all where there is none. A base
 * (`base:name`) needs nothing: without its before-images blocks travel whole. Where there is no base, a seed that is on its
 * way by hand (`seed:name`) is the one there will be.
 *
 * The before-image of a block in an epoch answers for a state if the block has not changed between the two.
 */

const BASE = 'base:';
const SEED = 'seed:';
/** Kinds of owners whose set starts from the base of the same name. */
const SENT = ['travel:', 'next:'];

/** Somebody's need to read a state. */
interface Need {
  /** null: a state that is being sealed and has no name yet. */
  readonly state: StateId | null;
  /** Number of the epoch that begins with it. */
  readonly epoch: number;
  /** The maps of the set; null: every block of the volume. */
  readonly set: readonly { has(block: number): boolean; readonly count: number }[] | null;
}

/** What the states that are to be read need of the before-images, and which of them have been given up. */
export class Needs {
  readonly #history: History;
  readonly #givenUp = new Set<StateId>();
  #needs: readonly Need[] = [];
  #of: { record: EpochsRecord; open: number; isSealing: boolean } | null = null;
  #version = 0;

  constructor(history: History) {
    this.#history = history;
  }

  /** Changes whenever something may be needed less or more than before. */
  get version(): number {
    this.#current();
    return this.#version;
  }

  /** The states that were given up and are still pinned. */
  get givenUp(): readonly StateId[] {
    this.#current();
    return [...this.#givenUp];
  }

  isGivenUp(state: StateId): boolean {
    return this.#givenUp.has(state);
  }

  /** Does a state need what `block` held when epoch `epoch` began. */
  isNeeded(epoch: number, block: number): boolean {
    return this.#current().some((need) => this.#needsBlock(need, epoch, block));
  }

  /** Number of the epoch that begins with the newest base: what is older makes nobody's deltas smaller but those of the others. */
  get newestBase(): number {
    const { record } = this.#history;
    const bases = record.pins.filter(({ owner }) => owner.startsWith(BASE));
    return Math.max(0, ...bases.map((pin) => numberAt(record, heldBy(record, pin)) ?? 0));
  }

  /**
   * Gives up the state that needs most (of equals the oldest), so that the others can be kept. Answers false if
   * there is none.
   */
  giveUpOne(): boolean {
    const candidates = this.#current().flatMap((need) =>
      need.state === null ? [] : [{ need, size: this.#sizeOf(need) }],
    );
    const [first, ...others] = candidates;
    if (first === undefined) return false;
    const largest = others.reduce((best, next) => (next.size > best.size ? next : best), first);
    this.#giveUp(largest.need.state);
    return true;
  }

  /** Gives up every state that needs one of the blocks `start … end-1` as they were when epoch `epoch` began. */
  giveUpThoseOf(epoch: number, start: number, end: number): void {
    for (const need of this.#current()) {
      for (let block = start; block < end; block++) {
        if (!this.#needsBlock(need, epoch, block)) continue;
        this.#giveUp(need.state);
        break;
      }
    }
  }

  #giveUp(state: StateId | null): void {
    if (state === null) return;
    this.#givenUp.add(state);
    this.#needs = this.#needs.filter((need) => need.state !== state);
    this.#version++;
  }

  #needsBlock(need: Need, epoch: number, block: number): boolean {
    if (need.epoch > epoch || need.set?.some((map) => map.has(block)) === false) return false;
    return !this.#history.between(need.epoch, epoch).some(({ map }) => map.has(block));
  }

  #sizeOf({ set }: Need): number {
    const { blocks } = this.#history.surroundings;
    if (set === null) return blocks;
    return Math.min(
      blocks,
      set.reduce((sum, { count }) => sum + count, 0),
    );
  }

  #current(): readonly Need[] {
    const { record, isSealing } = this.#history;
    const open = this.#history.open.number;
    if (this.#of?.record === record && this.#of.open === open && this.#of.isSealing === isSealing)
      return this.#needs;
    this.#of = { record, open, isSealing };
    this.#version++;
    const pinned = new Set(record.pins.map((pin) => heldBy(record, pin)));
    for (const state of this.#givenUp) if (!pinned.has(state)) this.#givenUp.delete(state);
    const needs: Need[] = [];
    for (const pin of record.pins) {
      const state = heldBy(record, pin);
      const epoch = numberAt(record, state);
      if (isBoundaryOnly(pin.owner) || epoch === null || this.#givenUp.has(state)) continue;
      needs.push({ state, epoch, set: this.#setOf(record, pin.owner, epoch) });
    }
    if (isSealing) needs.push({ state: null, epoch: open, set: null });
    this.#needs = needs;
    return needs;
  }

  #setOf(record: EpochsRecord, owner: string, to: number): Need['set'] {
    const kind = SENT.find((prefix) => owner.startsWith(prefix));
    if (kind === undefined) return null;
    const backup = owner.slice(kind.length);
    const pinOf = (prefix: string): EpochsRecord['pins'][number] | undefined =>
      record.pins.find((pin) => pin.owner === `${prefix}${backup}`);
    const base = pinOf(BASE) ?? pinOf(SEED);
    if (base === undefined) return null;
    const from = numberAt(record, heldBy(record, base));
    if (from === null || from > to) return null;
    const maps = this.#history.between(from, to).map(({ map }) => map);
    const compared = comparedOf(record, base.owner, base.state);
    return compared === null ? maps : [...maps, this.#history.compared(compared.number)];
  }
}

const numberAt = (record: EpochsRecord, state: StateId): number | null =>
  record.epochs.find(({ start }) => start?.id === state)?.number ?? null;

/** For the operator: whose snapshot there is no room for. */
export const givenUpTexts = (record: EpochsRecord, givenUp: readonly StateId[]): readonly string[] =>
  givenUp.map((state) => {
    const owners = record.pins.filter((pin) => heldBy(record, pin) === state).map(({ owner }) => owner);
    return `the snapshot ${state.slice(0, 8)} (${owners.join(', ')}) is given up: what it needs could not be kept; a new one takes its place`;
  });
