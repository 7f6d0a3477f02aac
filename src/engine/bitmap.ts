/** Bytes of one page of a bitmap; pages with no bit set are not allocated. */
export const BITMAP_PAGE_BYTES = 4096;
/** Bits of one page. */
export const BITMAP_PAGE_BITS = BITMAP_PAGE_BYTES * 8;

const POPULATION = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let rest = byte; rest !== 0; rest >>= 1) count += rest & 1;
  return count;
});

/**
 * A set of integers `0 … length-1` as bits in lazily allocated pages: bit `i` is bit `i & 7` of byte `i >> 3`.
 * A volume of 1 TiB in blocks of 4096 needs nothing while it is clean and 32 MiB when every block is in the set.
 */
export class Bitmap {
  readonly #pages: (Uint8Array | undefined)[] = [];
  #count = 0;

  constructor(readonly length: number) {}

  /** How many integers are in the set. */
  get count(): number {
    return this.#count;
  }

  has(index: number): boolean {
    const page = this.#pages[Math.floor(index / BITMAP_PAGE_BITS)];
    return (
      page !== undefined && ((page[(index % BITMAP_PAGE_BITS) >>> 3] as number) & (1 << (index & 7))) !== 0
    );
  }

  /** Is every integer of `start … end-1` in the set. */
  covers(start: number, end: number): boolean {
    return end - start === 1 ? this.has(start) : this.nextClear(start, end) >= end;
  }

  /** Adds `start … end-1`. */
  add(start: number, end: number): void {
    for (let at = start; at < end;) {
      const number = Math.floor(at / BITMAP_PAGE_BITS);
      const pageStart = number * BITMAP_PAGE_BITS;
      const until = Math.min(end, pageStart + BITMAP_PAGE_BITS);
      const page = (this.#pages[number] ??= new Uint8Array(BITMAP_PAGE_BYTES));
      this.#count += setBits(page, at - pageStart, until - pageStart);
      at = until;
    }
  }

  /** First member at or after `from`, below `limit`; `limit` if there is none. */
  nextSet(from: number, limit: number): number {
    for (let at = from; at < limit;) {
      const number = Math.floor(at / BITMAP_PAGE_BITS);
      const page = this.#pages[number];
      const pageStart = number * BITMAP_PAGE_BITS;
      if (page !== undefined) {
        const found = findBit(page, at - pageStart, limit - pageStart, 0);
        if (found < BITMAP_PAGE_BITS) return Math.min(pageStart + found, limit);
      }
      at = pageStart + BITMAP_PAGE_BITS;
    }
    return limit;
  }

  /** First integer at or after `from` that is not a member, below `limit`; `limit` if there is none. */
  nextClear(from: number, limit: number): number {
    for (let at = from; at < limit;) {
      const number = Math.floor(at / BITMAP_PAGE_BITS);
      const page = this.#pages[number];
      if (page === undefined) return at;
      const pageStart = number * BITMAP_PAGE_BITS;
      const found = findBit(page, at - pageStart, limit - pageStart, 0xff);
      if (found < BITMAP_PAGE_BITS) return Math.min(pageStart + found, limit);
      at = pageStart + BITMAP_PAGE_BITS;
    }
    return limit;
  }

  /** A page's bytes, to be read only; undefined: all clear. */
  page(number: number): Uint8Array | undefined {
    return this.#pages[number];
  }

  /** Takes over a whole page as loaded from a file; the bytes are kept. */
  adoptPage(number: number, bytes: Uint8Array): void {
    for (const byte of this.#pages[number] ?? []) this.#count -= POPULATION[byte] as number;
    for (const byte of bytes) this.#count += POPULATION[byte] as number;
    this.#pages[number] = bytes;
  }

  clear(): void {
    this.#pages.length = 0;
    this.#count = 0;
  }
}

/** Sets bits `start … end-1` of a page; answers how many were clear. */
function setBits(page: Uint8Array, start: number, end: number): number {
  let added = 0;
  for (let at = start; at < end;) {
    const index = at >>> 3;
    const until = Math.min(end, (index + 1) * 8);
    const mask = (0xff << (at & 7)) & (0xff >>> ((index + 1) * 8 - until));
    const before = page[index] as number;
    page[index] = before | mask;
    added += POPULATION[mask & ~before] as number;
    at = until;
  }
  return added;
}

/**
 * First bit at or after `from` in a byte that, XORed with `flip`, has it set; the page's length if there is none in the
 * bytes below bit `limit`.
 */
function findBit(page: Uint8Array, from: number, limit: number, flip: number): number {
  const end = limit < BITMAP_PAGE_BITS ? (limit + 7) >>> 3 : BITMAP_PAGE_BYTES;
  let index = from >>> 3;
  let rest = ((page[index] as number) ^ flip) & (0xff << (from & 7)) & 0xff;
  while (rest === 0) {
    if (++index >= end) return BITMAP_PAGE_BITS;
    rest = (page[index] as number) ^ flip;
  }
  return index * 8 + 31 - Math.clz32(rest & -rest);
}
