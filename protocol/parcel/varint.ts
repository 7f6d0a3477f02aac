/** Unsigned LEB128, seven bits a byte, low bits first; values are safe integers (at most eight bytes). */
export class VarintWriter {
  readonly #bytes: number[] = [];

  write(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes.push((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes.push(rest);
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/** Reads what `VarintWriter` wrote; `fail` makes the error for input that ends early or is too large. */
export class VarintReader {
  #position = 0;

  constructor(
    readonly input: Uint8Array,
    readonly fail: () => Error,
  ) {}

  /** Index of the next unread byte. */
  get position(): number {
    return this.#position;
  }

  /** The next `count` bytes; a view of the input. */
  take(count: number): Uint8Array {
    const bytes = this.input.subarray(this.#position, this.#position + count);
    if (bytes.byteLength < count) throw this.fail();
    this.#position += count;
    return bytes;
  }

  read(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.input[this.#position++];
      if (byte === undefined) throw this.fail();
      value += (byte & 0x7f) * scale;
      if (!Number.isSafeInteger(value)) throw this.fail();
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  }
}
