import { join } from 'node:path';
import type { BackupPeer as BackupConfiguration, PrimaryConfiguration } from '../config/configuration.js';
import type { Encoder } from '../replication/encoder.js';
import { FINISH_FIRST } from '../replication/pending-policy.js';
import { Replicator } from '../replication/replicator.js';
import { Spool } from '../replication/spool.js';
import { nextOf } from '../replication/travel-pins.js';
import type { SeedNotes } from '../seed/seed-notes.js';
import type { ApplianceOptions } from './appliance.js';
import { BackupPeer } from './backup-peer.js';
import type { CallRecord } from './call-budget.js';
import type { EventLog } from './event-log.js';
import { usualRate } from './usual-rate.js';
import { LineLedger } from './line-ledger.js';
import type { PauseNote } from './pause-note.js';
import { peerLink } from './peer-link.js';
import type { PortRegistry } from './port-registry.js';
import type { ProtectedVolume } from './protected-volumes.js';
import { sealForCaller } from './seal-for-caller.js';
import type { Site } from './site.js';
import { takeStates } from './volume-snapshots.js';

export interface PrimaryPeersOptions extends ApplianceOptions {
  /** The list that is kept up to date; `site` and the operator's control read it. */
  readonly peers: BackupPeer[];
  readonly volumes: readonly ProtectedVolume[];
  readonly site: Site;
  readonly registry: PortRegistry;
  readonly calls: CallRecord;
  readonly encoder: Encoder;
  readonly pauses: PauseNote;
  /** What confirms the first copies that travel on a disk. */
  readonly notes: SeedNotes;
  readonly events: EventLog;
}

/** The backups of a primary and what replicates to them: begun and ended as a whole. */
export class PrimaryPeers {
  readonly #options: PrimaryPeersOptions;

  constructor(options: PrimaryPeersOptions) {
    this.#options = options;
  }

  async start(configuration: PrimaryConfiguration): Promise<void> {
    const { peers, pauses } = this.#options;
    for (const backup of configuration.backups) peers.push(await this.#make(backup, configuration));
    await this.#releaseStrangers(configuration);
    for (const peer of peers) {
      for (const [volume, replicator] of peer.replicators) {
        if (pauses.has(volume)) await replicator.pause();
        await replicator.start();
      }
      peer.start();
    }
  }

  /** Ends all calls. What travels goes on where it was when it is started again. */
  async close(): Promise<void> {
    const peers = this.#options.peers.splice(0);
    for (const peer of [...peers].reverse()) await peer.close();
    for (const { replicators } of peers) {
      await Promise.all([...replicators.values()].map((replicator) => replicator.close()));
    }
  }

  async #make(backup: BackupConfiguration, configuration: PrimaryConfiguration): Promise<BackupPeer> {
    const { volumes, site, registry, calls, events, clock, log } = this.#options;
    const { name, publicKey, links } = backup;
    const replicators = new Map<string, Replicator>();
    const ledger = new LineLedger();
    for (const volume of volumes) {
      replicators.set(volume.name, await this.#replicator(backup, volume, configuration, ledger));
    }
    return new BackupPeer({
      name,
      publicKey,
      links: links.map((link) => peerLink(name, link, registry, calls)),
      replicators,
      ledger,
      site,
      clock,
      log: log.child({ backup: name }),
      events,
      onCalled: () => sealForCaller(name, volumes, replicators),
    });
  }

  async #replicator(
    { name: backup, links }: BackupConfiguration,
    volume: ProtectedVolume,
    { state, volumes, listen }: PrimaryConfiguration,
    ledger: LineLedger,
  ): Promise<Replicator> {
    const folder = join(state, 'spool', backup, volume.name);
    const policy = volumes.find(({ name }) => name === volume.name);
    const { encoder, notes, events, files, random, clock, log } = this.#options;
    return new Replicator({
      volumeName: volume.name,
      volumeId: volume.id,
      blockSize: volume.blockSize,
      volume: volume.service,
      backup,
      spool: await Spool.open(folder, files, random),
      encoder,
      usualRate: () => usualRate(links[0] ?? listen[0]),
      index: () => volume.index.shared,
      ledger,
      clock,
      random,
      log,
      snapshot: (signal) => this.#snapshot(volume.name, backup, signal),
      seedDigests: (seed) => notes.read(backup, volume.name, seed),
      onEvent: (level, text) => events.add(level, text),
      pending: policy ?? FINISH_FIRST,
    });
  }

  /** A consistent snapshot of a volume, and of those that are sealed with it, for one backup. */
  async #snapshot(name: string, backup: string, signal: AbortSignal): Promise<void> {
    const { volumes, peers } = this.#options;
    const volume = volumes.find((each) => each.name === name);
    if (volume === undefined) return;
    await takeStates(volume, { pinAs: [nextOf(backup)], signal });
    const replicators = peers.find((peer) => peer.name === backup)?.replicators;
    for (const other of volume.together) if (other !== name) void replicators?.get(other)?.wake();
  }

  /** What a backup needs is kept for those in the configuration alone: a pin of another would keep it for ever. */
  async #releaseStrangers({ backups }: PrimaryConfiguration): Promise<void> {
    const known = new Set(backups.map((backup) => backup.name));
    for (const { name, service } of this.#options.volumes) {
      const { pins } = await service.describe();
      for (const owner of Object.keys(pins)) {
        const backup = owner.slice(owner.indexOf(':') + 1);
        if (known.has(backup)) continue;
        this.#options.events.add(
          'warning',
          `${name}: nothing is kept any more for ${backup}, which is not in the configuration`,
        );
        await service.unpin(owner);
      }
    }
  }
}
