import { brotliDecompressSync } from 'node:zlib';
import { generateKeyPair } from '../../../protocol/handshake/keys.js';
import { blockIndex, type StateId } from '../../../protocol/units.js';
import { BackupPeer } from '../../../src/appliance/backup-peer.js';
import { BackupSite as BackupPart } from '../../../src/appliance/backup-site.js';
import { Ports } from '../../../src/appliance/ports.js';
import { primarySite } from '../../../src/appliance/primary-site.js';
import { LineLedger } from '../../../src/appliance/line-ledger.js';
import { EventLog } from '../../../src/appliance/event-log.js';
import type { PrimaryPeer } from '../../../src/config/configuration.js';
import { silentLog } from '../../../src/platform/log.js';
import type { ParcelEncoder } from '../../../src/replication/encoder.js';
import { EarlierParcels } from '../../../src/replication/earlier-parcels.js';
import { encode, encodeAgainst, type EncodingQuality } from '../../../src/replication/parcel-encoding.js';
import type { KnownDigests } from '../../../src/replication/known-digests.js';
import { FINISH_FIRST, type PendingPolicy } from '../../../src/replication/pending-policy.js';
import { Replicator } from '../../../src/replication/replicator.js';
import { Spool } from '../../../src/replication/spool.js';
import { nextOf } from '../../../src/replication/travel-pins.js';
import { Store } from '../../../src/store/store.js';
import { NullModem } from '../../../src/transport/null-modem.js';
import type { Dialer, Listener, Transport } from '../../../src/transport/transport.js';
import { CrashFiles, type CrashOptions } from '../../support/crash-files.js';
import { Seeded } from '../../support/seeded.js';
import { BLOCK, ModelVolume, whileAlive } from './model-volume.js';
import { MortalClock, VirtualClock } from '../../support/virtual-clock.js';

export const PRIMARY = 'branch';
export const BACKUP = 'vault';
const BAUD = 115_200;

/** Encodes in the test's own thread, in no time; what it remembers is the process's. */
function inlineEncoder(onAsked: (quality: EncodingQuality) => void): ParcelEncoder {
  const earlierParcels = new EarlierParcels();
  return {
    encode: async (parcel, quality, references, signal) => {
      onAsked(quality);
      await Promise.resolve();
      signal.throwIfAborted();
      if (references === null) return encode(parcel, 4);
      const { id, before, readBase, earlier } = references;
      const encoded = await encodeAgainst(parcel, 4, {
        own: before === null ? null : { content: before.content, present: before.known },
        base:
          readBase === null
            ? null
            : {
                read: async (blocks) => {
                  const { content, known } = await readBase(blocks);
                  return blocks.map((_, i) =>
                    known[i] === 1 ? content.subarray(i * BLOCK, (i + 1) * BLOCK) : null,
                  );
                },
              },
        // Everything is worth a look.
        finder: { find: () => FIRST_BLOCKS },
        earlier: earlierParcels.of(earlier),
      });
      earlierParcels.remember(id, parcel);
      return encoded;
    },
  };
}

const FIRST_BLOCKS = [0, 1, 2].map(blockIndex);

/** A primary and a backup on one cable, each a process that can be killed; volumes and disks outlive them. */
export class TwoSites {
  readonly clock = new VirtualClock();
  readonly modem = new NullModem(this.clock, BAUD);
  /** A second cable, less preferred; used where a test asks for it before the start. */
  readonly spare = new NullModem(this.clock, BAUD);
  hasSpare = false;
  /** What becomes of a set on its way when a newer state is to travel. */
  pending: PendingPolicy = FINISH_FIRST;
  /** Takes a consistent snapshot in the place of one that is given up; null: the replicator seals by itself. For the next start. */
  snapshot: (() => Promise<void>) | null = null;
  /** What the primary has kept of the states that it has written to a disk. */
  readonly seedDigests = new Map<StateId, KnownDigests>();
  /** Of the line that will most likely carry the sets, bytes a second; null: a fast one. For the next start. */
  usualRate: number | null = null;
  /** How hard each parcel was to be pressed, whatever was done. */
  readonly pressed: EncodingQuality[] = [];
  /** Decompressed parcels that the backup's software is too old for. */
  isTooNew: (form: Uint8Array) => boolean = () => false;
  /** The first cable is open and carries nothing. */
  isMute = false;
  readonly keys;
  readonly volumes: readonly ModelVolume[];
  primary: PrimarySite | null = null;
  backup: BackupSite | null = null;
  primaryFiles = new CrashFiles();
  backupFiles = new CrashFiles();
  /** Everything that was told to the operators. */
  readonly told: string[] = [];

  constructor(
    readonly seeded: Seeded,
    volumes: readonly (readonly [string, number])[],
  ) {
    this.keys = {
      primary: generateKeyPair((count) => seeded.bytes(count)),
      backup: generateKeyPair((count) => seeded.bytes(count)),
    };
    this.volumes = volumes.map(([name, blocks]) => new ModelVolume(seeded, name, blocks));
    for (const volume of this.volumes) volume.clock = this.clock;
  }

  /** One volume, with random content in the blocks `written`, and its copy at the same state. */
  static async inStep(seed: number, blocks: number, written: Iterable<number>): Promise<TwoSites> {
    const sites = new TwoSites(new Seeded(seed), [['ledger', blocks]]);
    for (const block of written) sites.volume.write(block, sites.seeded.bytes(BLOCK));
    await sites.startBackup();
    await sites.startPrimary();
    await sites.untilAt(await sites.seal());
    return sites;
  }

  get volume(): ModelVolume {
    return this.volumes[0]!;
  }

  get replicator(): Replicator {
    return this.primary!.replicators.get(this.volume.name)!;
  }

  async startPrimary(): Promise<void> {
    this.primary = await PrimarySite.start(this, this.primaryFiles);
  }

  async startBackup(): Promise<void> {
    this.backup = await BackupSite.start(this, this.backupFiles);
  }

  /** The process is gone; what it did to its disk stays. */
  killPrimary(options: CrashOptions = {}): void {
    this.primary?.kill();
    this.primary = null;
    this.primaryFiles = this.primaryFiles.killed(options);
  }

  killBackup(options: CrashOptions = {}): void {
    this.backup?.kill();
    this.backup = null;
    this.backupFiles = this.backupFiles.killed(options);
  }

  /** The backup's machine has lost its power; what was not synced may be gone. */
  cutBackupPower(): void {
    this.backup?.kill();
    this.backup = null;
    this.backupFiles = this.backupFiles.powerCut(this.seeded.word());
  }

  /** Seals a state of a volume and has it sent. */
  async seal(volume = this.volume): Promise<StateId> {
    const { id } = await volume.seal({ grade: 'crash', pinAs: [nextOf(BACKUP)] });
    void this.primary?.replicators.get(volume.name)?.wake();
    return id;
  }

  copyOf(volume = this.volume): StateId | null {
    const status = this.backup?.store.volumes().find((each) => each.volume === volume.name);
    return status?.state?.id ?? null;
  }

  async untilAt(state: StateId, volume = this.volume, limitMs?: number): Promise<void> {
    const arrived = (): boolean => {
      const replicator = this.primary?.replicators.get(volume.name);
      return (
        this.copyOf(volume) === state &&
        replicator?.view.transfer === null &&
        replicator.view.base?.id === state
      );
    };
    await this.clock.until(`${volume.name} is at ${state}`, arrived, limitMs);
  }

  /** How often the operators were told something of the kind. */
  timesTold(what: RegExp): number {
    return this.told.filter((text) => what.test(text)).length;
  }

  /** Some time, in which the line may be cut, and either side killed at any action on its files; then all is well again. */
  async disturb(random: Seeded): Promise<void> {
    await this.clock.pass(random.below(random.pick([100, 1500, 8000])));
    if (random.chance(0.3)) this.modem.cut();
    if (random.chance(0.4)) this.killPrimary({ crashAt: random.below(30) });
    if (random.chance(0.3)) this.killBackup({ crashAt: random.below(40) });
    await this.clock.pass(
      random.below(3000),
      () => this.primaryFiles.hasCrashed || this.backupFiles.hasCrashed,
    );
    this.modem.restore();
    await this.revive();
  }

  /** Starts what was killed or has stopped. */
  async revive(): Promise<void> {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        if (this.primaryFiles.hasCrashed) this.killPrimary();
        if (this.backupFiles.hasCrashed) this.killBackup();
        if (this.primary === null) await this.startPrimary();
        if (this.backup === null) await this.startBackup();
        return;
      } catch (error) {
        // It was to stop again while it was starting.
        if (!this.primaryFiles.hasCrashed && !this.backupFiles.hasCrashed) throw error;
      }
    }
  }

  /** Every state that the backup offers is, byte for byte, what the volume was. Returns how many there are. */
  async expectPointsExact(volume = this.volume): Promise<number> {
    const store = await this.backup!.store.volume(PRIMARY, volume.name);
    for (const { state } of store.points()) {
      const reader = await store.openState(state.id);
      const found = new Uint8Array(state.size);
      await reader.read(found, 0);
      await reader.close();
      if (Buffer.compare(found, volume.history.get(state.id)!) !== 0) {
        throw new Error(`${volume.name}: state ${state.ordinal} reads wrong`);
      }
    }
    return store.points().length;
  }

  async close(): Promise<void> {
    const closing = { done: false };
    const all = Promise.all([this.primary?.close(), this.backup?.close()]).then(() => (closing.done = true));
    await this.clock.until('both have stopped', () => closing.done, 60_000);
    await all;
  }
}

export class PrimarySite {
  readonly #mortal: Mortal;
  readonly replicators: ReadonlyMap<string, Replicator>;
  readonly peer: BackupPeer;
  readonly events: EventLog;

  static async start(sites: TwoSites, files: CrashFiles): Promise<PrimarySite> {
    const mortal = new Mortal(sites.clock, files);
    const { seeded, volumes, keys } = sites;
    const { clock } = mortal;
    const events = new EventLog(clock, silentLog);
    const replicators = new Map<string, Replicator>();
    const encoder = inlineEncoder((quality) => sites.pressed.push(quality));
    const ledger = new LineLedger();
    for (const volume of volumes) {
      const replicator = new Replicator({
        volumeName: volume.name,
        volumeId: volume.id,
        blockSize: 4096,
        volume: whileAlive(volume, () => mortal.isAlive),
        backup: BACKUP,
        spool: await Spool.open(`/spool/${volume.name}`, files, seeded),
        encoder,
        clock,
        random: seeded,
        log: silentLog,
        pending: sites.pending,
        usualRate: () => sites.usualRate ?? undefined,
        ledger,
        seedDigests: (state) => Promise.resolve(sites.seedDigests.get(state) ?? null),
        ...(sites.snapshot !== null && { snapshot: sites.snapshot }),
        onEvent: (level, text) => {
          if (mortal.isAlive) sites.told.push(`${level}: ${text}`);
          events.add(level, text);
        },
      });
      replicators.set(volume.name, replicator);
    }
    const peers: BackupPeer[] = [];
    const site = primarySite({ name: PRIMARY, keys: keys.primary, clock, random: seeded, peers });
    const peer = new BackupPeer({
      name: BACKUP,
      publicKey: keys.backup.publicKey,
      links: [
        mutable(sites, sites.modem.dialer),
        ...(sites.hasSpare ? [{ ...sites.spare.dialer, name: 'spare cable' }] : []),
      ].map((dialer) => ({
        dialer: mortal.dialer(dialer),
        onDemand: false,
        window: null,
        budget: null,
        costPerMinute: null,
        floor: null,
      })),
      replicators,
      ledger,
      site,
      clock,
      log: silentLog,
      events,
    });
    peers.push(peer);
    for (const replicator of replicators.values()) await replicator.start();
    peer.start();
    return new PrimarySite(mortal, replicators, peer, events);
  }

  private constructor(
    mortal: Mortal,
    replicators: ReadonlyMap<string, Replicator>,
    peer: BackupPeer,
    events: EventLog,
  ) {
    this.#mortal = mortal;
    this.replicators = replicators;
    this.peer = peer;
    this.events = events;
  }

  kill(): void {
    this.#mortal.kill();
  }

  async close(): Promise<void> {
    await this.peer.close();
    for (const replicator of this.replicators.values()) await replicator.close();
  }
}

export class BackupSite {
  readonly #mortal: Mortal;

  static async start(sites: TwoSites, files: CrashFiles): Promise<BackupSite> {
    const mortal = new Mortal(sites.clock, files);
    const { seeded, keys } = sites;
    const { clock } = mortal;
    const events = new EventLog(clock, silentLog);
    const decompressor = {
      decompress: async (bytes: Uint8Array, limit: number): Promise<Uint8Array> => {
        await Promise.resolve();
        const form = brotliDecompressSync(bytes, { maxOutputLength: limit });
        if (sites.isTooNew(form)) throw new Error('from a later version');
        return form;
      },
    };
    const store = await Store.open({ folder: '/store', files, clock, random: seeded, decompressor });
    const primary: PrimaryPeer = {
      name: PRIMARY,
      publicKey: keys.primary.publicKey,
      keep: null,
      drill: null,
      scrub: null,
      silentAfterMs: null,
      poll: null,
    };
    const site = new BackupPart({
      name: BACKUP,
      primaries: () => [primary],
      keys: keys.backup,
      store,
      events,
      clock,
      random: seeded,
      log: silentLog,
    });
    const ports = new Ports(site, events);
    ports.listen(mortal.listener(sites.modem.listener));
    if (sites.hasSpare) ports.listen(mortal.listener(sites.spare.listener));
    return new BackupSite(mortal, store, site, ports, events);
  }

  private constructor(
    mortal: Mortal,
    readonly store: Store,
    readonly site: BackupPart,
    readonly ports: Ports,
    readonly events: EventLog,
  ) {
    this.#mortal = mortal;
  }

  kill(): void {
    this.#mortal.kill();
  }

  async close(): Promise<void> {
    await this.ports.close();
    await this.site.settled();
    await this.store.close();
  }
}

/** A cable on which nothing is heard while the test says so. */
function mutable(sites: TwoSites, dialer: Dialer): Dialer {
  return {
    ...dialer,
    dial: async (signal) => {
      const transport = await dialer.dial(signal);
      const attach = transport.attach.bind(transport);
      const send = transport.send.bind(transport);
      transport.attach = (handler) =>
        attach({
          onFrame: (frame) => {
            if (!sites.isMute) handler.onFrame(frame);
          },
          onReady: () => handler.onReady(),
          onClosed: (error) => handler.onClosed(error),
        });
      transport.send = (frame) => {
        if (!sites.isMute) send(frame);
      };
      return transport;
    },
  };
}

/** The thread of life of one process: its time and its lines end together, without a word. */
class Mortal {
  readonly clock: MortalClock;
  readonly #ports = new AbortController();
  readonly #files: CrashFiles;
  #isKilled = false;

  constructor(clock: VirtualClock, files: CrashFiles) {
    this.#files = files;
    this.clock = new MortalClock(clock, () => this.isAlive);
  }

  get isAlive(): boolean {
    return !this.#isKilled && !this.#files.hasCrashed;
  }

  kill(): void {
    this.#isKilled = true;
    this.clock.kill();
    this.#ports.abort();
  }

  dialer(dialer: Dialer): Dialer {
    return {
      name: dialer.name,
      type: dialer.type,
      dial: async (signal) => {
        if (!this.isAlive) return new Promise(() => undefined);
        return this.#mortal(await dialer.dial(signal));
      },
    };
  }

  listener(listener: Listener): Listener {
    return {
      name: listener.name,
      type: listener.type,
      listen: (onCall, report, signal) =>
        listener.listen(
          (transport) => onCall(this.#mortal(transport)),
          report,
          AbortSignal.any([signal, this.#ports.signal]),
        ),
    };
  }

  #mortal(transport: Transport): Transport {
    const isAlive = (): boolean => this.isAlive;
    return {
      name: transport.name,
      type: transport.type,
      bytesPerSecond: transport.bytesPerSecond,
      get bytesSent() {
        return transport.bytesSent;
      },
      get bytesReceived() {
        return transport.bytesReceived;
      },
      get ready() {
        return isAlive() && transport.ready;
      },
      attach: (handler) => {
        transport.attach({
          onFrame: (frame) => {
            if (this.isAlive) handler.onFrame(frame);
          },
          onReady: () => {
            if (this.isAlive) handler.onReady();
          },
          onClosed: (error) => {
            if (this.isAlive) handler.onClosed(error);
          },
        });
      },
      send: (frame) => {
        if (this.isAlive) transport.send(frame);
      },
      abandon: () => {
        if (this.isAlive) transport.abandon();
      },
      close: () => (this.isAlive ? transport.close() : new Promise(() => undefined)),
    };
  }
}
