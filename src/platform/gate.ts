/** Lets a number of pieces of work be under way at once; the others wait for their turn, in the order in which they came. */
export class Gate {
  readonly #places: number;
  readonly #all: number;
  readonly #waiting: (() => void)[] = [];
  readonly #urgent: (() => void)[] = [];
  /** Under way: of what is not urgent, and of all. */
  #ordinaryCount = 0;
  #count = 0;

  /**
   * @param places how many at once
   * @param urgentPlaces how many more of what is urgent
   */
  constructor(places: number, urgentPlaces = 0) {
    this.#places = places;
    this.#all = places + urgentPlaces;
  }

  /** Resolves or rejects with the work's own outcome. What is urgent goes before all that is not. */
  async run<T>(work: () => Promise<T>, isUrgent = false): Promise<T> {
    await new Promise<void>((resolve) => {
      (isUrgent ? this.#urgent : this.#waiting).push(resolve);
      this.#admit();
    });
    try {
      return await work();
    } finally {
      this.#count--;
      if (!isUrgent) this.#ordinaryCount--;
      this.#admit();
    }
  }

  #admit(): void {
    while (this.#count < this.#all && this.#urgent.length > 0) {
      this.#count++;
      this.#urgent.shift()?.();
    }
    while (this.#count < this.#all && this.#ordinaryCount < this.#places && this.#waiting.length > 0) {
      this.#count++;
      this.#ordinaryCount++;
      this.#waiting.shift()?.();
    }
  }
}
