import type { Range } from '../../protocol/ranges.js';
import type { File } from '../platform/files.js';
import type { BlockWriter } from './block-writer.js';
import type { DeviceSync } from './device-sync.js';
import { VolumeError } from './errors.js';
import type { ComingWrite } from './first-writes.js';
import type { ChangeExtent, Unconfirmed } from './unconfirmed.js';
import type { WriteActivity } from './write-activity.js';

/** What is in memory is read at once up to here: the thread is kept for less than handing it to another would cost. */
const READ_AT_ONCE_BYTES = 1 << 20;
/** The same where it cannot be told what is in memory. */
const READ_BLINDLY_BYTES = 64 << 10;
/** The rest goes in parts, so that others come in between. */
const READ_PART_BYTES = 1 << 20;

export interface VolumeExportGeometry {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly blockSize: number;
}

/**
 * A volume as the NBD server serves it: an `ExportBackend` (nbd/backend.ts, the contract) by shape, since layers do
 * not import each other. Reads go to the device, writes through the `BlockWriter`.
 */
export class VolumeExport {
  #isClosed = false;

  constructor(
    readonly geometry: VolumeExportGeometry,
    readonly device: File,
    readonly writer: BlockWriter,
    readonly deviceSync: DeviceSync,
    readonly activity: WriteActivity,
    readonly unconfirmed: Unconfirmed,
  ) {}

  read(offset: number, into: Buffer): void | Promise<void> {
    this.#checkOpen();
    const done = this.device.readCachedSync?.(into.subarray(0, READ_AT_ONCE_BYTES), offset) ?? null;
    if (done === into.byteLength) return;
    if (done !== null || into.byteLength > READ_BLINDLY_BYTES)
      return this.#readInParts(offset, into, done ?? 0);
    this.device.readSync(into, offset);
  }

  announce(writes: readonly ComingWrite[]): boolean {
    return !this.#isClosed && this.writer.announce(writes);
  }

  write(offset: number, from: Buffer, fua: boolean): void | Promise<void> {
    this.#checkOpen();
    if (from.byteLength === 0) return;
    this.activity.began(fua);
    if (!this.#writeAtOnce(offset, from)) return this.#then(this.writer.write(offset, from), fua);
    this.activity.ended();
    if (fua) return this.deviceSync.flush();
  }

  flush(): Promise<void> {
    this.#checkOpen();
    return this.deviceSync.flush().then(this.activity.flush());
  }

  trim(offset: number, length: number, fua: boolean): void | Promise<void> {
    this.#checkOpen();
    if (length === 0) return;
    this.activity.began(fua);
    return this.#then(this.writer.zero(offset, length, { noHole: false, isAdvice: true }), fua);
  }

  writeZeroes(
    offset: number,
    length: number,
    { noHole, fua }: { noHole: boolean; fua: boolean },
  ): void | Promise<void> {
    this.#checkOpen();
    if (length === 0) return;
    this.activity.began(fua);
    return this.#then(this.writer.zero(offset, length, { noHole, isAdvice: false }), fua);
  }

  /** The kernel reads ahead by itself; nothing to do. */
  cache(): void {
    this.#checkOpen();
  }

  async allocation(
    range: Range,
    limit: number,
  ): Promise<{ readonly length: number; readonly hole: boolean; readonly zero: boolean }[]> {
    this.#checkOpen();
    const extents: { length: number; hole: boolean; zero: boolean }[] = [];
    for (let at = range.start; at < range.end && extents.length < limit;) {
      const data = await this.device.nextData(at);
      const start = Math.min(data?.start ?? range.end, range.end);
      if (start > at) extents.push({ length: start - at, hole: true, zero: true });
      const end = Math.min(data?.end ?? start, range.end);
      if (end > start && extents.length < limit)
        extents.push({ length: end - start, hole: false, zero: false });
      at = Math.max(start, end);
    }
    return extents;
  }

  /** Where the volume may differ from what its backups hold. */
  changed(range: Range, limit: number): ChangeExtent[] {
    this.#checkOpen();
    return this.unconfirmed.extents(range, limit, null);
  }

  /** Every later call fails with `closed`; those under way go on. */
  close(): void {
    this.#isClosed = true;
  }

  async #readInParts(offset: number, into: Buffer, done: number): Promise<void> {
    for (let at = done; at < into.byteLength; at += READ_PART_BYTES) {
      await this.device.read(into.subarray(at, at + READ_PART_BYTES), offset + at);
    }
  }

  #writeAtOnce(offset: number, from: Buffer): boolean {
    try {
      return this.writer.writeAtOnce(offset, from);
    } catch (error) {
      this.activity.ended();
      throw error;
    }
  }

  async #then(work: Promise<void>, fua: boolean): Promise<void> {
    try {
      await work;
    } finally {
      this.activity.ended();
    }
    if (fua) await this.deviceSync.flush();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new VolumeError('closed', `volume ${this.geometry.name} is closed`);
  }
}
