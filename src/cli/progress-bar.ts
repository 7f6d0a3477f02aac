import cliProgress from 'cli-progress';
import type { Progress } from '../control/appliance-control.js';
import { formatSize } from '../config/units.js';
import type { Output } from './context.js';

/** Shows how far an operation is. */
export interface ProgressView {
  show(progress: Progress): void;
  /** Leaves the terminal as it should be; before anything else is printed. */
  end(): void;
}

/** A bar on stderr where that is a terminal, else nothing. */
export function progressView(stderr: Output): ProgressView {
  return stderr.isTTY ? new ProgressBar() : { show: () => undefined, end: () => undefined };
}

class ProgressBar implements ProgressView {
  readonly #bar = new cliProgress.SingleBar({
    stream: process.stderr,
    format: '{phase} {bar} {percentage} % {amount}',
    hideCursor: true,
    clearOnComplete: true,
    // The terminal's width may change, and is small on a serial console.
    barsize: 24,
    fps: 5,
  });
  #running = false;

  show({ phase, done, total, unit }: Progress): void {
    const amount = unit === 'bytes' ? formatSize(done) : `${done} ${unit}`;
    const values = {
      phase: phase.padEnd(10),
      amount: total === null ? amount : `${amount} of ${inUnit(total, unit)}`,
    };
    if (!this.#running) {
      this.#running = true;
      this.#bar.start(total ?? 0, done, values);
      return;
    }
    this.#bar.setTotal(total ?? Math.max(done, 1));
    this.#bar.update(done, values);
  }

  end(): void {
    if (this.#running) this.#bar.stop();
  }
}

const inUnit = (amount: number, unit: Progress['unit']): string =>
  unit === 'bytes' ? formatSize(amount) : `${amount}`;
