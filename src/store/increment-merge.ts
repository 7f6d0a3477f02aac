import type { StateInfo } from '../../protocol/state.js';
import type { StateId } from '../../protocol/units.js';
import { SLICE_BYTES } from './block-content.js';
import { ChainIndex } from './chain-index.js';
import type { ChainLink, IncrementShelf } from './increment-shelf.js';
import { ZERO_SLOT } from './run-table.js';

/** The states between which a merged increment leads. */
export interface MergeBounds {
  readonly older: StateInfo;
  readonly newer: StateId;
  readonly blockSize: number;
}

/**
 * Makes one increment `name` of `links`, oldest first, that leads from `newer` back to `older` in one step: of each
 * block the oldest content, and nothing past the end of `older`. Synced when it resolves; `damaged` if a block is not
 * what was saved. The links stay as they are.
 */
export async function mergeIncrements(
  shelf: IncrementShelf,
  links: readonly ChainLink[],
  name: string,
  { older, newer, blockSize }: MergeBounds,
  signal: AbortSignal,
): Promise<void> {
  const index = await ChainIndex.load(shelf, links);
  const endBlock = older.size / blockSize;
  const blocksASlice = SLICE_BYTES / blockSize;
  await shelf.make(name, { older: older.id, newer, blockSize }, async (writer) => {
    for (let run = 0; run < index.length; run++) {
      const end = Math.min(index.end(run), endBlock);
      const first = index.start(run);
      if (index.slot(run) === ZERO_SLOT) {
        if (end > first) writer.addZeros(first, end - first);
        continue;
      }
      for (let at = first; at < end; at += blocksASlice) {
        signal.throwIfAborted();
        const bytes = Buffer.allocUnsafe(Math.min(blocksASlice, end - at) * blockSize);
        const slot = index.slot(run) + at - first;
        await shelf.use(links[index.link(run)] as ChainLink, (increment) => increment.read(slot, bytes));
        await writer.add(at, bytes);
      }
    }
  });
}
