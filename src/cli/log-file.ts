import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** At this size (bytes) a log becomes `.1`, and `.1` becomes `.2`; older ones go. */
const MOST_BYTES = 8 << 20;
const KEPT = 2;

/** Log lines in a file while the screen is not theirs. Written at once; a full disk costs lines, never the appliance. */
export class LogFile {
  readonly path: string;
  readonly #most: number;
  #file: number | null = null;
  #size = 0;

  /** Opens nothing before the first line. */
  constructor(path: string, mostBytes = MOST_BYTES) {
    this.path = path;
    this.#most = mostBytes;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    try {
      if (this.#file !== null && this.#size + bytes.length > this.#most) this.#rotate();
      this.#size += writeSync(this.#open(), bytes);
    } catch {
      this.close();
    }
  }

  close(): void {
    const file = this.#file;
    this.#file = null;
    if (file === null) return;
    try {
      closeSync(file);
    } catch {
      // Nothing is lost that a log could still tell.
    }
  }

  #open(): number {
    if (this.#file !== null) return this.#file;
    mkdirSync(dirname(this.path), { recursive: true });
    this.#file = openSync(this.path, 'a', 0o600);
    this.#size = fstatSync(this.#file).size;
    return this.#file;
  }

  #rotate(): void {
    this.close();
    const name = (age: number): string => (age === 0 ? this.path : `${this.path}.${age}`);
    for (let age = KEPT - 1; age >= 0; age--) renameIfThere(name(age), name(age + 1));
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
