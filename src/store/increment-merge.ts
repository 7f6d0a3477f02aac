import type { StateInfo } from '../../protocol/state.js';
import type { StateId } from '../../protocol/units.js';
import { SLICE_BYTES } from './block-content.js';
import { ChainIndex } from './chain-index.js';
import type { ChainLink, IncrementShelf } from './increment-shelf.js';
import type { IncrementWriter } from './increment.js';
import { ZERO_SLOT } from './run-table.js';

/** The states between which a merged increment leads. */
export interface MergeBounds {
  readonly older: StateInfo;
  readonly newer: StateId;
  readonly blockSize: number;
}

/**
 * Makes one increment `name` of `links`, oldest first, that leads from `newer` back to `older` in one step: of each
 * block the oldest content, and nothing past the end of `older`. Synced when it resolves; `damaged` if a block has rotted
 * since it was saved; one that was marked then stays so. The links stay as they are.
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
    let window: Piece[] = [];
    let bytes = 0;
    const empty = async (): Promise<void> => {
      signal.throwIfAborted();
      await readPieces(shelf, links, window);
      for (const { start, count, content, marked } of window) {
        if (content === null) writer.addZeros(start, count);
        else await addAll(writer, start, content, marked);
      }
      window = [];
      bytes = 0;
    };
    for (let run = 0; run < index.length; run++) {
      const end = Math.min(index.end(run), endBlock);
      const first = index.start(run);
      const isZeros = index.slot(run) === ZERO_SLOT;
      for (let start = first; start < end;) {
        const count = isZeros ? end - start : Math.min(blocksASlice, end - start);
        const content = isZeros ? null : Buffer.allocUnsafe(count * blockSize);
        const slot = index.slot(run) + start - first;
        window.push({ start, count, content, slot, link: index.link(run), marked: [] });
        bytes += content?.byteLength ?? 0;
        if (bytes >= WINDOW_BYTES || window.length >= WINDOW_PIECES) await empty();
        start += count;
      }
    }
    await empty();
  });
}

/** How much is read before it is written: increment by increment, so that each is opened once for many blocks. */
const WINDOW_BYTES = 8 << 20;
const WINDOW_PIECES = 4096;

interface Piece {
  readonly start: number;
  readonly count: number;
  /** To be filled; null: zeros. */
  readonly content: Buffer | null;
  readonly slot: number;
  readonly link: number;
  /** Places of blocks in it that were rotten when they were saved. */
  marked: readonly number[];
}

async function addAll(
  writer: IncrementWriter,
  start: number,
  content: Buffer,
  marked: readonly number[],
): Promise<void> {
  const { blockSize } = writer.bounds;
  let done = 0;
  for (const place of marked) {
    await writer.add(start + done, content.subarray(done * blockSize, place * blockSize));
    await writer.addDamaged(start + place, content.subarray(place * blockSize, (place + 1) * blockSize));
    done = place + 1;
  }
  await writer.add(start + done, content.subarray(done * blockSize));
}

async function readPieces(
  shelf: IncrementShelf,
  links: readonly ChainLink[],
  pieces: readonly Piece[],
): Promise<void> {
  const byLink = [...pieces].sort((a, b) => a.link - b.link || a.slot - b.slot);
  for (let at = 0; at < byLink.length;) {
    const { link } = byLink[at] as Piece;
    await shelf.use(links[link] as ChainLink, async (increment) => {
      for (let piece = byLink[at]; piece?.link === link; piece = byLink[++at]) {
        if (piece.content === null) continue;
        const wrong = await increment.readAnyhow(piece.slot, piece.content);
        if (wrong.some(({ kind }) => kind === 'rotten')) await increment.read(piece.slot, piece.content);
        piece.marked = wrong.map(({ place }) => place);
      }
    });
  }
}
