import type { Range } from '../../../protocol/ranges.js';
import type { AllocationExtent, ExportBackend, ExportGeometry } from '../../../src/nbd/backend.js';

export interface MemoryExportOptions {
  readonly name?: string;
  readonly sizeBytes?: number;
  readonly readOnly?: boolean;
  readonly blockSize?: number;
  /** Tells which bytes differ from far copies; absent: cannot tell. */
  readonly changed?: ExportBackend['changed'];
  /** `never`: every answer at once. `always`: every answer is a promise. A number: from that many bytes on. */
  readonly later?: 'never' | 'always' | number;
}

/** What a back end was asked, in order. */
export interface Call {
  readonly what: 'read' | 'write' | 'flush' | 'trim' | 'writeZeroes' | 'cache' | 'allocation';
  readonly offset: number;
  readonly length: number;
  readonly fua: boolean;
  readonly noHole: boolean;
}

const UNIT = 4096;

/** An export in memory, whose answers can be delayed, held back or made to fail. */
export class MemoryExport implements ExportBackend {
  readonly geometry: ExportGeometry;
  readonly bytes: Buffer;
  readonly calls: Call[] = [];
  /** What it answers when writes are announced. */
  usesAnnouncements = true;
  /** What was announced: the offsets, and how many calls there were before. */
  readonly announced: { readonly offsets: readonly number[]; readonly after: number }[] = [];
  /** The next calls fail with these, first come first. */
  readonly failures: Error[] = [];
  /** While set, every answer waits for it. */
  hold: Promise<void> | null = null;
  underWay = 0;
  readonly changed?: NonNullable<ExportBackend['changed']>;
  readonly #later: 'never' | 'always' | number;

  constructor(options: MemoryExportOptions = {}) {
    const sizeBytes = options.sizeBytes ?? 1 << 20;
    this.geometry = {
      name: options.name ?? 'disk',
      description: 'in memory',
      sizeBytes,
      readOnly: options.readOnly ?? false,
      blockSize: options.blockSize ?? 4096,
    };
    this.bytes = Buffer.alloc(sizeBytes);
    if (options.changed !== undefined) this.changed = options.changed;
    this.#later = options.later ?? 'never';
  }

  announce(writes: readonly { readonly offset: number }[]): boolean {
    this.announced.push({ offsets: writes.map(({ offset }) => offset), after: this.calls.length });
    return this.usesAnnouncements;
  }

  read(offset: number, into: Buffer): void | Promise<void> {
    return this.#answer({ what: 'read', offset, length: into.byteLength }, () => {
      this.bytes.copy(into, 0, offset, offset + into.byteLength);
    });
  }

  write(offset: number, from: Buffer, fua: boolean): void | Promise<void> {
    return this.#answer({ what: 'write', offset, length: from.byteLength, fua }, () => {
      from.copy(this.bytes, offset);
    });
  }

  flush(): void | Promise<void> {
    return this.#answer({ what: 'flush', offset: 0, length: 0 }, () => undefined);
  }

  trim(offset: number, length: number, fua: boolean): void | Promise<void> {
    return this.#answer({ what: 'trim', offset, length, fua }, () => {
      this.bytes.fill(0, offset, offset + length);
    });
  }

  writeZeroes(
    offset: number,
    length: number,
    { noHole, fua }: { noHole: boolean; fua: boolean },
  ): void | Promise<void> {
    return this.#answer({ what: 'writeZeroes', offset, length, fua, noHole }, () => {
      this.bytes.fill(0, offset, offset + length);
    });
  }

  cache(offset: number, length: number): void | Promise<void> {
    return this.#answer({ what: 'cache', offset, length }, () => undefined);
  }

  allocation(range: Range, limit: number): AllocationExtent[] | Promise<AllocationExtent[]> {
    return this.#answer({ what: 'allocation', offset: range.start, length: range.end - range.start }, () => {
      const extents: AllocationExtent[] = [];
      for (let at = range.start; at < range.end && extents.length < limit;) {
        const end = Math.min(range.end, (Math.floor(at / UNIT) + 1) * UNIT);
        const zero = this.bytes.subarray(at, end).every((byte) => byte === 0);
        extents.push({ length: end - at, hole: zero, zero });
        at = end;
      }
      return extents;
    });
  }

  #answer<T>(call: Partial<Call> & Pick<Call, 'what' | 'offset' | 'length'>, work: () => T): T | Promise<T> {
    this.calls.push({ fua: false, noHole: false, ...call });
    const failure = this.failures.shift();
    const finish = (): T => {
      if (failure !== undefined) throw failure;
      return work();
    };
    const later = this.#later === 'always' || (this.#later !== 'never' && call.length >= this.#later);
    if (!later && this.hold === null) return finish();
    this.underWay++;
    return (this.hold ?? new Promise<void>((resolve) => setImmediate(resolve)))
      .then(finish)
      .finally(() => this.underWay--);
  }
}
