import { join } from 'node:path';
import { FileError, type File, type Files } from '../platform/files.js';
import { BeforeImages } from './before-images.js';
import type { Budget } from './budget.js';
import { ChangeMap, type UnsavedMark } from './change-map.js';

/** What all epochs of a volume share. */
export interface EpochSurroundings {
  readonly files: Files;
  /** The volume's state folder. */
  readonly folder: string;
  readonly blockSize: number;
  readonly blocks: number;
  readonly budget: Budget;
  readonly onUnsavedMark: UnsavedMark;
}

const PARTS = ['map', 'before', 'index'] as const;
const FILE_NAME = /^epoch-(\d+)\.(?:map|before|index)$/;

/** The epoch number in the name of one of an epoch's files; null for any other name. */
export function epochOfFile(name: string): number | null {
  const match = FILE_NAME.exec(name);
  return match === null ? null : Number(match[1]);
}

/** The time from one state to the next: which blocks were written in it, and what they held before. */
export class Epoch {
  /** No write admitted in this epoch is unfinished, and none will be admitted: it may be merged. */
  settled = false;
  /** It is being merged with a neighbour: none of its before-images may be given up meanwhile. */
  isMerging = false;
  /** Bytes that clients have written in it, over again counted again, zeros and trims not; null: not known. */
  written: number | null = 0;

  private constructor(
    readonly number: number,
    readonly map: ChangeMap,
    readonly before: BeforeImages,
    readonly surroundings: EpochSurroundings,
  ) {}

  /** Makes the files of a new epoch; durable when it resolves. */
  static async create(surroundings: EpochSurroundings, number: number): Promise<Epoch> {
    const opened: File[] = [];
    try {
      const make = async (part: (typeof PARTS)[number]): Promise<File> => {
        const file = await surroundings.files.open(pathOf(surroundings, number, part), 'create');
        opened.push(file);
        await file.truncate(0);
        return file;
      };
      const geometry = geometryOf(surroundings, number);
      const map = await ChangeMap.create(await make('map'), geometry, surroundings.onUnsavedMark);
      const [data, index] = [await make('before'), await make('index')];
      const before = await BeforeImages.load(data, index, geometry, surroundings.budget);
      for (const file of opened) await file.sync();
      await surroundings.files.syncFolder(surroundings.folder);
      return new Epoch(number, map, before, surroundings);
    } catch (error) {
      for (const file of opened) await file.close().catch(() => undefined);
      for (const part of PARTS) {
        await surroundings.files.remove(pathOf(surroundings, number, part)).catch(() => undefined);
      }
      throw error;
    }
  }

  /** Opens the files an earlier process left. A lost map counts as all changed, lost before-images as absent. */
  static async load(surroundings: EpochSurroundings, number: number): Promise<Epoch> {
    const open = (part: (typeof PARTS)[number]): Promise<File> =>
      surroundings.files.open(pathOf(surroundings, number, part), 'create');
    const geometry = geometryOf(surroundings, number);
    const map = await ChangeMap.load(await open('map'), geometry, surroundings.onUnsavedMark);
    const [data, index] = [await open('before'), await open('index')];
    const before = await BeforeImages.load(data, index, geometry, surroundings.budget);
    return new Epoch(number, map, before, surroundings);
  }

  countWritten(bytes: number): void {
    if (this.written !== null) this.written += bytes;
  }

  /** Syncs what the epoch's answers rest on. Only the map's failure is one: a before-image proves itself. */
  async sync(onBeforeImagesFailed: (error: unknown) => void): Promise<void> {
    await this.before.sync().catch(onBeforeImagesFailed);
    await this.map.save();
  }

  async close(): Promise<void> {
    for (const file of [this.map.file, this.before.data, this.before.index]) await file.close();
  }

  /** Closes the epoch and deletes its files; nothing may use it any more. */
  async remove(): Promise<void> {
    this.before.release();
    await this.close();
    for (const part of PARTS) {
      await this.surroundings.files.remove(pathOf(this.surroundings, this.number, part));
    }
  }
}

const pathOf = (surroundings: EpochSurroundings, number: number, part: string): string =>
  join(surroundings.folder, `epoch-${number}.${part}`);

const geometryOf = (
  { blockSize, blocks }: EpochSurroundings,
  epoch: number,
): { epoch: number; blockSize: number; blocks: number } => ({ epoch, blockSize, blocks });

/** Is an error the file system's; anything else is a mistake of ours and must not be swallowed. */
export const isFileError = (error: unknown): error is FileError => error instanceof FileError;
