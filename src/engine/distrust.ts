import { answerableStates, epochFrom, heldBy } from './epoch-list.js';
import type { History } from './history.js';
import type { IdentityRecord } from './volume-record.js';

/**
 * For the owners of pins since which changes may have gone unnoticed: the ordinal from which states are in doubt as
 * the end of a set from there. A doubt of ordinal `n` lies between the states `n - 1` and `n`, a lost map in its epoch.
 * Where a compare has found what an owner's state is like, only what is past that other state counts.
 */
export function distrusted(
  history: History,
  doubts: readonly Pick<IdentityRecord['doubts'][number], 'ordinal'>[],
): Readonly<Record<string, number>> {
  const { record } = history;
  const { nextOrdinal } = record;
  const ordinals = doubts.map(({ ordinal }) => ordinal ?? nextOrdinal);
  const states = answerableStates(record);
  const found: Record<string, number> = {};
  for (const pin of record.pins) {
    const held = heldBy(record, pin);
    const from = states.find(({ id }) => id === held)?.ordinal ?? 0;
    const lost = history
      .since(epochFrom(record, held).number)
      .filter(({ map }) => map.all)
      .map(({ number }) => ordinalAfter(history, number));
    const first = Math.min(...ordinals.filter((ordinal) => ordinal > from), ...lost);
    if (Number.isFinite(first)) found[pin.owner] = first;
  }
  return found;
}

/** The ordinal of the first state after an epoch. */
function ordinalAfter({ record }: History, epoch: number): number {
  const later = record.epochs.find(({ number, start }) => number > epoch && start !== null);
  return later?.start?.ordinal ?? record.nextOrdinal;
}
