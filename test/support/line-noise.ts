import { Seeded } from './seeded.js';

/** What a line does to the bytes on it, all of it drawn from a seed. */
export interface NoiseSettings {
  /** Independent errors, as a probability for each bit. */
  bitErrorRate?: number;
  /**
   * Bursts (Gilbert and Elliott): the line is good for `every` bytes on the average and then bad for `length` bytes on
   * the average, in which each bit is wrong with `bitErrorRate`.
   */
  bursts?: { readonly every: number; readonly length: number; readonly bitErrorRate: number };
  /** A receiver that is not read in time: with `rate` for each byte, the next `bytes` are lost without a trace. */
  overruns?: { readonly rate: number; readonly bytes: number };
}

/** Damages a stream of bytes; the damage depends on the seed and the bytes' places, not on how the stream is cut. */
export class LineNoise {
  readonly #settings: NoiseSettings;
  readonly #bits: Seeded;
  readonly #runs: Seeded;
  readonly #overrun: Seeded;
  /** Bits until the next independent error. */
  #nextError: number;
  #isBad = false;
  /** Bytes left of the present good or bad run. */
  #runLeft: number;
  #nextOverrun: number;
  #losing = 0;

  constructor(settings: NoiseSettings, seed: number) {
    this.#settings = settings;
    const seeds = new Seeded(seed);
    this.#bits = new Seeded(seeds.word());
    this.#runs = new Seeded(seeds.word());
    this.#overrun = new Seeded(seeds.word());
    const { bursts, overruns, bitErrorRate = 0 } = settings;
    this.#nextError = geometric(this.#bits, bitErrorRate);
    this.#runLeft = bursts === undefined ? Infinity : 1 + geometric(this.#runs, 1 / bursts.every);
    this.#nextOverrun = overruns === undefined ? Infinity : geometric(this.#overrun, overruns.rate);
  }

  /** What comes out where `bytes` went in; a fresh array, or `bytes` itself where nothing happens. */
  pass(bytes: Uint8Array): Uint8Array {
    const { bitErrorRate = 0, bursts, overruns } = this.#settings;
    if (bitErrorRate === 0 && bursts === undefined && overruns === undefined) return bytes;
    const damaged = Uint8Array.from(bytes);
    this.#flip(damaged);
    if (bursts !== undefined) this.#burst(damaged, bursts);
    return overruns === undefined ? damaged : this.#lose(damaged, overruns);
  }

  #flip(bytes: Uint8Array): void {
    const bits = bytes.length * 8;
    for (; this.#nextError < bits; this.#nextError += 1 + geometric(this.#bits, this.#rate)) {
      invert(bytes, this.#nextError);
    }
    this.#nextError -= bits;
  }

  get #rate(): number {
    return this.#settings.bitErrorRate ?? 0;
  }

  #burst(bytes: Uint8Array, { every, length, bitErrorRate }: NonNullable<NoiseSettings['bursts']>): void {
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(bytes.length, at + this.#runLeft);
      if (this.#isBad) {
        for (let bit = at * 8; bit < end * 8; bit++) if (this.#runs.chance(bitErrorRate)) invert(bytes, bit);
      }
      this.#runLeft -= end - at;
      at = end;
      if (this.#runLeft > 0) continue;
      this.#isBad = !this.#isBad;
      this.#runLeft = 1 + geometric(this.#runs, 1 / (this.#isBad ? length : every));
    }
  }

  #lose(bytes: Uint8Array, { rate, bytes: lost }: NonNullable<NoiseSettings['overruns']>): Uint8Array {
    let end = 0;
    for (const byte of bytes) {
      if (this.#losing > 0) {
        this.#losing--;
      } else if (this.#nextOverrun-- <= 0) {
        this.#losing = lost - 1;
        this.#nextOverrun = geometric(this.#overrun, rate);
      } else {
        bytes[end++] = byte;
      }
    }
    return bytes.subarray(0, end);
  }
}

/** How many fail before the first success, each succeeding with this probability. */
function geometric(random: Seeded, probability: number): number {
  if (probability <= 0) return Infinity;
  return Math.floor(Math.log(1 - random.fraction()) / Math.log(1 - probability));
}

function invert(bytes: Uint8Array, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
}
