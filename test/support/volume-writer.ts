import { setTimeout as pause } from 'node:timers/promises';
import { NbdClient, NbdLost } from './nbd-client.js';
import type { Sandbox } from './sandbox.js';
import type { Seeded } from './seeded.js';
import { until } from './until.js';
import type { WriteJournal } from './write-journal.js';

export interface WriterOptions {
  /** Where the NBD server listens. */
  readonly socket: string;
  readonly exportName: string;
  readonly journal: WriteJournal;
  readonly random: Seeded;
  /** Requests in flight at the most. */
  readonly depth?: number;
  /** Writes go to this many blocks, chosen from the whole volume; fewer means more overwriting. */
  readonly spread?: number;
  /** One request in so many makes a block zeros, or (TRIM) allows it to be; none unless told otherwise. */
  readonly zeroEvery?: number;
  /** One request in so many is followed by a flush; 50 unless told otherwise. */
  readonly flushEvery?: number;
  /** Rest of each stream of requests between two writes, so that a long test does not write for ever. */
  readonly restMs?: number;
}

/**
 * A user's program that never stops writing: self-describing blocks through NBD, several in flight, a flush now and
 * then, noted in a journal. When the server dies it connects again as soon as there is one.
 */
export class VolumeWriter {
  readonly #options: WriterOptions;
  readonly #blocks: readonly number[];
  readonly #busy = new Set<number>();
  readonly #refusals: Error[] = [];
  #client: NbdClient | undefined;
  #connecting: Promise<NbdClient> | undefined;
  #stopped = false;
  #paused = false;
  #streams: Promise<void>[] = [];

  private constructor(options: WriterOptions) {
    this.#options = options;
    const { blockCount } = options.journal;
    const spread = Math.min(options.spread ?? blockCount, blockCount);
    const chosen = new Set<number>();
    while (chosen.size < spread) chosen.add(options.random.below(blockCount));
    this.#blocks = [...chosen];
  }

  static start(sandbox: Sandbox, options: WriterOptions): VolumeWriter {
    const writer = new VolumeWriter(options);
    writer.#streams = Array.from({ length: options.depth ?? 8 }, () => writer.#stream());
    sandbox.defer('writer', () => writer.stop());
    return writer;
  }

  /** Requests that the server answered with an error: a user's writes must not fail. */
  get refusals(): readonly Error[] {
    return this.#refusals;
  }

  /** Resolves when every write sent has been answered or lost; nothing is sent until `resume`. */
  async pause(): Promise<void> {
    this.#paused = true;
    await until('the writer is quiet', () => this.#busy.size === 0, { everyMs: 2 });
  }

  resume(): void {
    this.#paused = false;
  }

  /** Takes no answer from now on, also none that has come and was not read. */
  cutOff(): void {
    this.#stopped = true;
    this.#client?.close();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#streams);
    this.#client?.close();
    this.#client = undefined;
  }

  /** Resolves when so many more writes have been acknowledged. */
  async more(writes: number): Promise<void> {
    const { journal } = this.#options;
    const goal = journal.acknowledged + writes;
    // Every thirtieth write is synced: a disk that others keep busy may take seconds for each.
    await until(`${writes} more writes are acknowledged`, () => journal.acknowledged >= goal, {
      timeoutMs: 120_000,
    });
  }

  async #stream(): Promise<void> {
    const { journal, random } = this.#options;
    while (!this.#stopped) {
      if (this.#paused) {
        await pause(2);
        continue;
      }
      const client = await this.#connected();
      // Both are looked at again: they may have changed while this stream waited for a connection.
      if (client === undefined || this.#mustRest()) continue;
      const block = this.#blocks[random.below(this.#blocks.length)] ?? 0;
      if (this.#busy.has(block)) continue;
      this.#busy.add(block);
      const { zeroEvery } = this.#options;
      const isZeros = zeroEvery !== undefined && random.below(zeroEvery) === 0;
      const { sequence, content } = journal.issue(block, isZeros);
      const offset = block * journal.blockSize;
      try {
        const fua = random.below(64) === 0;
        if (!isZeros) await client.write(offset, content, { fua });
        else if (random.below(2) === 0) await client.writeZeroes(offset, journal.blockSize, { fua });
        else {
          // Advice: from now on the block may be zeros, or what it was.
          await client.trim(offset, journal.blockSize);
          continue;
        }
        journal.acknowledge(sequence, { isDurable: fua });
        if (random.below(this.#options.flushEvery ?? 50) === 0) {
          const issuedAt = journal.issueFlush();
          await client.flush();
          journal.acknowledgeFlush(issuedAt);
        }
      } catch (cause) {
        if (!(cause instanceof NbdLost)) this.#refusals.push(cause as Error);
        if (this.#client === client) this.#client = undefined;
      } finally {
        this.#busy.delete(block);
      }
      await pause(this.#options.restMs ?? 0);
    }
  }

  #mustRest(): boolean {
    return this.#paused || this.#stopped;
  }

  async #connected(): Promise<NbdClient | undefined> {
    if (this.#client !== undefined) return this.#client;
    this.#connecting ??= NbdClient.connect(this.#options.socket, this.#options.exportName).finally(
      () => (this.#connecting = undefined),
    );
    try {
      this.#client = await this.#connecting;
      return this.#client;
    } catch {
      await pause(20);
      return undefined;
    }
  }
}
