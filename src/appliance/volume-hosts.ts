import type { NbdAddress, PrimaryConfiguration, VolumeConfiguration } from '../config/configuration.js';
import { join } from 'node:path';
import { VolumeIndex, type VolumeIndexOptions } from '../replication/volume-index.js';
import { VolumeHost } from '../host/volume-host.js';
import { volumeFolder, type OpenService } from './protected-volumes.js';

type IndexingParts = Pick<VolumeIndexOptions, 'files' | 'noter' | 'clock' | 'log'>;

/** The threads that serve the volumes, one for each NBD socket; they can come and go while the others go on. */
export class VolumeHosts {
  readonly #hosts = new Map<string, { readonly host: VolumeHost; readonly names: readonly string[] }>();
  readonly #open = new Map<string, OpenService>();
  readonly #indexing: IndexingParts;
  readonly #onFailed: (error: Error) => void;

  /** `indexing`: what the indexes of the volumes work with; `onFailed`: a thread has died. */
  constructor(indexing: IndexingParts, onFailed: (error: Error) => void) {
    this.#indexing = indexing;
    this.#onFailed = onFailed;
  }

  get open(): ReadonlyMap<string, OpenService> {
    return this.#open;
  }

  /** Opens these volumes and their sockets, all of them or, when one fails, none. */
  async add(volumes: readonly VolumeConfiguration[], configuration: PrimaryConfiguration): Promise<void> {
    const added: string[] = [];
    try {
      for (const [nbd, members] of bySocket(volumes)) {
        await this.#start(nbd, members, configuration);
        added.push(socketOf(nbd));
      }
    } catch (error) {
      for (const socket of added) await this.#close(socket).catch(() => undefined);
      throw error;
    }
  }

  /** Closes the sockets of these volumes; each must be alone on its own. */
  async remove(names: readonly string[]): Promise<void> {
    for (const [socket, host] of [...this.#hosts]) {
      if (host.names.some((name) => names.includes(name))) await this.#close(socket);
    }
  }

  /** The newest first; goes on after a failure, and fails with the first. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (const socket of [...this.#hosts.keys()].reverse()) {
      await this.#close(socket).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }

  async #start(
    nbd: NbdAddress,
    volumes: readonly VolumeConfiguration[],
    { state, beforeImages, encoding, volumes: all }: PrimaryConfiguration,
  ): Promise<void> {
    const host = await VolumeHost.start({
      nbd,
      volumes: volumes.map(({ name, device, blockSize }) => ({
        name,
        device,
        blockSize,
        folder: volumeFolder(state, name),
        beforeImageBudgetBytes: Math.floor(beforeImages.budgetBytes / all.length),
      })),
    });
    host.onFailed(this.#onFailed);
    const names = volumes.map(({ name }) => name);
    this.#hosts.set(socketOf(nbd), { host, names });
    for (const name of names) {
      const service = host.volume(name);
      const { id, sizeBytes, blockSize } = await service.describe();
      const index = new VolumeIndex({
        ...this.#indexing,
        volume: service,
        blockSize,
        sizeBytes,
        memoryBytes: Math.floor(encoding.indexBytes / all.length),
        path: join(volumeFolder(state, name), 'references.index'),
      });
      index.start();
      this.#open.set(name, { id, service, index });
    }
  }

  async #close(socket: string): Promise<void> {
    const found = this.#hosts.get(socket);
    if (found === undefined) return;
    this.#hosts.delete(socket);
    for (const name of found.names) {
      await this.#open.get(name)?.index.close();
      this.#open.delete(name);
    }
    await found.host.close();
  }
}

export const socketOf = (nbd: NbdAddress): string => JSON.stringify(nbd);

/** Volumes that share a socket share a thread. */
function bySocket(
  volumes: readonly VolumeConfiguration[],
): readonly (readonly [NbdAddress, readonly VolumeConfiguration[]])[] {
  const groups = new Map<string, VolumeConfiguration[]>();
  for (const volume of volumes) {
    const key = socketOf(volume.nbd);
    groups.set(key, [...(groups.get(key) ?? []), volume]);
  }
  return [...groups.values()].flatMap((group) =>
    group[0] === undefined ? [] : [[group[0].nbd, group] as const],
  );
}
