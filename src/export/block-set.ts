/** A set of block numbers below `count`: one bit each. */
export class BlockSet {
  readonly #bits: Uint8Array;

  constructor(readonly count: number) {
    this.#bits = new Uint8Array(Math.ceil(count / 8));
  }

  has(block: number): boolean {
    return (((this.#bits[Math.floor(block / 8)] as number) >> (block % 8)) & 1) === 1;
  }

  /** Adds `start … end-1`. */
  add(start: number, end: number): void {
    for (let block = start; block < end;) {
      const byte = Math.floor(block / 8);
      if (block % 8 === 0 && end - block >= 8) {
        const last = Math.floor(end / 8);
        this.#bits.fill(0xff, byte, last);
        block = last * 8;
      } else {
        this.#bits[byte] = (this.#bits[byte] as number) | (1 << (block % 8));
        block++;
      }
    }
  }

  /** The first block after `block`, at most `end`, that is not as `block` is: in the set or not. */
  endOfRun(block: number, end: number): number {
    const inSet = this.has(block);
    const whole = inSet ? 0xff : 0;
    let at = block + 1;
    while (at < end) {
      if (at % 8 === 0 && this.#bits[at / 8] === whole) at += 8;
      else if (this.has(at) === inSet) at++;
      else return at;
    }
    return end;
  }
}
