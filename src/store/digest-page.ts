/** One entry: a block's digest and the check of that, 32 bits each (LE). */
export const ENTRY_BYTES = 8;
export const PAGE_BYTES = 4096;
export const PAGE_ENTRIES = PAGE_BYTES / ENTRY_BYTES;

/**
 * The check that an entry has beside its digest: by it a digest that has rotted, or lies in another block's place, is told
 * from a block that has. `key` is of the file, so that entries of another are not taken for its own.
 */
export function entryCheck(block: number, digest: number, key: number): number {
  let mixed = digest ^ key ^ Math.imul(block, 0x9e37_79b1) ^ Math.floor(block / 2 ** 32);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Entries of one page of digests that are to be written. */
export class NotedPage {
  readonly #bytes = Buffer.alloc(PAGE_BYTES);
  readonly #isNoted = new Uint8Array(PAGE_ENTRIES);
  #first = PAGE_ENTRIES;
  #end = 0;
  #count = 0;
  #hasZeros = false;

  note(place: number, digest: number, check: number): void {
    this.#bytes.writeUInt32LE(digest, place * ENTRY_BYTES);
    this.#bytes.writeUInt32LE(check, place * ENTRY_BYTES + 4);
    if (this.#isNoted[place] === 0) this.#count++;
    this.#isNoted[place] = 1;
    this.#first = Math.min(this.#first, place);
    this.#end = Math.max(this.#end, place + 1);
    if (digest === 0) this.#hasZeros = true;
  }

  /** What was noted, where it is one run of entries; null: it is not, or there are zeros in it, which may be there already. */
  get onlyRun(): { readonly start: number; readonly bytes: Uint8Array } | null {
    if (this.#hasZeros || this.#count !== this.#end - this.#first) return null;
    return {
      start: this.#first,
      bytes: this.#bytes.subarray(this.#first * ENTRY_BYTES, this.#end * ENTRY_BYTES),
    };
  }

  /** Puts what was noted into the page as it is on the disk; false: it was there already. */
  mergeInto(page: Buffer): boolean {
    const before = Buffer.from(page);
    for (let place = this.#first; place < this.#end; place++) {
      if (this.#isNoted[place] === 0) continue;
      this.#bytes.copy(page, place * ENTRY_BYTES, place * ENTRY_BYTES, (place + 1) * ENTRY_BYTES);
    }
    return !page.equals(before);
  }
}
