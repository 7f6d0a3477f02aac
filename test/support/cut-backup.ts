import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { anotherBoot } from './another-boot.js';
import type { RunningSync } from './appliance-pair.js';
import { BusyPair, type BusyOptions } from './busy-pair.js';
import { CutFilesystem } from './cut-filesystem.js';
import type { Sandbox } from './sandbox.js';
import { Seeded, seedOfThisRun } from './seeded.js';
import { until } from './until.js';

/** A sync that the backup's power was cut in. */
interface CutSync {
  readonly sync: RunningSync;
  /** The restore points before it. */
  readonly listed: readonly string[];
  readonly notBefore: number;
  /** undefined: the snapshot may not have been taken before the cut. */
  readonly notAfter: number | undefined;
  /** The state that the backup had told to be durable; null: it had not. */
  readonly durable: string | null;
}

/** A busy pair whose backup, with its state and its store, is on a disk whose power can be cut. */
export class CutBackup {
  #under: CutSync | null = null;
  /** How far its store had come at each cut, and whether it had told so. */
  readonly found: string[] = [];

  private constructor(
    readonly busy: BusyPair,
    readonly disk: CutFilesystem,
  ) {}

  /** The pair runs, the writer writes, and the first copy is made. */
  static async start(sandbox: Sandbox, options: BusyOptions, diskBytes: number): Promise<CutBackup> {
    const random = new Seeded(seedOfThisRun());
    const disk = await CutFilesystem.make(sandbox, 'backup', { sizeBytes: diskBytes, random });
    const busy = await BusyPair.start(sandbox, options);
    await disk.sync();
    return new CutBackup(busy, disk);
  }

  /** A sync, and the power is cut at most so many operations of the disk after it has begun, or its apply has. */
  async syncAndCut(during: 'transfer' | 'apply', operations: number): Promise<void> {
    const { pair, journal, writer } = this.busy;
    await writer.more(150);
    const listed = (await pair.points()).map(({ id }) => id);
    const notBefore = journal.time;
    const sync = pair.startSync();
    if (during === 'apply') {
      const isMarked = async (): Promise<boolean> => /durable|overwriting/.test(await this.#mark());
      await until('the backup has all of the set', isMarked, { everyMs: 1 });
    }
    await this.disk.cutWithin(operations, [pair.backup.program.pid]);
    await pair.backup.kill();
    const transfer = await pair.transfer();
    const notAfter = transfer !== null && transfer.phase !== 'snapshot' ? journal.time : undefined;
    let durable = transfer?.phase === 'applying' ? transfer.to.id : null;
    // None: it has not begun, or it is over and the command about to say so.
    if (transfer === null && (await endsSoon(sync))) durable = (await sync.result()).state;
    this.#under = { sync, listed, notBefore, notAfter, durable };
  }

  /** Power again: the same sync completes, whatever was told to be durable is there without anybody to send it again. */
  async judge(what: string): Promise<void> {
    const { pair, journal } = this.busy;
    if (this.#under === null) throw new Error('no sync was cut');
    const { sync, listed, notBefore, notAfter, durable } = this.#under;
    await this.disk.restore();
    this.found.push(`${await this.#mark()}${durable === null ? '' : ' (told)'}`);
    const { through } = await anotherBoot(pair.sandbox);
    if (durable !== null) await pair.line.cut();
    await pair.startBackup({ through });
    if (durable !== null) {
      await pair.applied(durable);
      await pair.line.restore();
    }
    const { state } = await sync.result();
    if (durable !== null) expect(state).to.equal(durable);
    const points = (await pair.points()).map(({ id }) => id);
    expect(points, what).to.include.members([state, ...listed]);
    await this.busy.checkState(what, state, { notBefore, notAfter: notAfter ?? journal.time });
  }

  /** What the store's mark on the disk says of a set that is under way; `no set` without one. */
  async #mark(): Promise<string> {
    const { pair } = this.busy;
    const path = `${pair.backupHome.folder}/store/${pair.copyName}/capture/capture.json`;
    const mark = await readFile(path, 'utf8').catch(() => '');
    return /"kind":\s*"(\w+)"/.exec(mark)?.[1] ?? 'no set';
  }
}

async function endsSoon({ program }: RunningSync): Promise<boolean> {
  return until('the sync has ended', () => !program.running, { timeoutMs: 500 }).catch(() => false);
}
