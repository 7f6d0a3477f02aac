import { scanNodes, type Scanned } from '../../protocol/compare/scan.js';
import type { Range } from '../../protocol/ranges.js';
import { byteCount, type StateId } from '../../protocol/units.js';
import type { StateInfo } from '../../protocol/state.js';
import { readBase } from './base-reader.js';
import { BlockWriter } from './block-writer.js';
import { boundByDisk } from './budget.js';
import { fingerprint } from './device-check.js';
import { BackgroundCooling } from './cooling.js';
import { DeviceSync } from './device-sync.js';
import { isFileError } from './epoch.js';
import { ordinalsOf, rangesOf, reasonsOf } from './distrust.js';
import { Doubts } from './doubts.js';
import { answerableStates, withoutPin, withPin, withWritten, writtenAfter } from './epoch-list.js';
import { VolumeError } from './errors.js';
import { HotExtents } from './hot-extents.js';
import { HotLog } from './hot-log.js';
import { openingsOf } from './identity.js';
import { Keeping } from './keeping.js';
import { differencesBy } from './narrow-finding.js';
import { givenUpTexts, Needs } from './needs.js';
import { StateSource } from './state-source.js';
import { Seals } from './seals.js';
import { SetCollector } from './set-collector.js';
import type { SnapshotExport } from './snapshot-export.js';
import { SnapshotExports } from './snapshot-exports.js';
import { Tidier } from './tidier.js';
import { Unconfirmed } from './unconfirmed.js';
import { VolumeExport } from './volume-export.js';
import { openVolume, type OpenedVolume, type VolumeOptions } from './volume-opening.js';
import type {
  BaseBlocks,
  BaseRequest,
  Collected,
  CollectRequest,
  CompareFinding,
  DigestRequest,
  GroupAnswer,
  GroupStep,
  SealAttempt,
  SealCondition,
  SealRequest,
  SetPartBounds,
  VolumeDescription,
  VolumeService,
} from './volume-service.js';
import { Warnings } from './warnings.js';
import { WriteActivity } from './write-activity.js';

export type { VolumeOptions } from './volume-opening.js';

/**
 * One protected device: takes its writes through `backend`, knows what changed since which state, and answers for
 * the states that are pinned (DESIGN section 2). It lives in one thread, which serves its NBD clients too.
 */
export class Volume implements VolumeService {
  /** An `ExportBackend` for the NBD server. */
  readonly backend: VolumeExport;
  /** For `describe`; kept by whoever serves the clients. */
  connectedClients = 0;
  readonly #snapshots: SnapshotExports;
  readonly #opened: OpenedVolume;
  readonly #options: VolumeOptions;
  readonly #warnings: Warnings;
  readonly #deviceSync: DeviceSync;
  readonly #activity: WriteActivity;
  readonly #needs: Needs;
  readonly #writer: BlockWriter;
  readonly #collector: SetCollector;
  readonly #tidier: Tidier;
  readonly #seals: Seals;
  readonly #doubts: Doubts;
  readonly #hot: HotExtents;
  readonly #cooling: BackgroundCooling;
  #closing: Promise<void> | null = null;

  private constructor(options: VolumeOptions, opened: OpenedVolume, warnings: Warnings) {
    const { device, history, hotLog } = opened;
    this.#options = options;
    this.#opened = opened;
    this.#warnings = warnings;
    this.#doubts = new Doubts({ identity: opened.identity, history, clock: options.clock });
    this.#deviceSync = new DeviceSync(device.file, (error) => {
      this.#syncFailed(error);
    });
    this.#hot = new HotExtents(
      opened.hotGeometry,
      hotLog instanceof HotLog ? hotLog : null,
      (error) => this.#hotLogFailed(error),
      (isCrowded) => {
        this.#cooling.heated(isCrowded);
      },
    );
    if (!(hotLog instanceof HotLog)) void this.#hotLogFailed(hotLog.error);
    this.#cooling = new BackgroundCooling({
      hot: this.#hot,
      history,
      deviceSync: this.#deviceSync,
      clock: options.clock,
      saveDoubts: () => this.#saveDoubts(),
      mend: () => this.#mendHotLog(),
      onOutcome: (error) => {
        if (error === null) warnings.clear('cooling');
        else warnings.set('cooling', `what was written could not be synced: ${messageOf(error)}`);
      },
    });
    this.#needs = new Needs(history);
    const keeping = new Keeping(history, this.#needs, (error) => {
      warnings.set('before-images', `the old content of blocks could not be saved: ${messageOf(error)}`);
    });
    this.#writer = new BlockWriter(device.file, history, this.#hot, keeping, options.clock);
    this.#collector = new SetCollector(device.file, history, this.#needs);
    this.#tidier = new Tidier(history, (error) => {
      if (error === null) warnings.clear('tidying');
      else warnings.set('tidying', `epochs that nobody needs could not be merged: ${messageOf(error)}`);
    });
    this.#activity = new WriteActivity(options.clock);
    this.#seals = new Seals({
      history,
      writer: this.#writer,
      deviceSync: this.#deviceSync,
      clock: options.clock,
      random: options.random,
      sizeBytes: device.sizeBytes,
      activity: this.#activity,
      isInUse: () => this.connectedClients > 0,
      onBeforeImagesNotSynced: (error) => {
        warnings.set('before-images', `before-images could not be synced: ${messageOf(error)}`);
      },
      onSealed: () => this.#sealed(),
      onEnded: () => this.#tidier.kick(),
    });
    const unconfirmed = new Unconfirmed(history, () => ordinalsOf(this.#doubts.distrusted));
    this.backend = new VolumeExport(
      {
        name: options.name,
        description: `farcopy volume ${options.name}`,
        sizeBytes: device.sizeBytes,
        readOnly: false,
        blockSize: options.blockSize,
      },
      device.file,
      this.#writer,
      this.#deviceSync,
      this.#activity,
      unconfirmed,
    );
    this.#snapshots = new SnapshotExports(options.name, device.file, history, unconfirmed, () => {
      this.#tidier.kick();
    });
  }

  /**
   * Opens a volume, or makes its state folder if there is none. Fails with VolumeError before anything is touched:
   * `missing-device`, `read-only-device`, `bad-geometry`, `wrong-device`, `in-use`, `bad-state`, `io`.
   */
  static async open(options: VolumeOptions): Promise<Volume> {
    const warnings = new Warnings();
    let noteDoubt = (): void => undefined;
    const opened = await asVolumeErrors(() =>
      openVolume(options, (error, isFlagged) => {
        warnings.set('marks', `changed blocks could not be noted: ${messageOf(error)}`);
        if (!isFlagged) noteDoubt();
      }),
    );
    noteDoubt = () => void opened.marksNote.write();
    const volume = new Volume(options, opened, warnings);
    volume.#tidier.kick();
    return volume;
  }

  /** The states that are pinned, or that a client has open: `ExportBackend`s for the NBD server. */
  snapshots(): readonly SnapshotExport[] {
    return this.#snapshots.list();
  }

  describe(): Promise<VolumeDescription> {
    const { history } = this.#opened;
    const { record } = history;
    const { record: identity, distrusted: distrust } = this.#doubts;
    return Promise.resolve({
      id: identity.id,
      name: this.#options.name,
      sizeBytes: byteCount(this.#opened.device.sizeBytes),
      blockSize: this.#options.blockSize,
      states: answerableStates(record),
      lastState: record.lastState,
      pins: Object.fromEntries(record.pins.map((pin) => [pin.owner, pin.state])),
      dirtyBlocks: history.changedBlocks,
      written: writtenAfter(record),
      beforeImageBytes: history.budget.used,
      warnings: [
        ...new Set(identity.doubts.map((doubt) => doubt.text)),
        ...this.#warnings.list(),
        ...givenUpTexts(record, this.#needs.givenUp),
      ],
      connectedClients: this.connectedClients,
      openings: openingsOf(identity),
      distrusted: ordinalsOf(distrust),
      inDoubt: rangesOf(distrust),
      distrustedFor: reasonsOf(distrust),
    });
  }

  seal(request: SealRequest): Promise<StateInfo> {
    return this.#whileOpen(() => this.#seals.seal(request));
  }

  sealIf(request: SealRequest, condition: SealCondition): Promise<SealAttempt> {
    return this.#whileOpen(() => this.#seals.sealIf(request, condition));
  }

  groupStep(step: GroupStep): Promise<GroupAnswer> {
    return this.#whileOpen(() => this.#seals.groupStep(step));
  }

  async #sealed(): Promise<void> {
    const { budget, surroundings } = this.#opened.history;
    await boundByDisk(budget, surroundings.files, surroundings.folder);
    await this.#marksMayBeSaved();
  }

  pin(owner: string, state: StateId): Promise<void> {
    return this.#changePins(() => this.#opened.history.update((record) => withPin(record, owner, state)));
  }

  unpin(owner: string): Promise<void> {
    return this.#changePins(() => this.#opened.history.update((record) => withoutPin(record, owner)));
  }

  countChanges(set: SetPartBounds): Promise<number> {
    return this.#whileOpen(() => this.#collector.count(set));
  }

  collect(request: CollectRequest): Promise<Collected> {
    return this.#whileOpen(() => this.#collector.collect(request));
  }

  readBase(request: BaseRequest): Promise<BaseBlocks> {
    const { device, history } = this.#opened;
    return this.#whileOpen(() => readBase(device.file, history, request));
  }

  digests({ state, ...request }: DigestRequest): Promise<Scanned> {
    const { device, history } = this.#opened;
    return this.#whileOpen(async () => scanNodes(new StateSource(device.file, history, state), request));
  }

  compared(finding: CompareFinding): Promise<void> {
    const { owner, state, like, differing, within } = finding;
    const { history } = this.#opened;
    const all = (): Iterable<Range> =>
      within === undefined ? differing : differencesBy({ ...finding, within }, history, this.#doubts.all);
    return this.#changePins(() => history.keepCompared({ owner, state, like }, all));
  }

  /** Syncs all that was written, so that nothing but what is written meanwhile would be in doubt after a power cut. */
  cool(): Promise<void> {
    return this.#whileOpen(() => this.#cooling.cool());
  }

  /** Resolves when what nobody needs has been dropped and merged away; for tests and tools. */
  tidied(): Promise<void> {
    return this.#tidier.settled();
  }

  /**
   * Finishes what is under way, syncs, and leaves the clean mark. The NBD server must have stopped asking. Never
   * fails half way: everything is closed, and what could not be synced is found in doubt at the next opening.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { device, history, unlock } = this.#opened;
    this.backend.close();
    await this.#seals.endGroupPart();
    await this.#writer.lock.idle();
    await this.#cooling.close();
    await this.#seals.idle();
    await this.#tidier.close();
    await history.readers.idle();
    await history
      .update((record) =>
        history.epochs.reduce((next, { number, written }) => withWritten(next, number, written), record),
      )
      .catch(() => undefined);
    try {
      await this.#deviceSync.sync();
      for (const epoch of history.epochs) await epoch.sync(() => undefined);
      await this.#marksMayBeSaved();
      // With the file's times, which a flush leaves out.
      await device.file.sync();
      const attributes = await device.file.attributes?.();
      const clean = {
        modifiedMs: attributes?.modifiedMs ?? null,
        writtenBytes: attributes?.writtenBytes ?? null,
        fingerprint: await fingerprint(device.file, device.sizeBytes),
      };
      // A clean end beside a doubt that is not on disk would be the end of the doubt.
      await this.#saveDoubts();
      await this.#doubts.change({ clean });
    } catch (error) {
      this.#warnings.set('close', `the volume could not be closed in order: ${messageOf(error)}`);
    } finally {
      await this.#hot.close().catch(() => undefined);
      await history.close().catch(() => undefined);
      await device.file.close().catch(() => undefined);
      await unlock();
    }
  }

  async #marksMayBeSaved(): Promise<void> {
    const { history, marksNote } = this.#opened;
    if (!this.#warnings.has('marks') || history.epochs.some((epoch) => epoch.map.isUnsaved)) return;
    await marksNote.remove();
    this.#warnings.clear('marks');
  }

  async #changePins(change: () => Promise<void>): Promise<void> {
    await this.#whileOpen(change);
    // What could not be taken off the record now is with the next change.
    if (this.#closing === null && this.#doubts.record.doubts.length > 0)
      await this.#doubts.dispel().catch(() => undefined);
    this.#tidier.kick();
  }

  /** The kernel tells of a failed sync once, then forgets: the doubt is kept until a compare has cleared it. */
  #syncFailed(error: unknown): void {
    const text = 'a sync of the device failed; what was written before it may be lost, compare the copies';
    this.#warnings.set('sync', `${text}: ${messageOf(error)}`);
    // What is hot stays so until the doubt is on disk: it covers all that was written since the last good sync.
    this.#doubts.add({ text, within: this.#hot.ranges() });
    // Until then it is known in this process only, and another place says so should that be killed.
    void this.#opened.syncNote.write();
    void this.#saveDoubts().catch(() => undefined);
  }

  async #saveDoubts(): Promise<void> {
    const { syncNote } = this.#opened;
    await this.#doubts.save(() => {
      this.#warnings.clear('sync');
    });
    if (syncNote.isWritten && !this.#doubts.isUnsaved) await syncNote.remove();
  }

  /** Nobody knows after a power cut what was being written; that is noted wherever it can be. */
  async #hotLogFailed(error: unknown): Promise<void> {
    const text =
      'what is being written cannot be noted, so that a power cut would put the whole volume in doubt';
    this.#warnings.set('hot-log', `${text}: ${messageOf(error)}`);
    await this.#opened.hotNote.write();
  }

  async #mendHotLog(): Promise<void> {
    const { hotGeometry, hotNote } = this.#opened;
    const { files, folder } = this.#options;
    try {
      await this.#hot.mend(async (entries) => {
        const { incarnation } = this.#doubts.record;
        const log = await HotLog.create(files, folder, incarnation, hotGeometry, entries);
        await log.identify((stateIdentity) => this.#doubts.change({ stateIdentity }));
        return log;
      });
      await hotNote.remove();
      this.#warnings.clear('hot-log');
    } catch (error) {
      if (!isFileError(error)) throw error;
      await this.#hotLogFailed(error);
    }
  }

  #whileOpen<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing !== null) {
      return Promise.reject(new VolumeError('closed', `volume ${this.#options.name} is closed`));
    }
    return asVolumeErrors(work);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Turns file errors, of the state folder or of the device, into the layer's own. */
async function asVolumeErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!isFileError(cause)) throw cause;
    throw new VolumeError('io', cause.message, 'check space and health of the disk', { cause });
  }
}
