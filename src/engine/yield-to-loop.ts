/** Lets the event loop serve what is waiting; a chain of resolved promises alone would keep it out. */
export const yieldToLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
