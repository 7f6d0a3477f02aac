import type { StateInfo } from '../../protocol/state.js';

/** How a compare that somebody asked for has ended. */
export type CompareOutcome =
  | { readonly kind: 'compared'; readonly state: StateInfo; readonly blocks: number }
  | { readonly kind: 'refused'; readonly text: string; readonly hint?: string };

/** Those who asked for a compare and wait for what it finds. */
export class CompareWishes {
  readonly #waiting = new Set<(outcome: CompareOutcome) => void>();

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Resolves with the outcome of the next compare; rejects with the signal's reason. */
  next(signal: AbortSignal): Promise<CompareOutcome> {
    return new Promise((resolve, reject) => {
      const watch = (outcome: CompareOutcome): void => {
        signal.removeEventListener('abort', onAbort);
        resolve(outcome);
      };
      const onAbort = (): void => {
        this.#waiting.delete(watch);
        reject(signal.reason as Error);
      };
      this.#waiting.add(watch);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  tell(outcome: CompareOutcome): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const watch of waiting) watch(outcome);
  }
}
