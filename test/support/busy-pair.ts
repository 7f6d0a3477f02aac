import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { AppliancePair, type PairOptions } from './appliance-pair.js';
import { NbdClient } from './nbd-client.js';
import type { Sandbox } from './sandbox.js';
import { Seeded, seedOfThisRun } from './seeded.js';
import { VolumeWriter } from './volume-writer.js';
import { WriteJournal, type JournalOptions } from './write-journal.js';

export interface BusyOptions extends JournalOptions {
  /** How many blocks the writer writes to. */
  readonly spread: number;
  readonly restMs: number;
  /** A pty pair unless told otherwise. */
  readonly line?: PairOptions['line'];
}

/** A pair whose volume is written all the time, with a journal of all that was written. */
export class BusyPair {
  private constructor(
    readonly pair: AppliancePair,
    readonly journal: WriteJournal,
    readonly random: Seeded,
    readonly writer: VolumeWriter,
  ) {}

  /** Both appliances run, the writer writes, and the first copy is made and checked. */
  static async start(sandbox: Sandbox, options: BusyOptions): Promise<BusyPair> {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const random = new Seeded(seed);
    const journal = new WriteJournal(seed, options);
    const content = journal.firstImage();
    const pair = await AppliancePair.start(sandbox, {
      sizeBytes: content.length,
      content,
      line: options.line ?? 'serial',
    });
    const { spread, restMs } = options;
    const writer = VolumeWriter.start(sandbox, {
      socket: pair.nbdSocket,
      exportName: pair.volume,
      journal,
      random,
      spread,
      restMs,
    });
    const busy = new BusyPair(pair, journal, random, writer);
    const { state } = await pair.sync();
    await busy.checkState('first copy', state);
    return busy;
  }

  /** Restores a state on the backup and holds it against the journal (`WriteJournal.checkImage`). */
  async checkState(
    what: string,
    state: string,
    bounds: { readonly notBefore?: number; readonly notAfter?: number } = {},
  ): Promise<void> {
    const { problems } = this.journal.checkImage(await this.#restored(what, state), bounds);
    expect(problems.slice(0, 5), `${what}: ${problems.length} problems`).to.deep.equal([]);
  }

  /** Reads the volume through the export: no acknowledged write may be missing. */
  async checkVolume(what: string): Promise<void> {
    await this.writer.pause();
    const client = await NbdClient.connect(this.pair.nbdSocket, this.pair.volume);
    const parts: Buffer[] = [];
    for (let at = 0; at < client.sizeBytes; at += 1 << 20) {
      parts.push(await client.read(at, Math.min(1 << 20, client.sizeBytes - at)));
    }
    client.close();
    this.writer.resume();
    const problems = this.journal.checkVolume(Buffer.concat(parts));
    expect(problems.slice(0, 5), `${what}: ${problems.length} problems`).to.deep.equal([]);
  }

  /** All comes to rest: one more sync, and the copy is the volume, byte for byte. No user's write was refused. */
  async finish(): Promise<void> {
    await this.writer.more(20);
    await this.writer.pause();
    const { state } = await this.pair.sync();
    const image = await this.#restored('at rest', state);
    expect(image.equals(await readFile(this.pair.device)), 'the copy equals the volume').to.equal(true);
    expect(this.journal.checkVolume(image).slice(0, 5)).to.deep.equal([]);
    expect(this.writer.refusals).to.deep.equal([]);
    console.log(`      ${this.journal.acknowledged} writes acknowledged of ${this.journal.writes}`);
  }

  async #restored(what: string, state: string): Promise<Buffer> {
    return readFile(await this.pair.restore(`${what.replaceAll(' ', '-')}.restored`, state));
  }
}
