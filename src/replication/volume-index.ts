import { loadIndex, saveIndex } from '../encoding/index-file.js';
import { ReferenceIndex } from '../encoding/reference-index.js';
import { blockIndex } from '../../protocol/units.js';
import type { VolumeService } from '../engine/volume-service.js';
import type { Clock } from '../platform/clock.js';
import type { Files } from '../platform/files.js';
import type { Log } from '../platform/log.js';

/** What notes content in an index; `Encoder` does it in its thread. */
export interface ContentNoter {
  /** Takes over `content`, of blocks that follow each other from `start` on. */
  note(index: SharedArrayBuffer, blockSize: number, start: number, content: Uint8Array): Promise<void>;
}

export interface VolumeIndexOptions {
  readonly volume: VolumeService;
  readonly blockSize: number;
  readonly sizeBytes: number;
  /** The most memory it takes; 0: there is no index. */
  readonly memoryBytes: number;
  readonly files: Files;
  /** Where it is kept over a restart. */
  readonly path: string;
  readonly noter: ContentNoter;
  readonly clock: Clock;
  readonly log: Log;
}

/** Content looked at in one go, and the rest after it: 10 MB a second at the most, and only while nothing is encoded. */
const SLICE_BYTES = 256 << 10;
const REST_MS = 25;
/** After a failure, and while the volume has no state. */
const LATER_MS = 5000;

/**
 * The index by which parcels of a volume find content that lies elsewhere in the base state. It is looked through in idle
 * time and kept over restarts; the parcels that are encoded note their blocks in it too. Nothing depends on it: without
 * it, or with an old one, sets are larger.
 */
export class VolumeIndex {
  readonly #options: VolumeIndexOptions;
  readonly #stop = new AbortController();
  #index: ReferenceIndex | null = null;
  /** It may hold more than its file. */
  #isChanged = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: VolumeIndexOptions) {
    this.#options = options;
  }

  /** For the encoder, which notes what it encodes; null: not yet, or never. */
  get shared(): SharedArrayBuffer | null {
    if (this.#index !== null) this.#isChanged = true;
    return this.#index?.shared ?? null;
  }

  /** All of the volume has been looked at. */
  get isBuilt(): boolean {
    return this.#index !== null && this.#index.cursor >= this.#index.blocks;
  }

  start(): void {
    if (this.#options.memoryBytes === 0) return;
    this.#running = this.#run().catch((error: unknown) => {
      this.#options.log.warn('A volume goes without an index.', { err: error });
    });
  }

  /** Stops looking, and keeps what was found. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#save();
  }

  async #run(): Promise<void> {
    const { files, path, sizeBytes, blockSize, memoryBytes } = this.#options;
    const shape = { blocks: sizeBytes / blockSize, blockSize, memoryBytes };
    this.#index = (await loadIndex(files, path, shape).catch(() => null)) ?? ReferenceIndex.create(shape);
    const { signal } = this.#stop;
    while (!this.isBuilt && !signal.aborted) {
      const isWell = await this.#look(this.#index).catch(() => false);
      await this.#rest(isWell ? REST_MS : LATER_MS);
    }
    if (!signal.aborted) await this.#save();
  }

  /** The next slice of the last state. false: there is none to look at now. */
  async #look(index: ReferenceIndex): Promise<boolean> {
    const { volume, noter, blockSize } = this.#options;
    const { lastState } = await volume.describe();
    if (lastState === null) return false;
    const { runs, content, next } = await volume.collect({
      from: null,
      to: lastState.id,
      cursor: blockIndex(index.cursor),
      maxContentBytes: SLICE_BYTES,
    });
    let at = 0;
    for (const { start, count } of runs) {
      if (this.#stop.signal.aborted) return false;
      const bytes = count * blockSize;
      await noter.note(index.shared, blockSize, start, content.slice(at, at + bytes));
      this.#isChanged = true;
      at += bytes;
    }
    index.cursor = next ?? index.blocks;
    return true;
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stop;
      const wake = (): void => {
        cancel();
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const cancel = this.#options.clock.after(ms, wake);
      if (signal.aborted) wake();
      else signal.addEventListener('abort', wake, { once: true });
    });
  }

  async #save(): Promise<void> {
    const { files, path, log } = this.#options;
    if (this.#index === null || !this.#isChanged) return;
    this.#isChanged = false;
    try {
      await saveIndex(files, path, this.#index);
    } catch (error) {
      log.warn('The index of a volume could not be kept; it is made again after a restart.', { err: error });
    }
  }
}
