import { RangeSet } from '../../protocol/ranges.js';
import type { StateInfo } from '../../protocol/state.js';
import { SLICE_BYTES } from './block-content.js';
import { fromFileError, StoreError } from './errors.js';
import type { ChainLink, IncrementShelf } from './increment-shelf.js';
import { readBlocks } from './readable-blocks.js';
import { ZERO_SLOT, type RunTable } from './run-table.js';
import type { StateChain } from './state-chain.js';
import type { DamagedIncrement, DamagedPoint, ScrubbedIncrements, ScrubOptions } from './volume-store.js';

interface ScrubbedChain {
  readonly increments: ScrubbedIncrements;
  readonly points: { readonly newest: StateInfo; readonly damaged: readonly DamagedPoint[] };
}

/**
 * Reads every increment, from the newest back, and tells which points lack something: of a point what is rotten in the
 * image, or in an increment, and not in one that is laid over it.
 */
export async function scrubIncrements(
  chain: StateChain,
  rotten: RangeSet,
  { signal, pace, progress }: Required<ScrubOptions>,
): Promise<ScrubbedChain> {
  const { points, release } = chain.hold();
  const { blockSize } = chain.record ?? { blockSize: 1 };
  const damaged: DamagedIncrement[] = [];
  const lacking: DamagedPoint[] = [];
  /** Of the state that was come to; null: that cannot be told any more. */
  let lost: RangeSet | null = new RangeSet(rotten.ranges);
  let blocks = 0;
  const note = (state: StateInfo): void => {
    const count = lost
      ?.parts(0, state.size / blockSize)
      .reduce((sum, part) => sum + part.end - part.start, 0);
    if (count !== 0) lacking.push({ state, blocks: count ?? null });
  };
  try {
    const total = await incrementBytes(chain);
    let done = 0;
    const options = {
      signal,
      pace: (bytes: number): Promise<void> => {
        done += bytes;
        progress(Math.min(done, total), total);
        return pace(bytes);
      },
    };
    for (const { state, increment } of points.toReversed()) {
      if (increment !== null) {
        const found = await scrubIncrement(chain.shelf, { name: increment, older: state.id }, options);
        blocks += found.blocks;
        if (found.table === null) {
          damaged.push({ state: state.id, blocks: null });
          lost = null;
        } else {
          if (lost !== null) overlay(lost, found.table, found.lost);
          if (!found.lost.isEmpty) damaged.push({ state: state.id, blocks: [...found.lost.ranges] });
        }
      }
      note(state);
    }
  } finally {
    await release();
  }
  const newest = points.at(-1)?.state;
  if (newest === undefined) throw new StoreError('unknown-point', 'there is no restore point yet');
  return {
    increments: { files: Math.max(0, points.length - 1), blocks, damaged },
    points: { newest, damaged: lacking },
  };
}

/** What there is to be read of increments, as far as they can be opened. */
export async function incrementBytes(chain: StateChain): Promise<number> {
  const { points, release } = chain.hold();
  let bytes = 0;
  try {
    for (const { state, increment } of points) {
      if (increment === null) continue;
      const link = { name: increment, older: state.id };
      bytes += await chain.shelf
        .use(link, ({ slots, blockSize }) => Promise.resolve(slots * blockSize))
        .catch(() => 0);
    }
  } finally {
    await release();
  }
  return bytes;
}

function overlay(lost: RangeSet, table: RunTable, here: RangeSet): void {
  for (let run = 0; run < table.length && !lost.isEmpty; run++) lost.remove(table.start(run), table.end(run));
  for (const { start, end } of here.ranges) lost.add(start, end);
}

interface ScrubbedIncrement {
  /** null: it cannot be read. */
  readonly table: RunTable | null;
  readonly lost: RangeSet;
  readonly blocks: number;
}

async function scrubIncrement(
  shelf: IncrementShelf,
  link: ChainLink,
  { signal, pace }: Required<Pick<ScrubOptions, 'signal' | 'pace'>>,
): Promise<ScrubbedIncrement> {
  const lost = new RangeSet();
  const table = await tableOf(shelf, link);
  let blocks = 0;
  for (let run = 0; table !== null && run < table.length;) {
    signal.throwIfAborted();
    // Neighbours in the file are read together, whatever lies between them in the volume.
    const batch = nextBatch(table, run);
    run = batch.run;
    if (batch.count === 0) continue;
    const bytes = await shelf.use(link, async (increment) => {
      const { blockSize } = increment;
      for (let done = 0; done < batch.count;) {
        const count = Math.min(SLICE_BYTES / blockSize, batch.count - done);
        const slot = batch.slot + done;
        const into = Buffer.allocUnsafe(count * blockSize);
        const wrong = new Set<number>();
        const unreadable = await readBlocks(into, blockSize, async (part, place) => {
          for (const each of await increment.readAnyhow(slot + place, part)) wrong.add(place + each.place);
        });
        for (const place of [...wrong, ...unreadable]) {
          const block = blockAt(table, slot + place);
          lost.add(block, block + 1);
        }
        done += count;
        await pace(into.byteLength);
        signal.throwIfAborted();
      }
      return batch.count;
    });
    blocks += bytes;
  }
  return { table, lost, blocks };
}

async function tableOf(shelf: IncrementShelf, link: ChainLink): Promise<RunTable | null> {
  try {
    return await shelf.use(link, (increment) => increment.readTable());
  } catch (cause) {
    const error = fromFileError(cause);
    if (error instanceof StoreError && (error.code === 'damaged' || error.code === 'io')) return null;
    throw error;
  }
}

interface SlotBatch {
  readonly slot: number;
  readonly count: number;
  /** The run after those in it. */
  readonly run: number;
}

/** The slots from a run on that lie one after the other, over as many runs as that holds for. */
function nextBatch(table: RunTable, from: number): SlotBatch {
  let run = from;
  while (run < table.length && table.slot(run) === ZERO_SLOT) run++;
  if (run === table.length) return { slot: 0, count: 0, run };
  const slot = table.slot(run);
  let count = 0;
  for (; run < table.length; run++) {
    if (table.slot(run) === ZERO_SLOT) continue;
    if (table.slot(run) !== slot + count) break;
    count += table.end(run) - table.start(run);
  }
  return { slot, count, run };
}

function blockAt(table: RunTable, slot: number): number {
  for (let run = 0; run < table.length; run++) {
    const first = table.slot(run);
    const count = table.end(run) - table.start(run);
    if (first !== ZERO_SLOT && slot >= first && slot < first + count) return table.start(run) + slot - first;
  }
  throw new RangeError(`no block of the table is at slot ${slot}`);
}
