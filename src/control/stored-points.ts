import { ApplianceError } from '../appliance/errors.js';
import type { RestorePoint, VolumeStore, VolumeStoreStatus } from '../store/volume-store.js';
import type { Files } from '../platform/files.js';
import { nodeFiles } from '../platform/node-files.js';
import { restoreState } from '../store/restore.js';
import type {
  ApplianceControl,
  OperationOptions,
  PointSummary,
  RestoreRequest,
  RestoreResult,
} from './appliance-control.js';
import { selectPoint } from './select-point.js';

/** What restore points are read from: an open `Store`. */
export interface PointStore {
  volumes(): readonly VolumeStoreStatus[];
  volume(primary: string, volume: string): Promise<VolumeStore>;
}

/** The part of `ApplianceControl` that needs a store only, with or without a running appliance around it. */
export class StoredPoints implements Pick<ApplianceControl, 'points' | 'restore'> {
  readonly #store: PointStore;
  readonly #files: Files;

  /** `files`: where states are restored to. */
  constructor(store: PointStore, files: Files = nodeFiles) {
    this.#store = store;
    this.#files = files;
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
    const { state } = selectPoint(store.points().map(selectable), request.at);
    const reader = await store.openState(state.id);
    try {
      await restoreState(reader, request.to, {
        files: this.#files,
        force: request.force,
        signal: options.signal,
        progress: ({ done, total }) => options.progress({ phase: 'restoring', done, total, unit: 'bytes' }),
      });
    } finally {
      await reader.close();
    }
    return { state: state.id, time: isoTime(state.time), to: request.to, sizeBytes: state.size };
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
    return store.points().map((point) => summary(primary, volume, point));
  }
}

const selectable = ({ state }: RestorePoint) => ({ id: state.id, time: isoTime(state.time), state });

function summary(primary: string, volume: string, { state, appliedAt, blocks }: RestorePoint): PointSummary {
  return {
    id: state.id,
    primary,
    volume,
    time: isoTime(state.time),
    grade: state.grade,
    sizeBytes: state.size,
    blocks,
    appliedAt: isoTime(appliedAt),
    ...(state.note !== undefined && { note: state.note }),
  };
}

const isoTime = (ms: number): string => new Date(ms).toISOString();
