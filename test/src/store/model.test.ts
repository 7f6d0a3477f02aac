import { expect } from 'chai';
import { setImmediate } from 'node:timers/promises';
import { Store } from '../../../src/store/store.js';
import type { StateReader, VolumeStore } from '../../../src/store/volume-store.js';
import { chance, pick } from '../../support/seeded-choices.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { MemoryFiles } from '../../support/memory-files.js';
import {
  expectPointsExact,
  expectScrubbedClean,
  MadeVolume,
  readAll,
  readSparse,
  send,
  steppingClock,
  type MadeSet,
} from './made-sets.js';

const ROUNDS = process.env['FARCOPY_SOAK'] === '1' ? 2000 : 60;

/** Random work on one volume of a store, next to a plain array for each state. */
class Model {
  readonly files = new MemoryFiles();
  readonly volume: MadeVolume;
  readonly #readers: { readonly reader: StateReader; readonly wanted: Uint8Array }[] = [];
  #store!: Store;
  #copy!: VolumeStore;
  #sent: MadeSet | null = null;

  constructor(readonly seeded: Seeded) {
    this.volume = new MadeVolume(seeded, pick(seeded, [512, 4096]), 1 + seeded.below(24));
  }

  async open(): Promise<void> {
    const { files, seeded } = this;
    this.#store = await Store.open({ folder: '/store', files, clock: steppingClock(), random: seeded });
    this.#copy = await this.#store.volume('branch', 'ledger');
  }

  async step(): Promise<void> {
    switch (this.seeded.below(8)) {
      case 0:
        return this.#restart();
      case 1:
        return this.#openReader();
      case 2:
        return this.#closeReader();
      case 3:
        await this.#copy.drop();
        this.#sent = null;
        return;
      case 4:
        return this.#checkReaders();
      default:
        return this.#sendOrApply();
    }
  }

  async finish(): Promise<void> {
    await this.#checkReaders();
    for (const { reader } of this.#readers) await reader.close();
    expect(await expectPointsExact(this.#copy, this.volume)).to.equal(this.volume.states.length);
    if (this.volume.states.length > 0) await expectScrubbedClean(this.#copy);
    await this.#store.close();
  }

  async #restart(): Promise<void> {
    this.#readers.length = 0;
    await this.#store.close();
    await this.open();
  }

  async #openReader(): Promise<void> {
    const points = this.#copy.points();
    if (points.length === 0) return;
    const { state } = pick(this.seeded, points);
    this.#readers.push({
      reader: await this.#copy.openState(state.id),
      wanted: this.volume.contentOf(state.id),
    });
  }

  async #closeReader(): Promise<void> {
    const [gone] = this.#readers.splice(0, 1);
    await gone?.reader.close();
  }

  async #checkReaders(): Promise<void> {
    await Promise.all(
      this.#readers.map(async ({ reader, wanted }) => {
        const [whole, sparse] = await Promise.all([readAll(reader), readSparse(reader)]);
        const start = this.seeded.below(wanted.byteLength);
        const part = new Uint8Array(this.seeded.below(wanted.byteLength - start));
        await reader.read(part, start);
        const right = [
          Buffer.compare(whole, wanted),
          Buffer.compare(sparse, wanted),
          Buffer.compare(part, wanted.subarray(start, start + part.byteLength)),
        ];
        expect(right, `reader of state ${reader.state.ordinal}`).to.deep.equal([0, 0, 0]);
      }),
    );
  }

  async #sendOrApply(): Promise<void> {
    if (this.#sent === null || chance(this.seeded, 0.2)) {
      this.#sent = this.volume.makeSet();
      return send(this.#copy, this.#sent, this.seeded);
    }
    const set = this.#sent;
    await send(this.#copy, set, this.seeded);
    await this.#copy.commit(set.order, set.digest);
    // Readers read on while the image is overwritten.
    const progress = { applied: false };
    const applying = this.#copy.apply().finally(() => (progress.applied = true));
    const isScrubbed = this.volume.states.length > 0 && chance(this.seeded, 0.3);
    const scrubbing = isScrubbed ? expectScrubbedClean(this.#copy) : null;
    do await Promise.all([this.#checkReaders(), setImmediate()]);
    while (!progress.applied);
    await applying;
    await scrubbing;
    this.volume.accept(set);
    this.#sent = null;
    const image = this.files.contentOf('/store/branch/ledger/image');
    expect(Buffer.compare(image, set.content), 'the image is its state').to.equal(0);
  }
}

describe('a store beside a plain model', () => {
  const seed = seedOfThisRun();
  it(`every state reads as it was, whatever is sent, dropped, restarted and read (SEED=${seed})`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const model = new Model(new Seeded(seed + round));
      try {
        await model.open();
        for (let i = 0; i < 30; i++) await model.step();
        await model.finish();
      } catch (cause) {
        throw new Error(`round ${round}: ${(cause as Error).message}`, { cause });
      }
    }
  });
});
