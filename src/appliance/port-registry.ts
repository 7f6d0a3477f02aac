import type { CallLink, ListenPort } from '../config/configuration.js';
import type { Clock } from '../platform/clock.js';
import { PortShare } from '../transport/modem/port-share.js';
import type { Dialer, Transport } from '../transport/transport.js';
import { LineDecorator } from './line-decorator.js';
import type { Lines } from './lines.js';
import type { Ports } from './ports.js';

/** How long a call waits for a port that another call is on, ms. */
const WAIT_MS = 30_000;

/**
 * The ports of an appliance, each opened once at a time whatever is configured on it: a serial line may stand under
 * `links`, under `poll`, and under `listen`. (A modem's transport sees to that by itself.)
 */
export class PortRegistry {
  readonly #lines: Lines;
  readonly #clock: Clock;
  /** Serial devices that are both called out on, or by several, and listened on. */
  readonly #shares = new Map<string, PortShare>();

  /** `links` and `ports`: all that are configured. */
  constructor(lines: Lines, clock: Clock, links: readonly CallLink[], ports: readonly ListenPort[]) {
    this.#lines = lines;
    this.#clock = clock;
    for (const device of sharedDevices(links, ports)) this.#shares.set(device, new PortShare());
  }

  /**
   * Devices that other links and ports than before would share: who shares a device must have known so from the start.
   */
  newlyShared(links: readonly CallLink[], ports: readonly ListenPort[]): readonly string[] {
    return sharedDevices(links, ports).filter((device) => !this.#shares.has(device));
  }

  dialer(link: CallLink): Dialer {
    const dialer = this.#lines.dialer(link);
    const share = link.type === 'serial' ? this.#shares.get(link.device) : undefined;
    if (share === undefined) return dialer;
    return {
      name: dialer.name,
      type: dialer.type,
      dial: async (signal) => {
        const release = await share.takeWithin(this.#clock, WAIT_MS, dialer.name, signal);
        try {
          return new SharedLine(await dialer.dial(signal), release);
        } catch (error) {
          release();
          throw error;
        }
      },
    };
  }

  listen(port: ListenPort, ports: Ports): void {
    const share = port.type === 'serial' ? this.#shares.get(port.device) : undefined;
    ports.listen(this.#lines.listener(port), share ?? null);
  }
}

/** Serial devices that are named more than once. */
function sharedDevices(links: readonly CallLink[], ports: readonly ListenPort[]): readonly string[] {
  const devices = [...links, ...ports].flatMap((each) => (each.type === 'serial' ? [each.device] : []));
  return [...new Set(devices.filter((device, index) => devices.indexOf(device) !== index))];
}

/** Gives the port back when it is closed. */
class SharedLine extends LineDecorator {
  readonly #release: () => void;

  constructor(inner: Transport, release: () => void) {
    super(inner);
    this.#release = release;
  }

  override close(): Promise<void> {
    return super.close().finally(() => this.#release());
  }
}
