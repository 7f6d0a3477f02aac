import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StateId } from '../../../protocol/units.js';
import { Volume } from '../../../src/engine/volume.js';
import { DEFAULT_INDEX_BYTES, ReferenceIndex } from '../../../src/encoding/reference-index.js';
import { systemClock } from '../../../src/platform/clock.js';
import { silentLog } from '../../../src/platform/log.js';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { systemRandom } from '../../../src/platform/random.js';
import { Encoder } from '../../../src/replication/encoder.js';
import { Replicator } from '../../../src/replication/replicator.js';
import { Spool } from '../../../src/replication/spool.js';
import { nextOf } from '../../../src/replication/travel-pins.js';
import { Store } from '../../../src/store/store.js';
import type { VolumeStore } from '../../../src/store/volume-store.js';
import { JoinedLine, type Crossed } from './joined-line.js';

const NAME = 'bench';
const BACKUP = 'vault';
/** One set's old content must fit, or it would be another thing that is measured. */
const BEFORE_IMAGE_BUDGET = 8 * 2 ** 30;

/** A set that travelled. */
export interface TravelledSet extends Crossed {
  readonly state: StateId;
  readonly blocks: number;
  readonly seconds: number;
}

/**
 * A volume on an image, and its far copy: engine, replicator, encoder thread, spool, store, all the product's own and
 * put together as an appliance does. Only the line is left out (`JoinedLine`).
 */
export class FarCopy {
  readonly volume: Volume;
  readonly #encoder: Encoder;
  readonly #replicator: Replicator;
  readonly #store: Store;
  readonly #copy: VolumeStore;
  readonly #events: string[];

  private constructor(
    parts: { volume: Volume; encoder: Encoder; replicator: Replicator; store: Store; copy: VolumeStore },
    events: string[],
  ) {
    this.volume = parts.volume;
    this.#encoder = parts.encoder;
    this.#replicator = parts.replicator;
    this.#store = parts.store;
    this.#copy = parts.copy;
    this.#events = events;
  }

  /** `image` is written to; state, spool and store are made in `folder`. */
  static async open(image: string, folder: string, blockSize: number): Promise<FarCopy> {
    const parts = { files: nodeFiles, clock: systemClock, random: systemRandom };
    await mkdir(folder, { recursive: true });
    const volume = await Volume.open({
      ...parts,
      name: NAME,
      device: image,
      blockSize,
      folder: join(folder, 'volume'),
      beforeImageBudgetBytes: BEFORE_IMAGE_BUDGET,
    });
    const store = await Store.open({ ...parts, folder: join(folder, 'store') });
    const encoder = new Encoder();
    const events: string[] = [];
    const about = await volume.describe();
    const blocks = about.sizeBytes / blockSize;
    // Filled by the first copy, as an appliance's is.
    const index = ReferenceIndex.create({ blocks, blockSize, memoryBytes: DEFAULT_INDEX_BYTES });
    const replicator = new Replicator({
      ...parts,
      volumeName: NAME,
      volumeId: about.id,
      blockSize,
      volume,
      backup: BACKUP,
      spool: await Spool.open(join(folder, 'spool'), nodeFiles, systemRandom),
      encoder,
      index: () => index.shared,
      log: silentLog,
      onEvent: (level, text) => events.push(`${level}: ${text}`),
    });
    await replicator.start();
    const copy = await store.volume('branch', NAME);
    return new FarCopy({ volume, encoder, replicator, store, copy }, events);
  }

  /** Seals a state and has it sent as over a line of this rate (undefined: fast); resolves when it is applied. */
  async sync(bytesPerSecond: number | undefined): Promise<TravelledSet> {
    const state = await this.volume.seal({ grade: 'application', pinAs: [nextOf(BACKUP)] });
    const began = performance.now();
    const line = new JoinedLine(this.#replicator, NAME, this.#copy, bytesPerSecond);
    try {
      void this.#replicator.wake();
      const outcome = await this.#replicator.outcome(state, new AbortController().signal);
      if (outcome.kind !== 'applied') {
        throw new Error(`the set was refused: ${outcome.text}\n${this.#events.join('\n')}`);
      }
      const seconds = (performance.now() - began) / 1000;
      if (line.troubles.length > 0) throw new Error(`the backup complained: ${line.troubles.join('; ')}`);
      return { ...line.crossed, state: state.id, blocks: outcome.blocks, seconds };
    } finally {
      await line.end();
    }
  }

  /** Fails, naming the place, unless the far copy of a state is what `expected` reads, byte for byte. */
  async expectEqual(state: StateId, expected: BlockSource): Promise<void> {
    const reader = await this.#copy.openState(state);
    const found = Buffer.alloc(1 << 20);
    try {
      for (let at = 0; at < reader.state.size; at += found.byteLength) {
        const part = found.subarray(0, Math.min(found.byteLength, reader.state.size - at));
        await reader.read(part, at);
        if (Buffer.compare(part, await expected.read(at, part.byteLength)) !== 0) {
          throw new Error(`the far copy differs from the image within 1 MiB after byte ${at}`);
        }
      }
    } finally {
      await reader.close();
    }
  }

  async close(): Promise<void> {
    await this.#replicator.close();
    await this.#encoder.close();
    await this.volume.close();
    await this.#store.close();
  }
}

/** What content is read from; the answer is good until the next call. */
export interface BlockSource {
  read(offset: number, length: number): Promise<Buffer>;
}
