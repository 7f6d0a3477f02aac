import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { anotherBoot } from './another-boot.js';
import { AppliancePair } from './appliance-pair.js';
import { CutFilesystem } from './cut-filesystem.js';
import { farcopyRunning } from './farcopy.js';
import type { Sandbox } from './sandbox.js';
import { Seeded, seedOfThisRun } from './seeded.js';
import { until } from './until.js';
import { VolumeWriter } from './volume-writer.js';
import { WriteJournal, type CutVerdict, type JournalOptions } from './write-journal.js';

const DISK_BYTES = 96 << 20;

/** From one start of the primary to the next cut. */
interface Life {
  readonly journal: WriteJournal;
  /** When its sync was asked for, by the journal's count. */
  syncAskedAt: number;
  /** What the volume is at rest after its cut. */
  left?: Buffer;
}

/**
 * A pair whose primary, with its state and its volume, is on a disk whose power can be cut. Each of its lives has a
 * journal of its own, over what the one before has left.
 */
export class CutPrimary {
  #life: Life;
  /** Those since the last sync, with this one: a restore point that is new is of one of them. */
  #lives: Life[];
  /** Restore points that were found to be one state, and what they hold. */
  readonly #known = new Map<string, string>();
  lostBlocks = 0;
  tornBlocks = 0;

  private constructor(
    readonly pair: AppliancePair,
    readonly disk: CutFilesystem,
    readonly random: Seeded,
    readonly env: Readonly<Record<string, string>>,
    journal: WriteJournal,
  ) {
    this.#life = { journal, syncAskedAt: 0 };
    this.#lives = [this.#life];
  }

  /** The pair runs, and the first copy is made. */
  static async start(sandbox: Sandbox, options: JournalOptions): Promise<CutPrimary> {
    const cut = await CutPrimary.startAlone(sandbox, options);
    await cut.pair.startBackup();
    await cut.pair.sync();
    await cut.checkPoints();
    return cut;
  }

  /** Only the primary runs, with `env` in its environment. */
  static async startAlone(
    sandbox: Sandbox,
    options: JournalOptions,
    env: Readonly<Record<string, string>> = {},
  ): Promise<CutPrimary> {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const random = new Seeded(seed);
    const disk = await CutFilesystem.make(sandbox, 'primary', { sizeBytes: DISK_BYTES, random });
    const journal = new WriteJournal(seed, options);
    const content = journal.firstImage();
    const pair = await AppliancePair.create(sandbox, { sizeBytes: content.length, content, line: 'tcp' });
    await disk.sync();
    const cut = new CutPrimary(pair, disk, random, env, journal);
    await cut.#open();
    return cut;
  }

  /** A writer begins, and a sync if there is to be one; the power is cut within so many operations of the disk. */
  async liveAndCut(operations: number, isSyncing: boolean): Promise<void> {
    const { pair, random } = this;
    const { journal } = this.#life;
    const writer = VolumeWriter.start(pair.sandbox, {
      socket: pair.nbdSocket,
      exportName: pair.volume,
      journal,
      random,
      flushEvery: 20,
      zeroEvery: 8,
      restMs: 1,
    });
    await writer.more(random.below(150));
    this.#life.syncAskedAt = journal.time;
    const sync = isSyncing ? pair.startSync() : undefined;
    if (sync !== undefined) {
      const begins = async (): Promise<boolean> => !sync.program.running || (await pair.transfer()) !== null;
      await until('the sync begins', begins, { everyMs: 2 });
    }
    await this.disk.cutWithin(operations, [pair.primary.program.pid]);
    writer.cutOff();
    await pair.primary.kill();
    await sync?.program.finished;
    await writer.stop();
  }

  /** Power again: what is on the disk, held against the journal. */
  async judge(): Promise<CutVerdict> {
    await this.disk.restore();
    const image = await readFile(this.pair.device);
    this.#life.left = image;
    const verdict = this.#life.journal.checkAfterPowerCut(image);
    this.lostBlocks += verdict.lostBlocks;
    this.tornBlocks += verdict.tornBlocks;
    return verdict;
  }

  /** The primary is started after a cut, and cut again while it opens; that must not change the volume. */
  async cutWhileOpening(operations: number): Promise<void> {
    const { primaryHome: home, sandbox } = this.pair;
    const { through } = await anotherBoot(sandbox);
    const options = { cwd: home.folder, through, env: this.env };
    const opening = farcopyRunning(sandbox, [home.role, '--headless', '--config', home.config], options);
    await this.disk.cutWithin(operations, [opening.pid]);
    await opening.kill();
    await this.disk.restore();
    const image = await readFile(this.pair.device);
    expect(image.equals(this.#life.left ?? image), 'the volume is as it was before it was opened').to.equal(
      true,
    );
  }

  /** The primary is started on the next boot, by itself comes up, and after one sync the copy is the volume. */
  async goOn(what: string): Promise<void> {
    await this.#open();
    const { state } = await this.pair.sync();
    await this.checkPoints();
    const volume = await readFile(this.pair.device);
    expect(this.#known.get(state), `${what}: the copy equals the volume`).to.equal(digestOf(volume));
    this.#lives = [];
    this.#beginLife(volume);
  }

  /** The same without a sync: what this cut has put in doubt is still so at the next one. */
  async goOnInDoubt(): Promise<void> {
    await this.#open();
    this.#beginLife(await readFile(this.pair.device));
  }

  /** Every restore point is one state: new ones of this life or what the cut has left, others as they were. */
  async checkPoints(which: 'new' | 'all' = 'new'): Promise<void> {
    const points = await this.pair.points();
    const ids = points.map(({ id }) => id);
    expect(ids, 'no restore point is lost').to.include.members([...this.#known.keys()]);
    for (const id of ids) {
      const known = this.#known.get(id);
      if (known !== undefined && which === 'new') continue;
      const image = await this.#restored(id);
      const digest = digestOf(image);
      if (known === undefined) this.#checkNewPoint(id, image);
      else expect(digest, `point ${id} is as it was`).to.equal(known);
      this.#known.set(id, digest);
    }
  }

  async #restored(id: string): Promise<Buffer> {
    const path = await this.pair.restore('point.restored', id);
    const image = await readFile(path);
    await rm(path);
    return image;
  }

  #checkNewPoint(id: string, image: Buffer): void {
    const found = this.#lives.map(({ journal, syncAskedAt, left }) =>
      left?.equals(image) === true ? [] : journal.checkImage(image, { notBefore: syncAskedAt }).problems,
    );
    const problems = found.reduce((least, each) => (each.length < least.length ? each : least));
    expect(problems.slice(0, 5), `point ${id}: ${problems.length} problems`).to.deep.equal([]);
  }

  #beginLife(volume: Buffer): void {
    const { blockCount } = this.#life.journal;
    const seed = this.random.word();
    const journal = new WriteJournal(seed, { blockCount, compressible: true, first: volume });
    this.#life = { journal, syncAskedAt: 0 };
    this.#lives.push(this.#life);
  }

  async #open(): Promise<void> {
    const { id, through } = await anotherBoot(this.pair.sandbox);
    await this.pair.startPrimary({ through, env: this.env });
    const record = `${this.pair.primaryHome.folder}/state/volumes/${this.pair.volume}/volume.json`;
    expect(await readFile(record, 'utf8'), 'it took the boot for another one').to.include(id);
  }
}

const digestOf = (image: Buffer): string => createHash('sha256').update(image).digest('hex');
