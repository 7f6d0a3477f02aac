import type { Operated } from '../../tui/operated.js';
import { ApplianceError } from '../appliance/errors.js';
import type { Configuration } from '../config/configuration.js';
import type { CompareRequest, CompareResult, OperationOptions } from '../control/appliance-control.js';
import { ControlClient } from '../control/client.js';
import { notRunning } from './running-appliance.js';

/** A running appliance over its control socket, which is looked for again when the appliance was started again. */
export class ReattachingControl implements Operated {
  readonly #configuration: Configuration;
  #client: ControlClient | null = null;

  private constructor(configuration: Configuration) {
    this.#configuration = configuration;
  }

  /** Fails with `ApplianceError` `stopped` if no appliance is running now. */
  static async attach(configuration: Configuration): Promise<ReattachingControl> {
    const control = new ReattachingControl(configuration);
    await control.#attached();
    return control;
  }

  close(): void {
    this.#client?.close();
  }

  readonly status: Operated['status'] = () => this.#with((client) => client.status());
  readonly sync: Operated['sync'] = (request, options) =>
    this.#with((client) => client.sync(request, options));
  readonly compare = (request: CompareRequest, options: OperationOptions): Promise<CompareResult> =>
    this.#with((client) => client.compare(request, options));
  readonly snapshot: Operated['snapshot'] = (request) => this.#with((client) => client.snapshot(request));
  readonly pause = (request: { volume: string }): Promise<unknown> =>
    this.#with((client) => client.pause(request));
  readonly resume = (request: { volume: string }): Promise<unknown> =>
    this.#with((client) => client.resume(request));
  readonly hangUp = (request: { link: string }): Promise<unknown> =>
    this.#with((client) => client.hangUp(request));
  readonly points: Operated['points'] = (request) => this.#with((client) => client.points(request));

  async #with<T>(work: (client: ControlClient) => Promise<T>): Promise<T> {
    const client = await this.#attached();
    try {
      return await work(client);
    } catch (error) {
      // Only an answer proves that the appliance is still the one at the other end.
      if (error instanceof ApplianceError && error.code === 'stopped' && this.#client === client) {
        client.close();
        this.#client = null;
      }
      throw error;
    }
  }

  async #attached(): Promise<ControlClient> {
    this.#client ??= await ControlClient.connect(this.#configuration.control);
    if (this.#client === null) throw notRunning(this.#configuration);
    return this.#client;
  }
}
