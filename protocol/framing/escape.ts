/**
 * For a line on which some bytes do not get through as they are: XON and XOFF (0x11, 0x13), which devices with software
 * flow control take out and put in, and 0xff, which some terminals servers and drivers treat in their own way. Such a
 * byte, and the escape itself, travels as `7d` and the byte with bit 5 inverted (as in HDLC). Frames keep their delimiter,
 * which is none of them. Costs a byte for each of the four: 1.6 % of sealed data.
 */

const ESCAPE = 0x7d;
const INVERTED = 0x20;
const XON = 0x11;
const XOFF = 0x13;

const isEscaped = (byte: number): boolean =>
  byte === XON || byte === XOFF || byte === 0xff || byte === ESCAPE;

/** What goes on the line for `bytes`, a fresh array. */
export function escapeBytes(bytes: Uint8Array): Uint8Array {
  let extra = 0;
  for (const byte of bytes) if (isEscaped(byte)) extra++;
  const escaped = new Uint8Array(bytes.length + extra);
  let end = 0;
  for (const byte of bytes) {
    if (isEscaped(byte)) {
      escaped[end++] = ESCAPE;
      escaped[end++] = byte ^ INVERTED;
    } else {
      escaped[end++] = byte;
    }
  }
  return escaped;
}

/** Undoes it, however the line's bytes are cut. XON and XOFF that stand on the line as they are were put in by a device. */
export class Unescaper {
  #isEscaped = false;

  /** A fresh array. */
  push(chunk: Uint8Array): Uint8Array {
    const bytes = new Uint8Array(chunk.length);
    let end = 0;
    for (const byte of chunk) {
      if (byte === XON || byte === XOFF) continue;
      if (this.#isEscaped && byte !== 0) {
        bytes[end++] = byte ^ INVERTED;
        this.#isEscaped = false;
      } else if (byte === ESCAPE) {
        this.#isEscaped = true;
      } else {
        // A delimiter is one whatever stands before it: the next frame is to be whole.
        this.#isEscaped = false;
        bytes[end++] = byte;
      }
    }
    return bytes.subarray(0, end);
  }
}
