import { MAX_DELTA_PARCELS } from '../../protocol/parcel/delta-layout.js';
import { blockIndex, type BlockIndex, type ParcelId, type StateId } from '../../protocol/units.js';
import type { BlockRun, Collected, VolumeService } from '../engine/volume-service.js';
import type { ParcelReferences } from './encoder.js';
import type { SpooledSet } from './spool.js';
import type { SuspectBlocks } from './suspect-blocks.js';

export interface SetReferencesOptions {
  readonly volume: VolumeService;
  /** Whose base the set starts from. */
  readonly owner?: string;
  readonly suspects: SuspectBlocks;
  /** Of a `ReferenceIndex` of the volume; null: there is none. */
  readonly index?: () => SharedArrayBuffer | null;
}

/** What the next parcel of a set may refer to. */
export function referencesFor(
  { from, parcels }: SpooledSet,
  id: ParcelId,
  { runs, before }: Collected,
  options: SetReferencesOptions,
): ParcelReferences {
  const { suspects, index } = options;
  suspects.startFrom(from);
  return {
    id,
    earlier: parcels.slice(-MAX_DELTA_PARCELS).map((parcel) => parcel.id),
    before: before === null ? null : suspects.without(before, blocksOf(runs)),
    readBase: from === null ? null : baseOf(from, options),
    index: index?.() ?? null,
  };
}

function baseOf(
  state: StateId,
  { volume, owner, suspects }: SetReferencesOptions,
): NonNullable<ParcelReferences['readBase']> {
  return async (blocks) => {
    const by = owner === undefined ? {} : { by: owner };
    const read = await volume.readBase({ state, ...by, runs: runsOf(blocks) });
    return suspects.without(read, blocks);
  };
}

/** Blocks that follow each other as one run. */
function runsOf(blocks: readonly BlockIndex[]): { readonly start: BlockIndex; readonly count: number }[] {
  const runs: { start: BlockIndex; count: number }[] = [];
  for (const block of blocks) {
    const last = runs.at(-1);
    if (last !== undefined && last.start + last.count === block) last.count++;
    else runs.push({ start: block, count: 1 });
  }
  return runs;
}

function* blocksOf(runs: readonly BlockRun[]): Generator<BlockIndex> {
  for (const { start, count, zero } of runs) {
    for (let i = 0; !zero && i < count; i++) yield blockIndex(start + i);
  }
}
