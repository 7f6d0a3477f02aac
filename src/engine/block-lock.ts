/** A piece of work on the blocks `start … end-1`, from the moment it asked. */
interface Entry<Epoch> {
  readonly start: number;
  readonly end: number;
  readonly admitted: (epoch: Epoch) => void;
  epoch: Epoch | null;
}

/** A held range of blocks, and the epoch it was admitted in. */
export interface Held<Epoch> {
  readonly epoch: Epoch;
  /** Lets the next ones in; once. */
  leave(): void;
}

/**
 * Writes that cannot be done within one tick hold the blocks they touch. One that overlaps an earlier one, held or
 * waiting, waits for it; all others are admitted at once. A write belongs to the epoch that is current in the tick in
 * which it is admitted. Meant for the few hundred requests that can be under way at a time.
 */
export class BlockLock<Epoch> {
  readonly #entries: Entry<Epoch>[] = [];
  #isHeld = false;
  readonly #watchers: { readonly epoch: Epoch; readonly resolve: () => void }[] = [];

  constructor(readonly currentEpoch: () => Epoch) {}

  /** Would a write of these blocks have to wait. */
  isBusy(start: number, end: number): boolean {
    if (this.#isHeld) return true;
    return this.#entries.length > 0 && this.#entries.some((entry) => overlaps(entry, start, end));
  }

  /** From now on nothing is admitted; what was goes on. The answer lets the waiting ones in, and does so once. */
  hold(): () => void {
    this.#isHeld = true;
    return () => {
      if (!this.#isHeld) return;
      this.#isHeld = false;
      this.#admit(() => true);
    };
  }

  enter(start: number, end: number): Promise<Held<Epoch>> {
    return new Promise((resolve) => {
      const entry: Entry<Epoch> = {
        start,
        end,
        epoch: null,
        admitted: (epoch) => {
          entry.epoch = epoch;
          resolve({ epoch, leave: () => this.#leave(entry) });
        },
      };
      const isFree = !this.isBusy(start, end);
      this.#entries.push(entry);
      if (isFree) entry.admitted(this.currentEpoch());
    });
  }

  /** Resolves when no write admitted in `epoch` is unfinished. */
  finished(epoch: Epoch): Promise<void> {
    return new Promise((resolve) => {
      this.#watchers.push({ epoch, resolve });
      this.#tellWatchers();
    });
  }

  /** Resolves when nothing is held and nothing waits. */
  async idle(): Promise<void> {
    for (let last = this.#entries.at(-1); last !== undefined; last = this.#entries.at(-1)) {
      const held = await this.enter(last.start, last.end);
      held.leave();
    }
  }

  #leave(entry: Entry<Epoch>): void {
    const place = this.#entries.indexOf(entry);
    if (place < 0) throw new Error('a block range was left twice');
    this.#entries.splice(place, 1);
    this.#admit((waiting) => overlaps(waiting, entry.start, entry.end));
    this.#tellWatchers();
  }

  #admit(mayBeFree: (waiting: Entry<Epoch>) => boolean): void {
    if (this.#isHeld) return;
    this.#entries.forEach((waiting, i) => {
      if (waiting.epoch !== null || !mayBeFree(waiting)) return;
      const isFree = !this.#entries
        .slice(0, i)
        .some((earlier) => overlaps(earlier, waiting.start, waiting.end));
      if (isFree) waiting.admitted(this.currentEpoch());
    });
  }

  #tellWatchers(): void {
    for (let i = this.#watchers.length - 1; i >= 0; i--) {
      const watcher = this.#watchers[i];
      if (watcher === undefined || this.#entries.some((entry) => entry.epoch === watcher.epoch)) continue;
      this.#watchers.splice(i, 1);
      watcher.resolve();
    }
  }
}

const overlaps = (
  entry: { readonly start: number; readonly end: number },
  start: number,
  end: number,
): boolean => entry.start < end && start < entry.end;
