import type { ApplianceControl } from '../control/appliance-control.js';
import type { Appliance } from './appliance.js';

/** What has been started, so that it can be stopped in the reverse order, also when a later start fails. */
export class Closers {
  readonly #stack: (() => Promise<void>)[] = [];
  readonly #finished: Promise<void>;
  #resolve: () => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;
  #closing: Promise<void> | null = null;

  constructor() {
    this.#finished = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#finished.catch(() => undefined);
  }

  push(close: () => Promise<void>): void {
    this.#stack.push(close);
  }

  /** A part that the appliance cannot go on without has failed. */
  fail(error: Error): void {
    this.#reject(error);
  }

  /** Closes everything, the newest first; goes on after a failure and throws the first one at the end. */
  closeAll(): Promise<void> {
    return (this.#closing ??= this.#closeAll().finally(() => this.#resolve()));
  }

  /** Everything has started. */
  asAppliance(control: ApplianceControl, reloading?: Pick<Appliance, 'reload'>): Appliance {
    return {
      control,
      finished: this.#finished,
      close: () => this.closeAll(),
      reload: async (load) => reloading?.reload(load),
    };
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#stack.pop(); close !== undefined; close = this.#stack.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
