/** What `SlotTable.get` answers for a block that is not in it. */
export const NO_SLOT = 0xffff_ffff;

const FIRST_CAPACITY = 1 << 10;

/**
 * Block index to slot number, slots below 2^32 - 1: open addressing in two typed arrays: 8 bytes an entry at a load
 * of at most 2/3, so a million blocks cost 16 MiB.
 */
export class SlotTable {
  #blocks = new Uint32Array(FIRST_CAPACITY);
  #slots = new Uint32Array(FIRST_CAPACITY).fill(NO_SLOT);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(block: number): number {
    return this.#slots[this.#place(block)] as number;
  }

  /** Adds a block, or gives it another slot. */
  set(block: number, slot: number): void {
    const place = this.#place(block);
    const isNew = this.#slots[place] === NO_SLOT;
    this.#blocks[place] = block;
    this.#slots[place] = slot;
    if (isNew && ++this.#size * 3 > this.#slots.length * 2) this.#grow();
  }

  clear(): void {
    this.#blocks = new Uint32Array(FIRST_CAPACITY);
    this.#slots = new Uint32Array(FIRST_CAPACITY).fill(NO_SLOT);
    this.#size = 0;
  }

  #place(block: number): number {
    const mask = this.#slots.length - 1;
    // Fibonacci hashing; the high bits are the well-mixed ones.
    let place = (Math.imul(block, 0x9e37_79b1) >>> 8) & mask;
    if (mask > 0xff_ffff) place = (Math.imul(block, 0x9e37_79b1) >>> 0) & mask;
    while (this.#slots[place] !== NO_SLOT && this.#blocks[place] !== block) place = (place + 1) & mask;
    return place;
  }

  #grow(): void {
    const blocks = this.#blocks;
    const slots = this.#slots;
    this.#blocks = new Uint32Array(slots.length * 2);
    this.#slots = new Uint32Array(slots.length * 2).fill(NO_SLOT);
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i] as number;
      if (slot === NO_SLOT) continue;
      const block = blocks[i] as number;
      const place = this.#place(block);
      this.#blocks[place] = block;
      this.#slots[place] = slot;
    }
  }
}
