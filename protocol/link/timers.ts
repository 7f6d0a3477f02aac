import type { Millis } from '../units.js';

/** A few named deadlines and the earliest of them. */
export class Timers<Name extends string> {
  readonly #deadlines = new Map<Name, Millis>();

  set(name: Name, at: number): void {
    this.#deadlines.set(name, at as Millis);
  }

  clear(name: Name): void {
    this.#deadlines.delete(name);
  }

  clearAll(): void {
    this.#deadlines.clear();
  }

  isSet(name: Name): boolean {
    return this.#deadlines.has(name);
  }

  at(name: Name): Millis | undefined {
    return this.#deadlines.get(name);
  }

  /** The earliest deadline. */
  next(): Millis | undefined {
    let earliest: Millis | undefined;
    for (const at of this.#deadlines.values()) {
      if (earliest === undefined || at < earliest) earliest = at;
    }
    return earliest;
  }

  /** Takes out and names a deadline that has come; to be called until there is none. */
  takeExpired(now: Millis): Name | undefined {
    for (const [name, at] of this.#deadlines) {
      if (at <= now) {
        this.#deadlines.delete(name);
        return name;
      }
    }
    return undefined;
  }
}

/** The timers of a link, and what their expiry does. */
export type LinkTimer =
  /** Initiator: the call goes out again. */
  | 'call'
  /** No session came about: the link closes. */
  | 'give-up'
  /** An acknowledgement has waited long enough for another frame to ride on. */
  | 'ack'
  /** The oldest message fragment is not acknowledged: it goes again. */
  | 'resend'
  /** A report is due. */
  | 'report'
  /** Bytes of a long frame are coming in: the receiver says so. */
  | 'sign'
  /** No report has come: the sender asks for one. */
  | 'prompt'
  /** Still no report: the frame on the line is not worth its time. */
  | 'abandon'
  /** Nothing was heard for long: a probe goes out. */
  | 'keep-alive'
  /** A probe was not answered: another one. */
  | 'probe'
  /** No question was answered: the link closes. */
  | 'dead'
  /** The peer is heard, but no prompt has reached it: the link closes. */
  | 'deaf';

export type LinkTimers = Timers<LinkTimer>;
