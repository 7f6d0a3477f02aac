import { SLICE_BYTES } from './block-content.js';

/** The most operations under way at once. */
const MAX_OPERATIONS = 64;

/**
 * A few reads or writes under way together: scattered blocks one by one would wait for the event loop each time.
 * Nothing is left under way once `done` has settled.
 */
export class Batch {
  #operations: Promise<void>[] = [];
  #bytes = 0;

  add(operation: Promise<void>, bytes: number): void {
    // It may fail before `done` looks.
    operation.catch(() => undefined);
    this.#operations.push(operation);
    this.#bytes += bytes;
  }

  get isFull(): boolean {
    return this.#operations.length >= MAX_OPERATIONS || this.#bytes >= SLICE_BYTES;
  }

  /** Waits for all; rejects with the first failure. */
  async done(): Promise<void> {
    const operations = this.#operations;
    this.#operations = [];
    this.#bytes = 0;
    await Promise.allSettled(operations);
    await Promise.all(operations);
  }
}
