import { maxCobsLength } from './limits.js';

/**
 * Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): each zero is replaced by the distance to the next one,
 * so that the encoded form has no zero byte. A block of 254 bytes without a zero gets the code 255 and stands for no
 * zero; when it ends the input, no code follows it.
 *
 * Both directions work run by run with the runtime's own search and copy; runs shorter than `SHORT` are cheaper by hand.
 */

const FULL = 0xff;
const FULL_RUN = FULL - 1;
const SHORT = 24;

/** Writes the encoded form of `input` to `output` from `at` on; the index behind its last byte. `output` must have room. */
export function cobsEncodeInto(input: Uint8Array, output: Uint8Array, at: number): number {
  const source = asBuffer(input);
  let end = at;
  for (let start = 0; ;) {
    const zero = nextZero(source, start);
    while (zero - start >= FULL_RUN) {
      output[end] = FULL;
      copyRun(source, start, start + FULL_RUN, output, end + 1);
      end += FULL;
      start += FULL_RUN;
      if (start === source.length) return end;
    }
    output[end] = zero - start + 1;
    copyRun(source, start, zero, output, end + 1);
    end += zero - start + 1;
    if (zero === source.length) return end;
    start = zero + 1;
  }
}

/** The encoded form, a fresh array without a zero byte. */
export function cobsEncode(input: Uint8Array): Uint8Array {
  const output = Buffer.allocUnsafe(maxCobsLength(input.length));
  return output.subarray(0, cobsEncodeInto(input, output, 0));
}

/**
 * Undoes `cobsEncode` into `output`, which must be as long as the input, or a fresh array; the part that was written.
 * `undefined` for input that is not the encoded form of anything.
 */
export function cobsDecode(
  encoded: Uint8Array,
  output: Uint8Array = Buffer.allocUnsafe(encoded.length),
): Uint8Array | undefined {
  const source = asBuffer(encoded);
  if (source.length === 0 || source.includes(0)) return undefined;
  let end = 0;
  for (let start = 0; ;) {
    const code = source[start] as number;
    const next = start + code;
    if (next > source.length) return undefined;
    copyRun(source, start + 1, next, output, end);
    end += code - 1;
    if (next === source.length) return output.subarray(0, end);
    if (code !== FULL) output[end++] = 0;
    start = next;
  }
}

/**
 * What stands in a damaged or cut-off encoded form, as far as its codes can be followed: up to the damage it is what it
 * was. A fresh array.
 */
export function cobsSalvage(encoded: Uint8Array): Uint8Array {
  const source = asBuffer(encoded);
  const output = Buffer.allocUnsafe(source.length);
  let end = 0;
  for (let start = 0; start < source.length;) {
    const code = source[start] as number;
    const next = Math.min(start + Math.max(code, 1), source.length);
    copyRun(source, start + 1, next, output, end);
    end += next - start - 1;
    if (next < source.length && code !== FULL) output[end++] = 0;
    start = next;
  }
  return output.subarray(0, end);
}

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Index of the first zero from `start` on, or the length. */
function nextZero(source: Buffer, start: number): number {
  const near = Math.min(start + SHORT, source.length);
  for (let i = start; i < near; i++) if (source[i] === 0) return i;
  const found = source.indexOf(0, near);
  return found < 0 ? source.length : found;
}

function copyRun(source: Buffer, start: number, end: number, output: Uint8Array, at: number): void {
  if (end - start >= SHORT) {
    source.copy(output, at, start, end);
  } else {
    for (let from = start, to = at; from < end; from++, to++) output[to] = source[from] as number;
  }
}
