import type { BlockSource } from '../../protocol/compare/scan.js';
import type { Range } from '../../protocol/ranges.js';
import type { StateId } from '../../protocol/units.js';
import type { File } from '../platform/files.js';
import { epochFrom } from './epoch-list.js';
import type { History } from './history.js';
import { WrittenBlocks } from './set-candidates.js';
import { BLOCK_DATA, BLOCK_UNAVAILABLE, BLOCK_ZERO, StateReader } from './state-reader.js';

/** A state's blocks, in ascending order, for a compare. Each step enters `history.readers` for itself. */
export class StateSource implements BlockSource {
  readonly blocks: number;
  readonly #written: WrittenBlocks;

  /** Throws `unknown-state`. */
  constructor(
    readonly device: File,
    readonly history: History,
    readonly state: StateId,
  ) {
    this.blocks = epochFrom(history.record, state).start.size / this.blockSize;
    this.#written = new WrittenBlocks(device, this.blockSize, () =>
      history.since(this.#epoch()).map((epoch) => epoch.map),
    );
  }

  get blockSize(): number {
    return this.history.surroundings.blockSize;
  }

  next(from: number, limit: number): Promise<Range | null> {
    return this.history.readers.run(() => this.#written.next(from, limit));
  }

  read(start: number, count: number): Promise<Uint8Array | null> {
    return this.history.readers.run(async () => {
      const { blockSize } = this;
      const { content, kinds } = await new StateReader(this.device, this.history, this.#epoch()).read(
        start,
        count,
      );
      if (kinds.includes(BLOCK_UNAVAILABLE)) return null;
      for (let i = 0; i < count; i++) {
        if (kinds[i] === BLOCK_ZERO) content.fill(0, i * blockSize, (i + 1) * blockSize);
        else if (kinds[i] !== BLOCK_DATA) throw new Error(`block ${start + i} is of no known kind`);
      }
      return content;
    });
  }

  /** A merge may have given the state's start another number meanwhile. */
  #epoch(): number {
    return epochFrom(this.history.record, this.state).number;
  }
}
