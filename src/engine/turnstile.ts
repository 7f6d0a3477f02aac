/** Lets one piece of work through at a time, in the order they came; one that fails does not stop the next. */
export class Turnstile {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** Lets the event loop serve what is waiting; a chain of resolved promises alone would keep it out. */
export const yieldToLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
