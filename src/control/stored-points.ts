import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { covering } from '../../protocol/ranges.js';
import { ApplianceError } from '../appliance/errors.js';
import { serveState } from '../export/served-state.js';
import { systemClock, type Clock } from '../platform/clock.js';
import type { RestorePoint, VolumeStore, VolumeStoreStatus } from '../store/volume-store.js';
import type { Files } from '../platform/files.js';
import { nodeFiles } from '../platform/node-files.js';
import { systemRandom, type Random } from '../platform/random.js';
import { SerialQueue } from '../platform/serial-queue.js';
import { prune } from '../store/prune.js';
import { restoreState } from '../store/restore.js';
import type {
  ApplianceControl,
  DrillRequest,
  DrillResult,
  ExportOptions,
  ExportRequest,
  KeepCounts,
  OperationOptions,
  PointSummary,
  PruneRequest,
  PruneResult,
  RestoreRequest,
  RestoreResult,
  ScrubRequest,
  ScrubResult,
} from './appliance-control.js';
import { drillState } from './drill.js';
import type { DrillRecords } from './drill-records.js';
import { MAX_TOLD, recordOf, scrubCopy } from './scrub.js';
import type { ScrubRecords } from './scrub-records.js';
import { selectPoint } from './select-point.js';

/** A check that has not ended after this time, ms, never will. */
const DRILL_MS = 6 * 3_600_000;

/** What restore points are read from: an open `Store`. */
export interface PointStore {
  volumes(): readonly VolumeStoreStatus[];
  volume(primary: string, volume: string): Promise<VolumeStore>;
}

export interface StoredPointsOptions {
  /** Where states are restored to, and overlays are kept. */
  readonly files?: Files;
  readonly clock?: Clock;
  readonly random?: Random;
  /** What is kept of a primary's volumes; null: everything. */
  readonly keepOf?: (primary: string) => KeepCounts | null;
  /** Where what is written to a state's export goes until it is thrown away, and states for a drill. */
  readonly overlays?: string;
  /** The command that a drill of a primary's volumes runs; null: none is configured. */
  readonly drillOf?: (primary: string) => string | null;
  /** Where the results of drills are kept; null: nowhere. */
  readonly drills?: DrillRecords | null;
  /** Where the results of scrubs are kept; null: nowhere. */
  readonly scrubs?: ScrubRecords | null;
  /** Told of each scrub, when its result is kept. */
  readonly onScrubbed?: (primary: string, result: ScrubResult) => void;
}

/** The part of `ApplianceControl` that needs a store only, with or without a running appliance around it. */
export class StoredPoints implements Pick<
  ApplianceControl,
  'points' | 'restore' | 'export' | 'prune' | 'drill' | 'scrub'
> {
  readonly #store: PointStore;
  readonly #options: Required<StoredPointsOptions>;
  readonly #exports = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #drilling = new SerialQueue();
  readonly #scrubbing = new SerialQueue();

  constructor(store: PointStore, options: StoredPointsOptions = {}) {
    this.#store = store;
    this.#options = {
      files: nodeFiles,
      clock: systemClock,
      random: systemRandom,
      keepOf: () => null,
      overlays: tmpdir(),
      drillOf: () => null,
      drills: null,
      scrubs: null,
      onScrubbed: () => undefined,
      ...options,
    };
  }

  async points(request: { readonly volume?: string }): Promise<readonly PointSummary[]> {
    if (request.volume !== undefined) return this.#pointsOf(this.#find(request.volume));
    // A volume that cannot be opened says so when it is asked for by name.
    const whole = this.#store.volumes().filter(({ fault }) => fault === undefined);
    const lists = await Promise.all(whole.map((status) => this.#pointsOf(status)));
    return lists.flat().sort((a, b) => Date.parse(b.time) - Date.parse(a.time));
  }

  async restore(request: RestoreRequest, options: OperationOptions): Promise<RestoreResult> {
    const { primary, volume } = this.#find(request.volume);
    const store = await this.#store.volume(primary, volume);
    const { state, seed } = selectPoint(store.points().map(selectable), request.at);
    const reader = await store.openState(state.id);
    try {
      const { damaged } = await restoreState(reader, request.to, {
        files: this.#options.files,
        force: request.force,
        damaged: request.damaged === true ? 'keep' : 'refuse',
        signal: options.signal,
        progress: ({ done, total }) => options.progress({ phase: 'restoring', done, total, unit: 'bytes' }),
      });
      const { id, time, size } = state;
      return {
        ...{ state: id, time: isoTime(time), to: request.to, sizeBytes: size },
        ...(damaged.length > 0 && { damaged: covering(damaged, MAX_TOLD) }),
        ...(seed !== undefined && { seed }),
      };
    } finally {
      await reader.close();
    }
  }

  async export(request: ExportRequest, options: ExportOptions): Promise<void> {
    const signal = AbortSignal.any([options.signal, this.#closing.signal]);
    signal.throwIfAborted();
    const serving = this.#serve(request, options.ready, signal);
    const settled = serving.catch(() => undefined);
    this.#exports.add(settled);
    try {
      await serving;
    } finally {
      this.#exports.delete(settled);
    }
  }

  drill(request: DrillRequest, options: OperationOptions): Promise<DrillResult> {
    const signal = AbortSignal.any([options.signal, this.#closing.signal]);
    return this.#drilling.run(() => this.#drill(request, { ...options, signal }));
  }

  /** One at a time: two would only make the disk slower. */
  scrub(request: ScrubRequest, options: OperationOptions): Promise<ScrubResult> {
    const signal = AbortSignal.any([options.signal, this.#closing.signal]);
    return this.#scrubbing.run(async () => {
      signal.throwIfAborted();
      const { clock, scrubs, onScrubbed } = this.#options;
      const { primary, volume } = this.#find(request.volume);
      const store = await this.#store.volume(primary, volume);
      const result = await scrubCopy(store, request, { ...options, signal, clock });
      const points = store.points().map(({ state }) => state.id);
      await scrubs?.set(request.volume, recordOf(result, points));
      onScrubbed(primary, result);
      return result;
    });
  }

  async prune(request: PruneRequest, { signal }: OperationOptions): Promise<PruneResult> {
    const { primary, volume } = this.#find(request.volume);
    const store = await this.#store.volume(primary, volume);
    const policy = this.#options.keepOf(primary);
    const { kept, removed } = await prune(store, policy, { dryRun: request.dryRun, signal });
    return {
      volume: request.volume,
      dryRun: request.dryRun,
      policy,
      kept: kept.map((point) => summary(primary, volume, point)),
      removed: removed.map((point) => summary(primary, volume, point)),
    };
  }

  /** Ends the exports; before the store is closed. */
  async close(): Promise<void> {
    this.#closing.abort(new ApplianceError('stopped', 'the appliance is stopping'));
    await Promise.all(this.#exports);
    await this.#drilling.idle();
    await this.#scrubbing.idle();
  }

  async #serve(request: ExportRequest, ready: ExportOptions['ready'], signal: AbortSignal): Promise<void> {
    const { files, clock, random, overlays } = this.#options;
    const { primary, volume } = this.#find(request.volume);
    const store = await this.#store.volume(primary, volume);
    const { state, time } = selectPoint(store.points().map(selectable), request.at);
    const { writable, socket } = request;
    const reader = await store.openState(state.id);
    try {
      const stop = await serveState(reader, {
        names: { name: volume, description: `${request.volume} as of ${time}` },
        socket,
        clock,
        overlay: writable ? { files, random, folder: overlays } : null,
      });
      try {
        ready({ socket, state: state.id, time, grade: state.grade, sizeBytes: state.size, writable });
        await aborted(signal);
      } finally {
        await stop();
      }
    } finally {
      await reader.close();
    }
  }

  async #drill(request: DrillRequest, options: OperationOptions): Promise<DrillResult> {
    const { files, clock, overlays, drillOf, drills } = this.#options;
    options.signal.throwIfAborted();
    const { primary, volume } = this.#find(request.volume);
    const command = request.command ?? drillOf(primary);
    if (command === null) {
      throw new ApplianceError(
        'refused',
        `no drill is configured for ${primary}`,
        'give --command, or set drill: { command: "e2fsck -fn $DEVICE", schedule: … } for this primary',
      );
    }
    const store = await this.#store.volume(primary, volume);
    const { state, time } = selectPoint(store.points().map(selectable), request.at);
    const reader = await store.openState(state.id);
    try {
      const record = await drillState(reader, {
        ...options,
        files,
        clock,
        folder: join(overlays, 'drill'),
        command,
        timeoutMs: request.timeoutMs ?? DRILL_MS,
        environment: { PRIMARY: primary, VOLUME: volume, STATE: state.id, STATE_TIME: time },
      });
      const existing = new Set(store.points().map((point) => point.state.id as string));
      await drills?.set(request.volume, state.id, record, existing);
      return { volume: request.volume, state: state.id, stateTime: time, ...record };
    } finally {
      await reader.close();
    }
  }

  #find(name: string): VolumeStoreStatus {
    const volumes = this.#store.volumes();
    const found = volumes.find(({ primary, volume }) => `${primary}/${volume}` === name);
    if (found !== undefined) return found;
    const names = volumes.map(({ primary, volume }) => `${primary}/${volume}`).join(', ');
    throw new ApplianceError(
      'unknown-volume',
      `there is no copy of ${name}`,
      names === '' ? 'this store holds no copies yet' : `this store holds ${names}`,
    );
  }

  async #pointsOf({ primary, volume }: VolumeStoreStatus): Promise<readonly PointSummary[]> {
    const store = await this.#store.volume(primary, volume);
    const { drills, scrubs } = this.#options;
    const drilled = await drills?.of(`${primary}/${volume}`);
    const scrubbed = await scrubs?.of(`${primary}/${volume}`);
    return store.points().map((point) => {
      const drill = drilled?.get(point.state.id);
      const lostBlocks = scrubbed?.points[point.state.id];
      return {
        ...summary(primary, volume, point),
        ...(drill !== undefined && { drill }),
        ...(scrubbed != null && lostBlocks !== undefined && { scrub: { time: scrubbed.time, lostBlocks } }),
      };
    });
  }
}

const selectable = ({ state, seed }: RestorePoint) => ({
  id: state.id,
  time: isoTime(state.time),
  state,
  seed,
});

function summary(
  primary: string,
  volume: string,
  { state, appliedAt, blocks, account, seed }: RestorePoint,
): PointSummary {
  const { written = null, byPrimary = null, byBackup = null } = account ?? {};
  return {
    id: state.id,
    primary,
    volume,
    time: isoTime(state.time),
    grade: state.grade,
    sizeBytes: state.size,
    blocks,
    appliedAt: isoTime(appliedAt),
    ...(written !== null && { bytesWritten: written }),
    ...((byPrimary ?? byBackup) !== null && { line: { byPrimary, byBackup } }),
    ...(state.note !== undefined && { note: state.note }),
    ...(seed !== undefined && { seed }),
    ...(state.group !== undefined && { group: state.group }),
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

const isoTime = (ms: number): string => new Date(ms).toISOString();
