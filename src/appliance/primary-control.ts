import type { StateInfo } from '../../protocol/state.js';
import type {
  ApplianceControl,
  CompareRequest,
  CompareResult,
  OperationOptions,
  PausedVolumes,
  PointSummary,
  DrillResult,
  PruneResult,
  RestoreResult,
  SeedDropResult,
  SeedExportRequest,
  SeedExportResult,
  SeedImportResult,
  SeedRequest,
  ScrubResult,
  SnapshotResult,
  SyncRequest,
  SyncResult,
} from '../control/appliance-control.js';
import type { TransferOutcome } from '../replication/outcomes.js';
import type { Replicator } from '../replication/replicator.js';
import { nextOf } from '../replication/travel-pins.js';
import type { BackupPeer } from './backup-peer.js';
import type { PauseNote } from './pause-note.js';
import { ApplianceError } from './errors.js';
import { subtract } from './link-meter.js';
import { peerNamed, volumeNamed } from './named-parts.js';
import type { PrimarySeeds } from './primary-seeds.js';
import { isPaused, PrimaryStatus, type PrimaryStatusOptions } from './primary-status.js';
import { summarizeState, type ApplianceStatus } from './status.js';
import type { ProtectedVolume } from './protected-volumes.js';
import { unknownLink } from './unknown-link.js';
import {
  statesOf,
  takeStates,
  untilHopeless,
  waitingProgress,
  type SealedStates,
} from './volume-snapshots.js';
import { reportComparing, reportProgress, timedOut, UNREACHABLE_AFTER_MS, unreachable } from './waiting.js';

export interface PrimaryControlOptions extends PrimaryStatusOptions {
  readonly pauses: PauseNote;
  readonly seeds: PrimarySeeds;
}

/** What an operator may ask of a primary. */
export class PrimaryControl implements ApplianceControl {
  readonly #options: PrimaryControlOptions;
  readonly #status: PrimaryStatus;

  constructor(options: PrimaryControlOptions) {
    this.#options = options;
    this.#status = new PrimaryStatus(options);
  }

  close(): void {
    this.#status.close();
  }

  status(): Promise<ApplianceStatus> {
    return this.#status.tell();
  }

  async sync(request: SyncRequest, { signal, progress }: OperationOptions): Promise<SyncResult> {
    const { clock } = this.#options;
    const { volume, peer, replicator } = this.#sendable(request);
    peer.release();
    const started = clock.now();
    const before = peer.totals;
    const states = await this.#consistentStates(volume, peer, request.timeoutMs, { signal, progress });
    const state = states[volume.name];
    if (state === undefined) throw new Error(`nothing was sealed of ${volume.name}`);
    const over = new AbortController();
    const ended = AbortSignal.any([signal, over.signal, peer.dismissed]);
    try {
      const outcome = this.#arrivals(volume, states, peer, ended);
      outcome.catch(() => undefined);
      const result = await Promise.race([
        outcome,
        unreachable(
          peer,
          clock,
          `state ${state.id.slice(0, 8)} is kept, and sent as soon as ${peer.name} answers`,
          ended,
        ),
        timedOut(clock, request.timeoutMs, state, ended),
        reportProgress(clock, replicator, progress, ended),
      ]);
      const cost = subtract(peer.totals, before);
      return {
        ...appliedState(result),
        bytesSent: cost.bytesSent,
        bytesReceived: cost.bytesReceived,
        bytesRepeated: Math.max(0, cost.bytesRepeated),
        seconds: Math.round(clock.now() - started) / 1000,
      };
    } finally {
      over.abort(new ApplianceError('stopped', 'the sync is over'));
    }
  }

  async compare(request: CompareRequest, options: OperationOptions): Promise<CompareResult> {
    const { clock } = this.#options;
    const { peer, replicator } = this.#sendable(request);
    peer.release();
    const started = clock.now();
    const before = peer.totals;
    // A modem is dialled for it.
    const release = peer.demand();
    const over = new AbortController();
    const ended = AbortSignal.any([options.signal, over.signal, peer.dismissed]);
    try {
      const found = await Promise.race([
        replicator.compare(ended),
        unreachable(peer, clock, 'compare again when it answers', ended),
        reportComparing(clock, replicator, options.progress, ended),
      ]);
      if (found.kind === 'refused') throw new ApplianceError('refused', found.text, found.hint);
      if (found.blocks > 0) await this.sync(request, options);
      const cost = subtract(peer.totals, before);
      return {
        equal: found.blocks === 0,
        differing: found.blocks,
        bytesSent: cost.bytesSent,
        bytesReceived: cost.bytesReceived,
        seconds: Math.round(clock.now() - started) / 1000,
      };
    } finally {
      release();
      over.abort(new ApplianceError('stopped', 'the compare is over'));
    }
  }

  async snapshot(request: { readonly volume: string; readonly note?: string }): Promise<SnapshotResult> {
    const { peers } = this.#options;
    const volume = volumeNamed(this.#options.volumes, request.volume);
    const attempt = await volume.target.sealIf(
      {
        grade: 'application',
        pinAs: peers.map((peer) => nextOf(peer.name)),
        ...(request.note !== undefined && { note: request.note }),
      },
      {},
    );
    if (attempt.kind !== 'sealed') throw new Error('a seal without a condition was refused');
    for (const peer of peers) {
      for (const name of volume.together) void peer.replicators.get(name)?.wake();
    }
    return summarizeStateOf(statesOf(volume.name, attempt)[volume.name] ?? attempt.state);
  }

  async pause({ volume }: { readonly volume?: string }): Promise<PausedVolumes> {
    await Promise.all(this.#replicatorsOf(volume).map((replicator) => replicator.pause()));
    await this.#options.pauses.keep(this.#paused().paused);
    this.#options.events.add('info', `transfers are paused: ${volume ?? 'all volumes'}`);
    return this.#paused();
  }

  async resume({ volume }: { readonly volume?: string }): Promise<PausedVolumes> {
    await Promise.all(this.#replicatorsOf(volume).map((replicator) => replicator.resume()));
    await this.#options.pauses.keep(this.#paused().paused);
    for (const peer of this.#options.peers) peer.release();
    this.#options.events.add('info', `transfers go on: ${volume ?? 'all volumes'}`);
    return this.#paused();
  }

  async hangUp({ link }: { readonly link?: string }): Promise<void> {
    const { peers, ports, events } = this.#options;
    const called = peers.filter((peer) => peer.hangUp(link)).length;
    const ended = ports.hangUp(link);
    if (called + ended === 0 && link !== undefined) throw unknownLink(link, (await this.status()).links);
    events.add('info', `hung up by the operator: ${link ?? 'all links'}`);
  }

  seedExport(request: SeedExportRequest, options: OperationOptions): Promise<SeedExportResult> {
    return this.#options.seeds.export(request, options);
  }

  seedDrop(request: SeedRequest): Promise<SeedDropResult> {
    return this.#options.seeds.drop(request);
  }

  seedImport(): Promise<SeedImportResult> {
    return Promise.reject(backupOnly('copies that a seed could begin'));
  }

  points(): Promise<readonly PointSummary[]> {
    return Promise.reject(backupOnly('restore points'));
  }

  restore(): Promise<RestoreResult> {
    return Promise.reject(backupOnly('the restore points to restore from'));
  }

  export(): Promise<void> {
    return Promise.reject(backupOnly('the restore points to export'));
  }

  drill(): Promise<DrillResult> {
    return Promise.reject(backupOnly('the restore points to drill'));
  }

  scrub(): Promise<ScrubResult> {
    return Promise.reject(backupOnly('the copies to scrub'));
  }

  prune(): Promise<PruneResult> {
    return Promise.reject(backupOnly('the restore points to prune'));
  }

  /**
   * The outcome of a volume's state, once those that were sealed with it have come to theirs; of one that was not
   * applied, if there is such. What is paused is not waited for.
   */
  async #arrivals(
    volume: ProtectedVolume,
    states: SealedStates,
    peer: BackupPeer,
    signal: AbortSignal,
  ): Promise<TransferOutcome> {
    const outcomes = await Promise.all(
      Object.entries(states).map(async ([name, state]) => {
        const replicator = peer.replicators.get(name);
        if (replicator === undefined || (replicator.isPaused && name !== volume.name)) return [];
        const outcome = replicator.outcome(state, signal);
        outcome.catch(() => undefined);
        await replicator.wake();
        return [{ name, outcome: await outcome }];
      }),
    );
    const all = outcomes.flat();
    const failed = all.find(({ outcome }) => outcome.kind !== 'applied');
    const own = failed ?? all.find(({ name }) => name === volume.name);
    if (own === undefined) throw new ApplianceError('failed', `${volume.name} is not sent to ${peer.name}`);
    return own.outcome;
  }

  async #consistentStates(
    volume: ProtectedVolume,
    peer: BackupPeer,
    timeoutMs: number | undefined,
    { signal, progress }: OperationOptions,
  ): Promise<SealedStates> {
    const { clock } = this.#options;
    const giveUp = new AbortController();
    const ended = AbortSignal.any([signal, giveUp.signal, peer.dismissed]);
    const patience = { peer, clock, timeoutMs, unreachableAfterMs: UNREACHABLE_AFTER_MS };
    untilHopeless(patience, giveUp, ended).catch(() => undefined);
    try {
      return await takeStates(volume, {
        pinAs: [nextOf(peer.name)],
        signal: ended,
        onWaiting: waitingProgress(progress),
      });
    } finally {
      giveUp.abort(new ApplianceError('stopped', 'the snapshot is taken'));
    }
  }

  #replicatorsOf(volume: string | undefined): readonly Replicator[] {
    const names = volume === undefined ? null : [volumeNamed(this.#options.volumes, volume).name];
    return this.#options.peers.flatMap(({ replicators }) =>
      [...replicators].flatMap(([name, replicator]) => ((names?.includes(name) ?? true) ? [replicator] : [])),
    );
  }

  #paused(): PausedVolumes {
    const { volumes, peers } = this.#options;
    return { paused: volumes.map(({ name }) => name).filter((name) => isPaused(peers, name)) };
  }

  /** A volume, a backup, and what brings the one to the other, which must not be paused. */
  #sendable(request: { readonly volume: string; readonly to?: string }): {
    readonly volume: ProtectedVolume;
    readonly peer: BackupPeer;
    readonly replicator: Replicator;
  } {
    const volume = volumeNamed(this.#options.volumes, request.volume);
    const peer = peerNamed(this.#options.peers, request.to, '--to');
    const replicator = peer.replicators.get(volume.name);
    if (replicator === undefined)
      throw new ApplianceError('failed', `${volume.name} is not sent to ${peer.name}`);
    if (replicator.isPaused) {
      const hint = `\`farcopy resume ${volume.name}\` lets it go on`;
      throw new ApplianceError('refused', `the transfers of ${volume.name} are paused`, hint);
    }
    return { volume, peer, replicator };
  }
}

const summarizeStateOf = (state: StateInfo): SnapshotResult => {
  const { id, grade, time } = summarizeState(state);
  return { state: id, grade, time };
};

const backupOnly = (what: string): ApplianceError =>
  new ApplianceError(
    'wrong-role',
    `a primary does not keep ${what}`,
    'ask the backup: --config with its configuration',
  );

function appliedState(outcome: TransferOutcome): Pick<SyncResult, 'state' | 'grade' | 'blocks'> {
  if (outcome.kind === 'applied') {
    return { state: outcome.state.id, grade: outcome.state.grade, blocks: outcome.blocks };
  }
  throw new ApplianceError('refused', outcome.text, outcome.hint);
}
