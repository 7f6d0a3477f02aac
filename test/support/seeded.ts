/** Numbers that look random and come again with the same seed (mulberry32). Not for keys. */
export class Seeded {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed >>> 0;
  }

  /** 32 bits, 0 … 2^32 - 1. */
  word(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** 0 … 1, 1 excluded. */
  fraction(): number {
    return this.word() / 2 ** 32;
  }

  /** A whole number, 0 … `below` - 1. */
  below(below: number): number {
    return Math.floor(this.fraction() * below);
  }

  /** True with this probability, 0 … 1. */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** One of `choices`, which must not be empty. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  /** The same items in another order. */
  shuffle<T>(items: readonly T[]): T[] {
    const shuffled = [...items];
    for (let left = shuffled.length - 1; left > 0; left--) {
      const other = this.below(left + 1);
      [shuffled[left], shuffled[other]] = [shuffled[other] as T, shuffled[left] as T];
    }
    return shuffled;
  }

  /** Fills `into` with bytes that no compressor makes smaller. */
  fill(into: Uint8Array): Uint8Array {
    const whole = into.length - (into.length % 4);
    const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
    for (let at = 0; at < whole; at += 4) view.setUint32(at, this.word(), true);
    for (let at = whole; at < into.length; at++) into[at] = this.word() & 255;
    return into;
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.allocUnsafe(count);
    this.fill(bytes);
    return bytes;
  }
}

/** The seed of this run: `SEED=…` from the environment, else a fresh one. Print it, so that a failure can be had again. */
export function seedOfThisRun(): number {
  const given = process.env['SEED'];
  return given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given) >>> 0;
}
