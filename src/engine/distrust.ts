import { RangeSet, type Range } from '../../protocol/ranges.js';
import type { StateId } from '../../protocol/units.js';
import { answerableStates, comparedOf, epochFrom, heldBy } from './epoch-list.js';
import type { History } from './history.js';
import type { EpochsRecord, IdentityRecord } from './volume-record.js';

/** What may have been written without a mark, as `volume.json` has it: when, and where. */
export type NotedDoubt = Pick<IdentityRecord['doubts'][number], 'ordinal' | 'text'> & {
  /** Ranges of bytes; absent or null: all. */
  readonly within?: IdentityRecord['doubts'][number]['within'] | null;
};

/** What is in doubt of the changes since the state that a pin holds. */
export interface Distrust {
  /** States of this ordinal or a higher one are in doubt as the end of a set from there. */
  readonly from: number;
  /** The blocks in doubt, of whatever state; null: all. */
  readonly within: RangeSet | null;
  /** Why, for people; never empty. */
  readonly texts: readonly string[];
}

const LOST = 'the list of changed blocks is lost';

/**
 * For the owners of pins since which changes may have gone unnoticed: from which state on, and where. A doubt of
 * ordinal `n` lies between the states `n - 1` and `n`, a lost map in its epoch. Where a compare has found what an
 * owner's state is like, only what is past that other state counts.
 */
export function distrusted(
  history: History,
  doubts: readonly NotedDoubt[],
): Readonly<Record<string, Distrust>> {
  const found: Record<string, Distrust> = {};
  for (const pin of history.record.pins) {
    const lost = lostMaps(history, pin);
    const since = doubtsSince(history, pin, doubts);
    const from = Math.min(...since.map(({ ordinal }) => ordinal), ...lost);
    if (Number.isFinite(from)) {
      const within = lost.length > 0 ? null : blocksOf(history, since);
      const texts = new Set(since.map(({ text }) => text));
      found[pin.owner] = { from, within, texts: texts.size > 0 ? [...texts] : [LOST] };
    }
  }
  return found;
}

/** `VolumeDescription.distrusted`. */
export const ordinalsOf = (distrust: Readonly<Record<string, Distrust>>): Record<string, number> =>
  Object.fromEntries(Object.entries(distrust).map(([owner, { from }]) => [owner, from]));

/** `VolumeDescription.distrustedFor`. */
export const reasonsOf = (distrust: Readonly<Record<string, Distrust>>): Record<string, string> =>
  Object.fromEntries(Object.entries(distrust).map(([owner, { texts }]) => [owner, texts.join('; ')]));

/** `VolumeDescription.inDoubt`. */
export const rangesOf = (distrust: Readonly<Record<string, Distrust>>): Record<string, readonly Range[]> =>
  Object.fromEntries(
    Object.entries(distrust).flatMap(([owner, { within }]) =>
      within === null ? [] : [[owner, within.ranges] as const],
    ),
  );

/** The blocks in doubt of the changes from the state that a pin holds to the one of ordinal `to`; null: all. */
export function blocksInDoubt(
  history: History,
  doubts: readonly NotedDoubt[],
  pin: EpochsRecord['pins'][number],
  to: number,
): RangeSet | null {
  if (lostMaps(history, pin).length > 0) return null;
  return blocksOf(
    history,
    doubtsSince(history, pin, doubts).filter(({ ordinal }) => ordinal <= to),
  );
}

type Placed = NotedDoubt & { readonly ordinal: number };

function doubtsSince(
  { record }: History,
  pin: EpochsRecord['pins'][number],
  doubts: readonly NotedDoubt[],
): Placed[] {
  const held: StateId = heldBy(record, pin);
  const from = answerableStates(record).find(({ id }) => id === held)?.ordinal ?? 0;
  return doubts
    .map((doubt) => ({ ...doubt, ordinal: doubt.ordinal ?? record.nextOrdinal }))
    .filter(({ ordinal }) => ordinal > from);
}

/** The ordinals from which on states are in doubt because the marks of an epoch, or what a compare has found, are lost. */
function lostMaps(history: History, pin: EpochsRecord['pins'][number]): number[] {
  const { record } = history;
  const { number: first, start } = epochFrom(record, heldBy(record, pin));
  const compared = comparedOf(record, pin.owner, pin.state);
  const lost = history
    .since(first)
    .filter(({ map }) => map.all)
    .map(({ number }) => ordinalAfter(history, number));
  const isForgotten = compared !== null && history.compared(compared.number).all;
  return isForgotten ? [start.ordinal, ...lost] : lost;
}

function blocksOf({ surroundings }: History, doubts: readonly NotedDoubt[]): RangeSet | null {
  const { blockSize, blocks } = surroundings;
  const found = new RangeSet();
  for (const { within } of doubts) {
    if (within === undefined || within === null) return null;
    for (const { start, end } of within) {
      found.add(Math.floor(start / blockSize), Math.min(blocks, Math.ceil(end / blockSize)));
    }
  }
  return found;
}

/** The ordinal of the first state after an epoch. */
function ordinalAfter({ record }: History, epoch: number): number {
  const later = record.epochs.find(({ number, start }) => number > epoch && start !== null);
  return later?.start?.ordinal ?? record.nextOrdinal;
}
