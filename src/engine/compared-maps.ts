import { join } from 'node:path';
import type { Range } from '../../protocol/ranges.js';
import { ChangeMap } from './change-map.js';
import type { EpochSurroundings } from './epoch.js';

const FILE_NAME = /^compared-(\d+)\.map$/;

/** The number in the name of such a map's file; null for any other name. */
export function numberOfComparedFile(name: string): number | null {
  const match = FILE_NAME.exec(name);
  return match === null ? null : Number(match[1]);
}

/**
 * The blocks that compares have found to differ, a file `compared-<number>.map` each, in the form of a change map.
 * One that is lost counts as all: then the whole volume goes, or another compare is made.
 */
export class ComparedMaps {
  readonly #maps = new Map<number, ChangeMap>();
  #next = 1;

  constructor(readonly surroundings: EpochSurroundings) {}

  /** Throws for one that is not there. */
  map(number: number): ChangeMap {
    const map = this.#maps.get(number);
    if (map === undefined) throw new Error(`compare ${number} is listed but not loaded`);
    return map;
  }

  async load(number: number): Promise<void> {
    const file = await this.surroundings.files.open(this.#path(number), 'create');
    this.#maps.set(
      number,
      await ChangeMap.load(file, this.#geometry(number), this.surroundings.onUnsavedMark),
    );
    this.#next = Math.max(this.#next, number + 1);
  }

  /** Writes a new one, durably; its number. */
  async make(differing: Iterable<Range>): Promise<number> {
    const { files, folder } = this.surroundings;
    const number = this.#next++;
    const file = await files.open(this.#path(number), 'create');
    try {
      let unsaved: unknown = null;
      const map = await ChangeMap.create(file, this.#geometry(number), (error) => (unsaved = error));
      for (const { start, end } of differing) map.mark(start, end);
      await map.save();
      if (unsaved !== null || map.isUnsaved) throw unsaved;
      await files.syncFolder(folder);
      this.#maps.set(number, map);
      return number;
    } catch (error) {
      await file.close().catch(() => undefined);
      await files.remove(this.#path(number)).catch(() => undefined);
      throw error;
    }
  }

  /** Removes all others. */
  async keepOnly(numbers: ReadonlySet<number>): Promise<void> {
    for (const [number, map] of this.#maps) {
      if (numbers.has(number)) continue;
      this.#maps.delete(number);
      await map.file.close();
      await this.surroundings.files.remove(this.#path(number));
    }
  }

  async close(): Promise<void> {
    for (const map of this.#maps.values()) await map.file.close();
  }

  #path(number: number): string {
    return join(this.surroundings.folder, `compared-${number}.map`);
  }

  #geometry(number: number): { epoch: number; blockSize: number; blocks: number } {
    const { blockSize, blocks } = this.surroundings;
    return { epoch: number, blockSize, blocks };
  }
}
