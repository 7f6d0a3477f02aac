import type { Seeded } from '../../support/seeded.js';

const SYLLABLES =
  'al an ar be ca co da de di el en er fa fi ga go ha in is ka la le lo ma me mi na ne no or pa pe ra re ri ro sa se si ta te ti to tu ul un va ve vi wa we wi yo za'.split(
    ' ',
  );

/** A vocabulary and what can be said with it: compresses about as text does, and comes again with the same seed. */
export class Prose {
  readonly #seeded: Seeded;
  readonly #words: readonly string[];

  constructor(seeded: Seeded, vocabulary = 4000) {
    this.#seeded = seeded;
    this.#words = Array.from({ length: vocabulary }, () =>
      Array.from({ length: 1 + seeded.below(3) }, () => seeded.pick(SYLLABLES)).join(''),
    );
  }

  /** Frequent words come often, as in any language. */
  word(): string {
    const place = Math.floor(this.#seeded.fraction() ** 3 * this.#words.length);
    return this.#words[place] as string;
  }

  words(count: number): string {
    return Array.from({ length: count }, () => this.word()).join(' ');
  }

  /** Lines of up to a dozen words, `bytes` of them in all, more or less. */
  lines(bytes: number): string {
    const lines: string[] = [];
    for (let length = 0; length < bytes;) {
      const line = this.words(4 + this.#seeded.below(9));
      lines.push(line);
      length += line.length + 1;
    }
    return `${lines.join('\n')}\n`;
  }

  /** What a server notes of its requests; `from` is the first one's second. */
  log(bytes: number, from: number): string {
    const seeded = this.#seeded;
    const lines: string[] = [];
    let second = from;
    for (let length = 0; length < bytes;) {
      second += seeded.below(3);
      const time = new Date(1_700_000_000_000 + second * 1000).toISOString();
      const address = `10.${seeded.below(4)}.${seeded.below(256)}.${seeded.below(256)}`;
      const path = `/${this.word()}/${this.word()}?id=${seeded.below(100_000)}`;
      const status = seeded.chance(0.9) ? 200 : 404;
      const line = `${time} ${address} GET ${path} ${status} ${seeded.below(50_000)} ${seeded.below(900)}ms`;
      lines.push(line);
      length += line.length + 1;
    }
    return `${lines.join('\n')}\n`;
  }
}
