import { BEFORE_ABSENT, BEFORE_ZERO, type BeforeImages } from './before-images.js';
import { isFileError, type Epoch } from './epoch.js';
import { isForgettable, sumOf, withWritten } from './epoch-list.js';
import type { History } from './history.js';
import { yieldToLoop } from './yield-to-loop.js';

/** Bytes of before-images moved between two looks at what else wants the thread. */
const SLICE_BYTES = 1 << 20;

/**
 * Merges epoch `later` into its neighbour `earlier`, so that the boundary between them is gone. The earlier one's
 * answer stays, also where it is "absent"; a block changed only in the later one takes over the later one's answer.
 *
 * Each slice adds to the earlier epoch what both epochs together answer already, content first, then entry, then
 * mark: stopped at any point it has changed no answer, and begun again it goes on behind the marks. Only then does
 * the record forget the later epoch, unless somebody has pinned the boundary meanwhile (answers false).
 */
export async function mergeEpochs(
  history: History,
  earlier: Epoch,
  later: Epoch,
  signal: AbortSignal,
): Promise<boolean> {
  earlier.isMerging = true;
  later.isMerging = true;
  try {
    return await merge(history, earlier, later, signal);
  } finally {
    earlier.isMerging = false;
    later.isMerging = false;
  }
}

async function merge(history: History, earlier: Epoch, later: Epoch, signal: AbortSignal): Promise<boolean> {
  const { blocks, blockSize } = history.surroundings;
  const sliceBlocks = Math.max(1, Math.floor(SLICE_BYTES / blockSize));
  let copied = 0;
  const isNothingToCopy = earlier.map.all || (later.map.all && later.before.isEmpty);
  for (let at = isNothingToCopy ? blocks : 0; at < blocks;) {
    signal.throwIfAborted();
    at = await history.readers.run(async () => {
      let next = at;
      for (let room = sliceBlocks; room > 0 && next < blocks;) {
        const start = nextWanted(earlier, later, next, blocks);
        const end = Math.min(
          earlier.map.nextChanged(start, blocks),
          later.map.nextUnchanged(start, blocks),
          start + room,
        );
        if (end <= start) return blocks;
        copied += await takeOver(earlier, later, start, end);
        if (!later.map.all) earlier.map.mark(start, end);
        room -= end - start;
        next = end;
      }
      return next;
    });
    await yieldToLoop();
  }
  if (later.map.all && !earlier.map.all) await earlier.map.markAll();
  await earlier.before.sync();
  await earlier.map.save();
  signal.throwIfAborted();
  const written = sumOf(earlier.written, later.written);
  const merged = await history.remove(
    new Set([later.number]),
    (record) => isForgettable(history.leases.on(record), later.number),
    (record) => withWritten(record, earlier.number, written),
  );
  if (!merged) return false;
  earlier.before.count(copied);
  earlier.written = written;
  return true;
}

/** First block at or after `from` that changed in `later` and not in `earlier`; `limit` if there is none. */
function nextWanted(earlier: Epoch, later: Epoch, from: number, limit: number): number {
  let at = from;
  for (;;) {
    at = later.map.nextChanged(at, limit);
    if (at >= limit || !earlier.map.has(at)) return at;
    at = earlier.map.nextUnchanged(at, limit);
  }
}

/** Copies the before-images of `start … end-1`; answers the bytes copied. What is damaged becomes absent. */
async function takeOver(earlier: Epoch, later: Epoch, start: number, end: number): Promise<number> {
  let copied = 0;
  for (let at = start; at < end;) {
    const slot = later.before.find(at);
    let until = at + 1;
    if (slot === BEFORE_ABSENT) {
      while (until < end && later.before.find(until) === BEFORE_ABSENT) until++;
    } else if (slot === BEFORE_ZERO) {
      while (until < end && later.before.find(until) === BEFORE_ZERO) until++;
      earlier.before.saveZeros(at, until - at);
    } else {
      while (until < end && later.before.find(until) === slot + until - at) until++;
      copied += await copySlots(earlier.before, later.before, at, slot, until - at);
    }
    at = until;
  }
  return copied;
}

async function copySlots(
  into: BeforeImages,
  from: BeforeImages,
  block: number,
  slot: number,
  count: number,
): Promise<number> {
  const { blockSize } = from.geometry;
  const content = Buffer.allocUnsafe(count * blockSize);
  const isReadable = await from.read(slot, content).then(
    () => true,
    (error: unknown) => {
      if (isFileError(error)) return false;
      throw error;
    },
  );
  if (!isReadable) return 0;
  let copied = 0;
  for (let at = 0; at < count;) {
    const intact = (i: number): boolean =>
      from.isIntact(slot + i, content.subarray(i * blockSize, (i + 1) * blockSize));
    let until = at;
    while (until < count && intact(until)) until++;
    if (until > at)
      copied += await into.copyIn(block + at, content.subarray(at * blockSize, until * blockSize));
    at = until + 1;
  }
  return copied;
}
