import type { Range } from '../../protocol/ranges.js';
import type { AllocationExtent, ExportBackend, ExportGeometry } from '../nbd/backend.js';
import { FileError } from '../platform/files.js';
import type { StateReader } from '../store/volume-store.js';

/** What people and clients are told of an exported state. */
export interface ExportNames {
  readonly name: string;
  readonly description: string;
}

/** The geometry of a state's export. */
export const geometryOf = (reader: StateReader, names: ExportNames, readOnly: boolean): ExportGeometry => ({
  ...names,
  sizeBytes: reader.state.size,
  blockSize: reader.blockSize,
  readOnly,
});

/** A stored state as the NBD server serves it, read-only. The reader stays the caller's to close. */
export class StateExport implements ExportBackend {
  readonly geometry: ExportGeometry;
  readonly #reader: StateReader;

  constructor(reader: StateReader, names: ExportNames) {
    this.geometry = geometryOf(reader, names, true);
    this.#reader = reader;
  }

  read(offset: number, into: Buffer): Promise<void> {
    return this.#reader.read(into, offset);
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

  allocation(range: Range, limit: number): Promise<AllocationExtent[]> {
    return allocationOf(range, limit, (from) => this.#reader.nextData(from));
  }

  #readOnly(): FileError {
    return new FileError('read-only', this.geometry.name, `${this.geometry.name} is exported read-only`);
  }
}

/** Extents of `range` from where the next data are; what is between is holes that read as zeros. */
export async function allocationOf(
  range: Range,
  limit: number,
  nextData: (from: number) => Promise<Range | null>,
): Promise<AllocationExtent[]> {
  const extents: AllocationExtent[] = [];
  for (let at = range.start; at < range.end && extents.length < limit;) {
    const data = await nextData(at);
    const start = Math.min(data?.start ?? range.end, range.end);
    if (start > at) {
      extents.push({ length: start - at, hole: true, zero: true });
      at = start;
      continue;
    }
    const end = Math.min(data?.end ?? range.end, range.end);
    extents.push({ length: end - at, hole: false, zero: false });
    at = end;
  }
  return extents;
}
