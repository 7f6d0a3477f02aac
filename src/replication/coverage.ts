import { blockIndex, type BlockIndex, type StateId } from '../../protocol/units.js';

/**
 * A stretch of a volume's blocks, and the state as of which the far side has it once it holds what is spooled: the set's
 * base at first, the set's target when it is gathered, an earlier target where the set was turned to a newer one.
 */
export interface Stretch {
  readonly start: BlockIndex;
  /** null: to the end of the volume, however long that is at the state that is gathered. */
  readonly end: BlockIndex | null;
  /** null: as a copy that does not exist yet, of zeros. */
  readonly asOf: StateId | null;
}

/** Ascending, without gaps, from block 0 to the end. */
export type Coverage = readonly Stretch[];

/** Nothing is gathered yet. */
export const nothingCovered = (base: StateId | null): Coverage => [
  { start: blockIndex(0), end: null, asOf: base },
];

/** The same with the blocks of `part` as of `part.asOf`. */
export function covered(coverage: Coverage, part: Stretch): Coverage {
  const result: Stretch[] = [];
  const add = (stretch: Stretch): void => {
    const last = result.at(-1);
    if (stretch.end !== null && stretch.end <= stretch.start) return;
    if (last?.asOf === stretch.asOf) result[result.length - 1] = { ...last, end: stretch.end };
    else result.push(stretch);
  };
  let isPlaced = false;
  for (const stretch of coverage) {
    add({ ...stretch, end: least(stretch.end, part.start) });
    if (!isPlaced && (stretch.end === null || stretch.end > part.start)) {
      add(part);
      isPlaced = true;
    }
    if (part.end !== null) add({ ...stretch, start: greatest(stretch.start, part.end) });
  }
  return result;
}

/**
 * The stretch to be gathered next for `target`; null: all is. What is as of the oldest state comes first (`order`, oldest
 * first): stretches that were gathered for an earlier target hold what changes all the time, and travel last.
 */
export function nextStretch(
  coverage: Coverage,
  target: StateId,
  order: readonly (StateId | null)[],
): Stretch | null {
  const open = coverage.filter(({ asOf }) => asOf !== target);
  const age = ({ asOf }: Stretch): number => order.indexOf(asOf);
  return open.reduce<Stretch | null>(
    (first, stretch) => (first === null || age(stretch) < age(first) ? stretch : first),
    null,
  );
}

const least = (a: BlockIndex | null, b: BlockIndex): BlockIndex => (a === null || b < a ? b : a);
const greatest = (a: BlockIndex, b: BlockIndex): BlockIndex => (a > b ? a : b);
