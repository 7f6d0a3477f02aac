import { answerableStates, epochFrom, heldBy } from './epoch-list.js';
import type { History } from './history.js';
import type { IdentityRecord } from './volume-record.js';

/**
 * The owners of pins to states since which changes may have gone unnoticed: something was in doubt when the state, or
 * the one that a compare has found it to be like, was past; or a map since was lost.
 *
 * @param freshDoubt states of a lower ordinal are in doubt, whatever `doubts` has
 */
export function distrustedOwners(
  history: History,
  doubts: IdentityRecord['doubts'],
  freshDoubt: number,
): readonly string[] {
  const { record } = history;
  const trustedFrom = doubts.reduce(
    (latest, doubt) => Math.max(latest, doubt.ordinal ?? record.nextOrdinal),
    freshDoubt,
  );
  const states = answerableStates(record);
  return record.pins
    .filter((pin) => {
      const held = heldBy(record, pin);
      const ordinal = states.find(({ id }) => id === held)?.ordinal ?? 0;
      return (
        ordinal < trustedFrom || history.since(epochFrom(record, held).number).some(({ map }) => map.all)
      );
    })
    .map(({ owner }) => owner);
}
