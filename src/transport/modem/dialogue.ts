import { millis, type Millis } from '../../../protocol/units.js';
import { parseResult, type ModemResult } from './hayes.js';
import { ResultReader } from './result-reader.js';

/**
 * A conversation with a modem is a script: a generator that says what to send and until when to wait, and is told what
 * the modem answered. Scripts are pure; `Dialogue` runs one of them, and is pure too. A script gives up by throwing.
 */
export type Script<T> = Generator<Step, T, Heard>;

export interface Step {
  /** As it goes to the modem, CR included. */
  readonly send?: string;
  /** null: for as long as it takes. */
  readonly until: Millis | null;
  /** A call is coming in, being made or up: the modem must not be taken away now. */
  readonly engaged?: boolean;
}

export interface Heard {
  readonly now: Millis;
  /** null: nothing came in time. */
  readonly result: ModemResult | null;
  /** The last line that was no result code, as it came; for the operator. */
  readonly noise: string;
}

export type Outcome<T> =
  { readonly kind: 'done'; readonly value: T } | { readonly kind: 'failed'; readonly error: unknown };

/** Bytes that came after the line that ended a script. */
export interface Remainder {
  readonly bytes: Uint8Array;
  /** The LF of that line is still to come. */
  readonly lineFeedDue: boolean;
}

const NOTHING = new Uint8Array();

export class Dialogue<T> {
  readonly #script: Script<T>;
  readonly #reader = new ResultReader();
  readonly #toSend: string[] = [];
  #step: Step = { until: null };
  #noise = '';
  #outcome: Outcome<T> | undefined;
  #rest: Uint8Array = NOTHING;

  constructor(script: Script<T>) {
    this.#script = script;
    this.#advance(() => this.#script.next());
  }

  /** Set once; nothing happens afterwards. */
  get outcome(): Outcome<T> | undefined {
    return this.#outcome;
  }

  /** See `Step`. */
  get engaged(): boolean {
    return this.#outcome === undefined && this.#step.engaged === true;
  }

  /** To be read when there is an outcome. */
  get remainder(): Remainder {
    return { bytes: this.#rest, lineFeedDue: this.#reader.lineFeedDue };
  }

  /** Not to be called when there is an outcome: those bytes are somebody else's. */
  handleBytes(now: Millis, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const found = this.#reader.next(bytes, at);
      if (found === undefined) return;
      at = found.end;
      const result = parseResult(found.line);
      if (result === undefined) this.#noise = found.line;
      else this.#tell(now, result);
      if (this.#outcome !== undefined) {
        this.#rest = bytes.subarray(at);
        return;
      }
    }
  }

  handleTimeout(now: Millis): void {
    if (this.#step.until !== null && now >= this.#step.until) this.#tell(now, null);
  }

  /** Text to write to the modem, in order. */
  pollTransmit(): string | undefined {
    return this.#toSend.shift();
  }

  pollTimeout(): Millis | undefined {
    return this.#outcome === undefined ? (this.#step.until ?? undefined) : undefined;
  }

  #tell(now: Millis, result: ModemResult | null): void {
    if (this.#outcome !== undefined) return;
    this.#advance(() => this.#script.next({ now, result, noise: this.#noise }));
  }

  #advance(resume: () => IteratorResult<Step, T>): void {
    try {
      const { done, value } = resume();
      if (done === true) {
        this.#outcome = { kind: 'done', value };
        return;
      }
      this.#step = value;
      if (value.send !== undefined) this.#toSend.push(value.send);
    } catch (error) {
      this.#outcome = { kind: 'failed', error };
    }
  }
}

/**
 * The one move all scripts are made of: sends `send`, passes over results that are not of these kinds, and returns the
 * first that is, or the silence after `waitMs`.
 */
export function* ask(
  now: Millis,
  send: string,
  waitMs: number,
  kinds: readonly ModemResult['kind'][],
  engaged = false,
): Script<Heard> {
  const until = millis(now + waitMs);
  let heard = yield { send, until, engaged };
  while (heard.result !== null && !kinds.includes(heard.result.kind)) heard = yield { until, engaged };
  return heard;
}

/** Says nothing for so long, whatever the modem says. */
export function* pause(now: Millis, waitMs: number, engaged = false): Script<Millis> {
  const until = millis(now + waitMs);
  let heard = yield { until, engaged };
  while (heard.result !== null) heard = yield { until, engaged };
  return heard.now;
}
