import { KEY_BYTES } from '../../protocol/compare/digest.js';
import type { StateInfo } from '../../protocol/state.js';
import type {
  OperationOptions,
  SeedDropResult,
  SeedExportRequest,
  SeedExportResult,
  SeedRequest,
} from '../control/appliance-control.js';
import { baseOwner, seedingOwner, seedOwner } from '../engine/pin-owner.js';
import type { Clock } from '../platform/clock.js';
import type { Files } from '../platform/files.js';
import type { Random } from '../platform/random.js';
import type { ParcelEncoder } from '../replication/encoder.js';
import type { SeedNotes } from '../seed/seed-notes.js';
import { checkPlace } from '../seed/seed-place.js';
import { writeSeed, type WrittenSeed } from '../seed/write-seed.js';
import { SOFTWARE } from './appliance.js';
import type { BackupPeer } from './backup-peer.js';
import { ApplianceError } from './errors.js';
import type { EventLog } from './event-log.js';
import { peerNamed, volumeNamed } from './named-parts.js';
import type { ProtectedVolume } from './protected-volumes.js';
import { summarizeState } from './status.js';
import { takeStates, waitingProgress } from './volume-snapshots.js';

export interface PrimarySeedsOptions {
  /** This primary. */
  readonly name: string;
  readonly publicKey: Uint8Array;
  /** Where it keeps its own files. */
  readonly state: string;
  readonly volumes: readonly ProtectedVolume[];
  readonly peers: readonly BackupPeer[];
  readonly notes: SeedNotes;
  readonly encoder: ParcelEncoder;
  readonly events: EventLog;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * First copies that travel on a disk, on the primary. The order: the state is sealed under `seeding:<backup>`, which needs
 * all of it; it is written and synced under another name; its digests are kept; it is pinned as `seed:<backup>`, which needs
 * no more than what has changed since; the file gets its name; `seeding:` is let go. So a file that can be carried away
 * has its pin, however this is stopped.
 */
export class PrimarySeeds {
  readonly #options: PrimarySeedsOptions;
  readonly #closing = new AbortController();
  readonly #underWay = new Map<string, Promise<unknown>>();

  constructor(options: PrimarySeedsOptions) {
    this.#options = options;
  }

  async export(request: SeedExportRequest, options: OperationOptions): Promise<SeedExportResult> {
    const { volumes, peers, state: own, clock } = this.#options;
    const volume = volumeNamed(volumes, request.volume);
    const peer = peerNamed(peers, request.backup, '--backup');
    const key = `${peer.name} ${volume.name}`;
    if (this.#underWay.has(key)) {
      throw new ApplianceError('busy', `a seed of ${volume.name} for ${peer.name} is being written already`);
    }
    const started = clock.now();
    const signal = AbortSignal.any([options.signal, this.#closing.signal]);
    const run = (async () => {
      await checkPlace({ path: request.to, force: request.force, ownFolders: [own], volumes });
      await refuseSecond(volume, peer);
      return this.#export(volume, peer, request.to, { ...options, signal });
    })();
    const settled = run.then(
      () => undefined,
      () => undefined,
    );
    this.#underWay.set(key, settled);
    try {
      const { state, blocks, bytes } = await run;
      const { id, time, grade } = summarizeState(state);
      return {
        ...{ volume: volume.name, backup: peer.name, to: request.to },
        ...{ state: id, time, grade, sizeBytes: state.size, blocks, bytes },
        seconds: Math.round(clock.now() - started) / 1000,
      };
    } finally {
      this.#underWay.delete(key);
    }
  }

  /** Gives a seed up that is on its way. */
  async drop(request: SeedRequest): Promise<SeedDropResult> {
    const { volumes, peers, notes, events } = this.#options;
    const volume = volumeNamed(volumes, request.volume);
    const peer = peerNamed(peers, request.backup, '--backup');
    const { pins } = await volume.service.describe();
    const state = pins[seedOwner(peer.name)];
    if (state === undefined) {
      throw new ApplianceError('refused', `no seed of ${volume.name} is on its way to ${peer.name}`);
    }
    await volume.service.unpin(seedOwner(peer.name));
    await notes.forget(peer.name, volume.name);
    events.add('info', `${volume.name}: the seed for ${peer.name} is given up (state ${state.slice(0, 8)})`);
    await peer.replicators.get(volume.name)?.wake();
    return { volume: volume.name, backup: peer.name, state };
  }

  /** Stops what is being written, and waits until nothing of it is left. */
  async close(): Promise<void> {
    this.#closing.abort(new ApplianceError('stopped', 'the appliance is stopping'));
    await Promise.all(this.#underWay.values());
  }

  async #export(
    volume: ProtectedVolume,
    peer: BackupPeer,
    path: string,
    { signal, progress }: OperationOptions,
  ): Promise<WrittenSeed & { readonly state: StateInfo }> {
    const { service } = volume;
    const seeding = seedingOwner(peer.name);
    const states = await takeStates(volume, {
      pinAs: [seeding],
      signal,
      onWaiting: waitingProgress(progress),
    });
    try {
      await this.#release(
        volume.together.filter((name) => name !== volume.name),
        seeding,
      );
      const state = states[volume.name];
      if (state === undefined) throw new Error(`nothing was sealed of ${volume.name}`);
      const written = await this.#write(volume, peer, path, state, { signal, progress });
      const { id } = summarizeState(state);
      this.#options.events.add(
        'info',
        `${volume.name}: the first copy for ${peer.name} is written to ${path} (state ${id.slice(0, 8)})`,
      );
      return { ...written, state };
    } finally {
      // What cannot be let go now is at the next start.
      await service.unpin(seeding).catch(() => undefined);
      await peer.replicators.get(volume.name)?.wake();
    }
  }

  async #write(
    { name, service, id: volumeId, blockSize }: ProtectedVolume,
    peer: BackupPeer,
    path: string,
    state: StateInfo,
    { signal, progress }: OperationOptions,
  ): Promise<WrittenSeed> {
    const { name: primary, publicKey, notes, encoder, files, random } = this.#options;
    const key = random.bytes(KEY_BYTES);
    const seen = { isPinned: false };
    try {
      return await writeSeed({
        ...{ service, encoder, files, path, key, signal },
        head: { primary, publicKey, volume: name, volumeId, blockSize, state, software: SOFTWARE },
        progress: (done, total) => progress({ phase: 'writing', done, total, unit: 'bytes' }),
        beforeNamed: async (kept) => {
          seen.isPinned = true;
          const blocks = state.size / blockSize;
          await notes.keep(peer.name, name, state.id, { key, blockSize, blocks, kept });
          await service.pin(seedOwner(peer.name), state.id);
        },
      });
    } catch (error) {
      if (seen.isPinned) {
        await service.unpin(seedOwner(peer.name)).catch(() => undefined);
        await notes.forget(peer.name, name).catch(() => undefined);
      }
      throw error;
    }
  }

  async #release(names: readonly string[], owner: string): Promise<void> {
    for (const name of names) await volumeNamed(this.#options.volumes, name).service.unpin(owner);
  }
}

/** Lets go what an earlier run was writing when it ended. */
export async function releaseSeeding(volumes: readonly ProtectedVolume[]): Promise<void> {
  for (const { service } of volumes) {
    const { pins } = await service.describe();
    const seeding = Object.keys(pins).filter((owner) => owner.startsWith(seedingOwner('')));
    for (const owner of seeding) await service.unpin(owner);
  }
}

/** Only of one state at a time the changes since are kept for a disk. */
async function refuseSecond({ name, service }: ProtectedVolume, peer: BackupPeer): Promise<void> {
  const { pins } = await service.describe();
  const seed = pins[seedOwner(peer.name)];
  if (seed === undefined || seed === pins[baseOwner(peer.name)]) return;
  throw new ApplianceError(
    'refused',
    `a seed of ${name} is on its way to ${peer.name} already (state ${seed.slice(0, 8)})`,
    `import it there, or give it up with \`farcopy seed drop ${name}\``,
  );
}
