import { FileError, type File, type Files } from '../../src/platform/files.js';

/**
 * A disk with sectors of one file that cannot be read any more. What is written to one whole can be read again; a part of one
 * cannot be written, since what is around it would have to be read.
 */
export class BadSectors {
  readonly #path: string;
  readonly #sectorBytes: number;
  readonly bad = new Set<number>();

  constructor(path: string, sectorBytes: number) {
    this.#path = path;
    this.#sectorBytes = sectorBytes;
  }

  /** The same files, on this disk. */
  of(files: Files): Files {
    return {
      ...methodsOf(files),
      open: async (path, mode) => {
        const file = await files.open(path, mode);
        return path === this.#path ? this.#fileOn(file) : file;
      },
    };
  }

  #fileOn(file: File): File {
    const sectors = (from: Uint8Array, position: number): number[] => {
      const first = Math.floor(position / this.#sectorBytes);
      const end = Math.ceil((position + from.byteLength) / this.#sectorBytes);
      return Array.from({ length: end - first }, (_, i) => first + i);
    };
    return {
      ...methodsOf(file),
      path: file.path,
      isBlockDevice: file.isBlockDevice,
      read: async (into, position) => {
        // A disk may have filled some of it by then.
        await file.read(into, position);
        if (!sectors(into, position).some((sector) => this.bad.has(sector))) return;
        into.fill(0xbd);
        throw new FileError('io', this.#path, `${this.#path}: EIO: i/o error, read`);
      },
      write: async (from, position) => {
        for (const sector of sectors(from, position)) {
          if (!this.bad.has(sector)) continue;
          const [start, end] = [sector * this.#sectorBytes, (sector + 1) * this.#sectorBytes];
          if (position > start || position + from.byteLength < end)
            throw new FileError('io', this.#path, `${this.#path}: EIO: i/o error, write`);
          this.bad.delete(sector);
        }
        await file.write(from, position);
      },
    };
  }
}

/** The methods of an object, bound to it, so that some can be replaced. */
function methodsOf<T extends object>(object: T): T {
  const names = new Set<string>();
  for (let each: object | null = object; each !== null; each = Object.getPrototypeOf(each) as object | null) {
    if (each !== Object.prototype) for (const name of Object.getOwnPropertyNames(each)) names.add(name);
  }
  const bound: Record<string, unknown> = {};
  for (const name of names) {
    const value: unknown = name === 'constructor' ? undefined : Reflect.get(object, name);
    if (typeof value === 'function') bound[name] = value.bind(object) as unknown;
  }
  return bound as T;
}
