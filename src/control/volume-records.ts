import { z } from 'zod';
import { FileError, type Files } from '../platform/files.js';
import { SerialQueue } from '../platform/serial-queue.js';

export interface RecordsFormat<T> {
  /** What the file says it is. */
  readonly magic: string;
  /** A longer file is not read. */
  readonly maxBytes: number;
  readonly record: z.ZodType<T>;
}

/**
 * What is kept of each volume's copy, by `PRIMARY/VOLUME`, in one small file of JSON. A file that is absent or cannot be
 * understood counts as empty.
 */
export class VolumeRecords<T> {
  readonly #files: Files;
  readonly #path: string;
  readonly #format: RecordsFormat<T>;
  /** The file is written as a whole: two changes side by side would lose one. */
  readonly #changes = new SerialQueue();

  constructor(files: Files, path: string, format: RecordsFormat<T>) {
    this.#files = files;
    this.#path = path;
    this.#format = format;
  }

  async of(volume: string): Promise<T | null> {
    return (await this.#read())[volume] ?? null;
  }

  /** `change` makes the new record of the one before; durable when it resolves. Fails with FileError. */
  set(volume: string, change: (before: T | null) => T): Promise<void> {
    return this.#changes.run(async () => {
      const volumes = await this.#read();
      const content = {
        magic: this.#format.magic,
        version: 1,
        volumes: { ...volumes, [volume]: change(volumes[volume] ?? null) },
      };
      await this.#files.replace(this.#path, Buffer.from(`${JSON.stringify(content)}\n`));
    });
  }

  async #read(): Promise<Record<string, T>> {
    const { magic, maxBytes, record } = this.#format;
    const schema = z.object({
      magic: z.literal(magic),
      version: z.literal(1),
      volumes: z.record(z.string(), record),
    });
    try {
      const text = Buffer.from(await this.#files.readWhole(this.#path, maxBytes)).toString('utf8');
      return schema.parse(JSON.parse(text)).volumes;
    } catch (error) {
      if (error instanceof FileError || error instanceof SyntaxError || error instanceof z.ZodError)
        return {};
      throw error;
    }
  }
}
