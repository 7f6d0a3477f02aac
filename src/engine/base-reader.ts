import type { File } from '../platform/files.js';
import type { ChangeMap } from './change-map.js';
import { answerableStates, epochsFromBase } from './epoch-list.js';
import type { History } from './history.js';
import { BLOCK_UNAVAILABLE, BLOCK_ZERO, StateReader, type StateBlocks } from './state-reader.js';
import type { BaseBlocks, BaseRequest } from './volume-service.js';
import { yieldToLoop } from './yield-to-loop.js';

/** Bytes read at a time; NBD requests come in between. */
const STEP_BYTES = 256 << 10;
/** The most content one request may ask for. */
export const MAX_BASE_BYTES = 64 << 20;

/**
 * Reads a state as what a far copy at that state surely holds. Not sure are blocks whose old content is gone, those
 * that a compare has found to differ, and those past the end that the volume had then. Use it inside
 * `history.readers`.
 */
export class BaseReader {
  readonly #reader: StateReader;
  readonly #differing: ChangeMap | null;
  readonly #blocks: number;

  /** `base.by`: whose base it is, as in `SetBounds`. Throws `unknown-state`. */
  constructor(
    device: File,
    readonly history: History,
    base: Pick<BaseRequest, 'state' | 'by'>,
  ) {
    const { record, surroundings } = history;
    const { from, compared, like } = epochsFromBase(record, base.state, base.by);
    const own = answerableStates(record).find(({ id }) => id === base.state);
    this.#reader = new StateReader(device, history, from);
    this.#differing = compared === null ? null : history.compared(compared);
    this.#blocks = Math.floor(Math.min(like.size, own?.size ?? like.size) / surroundings.blockSize);
  }

  /** As `StateReader.read`, with `BLOCK_UNAVAILABLE` for what is not sure. */
  async read(start: number, count: number): Promise<StateBlocks> {
    const blocks = await this.#reader.read(start, count);
    for (let i = 0; i < count; i++) {
      const block = start + i;
      if (block >= this.#blocks || this.#differing?.has(block) === true) blocks.kinds[i] = BLOCK_UNAVAILABLE;
    }
    return blocks;
  }
}

/** Answers `VolumeService.readBase`. */
export async function readBase(device: File, history: History, request: BaseRequest): Promise<BaseBlocks> {
  const { blockSize, blocks: volumeBlocks } = history.surroundings;
  const count = request.runs.reduce((sum, run) => sum + run.count, 0);
  if (count * blockSize > MAX_BASE_BYTES) throw new RangeError(`${count} blocks asked for at once`);
  const answer = { content: new Uint8Array(count * blockSize), known: new Uint8Array(count) };
  const stepBlocks = Math.max(1, Math.floor(STEP_BYTES / blockSize));
  let slot = 0;
  let sinceYield = 0;
  for (const run of request.runs) {
    const end = Math.min(run.start + run.count, volumeBlocks);
    const next = slot + run.count;
    for (let at: number = run.start; at < end;) {
      const step = Math.min(stepBlocks, end - at);
      const position = at;
      // A merge may have given the state's start another number meanwhile.
      const blocks = await history.readers.run(() =>
        new BaseReader(device, history, request).read(position, step),
      );
      takeKnown(blocks, answer, slot, blockSize);
      at += step;
      slot += step;
      sinceYield += step;
      if (sinceYield >= stepBlocks) {
        sinceYield = 0;
        await yieldToLoop();
      }
    }
    slot = next;
  }
  return answer;
}

/** Puts blocks into an answer from block `slot` of it on; what is unavailable, or zeros, is left as it is there. */
export function takeKnown(
  { content, kinds }: { readonly content: Uint8Array; readonly kinds: Uint8Array },
  into: BaseBlocks,
  slot: number,
  blockSize: number,
): void {
  for (let i = 0; i < kinds.length; i++) {
    if (kinds[i] === BLOCK_UNAVAILABLE) continue;
    into.known[slot + i] = 1;
    // The answer is zeros where nothing is put.
    if (kinds[i] === BLOCK_ZERO) continue;
    into.content.set(content.subarray(i * blockSize, (i + 1) * blockSize), (slot + i) * blockSize);
  }
}
