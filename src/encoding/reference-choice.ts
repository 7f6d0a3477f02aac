import { MAX_DELTA_PARCELS, MAX_DELTA_REFERENCES } from '../../protocol/parcel/delta-layout.js';
import type { ParcelContent } from '../../protocol/parcel/parcel.js';
import type { BlockIndex } from '../../protocol/units.js';
import { blocksOf, contentBlocks, DeltaDraft, DraftGround, type Reference } from './delta-draft.js';
import { SCOUTING } from './parse-costs.js';
import type { EarlierParcel, References } from './references.js';
import { similarBlocks } from './similar-blocks.js';

/** The most content referred to beside the parcel's own blocks, bytes. */
const MAX_REFERENCES = MAX_DELTA_REFERENCES;
/** New bytes in a block from which on the base state is searched for others like it, as a part of the block. */
const SEARCHED_PART = 1 / 32;

/**
 * Blocks worth referring to beside the parcel's own, in the order of a delta's address space. Of earlier parcels all that
 * fits; where there is not room for everything, first come those that a first parse copies from, then blocks of the base
 * state like those that it leaves unexplained, then the newest. `room`: bytes.
 */
export async function chooseReferences(
  parcel: ParcelContent,
  { own, base, finder, earlier }: References,
  room = MAX_REFERENCES,
): Promise<readonly Reference[]> {
  const { blockSize, content } = parcel;
  const most = Math.floor(room / blockSize);
  const parcels = newest(earlier, MAX_REFERENCES).flatMap(({ id, parcel: from }) =>
    blocksOf(from).map((block): Reference => ({ parcel: id, ...block })),
  );
  if (base === null || finder === null) return parcels;
  const scout = new DeltaDraft(new DraftGround(parcel, own, parcels), SCOUTING);
  const fresh = scout.newBytes();
  const used = scout.used();
  const useful = used.reduce((sum, flag) => sum + flag, 0);
  const blocks = contentBlocks(parcel.runs);
  const similar = await similarBlocks({
    blocks,
    content,
    blockSize,
    wanted: (place) => (fresh[place] as number) > blockSize * SEARCHED_PART,
    known: new Set<BlockIndex>(blocks.filter((_, place) => own?.present[place] === 1)),
    finder,
    base,
    most: most - useful,
  });
  const others = [...similar].map(([block, each]): Reference => ({ parcel: null, block, content: each }));
  return [...others, ...withRoom(parcels, used, most - useful - others.length)];
}

/** All that are used, and of the rest as many as there is room for, the last ones. */
function withRoom(references: readonly Reference[], used: Uint8Array, room: number): readonly Reference[] {
  let left = room;
  const chosen: Reference[] = [];
  for (let i = references.length - 1; i >= 0; i--) {
    if (used[i] === 1 || left-- > 0) chosen.push(references[i] as Reference);
  }
  return chosen.reverse();
}

/** The newest parcels whose content fits. */
function newest(earlier: readonly EarlierParcel[], bytes: number): readonly EarlierParcel[] {
  let room = bytes;
  let first = earlier.length;
  while (first > 0 && earlier.length - first < MAX_DELTA_PARCELS) {
    room -= earlier[first - 1]?.parcel.content.byteLength ?? 0;
    if (room < 0) break;
    first--;
  }
  return earlier.slice(first);
}
