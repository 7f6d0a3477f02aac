import type { Range } from '../../protocol/ranges.js';
import type { StateInfo } from '../../protocol/state.js';
import type { StateId } from '../../protocol/units.js';
import type { Clock } from '../platform/clock.js';
import { FileError } from '../platform/files.js';
import { randomId, type Random } from '../platform/random.js';
import { overwriteImage, saveOldBlocks } from './apply.js';
import type { Capture } from './capture.js';
import type { Image } from './image.js';
import type { SetContent } from './set-content.js';
import type { StateChain } from './state-chain.js';
import type { SuspectRecord } from './suspect-record.js';
import type { RestorePoint } from './volume-store.js';

export interface SetApplyContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly image: Image;
  readonly chain: StateChain;
  readonly suspects: SuspectRecord;
}

/** Moves the image to the state of a committed set, from wherever an earlier attempt has stopped. */
export async function applySet(capture: Capture, context: SetApplyContext): Promise<RestorePoint> {
  const { clock, image, chain, suspects } = context;
  const base = chain.state;
  const { to } = capture.offer;
  const content = await capture.content();
  try {
    if (capture.phase.kind === 'durable') {
      const saved = base === null ? null : await saveOld(content, base, to.id, context);
      await capture.markOverwriting(saved);
    }
    attachIncrement(capture, base, chain);
    await overwriteImage(content, image, to.size, base === null);
    const { account } = capture;
    const point: RestorePoint = {
      state: to,
      appliedAt: clock.wall(),
      blocks: content.countBlocks(),
      ...(account !== undefined && { account }),
      ...(capture.offer.isSeed === true && { seed: 'unconfirmed' }),
    };
    await chain.append(point);
    await healed(content, suspects);
    return point;
  } finally {
    await content.close();
  }
}

/** What stays of an applied capture is recognised by its state and removed at the next opening or `begin`. */
export async function forgetApplied(capture: Capture): Promise<void> {
  try {
    await capture.remove();
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
  }
}

/** Old blocks into a new increment, synced; its name. Each attempt has a name of its own (see `attachIncrement`). */
async function saveOld(
  content: SetContent,
  base: StateInfo,
  newer: StateId,
  { random, image, chain }: SetApplyContext,
): Promise<string> {
  const name = randomId(random);
  const bounds = { older: base.id, newer, blockSize: content.blockSize };
  await chain.shelf.make(name, bounds, (writer) => saveOldBlocks(content, image, base.size, writer));
  return name;
}

/**
 * Lets readers of older states use the increment that the phase mark names. A mark whose writing failed half way
 * may be on the disk all the same; the increment it names is intact, for a later attempt writes another.
 */
function attachIncrement(capture: Capture, base: StateInfo | null, chain: StateChain): void {
  const increment = capture.phase.kind === 'overwriting' ? capture.phase.increment : null;
  if (base !== null && increment !== null) chain.attach({ name: increment, older: base.id });
}

/** What was overwritten is not suspect any more; where that cannot be noted, it is compared once more. */
async function healed(content: SetContent, suspects: SuspectRecord): Promise<void> {
  try {
    await suspects.remove(blocksOf(content));
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
  }
}

function* blocksOf(content: SetContent): Generator<Range> {
  for (const { start, count } of content.pieces()) yield { start, end: start + count };
}
