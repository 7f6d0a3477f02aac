import type { Range } from '../../protocol/ranges.js';
import type { StateInfo } from '../../protocol/state.js';
import { FileError, type File } from '../platform/files.js';
import { epochFrom } from './epoch-list.js';
import { VolumeError } from './errors.js';
import type { History } from './history.js';
import { StateSource } from './state-source.js';
import type { ChangeExtent, Unconfirmed } from './unconfirmed.js';
import type { VolumeExportGeometry } from './volume-export.js';

/** Bytes read at a time, in whole blocks; others come in between. */
const READ_PART_BYTES = 256 << 10;

/**
 * A state of a volume as the NBD server serves it, read-only, by the name `VOLUME@STATE`: an `ExportBackend` by shape,
 * as `VolumeExport` is. While a client has it open, the state is under lease.
 */
export class SnapshotExport {
  readonly geometry: VolumeExportGeometry;

  constructor(
    volume: string,
    readonly state: StateInfo,
    readonly device: File,
    readonly history: History,
    readonly unconfirmed: Unconfirmed,
    /** A client has let it go. */
    readonly onReleased: () => void,
  ) {
    this.geometry = {
      name: `${volume}@${state.id}`,
      description: `state ${state.ordinal} of ${volume}, ${new Date(state.time).toISOString()}, ${state.grade}`,
      sizeBytes: state.size,
      readOnly: true,
      blockSize: history.surroundings.blockSize,
    };
  }

  /** A client begins to use it; the result tells that it has ended. */
  attach(): () => void {
    const release = this.history.leases.take(this.state.id);
    return () => {
      release();
      this.onReleased();
    };
  }

  /** Fails with `io` where the old content could not be kept. */
  async read(offset: number, into: Buffer): Promise<void> {
    const { blockSize } = this.geometry;
    const source = this.#source();
    const partBytes = Math.max(1, Math.floor(READ_PART_BYTES / blockSize)) * blockSize;
    for (let at = offset; at < offset + into.length;) {
      const start = Math.floor(at / blockSize) * blockSize;
      const until = Math.min(start + partBytes, offset + into.length);
      const blocks = Math.ceil((until - start) / blockSize);
      const content = await source.read(start / blockSize, blocks);
      if (content === null) throw this.#unavailable(start);
      into.set(content.subarray(at - start, until - start), at - offset);
      at = until;
    }
  }

  write(): never {
    throw this.#readOnly();
  }

  flush(): void {
    // There is nothing that could be lost.
  }

  trim(): never {
    throw this.#readOnly();
  }

  writeZeroes(): never {
    throw this.#readOnly();
  }

  cache(): void {
    // The kernel reads ahead by itself.
  }

  /** Data where the device has some, or a block has changed since; the rest was zeros. */
  async allocation(
    range: Range,
    limit: number,
  ): Promise<{ readonly length: number; readonly hole: boolean; readonly zero: boolean }[]> {
    const { blockSize } = this.geometry;
    const source = this.#source();
    const end = Math.ceil(range.end / blockSize);
    const extents: { length: number; hole: boolean; zero: boolean }[] = [];
    for (let at = range.start; at < range.end && extents.length < limit;) {
      const run = await source.next(Math.floor(at / blockSize), end);
      const start = Math.min(Math.max(at, (run?.start ?? end) * blockSize), range.end);
      if (start > at) extents.push({ length: start - at, hole: true, zero: true });
      const until = Math.min((run?.end ?? end) * blockSize, range.end);
      if (until > start) extents.push({ length: until - start, hole: false, zero: false });
      at = Math.max(start, until);
    }
    return extents;
  }

  /** Where the state may differ from what the backups hold; what they have got since counts as the same. */
  changed(range: Range, limit: number): ChangeExtent[] {
    const { number: epoch, start } = epochFrom(this.history.record, this.state.id);
    return this.unconfirmed.extents(range, limit, { ordinal: start.ordinal, epoch });
  }

  #source(): StateSource {
    return new StateSource(this.device, this.history, this.state.id);
  }

  #unavailable(offset: number): VolumeError {
    const what = `${this.geometry.name}: the content near byte ${offset} could not be kept`;
    return new VolumeError('io', what, 'take a new snapshot');
  }

  #readOnly(): FileError {
    return new FileError('read-only', this.geometry.name, `${this.geometry.name} is a snapshot, read-only`);
  }
}
