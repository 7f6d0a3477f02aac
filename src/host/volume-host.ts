import { MessageChannel, Worker } from 'node:worker_threads';
import { VolumeError } from '../engine/errors.js';
import type { VolumeService } from '../engine/volume-service.js';
import type { NbdAddress } from '../nbd/listener.js';
import { unpackError } from './carried-error.js';
import { Caller } from './channel.js';
import type { HostedVolume, HostOrder, HostReport, HostThreadData } from './host-messages.js';
import { RemoteVolume } from './remote-volume.js';

export type { HostedVolume } from './host-messages.js';

export interface VolumeHostOptions {
  /** Where the volumes are served; each answers to its name, and to the empty name when it is alone. */
  readonly nbd: NbdAddress;
  readonly volumes: readonly HostedVolume[];
  /** Gives the opening up; later it means nothing. */
  readonly signal?: AbortSignal;
}

/** The volumes of one NBD socket, in a thread of their own, seen from the main thread. */
export class VolumeHost {
  /** Where the server listens, with the real port. */
  readonly address: NbdAddress;
  readonly #worker: Worker;
  readonly #caller: Caller<VolumeService>;
  readonly #volumes: ReadonlyMap<string, VolumeService>;
  readonly #failureListeners: ((error: Error) => void)[] = [];
  readonly #ended: Promise<Error | null>;
  #failure: Error | null = null;
  #closing: Promise<void> | null = null;

  private constructor(
    address: NbdAddress,
    worker: Worker,
    caller: Caller<VolumeService>,
    names: readonly string[],
    ended: Promise<Error | null>,
  ) {
    this.address = address;
    this.#worker = worker;
    this.#caller = caller;
    this.#volumes = new Map(names.map((name) => [name, new RemoteVolume(caller, name)]));
    this.#ended = ended;
    void ended.then((reason) => {
      if (this.#closing === null) this.#fail(reason);
    });
  }

  /**
   * Starts the thread, opens its volumes and listens. Fails as `Volume.open` (`VolumeError`) or the server
   * (`NbdError`) does, with everything closed again.
   */
  static async start({ nbd, volumes, signal }: VolumeHostOptions): Promise<VolumeHost> {
    signal?.throwIfAborted();
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(new URL('./host-thread.js', import.meta.url), {
      name: `volumes ${volumes.map(({ name }) => name).join(' ')}`,
      workerData: { nbd, volumes, calls: port2 } satisfies HostThreadData,
      transferList: [port2],
    });
    const caller = new Caller<VolumeService>(port1);
    const ended = endOf(worker);
    const abort = (): void => {
      order(worker, { kind: 'close' });
    };
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const report = await Promise.race([
        nextReport(worker),
        ended.then((reason) => Promise.reject(stopped(reason))),
      ]);
      if (report.kind !== 'started') {
        await ended;
        throw report.error === null ? stopped(null) : unpackError(report.error);
      }
      const names = volumes.map(({ name }) => name);
      const host = new VolumeHost(report.address, worker, caller, names, ended);
      if (signal?.aborted === true) {
        await host.close().catch(() => undefined);
        signal.throwIfAborted();
      }
      return host;
    } catch (error) {
      caller.end(stopped(null));
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Throws for a name the host was not started with. */
  volume(name: string): VolumeService {
    const volume = this.#volumes.get(name);
    if (volume === undefined) throw new Error(`this host has no volume ${name}`);
    return volume;
  }

  /**
   * Calls `listener`, once, when the thread dies without having been closed: its volumes are out of service and
   * every call fails with `VolumeError` `closed`. At once if that has happened already.
   */
  onFailed(listener: (error: Error) => void): void {
    if (this.#failure !== null) listener(this.#failure);
    else this.#failureListeners.push(listener);
  }

  /**
   * Ends the service: NBD requests under way are finished, then the volumes are closed. Resolves when the thread is
   * gone; fails with the first volume's failure to close in order.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#failure !== null) return;
    const report = Promise.race([nextReport(this.#worker), this.#ended.then(() => null)]);
    order(this.#worker, { kind: 'close' });
    const closed = await report;
    this.#caller.end(new VolumeError('closed', 'the volume is closed'));
    const reason = await this.#ended;
    if (closed === null) throw stopped(reason);
    if (closed.kind === 'closed' && closed.error !== null) throw unpackError(closed.error);
  }

  #fail(reason: Error | null): void {
    const failure = stopped(reason);
    this.#failure = failure;
    this.#caller.end(failure);
    for (const listener of this.#failureListeners.splice(0)) listener(failure);
  }
}

const order = (worker: Worker, message: HostOrder): void => {
  worker.postMessage(message);
};

const nextReport = (worker: Worker): Promise<HostReport> =>
  new Promise((resolve) => worker.once('message', resolve));

/** Resolves when the thread is gone, with what it died of, if of anything. */
const endOf = (worker: Worker): Promise<Error | null> =>
  new Promise((resolve) => {
    let reason: Error | null = null;
    worker.once('error', (error) => {
      reason = error instanceof Error ? error : new Error(String(error));
    });
    worker.once('exit', () => {
      resolve(reason);
    });
  });

const stopped = (reason: Error | null): VolumeError =>
  new VolumeError(
    'closed',
    `the thread of the volume has stopped${reason === null ? '' : `: ${reason.message}`}`,
    'start the appliance again; if this happens again, report it',
    reason === null ? undefined : { cause: reason },
  );
