import type { Millis } from '../units.js';
import type { KeepAlive } from './keep-alive.js';

/** Which prompts have gone out, and whether they have reached the peer: one that is heard and does not hear is given up. */
export class OpenPrompts {
  readonly #keepAlive: KeepAlive;
  /** The first one that no report has seen. */
  #open: number | undefined;
  #last: { readonly frame: number; readonly at: Millis } | undefined;
  #seen = -1;

  constructor(keepAlive: KeepAlive) {
    this.#keepAlive = keepAlive;
  }

  /** A report has seen the last one. */
  get isLastSeen(): boolean {
    return this.#last !== undefined && this.#last.frame <= this.#seen;
  }

  /** When the last one went out, if it was this frame. */
  sentIn(frame: number): Millis | undefined {
    return this.#last?.frame === frame ? this.#last.at : undefined;
  }

  noteSent(now: Millis, frame: number): void {
    this.#last = { frame, at: now };
    this.#open ??= frame;
    this.#keepAlive.notePrompted(now);
  }

  /** A report has seen frames up to this one. */
  noteSeen(now: Millis, seen: number): void {
    if (seen > this.#seen && this.#open !== undefined) {
      // The prompt, or what stands in a queue before it, gets through.
      this.#keepAlive.notePromptSeen();
      if (this.#open <= seen) this.#open = undefined;
      else this.#keepAlive.notePrompted(now);
    }
    this.#seen = Math.max(this.#seen, seen);
  }

  /** Nothing is asked about any more. */
  stop(): void {
    this.#open = undefined;
    this.#keepAlive.notePromptSeen();
  }
}
