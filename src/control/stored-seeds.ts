import type { PrimaryPeer } from '../config/configuration.js';
import { keyText } from '../config/keys.js';
import type { Clock } from '../platform/clock.js';
import type { Files } from '../platform/files.js';
import { SeedError } from '../seed/errors.js';
import { SeedFile } from '../seed/seed-file.js';
import { takeInSeed } from '../seed/take-in-seed.js';
import type {
  ApplianceControl,
  OperationOptions,
  SeedImportRequest,
  SeedImportResult,
} from './appliance-control.js';
import type { PointStore } from './stored-points.js';
import { ApplianceError } from '../appliance/errors.js';

export interface StoredSeedsOptions {
  readonly store: Pick<PointStore, 'volume'>;
  /** Folder of the store. */
  readonly folder: string;
  readonly primaries: () => readonly Pick<PrimaryPeer, 'name' | 'publicKey'>[];
  readonly files: Files;
  readonly clock: Clock;
  /** The copy of a primary's volume has changed under its session: `result` null where it has failed in the end. */
  readonly onEnded?: (primary: string, result: SeedImportResult | null) => void;
}

/** The import of first copies that come on a disk; it needs a store only, with or without a running appliance around it. */
export class StoredSeeds implements Pick<ApplianceControl, 'seedImport'> {
  readonly #options: StoredSeedsOptions;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(options: StoredSeedsOptions) {
    this.#options = options;
  }

  async seedImport(request: SeedImportRequest, options: OperationOptions): Promise<SeedImportResult> {
    const run = this.#import(request, {
      ...options,
      signal: AbortSignal.any([options.signal, this.#closing.signal]),
    });
    const settled = run.catch(() => undefined);
    this.#underWay.add(settled);
    try {
      return await run;
    } finally {
      this.#underWay.delete(settled);
    }
  }

  /** Stops what is being brought in; before the store is closed. */
  async close(): Promise<void> {
    this.#closing.abort(new ApplianceError('stopped', 'the appliance is stopping'));
    await Promise.all(this.#underWay);
  }

  async #import(
    { path, as }: SeedImportRequest,
    { signal, progress }: OperationOptions,
  ): Promise<SeedImportResult> {
    const { store, folder, files, clock, onEnded } = this.#options;
    const started = clock.now();
    const seed = await SeedFile.open(files, path);
    try {
      const { primary, volume } = this.#nameOf(seed, as);
      const copy = await store.volume(primary, volume);
      let result: SeedImportResult | null = null;
      const seen = { isBegun: false };
      try {
        const { state, blocks } = await takeInSeed({
          ...{ seed, store: copy, signal },
          freeBytes: (await files.freeBytes?.(folder)) ?? null,
          onBegun: () => (seen.isBegun = true),
          progress: (done, total) => progress({ phase: 'importing', done, total, unit: 'bytes' }),
        });
        result = {
          ...{ volume: `${primary}/${volume}`, state: state.id, time: new Date(state.time).toISOString() },
          ...{ grade: state.grade, sizeBytes: state.size, blocks },
          seconds: Math.round(clock.now() - started) / 1000,
        };
        return result;
      } finally {
        if (seen.isBegun) onEnded?.(primary, result);
      }
    } finally {
      await seed.close();
    }
  }

  /** The configured primary whose key the seed bears, and the volume's name; `as` must not say otherwise of the first. */
  #nameOf(
    { path, head }: SeedFile,
    as: string | undefined,
  ): { readonly primary: string; readonly volume: string } {
    const primaries = this.#options.primaries();
    const owner = primaries.find(({ publicKey }) => Buffer.compare(publicKey, head.publicKey) === 0);
    const [, asPrimary, asVolume] = as === undefined ? [] : (/^([^/]+)\/([^/]+)$/.exec(as) ?? []);
    if (as !== undefined && (asPrimary === undefined || asVolume === undefined)) {
      throw new ApplianceError('refused', `"${as}" is no name of a copy`, 'give PRIMARY/VOLUME');
    }
    if (owner === undefined || (asPrimary !== undefined && asPrimary !== owner.name)) {
      const whose = asPrimary ?? 'any primary in the configuration';
      throw new SeedError(
        'stranger',
        `${path} is a seed of ${head.primary}, whose public key ${keyText(head.publicKey)} is not that of ${whose}`,
        `the primaries here are: ${primaries.map(({ name }) => name).join(', ')}`,
      );
    }
    return { primary: owner.name, volume: asVolume ?? head.volume };
  }
}
