import type { Millis } from '../../../protocol/units.js';
import type { Clock } from '../../platform/clock.js';
import { TransportError } from '../errors.js';
import { Dialogue, type Remainder, type Script } from './dialogue.js';
import { letGo } from './hanging-up.js';
import type { ModemPort } from './modem-port.js';

export interface ConverseOptions {
  readonly port: ModemPort;
  readonly clock: Clock;
  /** Aborted: a call that is being made or answered is given up first, then its reason is thrown. */
  readonly signal?: AbortSignal;
  /** What is said either way, for the log: control characters as escapes. */
  readonly transcript?: (text: string) => void;
  /** Asked whenever the script is not engaged, and on `yields.onWanted`: true ends the talk. */
  readonly yields?: Yielding;
}

/** Somebody else may want the modem while nothing happens on it. */
export interface Yielding {
  readonly wanted: boolean;
  /** Calls `tell` when it becomes wanted; the returned function forgets it. */
  onWanted(tell: () => void): () => void;
}

export type Conversed<T> =
  { readonly kind: 'done'; readonly value: T; readonly remainder: Remainder } | { readonly kind: 'yielded' };

/**
 * Runs a script over a port to its end: reads, tells the dialogue, writes what it wants and arms its one timer. Bytes
 * that follow the end stay with the port. Fails with what the script throws, or `TransportError` when the device goes.
 */
export function converse<T>(
  makeScript: (now: Millis) => Script<T>,
  options: ConverseOptions,
): Promise<Conversed<T>> {
  return new Conversation(makeScript, options).ended;
}

class Conversation<T> {
  readonly ended: Promise<Conversed<T>>;
  readonly #options: ConverseOptions;
  readonly #dialogue: Dialogue<T>;
  readonly #forgetYields: (() => void) | undefined;
  #over = false;
  #cancelTimer: (() => void) | null = null;
  #resolve: (end: Conversed<T>) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;

  constructor(makeScript: (now: Millis) => Script<T>, options: ConverseOptions) {
    const { port, clock, signal, yields } = options;
    this.#options = options;
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#dialogue = new Dialogue(makeScript(clock.now()));
    this.#forgetYields = yields?.onWanted(() => this.#act());
    if (signal?.aborted === true) {
      this.#abort();
      return;
    }
    signal?.addEventListener('abort', this.#abort, { once: true });
    port.onGone(this.#gone);
    this.#act();
    port.read((bytes) => this.#take(bytes));
  }

  #take(bytes: Uint8Array): void {
    const { port, clock } = this.#options;
    if (this.#over) {
      port.read(null);
      port.unread(bytes);
      return;
    }
    this.#dialogue.handleBytes(clock.now(), bytes);
    // What came after the end is the next reader's, who may start reading as soon as the end is told.
    const { bytes: rest } = this.#dialogue.remainder;
    const said = Buffer.from(bytes.subarray(0, bytes.length - rest.length)).toString('latin1');
    this.#options.transcript?.(`< ${escaped(said)}`);
    if (this.#dialogue.outcome !== undefined) {
      port.read(null);
      port.unread(rest);
    }
    this.#act();
  }

  #act(): void {
    const { port, yields } = this.#options;
    const dialogue = this.#dialogue;
    for (let text = dialogue.pollTransmit(); text !== undefined; text = dialogue.pollTransmit()) {
      this.#options.transcript?.(`> ${escaped(text)}`);
      port.write(Buffer.from(text, 'latin1')).catch(this.#gone);
    }
    const { outcome } = dialogue;
    if (outcome?.kind === 'failed') {
      if (this.#leave()) this.#reject(outcome.error);
    } else if (outcome !== undefined) {
      if (this.#leave()) this.#resolve({ ...outcome, remainder: dialogue.remainder });
    } else if (yields?.wanted === true && !dialogue.engaged) {
      if (this.#leave()) this.#resolve({ kind: 'yielded' });
    } else {
      this.#arm();
    }
  }

  #arm(): void {
    const { clock } = this.#options;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const at = this.#dialogue.pollTimeout();
    if (at === undefined) return;
    this.#cancelTimer = clock.after(Math.max(0, Math.ceil(at - clock.now())), () => {
      this.#dialogue.handleTimeout(clock.now());
      this.#act();
    });
  }

  readonly #gone = (cause: unknown): void => {
    if (!this.#leave()) return;
    const text = `the modem's port is gone: ${(cause as Error).message}`;
    this.#reject(new TransportError('lost', text, undefined, { cause }));
  };

  readonly #abort = (): void => {
    const { port, clock, signal } = this.#options;
    const { engaged } = this.#dialogue;
    if (!this.#leave()) return;
    const lettingGo = engaged ? converse(letGo, { port, clock }) : Promise.resolve();
    void lettingGo.catch(() => undefined).then(() => this.#reject(signal?.reason));
  };

  /** True the first time. */
  #leave(): boolean {
    if (this.#over) return false;
    this.#over = true;
    const { port, signal } = this.#options;
    this.#cancelTimer?.();
    this.#forgetYields?.();
    signal?.removeEventListener('abort', this.#abort);
    port.read(null);
    port.onGone(() => undefined);
    return true;
  }
}

const escaped = (text: string): string => JSON.stringify(text).slice(1, -1);
