import { VolumeError } from '../engine/errors.js';
import type { VolumeService } from '../engine/volume-service.js';
import { Volume } from '../engine/volume.js';
import type { NbdAddress } from '../nbd/listener.js';
import { NbdServer } from '../nbd/server.js';
import { systemClock } from '../platform/clock.js';
import { nodeFiles } from '../platform/node-files.js';
import { systemRandom } from '../platform/random.js';
import type { HostedVolume } from './host-messages.js';

/** The volumes of one NBD socket and their server: opened together, closed in order. */
export class HostedVolumes {
  readonly #volumes: ReadonlyMap<string, Volume>;
  readonly #server: NbdServer;

  private constructor(volumes: ReadonlyMap<string, Volume>, server: NbdServer) {
    this.#volumes = volumes;
    this.#server = server;
  }

  /**
   * Takes the socket first, so that one in use leaves every volume untouched; clients are greeted when all volumes
   * are open. Fails with `NbdError`, `VolumeError` or the signal's reason, all closed again.
   */
  static async open(
    nbd: NbdAddress,
    hosted: readonly HostedVolume[],
    signal: AbortSignal,
  ): Promise<HostedVolumes> {
    const volumes = new Map<string, Volume>();
    let allOpen: () => void = () => undefined;
    const server = await NbdServer.listen({
      address: nbd,
      exports: () => [...volumes.values()].map(({ backend }) => backend),
      snapshots: () => [...volumes.values()].flatMap((volume) => volume.snapshots()),
      clock: systemClock,
      ready: new Promise<void>((resolve) => (allOpen = resolve)),
    });
    const opened = new HostedVolumes(volumes, server);
    try {
      for (const options of hosted) {
        signal.throwIfAborted();
        if (volumes.has(options.name)) {
          throw new VolumeError('in-use', `two volumes are named ${options.name}`, 'give each its own name');
        }
        const parts = { files: nodeFiles, clock: systemClock, random: systemRandom, signal };
        volumes.set(options.name, await Volume.open({ ...options, ...parts }));
      }
    } catch (error) {
      await opened.close().catch(() => undefined);
      throw error;
    }
    allOpen();
    return opened;
  }

  /** Where the server listens, with the real port. */
  get address(): NbdAddress {
    return this.#server.address;
  }

  find(name: string): VolumeService | undefined {
    const volume = this.#volumes.get(name);
    if (volume !== undefined) volume.connectedClients = this.#server.clientsOf(name);
    return volume;
  }

  /** First the clients, whose requests are finished, then the volumes; each is closed even if another failed. */
  async close(): Promise<void> {
    await this.#server.close();
    const failures: unknown[] = [];
    for (const volume of [...this.#volumes.values()].reverse()) {
      await volume.close().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}
