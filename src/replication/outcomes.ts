import type { StateInfo } from '../../protocol/state.js';

/** How a set came to its end. */
export type TransferOutcome =
  | { readonly kind: 'applied'; readonly state: StateInfo; readonly blocks: number }
  | { readonly kind: 'refused'; readonly text: string; readonly hint?: string };

/** Those who wait to hear how the sets of one volume come to their ends. */
export class Outcomes {
  readonly #watchers = new Set<(outcome: TransferOutcome) => void>();

  /** Resolves with the first outcome at or after a state; rejects with the signal's reason. */
  next(of: StateInfo, signal: AbortSignal): Promise<TransferOutcome> {
    return new Promise((resolve, reject) => {
      const watch = (outcome: TransferOutcome): void => {
        if (outcome.kind === 'applied' && outcome.state.ordinal < of.ordinal) return;
        this.#watchers.delete(watch);
        resolve(outcome);
      };
      const onAbort = (): void => {
        this.#watchers.delete(watch);
        reject(signal.reason as Error);
      };
      this.#watchers.add(watch);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  tell(outcome: TransferOutcome): void {
    for (const watch of [...this.#watchers]) watch(outcome);
  }
}
