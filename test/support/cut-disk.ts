import type { AllocationExtent, ExportBackend, ExportGeometry } from '../../src/nbd/backend.js';
import type { Range } from '../../protocol/ranges.js';
import type { Seeded } from './seeded.js';

export const SECTOR_BYTES = 512;
/** ext4 itself counts on it that its superblock, of two sectors under one checksum, is written whole or not at all. */
const SUPERBLOCK: Range = { start: 1024, end: 2048 };
/** How much of what was not surely on disk a cut leaves: what a cut keeps differs from cut to cut, also at the ends. */
const SHARES_KEPT = [0, 0.1, 0.5, 0.9, 1];
/** Of the writes that are not kept whole, so many are torn. */
const SHARE_TORN = 0.3;
/** The longest that a FLUSH takes, in ms; most are short, so that cuts fall into them as well as between them. */
const LONGEST_FLUSH_MS = 6;

/** Something that reached the disk and is not surely kept. */
interface Unsynced {
  readonly offset: number;
  readonly length: number;
  /** undefined: zeros. */
  readonly content: Buffer | undefined;
  /** It is kept, but what came before it to the same sectors may not have been settled yet. */
  readonly isKept: boolean;
}

export interface CutDiskOptions {
  readonly random: Seeded;
  /** What is on it at first; the disk keeps a copy. */
  readonly content: Uint8Array;
}

/** The machine is without power. */
class PowerCut extends Error {
  override readonly name = 'PowerCut';
  constructor() {
    super('the power was cut');
  }
}

/**
 * A disk with a volatile cache, in memory, as an NBD export. What was answered before a FLUSH came is kept once that is
 * answered, a FUA write once it is answered itself. `cut` ends it at any instant: of the rest each write is there, or
 * not, or some of its sectors are. As each sector may so be left by any of the writes to it since it was last kept, this
 * is also what writing in another order could leave.
 */
export class CutDisk implements ExportBackend {
  readonly geometry: ExportGeometry;
  /** FLUSH requests and FUA writes that were answered. */
  flushes = 0;
  /** Writes, trims and flushes that came. */
  operations = 0;
  readonly #random: Seeded;
  /** As clients read it. */
  readonly #shown: Buffer;
  /** What a cut leaves in any case. */
  readonly #kept: Buffer;
  readonly #unsynced: Unsynced[] = [];
  /** How many have ever left the front of `#unsynced`. */
  #settled = 0;
  #isCut = false;
  #isLying = false;
  #alarm: { readonly at: number; readonly ring: () => void } | null = null;

  constructor({ random, content }: CutDiskOptions) {
    this.#random = random;
    this.#shown = Buffer.from(content);
    this.#kept = Buffer.from(content);
    const sizeBytes = content.byteLength;
    this.geometry = { name: 'disk', description: 'a disk', sizeBytes, readOnly: false, blockSize: 4096 };
  }

  /** What it has is kept; of all that comes from now on nothing is, whatever it answers: to show that a test can fail. */
  lie(): void {
    this.#settle(this.#settled + this.#unsynced.length);
    this.#isLying = true;
  }

  /** Calls `ring` in the very call that brings the operation after so many more, before it is carried out. */
  after(operations: number, ring: () => void): void {
    this.#alarm = { at: this.operations + operations, ring };
  }

  /**
   * The power goes, now: every request under way fails, and so does all that still comes, so that it can be taken down.
   * Who works on the disk is to be killed in the same tick, so that it learns nothing of that. What is on the disk when
   * the power comes back; a lying disk has nothing of what it was given since it began to lie.
   */
  cut(): Buffer<ArrayBuffer> {
    this.#isCut = true;
    this.#alarm = null;
    const left = Buffer.alloc(this.#kept.length);
    this.#kept.copy(left);
    const share = this.#random.pick(SHARES_KEPT);
    for (const write of this.#isLying ? [] : this.#unsynced) {
      if (write.isKept || this.#random.chance(share)) carryOut(write, left);
      else if (this.#random.chance(SHARE_TORN)) this.#tear(write, left);
    }
    return left;
  }

  read(offset: number, into: Buffer): void {
    this.#mustHavePower();
    this.#shown.copy(into, 0, offset, offset + into.length);
  }

  write(offset: number, from: Buffer, fua: boolean): void {
    this.#change({ offset, length: from.length, content: Buffer.from(from), isKept: fua });
  }

  trim(offset: number, length: number, fua: boolean): void {
    this.#change({ offset, length, content: undefined, isKept: fua });
  }

  writeZeroes(offset: number, length: number, { fua }: { readonly fua: boolean }): void {
    this.#change({ offset, length, content: undefined, isKept: fua });
  }

  async flush(): Promise<void> {
    this.#count();
    const covered = this.#settled + this.#unsynced.length;
    await new Promise((resolve) => setTimeout(resolve, LONGEST_FLUSH_MS * this.#random.fraction() ** 3));
    this.#mustHavePower();
    this.#settle(covered);
    this.flushes++;
  }

  cache(): void {
    // All of it is in memory.
  }

  allocation({ start, end }: Range): AllocationExtent[] {
    return [{ length: end - start, hole: false, zero: false }];
  }

  #change(write: Unsynced): void {
    this.#count();
    carryOut(write, this.#shown);
    this.#unsynced.push(write);
    if (write.isKept) this.flushes++;
  }

  #settle(until: number): void {
    if (this.#isLying || until <= this.#settled) return;
    for (const write of this.#unsynced.splice(0, until - this.#settled)) carryOut(write, this.#kept);
    this.#settled = until;
  }

  #count(): void {
    const alarm = this.#alarm;
    if (alarm !== null && this.operations >= alarm.at) {
      this.#alarm = null;
      alarm.ring();
    }
    this.#mustHavePower();
    this.operations++;
  }

  #mustHavePower(): void {
    if (this.#isCut) throw new PowerCut();
  }

  #tear(write: Unsynced, onto: Buffer): void {
    const end = write.offset + write.length;
    for (let at = write.offset; at < end;) {
      const isSuper = at >= SUPERBLOCK.start && at < SUPERBLOCK.end;
      const next = isSuper ? SUPERBLOCK.end : (Math.floor(at / SECTOR_BYTES) + 1) * SECTOR_BYTES;
      const part = { start: at, end: Math.min(next, end) };
      if (this.#random.chance(0.5)) carryOut(write, onto, part);
      at = part.end;
    }
  }
}

/** A write, or the part of it that lies in `part`. */
function carryOut(
  { offset, length, content }: Unsynced,
  onto: Buffer,
  part: Range = { start: offset, end: offset + length },
): void {
  if (content === undefined) onto.fill(0, part.start, part.end);
  else content.copy(onto, part.start, part.start - offset, part.end - offset);
}
