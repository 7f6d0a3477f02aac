import type { Range } from '../../protocol/ranges.js';
import type { File } from '../platform/files.js';
import { Allocation, type AllocationExtent } from './allocation.js';
import type { BlockWriter, ZeroOptions } from './block-writer.js';
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
  readonly #allocation: Allocation;
  #isClosed = false;

  constructor(
    readonly geometry: VolumeExportGeometry,
    readonly device: File,
    readonly writer: BlockWriter,
    readonly deviceSync: DeviceSync,
    readonly activity: WriteActivity,
    readonly unconfirmed: Unconfirmed,
  ) {
    this.#allocation = new Allocation(device);
  }

  read(offset: number, into: Buffer): void | Promise<void> {
    this.#checkOpen();
    const done = this.device.readCachedSync?.(into.subarray(0, READ_AT_ONCE_BYTES), offset) ?? null;
    if (done === into.length) return;
    if (done !== null || into.length > READ_BLINDLY_BYTES) return this.#readInParts(offset, into, done ?? 0);
    this.device.readSync(into, offset);
  }

  announce(writes: readonly ComingWrite[]): boolean {
    return !this.#isClosed && this.writer.announce(writes);
  }

  write(offset: number, from: Buffer, fua: boolean): void | Promise<void> {
    this.#checkOpen();
    if (from.length === 0) return;
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
    return this.#then(this.#zero(offset, length, { noHole: false, isAdvice: true }), fua);
  }

  writeZeroes(
    offset: number,
    length: number,
    { noHole, fua }: { noHole: boolean; fua: boolean },
  ): void | Promise<void> {
    this.#checkOpen();
    if (length === 0) return;
    this.activity.began(fua);
    return this.#then(this.#zero(offset, length, { noHole, isAdvice: false }), fua);
  }

  /** The kernel reads ahead by itself; nothing to do. */
  cache(): void {
    this.#checkOpen();
  }

  allocation(range: Range, limit: number): AllocationExtent[] | Promise<AllocationExtent[]> {
    this.#checkOpen();
    return this.#allocation.extents(range, limit);
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
    for (let at = done; at < into.length; at += READ_PART_BYTES) {
      await this.device.read(into.subarray(at, at + READ_PART_BYTES), offset + at);
    }
  }

  async #zero(offset: number, length: number, options: ZeroOptions): Promise<void> {
    try {
      await this.writer.zero(offset, length, options);
    } finally {
      this.#allocation.holesMade();
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
