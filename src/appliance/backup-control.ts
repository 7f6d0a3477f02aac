import type {
  ApplianceControl,
  CompareResult,
  DrillRequest,
  DrillResult,
  ExportOptions,
  ExportRequest,
  OperationOptions,
  PausedVolumes,
  PointSummary,
  PruneRequest,
  PruneResult,
  RestoreRequest,
  RestoreResult,
  SeedDropResult,
  SeedExportResult,
  SeedImportRequest,
  SeedImportResult,
  ScrubRequest,
  ScrubResult,
  SnapshotResult,
  SyncResult,
} from '../control/appliance-control.js';
import type { Store } from '../store/store.js';
import type { Distrust, RestorePoint, VolumeStoreStatus } from '../store/volume-store.js';
import { distrustText, type BackupSite } from './backup-site.js';
import { ApplianceError } from './errors.js';
import type { ScrubRecord, ScrubRecords } from '../control/scrub-records.js';
import { lostText, suspectText } from './scrub-text.js';
import { unknownLink } from './unknown-link.js';
import type { EventLog } from './event-log.js';
import type { Ports } from './ports.js';
import type { PrimaryPolls } from './primary-polls.js';
import type { SilenceWatch } from './silence-watch.js';
import { scheduleStatus } from './scheduled-runs.js';
import type { StoredPoints } from '../control/stored-points.js';
import {
  summarizeState,
  type ApplianceStatus,
  type PeerStatus,
  type SetStatus,
  type TransferStatus,
  type VolumeStatus,
} from './status.js';

export interface BackupControlOptions {
  readonly name: string;
  readonly store: Store;
  readonly points: StoredPoints;
  readonly seeds: Pick<ApplianceControl, 'seedImport'>;
  readonly scrubs: ScrubRecords;
  readonly site: BackupSite;
  readonly ports: Ports;
  readonly polls: () => PrimaryPolls;
  readonly silence: SilenceWatch;
  readonly events: EventLog;
}

/** What an operator may ask of a backup. */
export class BackupControl implements ApplianceControl {
  readonly #options: BackupControlOptions;
  readonly #points: StoredPoints;

  constructor(options: BackupControlOptions) {
    this.#options = options;
    this.#points = options.points;
  }

  async status(): Promise<ApplianceStatus> {
    const { name, store, site, ports, polls, events } = this.#options;
    return {
      schema: 1,
      role: 'backup',
      name,
      links: [...ports.meters, ...polls().meters].map((meter) => meter.status),
      volumes: await Promise.all(store.volumes().map((status) => this.#volumeStatus(status))),
      peers: site.primaries.map((primary) => this.#peerStatus(primary.name)),
      events: [...events.events],
    };
  }

  pause(): Promise<PausedVolumes> {
    return Promise.reject(primaryOnly('pause'));
  }

  resume(): Promise<PausedVolumes> {
    return Promise.reject(primaryOnly('resume'));
  }

  async hangUp({ link }: { readonly link?: string }): Promise<void> {
    const { ports, polls } = this.#options;
    const ended = ports.hangUp(link);
    if (polls().hangUp(link) || ended > 0 || link === undefined) return;
    throw unknownLink(link, (await this.status()).links);
  }

  compare(): Promise<CompareResult> {
    return Promise.reject(primaryOnly('compare'));
  }

  sync(): Promise<SyncResult> {
    return Promise.reject(primaryOnly('sync'));
  }

  snapshot(): Promise<SnapshotResult> {
    return Promise.reject(primaryOnly('snapshot'));
  }

  points(request: { readonly volume?: string }): Promise<readonly PointSummary[]> {
    return this.#points.points(request);
  }

  restore(request: RestoreRequest, options: OperationOptions): Promise<RestoreResult> {
    return this.#points.restore(request, options);
  }

  export(request: ExportRequest, options: ExportOptions): Promise<void> {
    return this.#points.export(request, options);
  }

  drill(request: DrillRequest, options: OperationOptions): Promise<DrillResult> {
    return this.#points.drill(request, options);
  }

  scrub(request: ScrubRequest, options: OperationOptions): Promise<ScrubResult> {
    return this.#points.scrub(request, options);
  }

  prune(request: PruneRequest, options: OperationOptions): Promise<PruneResult> {
    return this.#points.prune(request, options);
  }

  seedExport(): Promise<SeedExportResult> {
    return Promise.reject(primaryOnly('seed export'));
  }

  seedDrop(): Promise<SeedDropResult> {
    return Promise.reject(primaryOnly('seed drop'));
  }

  seedImport(request: SeedImportRequest, options: OperationOptions): Promise<SeedImportResult> {
    return this.#options.seeds.seedImport(request, options);
  }

  async #volumeStatus(status: VolumeStoreStatus): Promise<VolumeStatus> {
    // One that cannot be opened has no points to tell of.
    const open = status.fault === undefined && status.state !== null;
    const { store } = this.#options;
    const copy = open ? await store.volume(status.primary, status.volume).catch(() => null) : null;
    const points = copy?.points() ?? [];
    const newest = points[0];
    const scrubbed = await this.#options.scrubs.of(`${status.primary}/${status.volume}`);
    return {
      ...volumeStatus(status, warningsOf(status, scrubbed, points)),
      lastSet: newest === undefined ? null : setOf(status.primary, newest),
      lastScrub: scrubbed === null ? null : { time: scrubbed.time, passed: scrubbed.passed },
    };
  }

  #peerStatus(name: string): PeerStatus {
    const { site, polls, silence } = this.#options;
    const heard = silence.lastHeard(name);
    const job = polls().status(name);
    return {
      name,
      link: site.session(name)?.line ?? null,
      lastHeard: heard === null ? null : new Date(heard).toISOString(),
      isSilent: silence.isSilent(name),
      poll: job === null ? null : scheduleStatus(job),
    };
  }
}

function setOf(peer: string, { state, blocks, account }: RestorePoint): SetStatus | null {
  if (account === undefined) return null;
  const { written, byBackup } = account;
  return { peer, to: summarizeState(state), blocks, bytesWritten: written, line: byBackup };
}

const primaryOnly = (what: string): ApplianceError =>
  new ApplianceError(
    'wrong-role',
    `\`${what}\` is for a primary`,
    'run it there: --config with its configuration',
  );

function volumeStatus(status: VolumeStoreStatus, warnings: readonly string[]): VolumeStatus {
  const { primary, volume, state, capture, blockSize } = status;
  return {
    name: `${primary}/${volume}`,
    sizeBytes: state?.size ?? capture?.offer.to.size ?? 0,
    blockSize: blockSize ?? 0,
    dirtyBlocks: 0,
    lastState: state === null ? null : summarizeState(state),
    transfer: capture === null ? null : transferStatus(primary, capture),
    warnings,
  };
}

const UNCONFIRMED = 'this copy came on a disk; the primary has not confirmed yet that it is what it had';
/** What the operator should know of a copy, the most pressing first. */
function warningsOf(
  { volume, distrust, suspects }: VolumeStoreStatus,
  scrubbed: ScrubRecord | null,
  points: readonly RestorePoint[],
): readonly string[] {
  const lost = points.filter(
    ({ state }) => (scrubbed?.points[state.id] ?? 0) !== 0 || scrubbed?.points[state.id] === null,
  );
  return [
    ...(suspects == null ? [] : [suspectText(volume, suspects)]),
    ...(distrust == null ? [] : [warningOf(distrust)]),
    ...(points[0]?.seed === 'unconfirmed' ? [UNCONFIRMED] : []),
    ...(scrubbed === null || lost.length === 0 ? [] : [lostText(scrubbed, lost.length)]),
  ];
}

const warningOf = ({ since, why }: Distrust): string =>
  `since ${new Date(since).toISOString()} ${distrustText(why)}; it has to compare them`;

function transferStatus(
  primary: string,
  { offer, parcels, durable }: NonNullable<VolumeStoreStatus['capture']>,
): TransferStatus {
  const held = parcels.reduce(
    (sum, parcel) => sum + parcel.held.reduce((bytes, range) => bytes + range.end - range.start, 0),
    0,
  );
  const total = parcels.reduce((sum, { length }) => sum + length, 0);
  return {
    peer: primary,
    to: summarizeState(offer.to),
    phase: durable ? 'applying' : 'sending',
    blocks: null,
    bytesHeld: held,
    bytesTotal: total,
    fraction: total === 0 ? 0 : held / total,
    secondsLeft: null,
  };
}
