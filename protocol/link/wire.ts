import { ProtocolError } from '../errors.js';

/** Writes a sealed frame's content into one buffer of fixed room; running out of it is our own mistake. */
export class WireWriter {
  readonly #buffer: Buffer;
  #end = 0;

  constructor(capacity: number) {
    this.#buffer = Buffer.allocUnsafe(capacity);
  }

  get length(): number {
    return this.#end;
  }

  /** Bytes that still fit. */
  get room(): number {
    return this.#buffer.length - this.#end;
  }

  byte(value: number): void {
    if (this.room < 1) throw new RangeError('frame overflow');
    this.#buffer[this.#end++] = value;
  }

  /** Unsigned LEB128 of a safe integer. */
  varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.byte(rest);
  }

  bytes(value: Uint8Array): void {
    if (this.room < value.length) throw new RangeError('frame overflow');
    this.#buffer.set(value, this.#end);
    this.#end += value.length;
  }

  /** What was written; a view. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#end);
  }
}

/** Bytes that `varint` takes for `value`. */
export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

/** Reads what `WireWriter` wrote; throws `ProtocolError` `bad-message` for input that ends early or is too large. */
export class WireReader {
  readonly #input: Uint8Array;
  #at = 0;

  constructor(input: Uint8Array) {
    this.#input = input;
  }

  get atEnd(): boolean {
    return this.#at === this.#input.length;
  }

  byte(): number {
    const byte = this.#input[this.#at++];
    if (byte === undefined) throw badContent('ends early');
    return byte;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (!Number.isSafeInteger(value)) throw badContent('number too large');
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  }

  /** The next `count` bytes; a view. */
  bytes(count: number): Uint8Array {
    if (count > this.#input.length - this.#at) throw badContent('ends early');
    this.#at += count;
    return this.#input.subarray(this.#at - count, this.#at);
  }

  /** All that is left; a view. */
  rest(): Uint8Array {
    return this.bytes(this.#input.length - this.#at);
  }
}

/** The content of a sealed frame is not what PROTOCOL.md allows. */
export const badContent = (what: string): ProtocolError =>
  new ProtocolError('bad-message', `frame content: ${what}`);
