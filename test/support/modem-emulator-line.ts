import { systemClock } from '../../src/platform/clock.js';
import type { LaidLine } from './appliance-pair.js';
import { ByteMeter, type Line } from './line.js';
import { ModemExchange, SHORT_TIMES } from './modem-emulator-exchange.js';
import { plugIn } from './modem-emulator-ptys.js';
import type { EmulatedModem } from './modem-emulator.js';
import type { Sandbox } from './sandbox.js';

/** Two modems and the exchange between them: the primary's has the number 100, the backup's 200. */
export class DialUpLine implements Line {
  readonly exchange = new ModemExchange(systemClock, SHORT_TIMES);
  readonly left: EmulatedModem;
  readonly right: EmulatedModem;
  readonly #meter = new ByteMeter();

  private constructor(bitsPerSecond: number) {
    this.left = this.exchange.install('100', { bitsPerSecond });
    this.right = this.exchange.install('200', { bitsPerSecond });
    this.exchange.onData((to, bytes) => {
      if (to === this.right) this.#meter.count(bytes, 0);
      else this.#meter.count(0, bytes);
    });
  }

  /** Lays it, with what the configurations say of it. */
  static async lay(
    sandbox: Sandbox,
    bitsPerSecond: number,
  ): Promise<LaidLine & { readonly line: DialUpLine }> {
    const line = new DialUpLine(bitsPerSecond);
    const [left, right] = await Promise.all([
      plugIn(sandbox, line.left, 'modem-100'),
      plugIn(sandbox, line.right, 'modem-200'),
    ]);
    sandbox.note(() => `--- the exchange:\n${line.exchange.log.slice(-25).join('\n')}`);
    return {
      line,
      left: `{ type: modem, device: ${left}, baudRate: 115200, dial: "200", connectTimeout: 20s }`,
      right: `{ type: modem, device: ${right}, baudRate: 115200, answerAfter: 2 }`,
    };
  }

  get bytes(): Line['bytes'] {
    return this.#meter.bytes;
  }

  crossed(more: number): Promise<void> {
    return this.#meter.crossed(more);
  }

  /** The carrier drops. */
  cut(): Promise<void> {
    this.exchange.dropCarriers();
    return Promise.resolve();
  }

  /** Nothing to do: whoever redials gets a new carrier. */
  restore(): Promise<void> {
    return Promise.resolve();
  }

  /** How often this was said in the log. */
  count(words: string): number {
    return this.exchange.log.filter((line) => line.includes(words)).length;
  }
}
