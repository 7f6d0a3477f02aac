import { RangeSet, type Range } from '../../protocol/ranges.js';
import type { ChangeMap } from './change-map.js';
import { blocksInDoubt, type NotedDoubt } from './distrust.js';
import { epochsOfSet } from './epoch-list.js';
import { VolumeError } from './errors.js';
import type { History } from './history.js';
import type { CompareFinding } from './volume-service.js';

/**
 * All blocks in which a copy may differ, by a compare of some of them: of those what it has found, of the others what
 * is marked as changed since the copy's state. In no order. Use it inside `history.readers`. Throws `unknown-state` where
 * marks are lost, or something in doubt was not compared.
 */
export function differencesBy(
  { owner, state, like, differing, within }: CompareFinding & { readonly within: readonly Range[] },
  history: History,
  doubts: readonly NotedDoubt[],
): Iterable<Range> {
  const { record } = history;
  const pin = record.pins.find((candidate) => candidate.owner === owner);
  if (pin?.state !== state.id) throw tooLittle(`${owner} is not at state ${state.id}`);
  const { from, compared, to, toState } = epochsOfSet(record, { from: state.id, to: like, by: owner });
  if (from === null) throw tooLittle(`state ${state.id} is no base`);
  const maps = history.between(from, to).map((epoch) => epoch.map);
  if (compared !== null) maps.push(history.compared(compared));
  if (maps.some((map) => map.all)) throw tooLittle('marks of changed blocks are lost');
  const covered = new RangeSet(within);
  const limit = toState.size / history.surroundings.blockSize;
  const doubted = blocksInDoubt(history, doubts, pin, toState.ordinal);
  const isCovered = doubted?.ranges.every(({ start, end }) => covered.covers(start, Math.min(end, limit)));
  if (isCovered !== true) throw tooLittle('blocks in doubt were not compared');
  return differences(maps, covered, limit, differing);
}

function* differences(
  maps: readonly ChangeMap[],
  compared: RangeSet,
  limit: number,
  differing: readonly Range[],
): Generator<Range> {
  yield* differing;
  for (const { start, end } of compared.gaps(0, limit)) {
    for (const map of maps) {
      for (let at = map.nextChanged(start, end); at < end;) {
        const until = map.nextUnchanged(at, end);
        yield { start: at, end: until };
        at = map.nextChanged(until, end);
      }
    }
  }
}

const tooLittle = (why: string): VolumeError =>
  new VolumeError('unknown-state', `a compare of a part does not do: ${why}`, 'compare the whole copy');
