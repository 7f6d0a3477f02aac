const ZEROS = Buffer.alloc(1 << 20);

/** Are all bytes of `start … end-1` zero. */
export function isZero(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
  if (start < end && (bytes[start] !== 0 || bytes[end - 1] !== 0)) return false;
  for (let at = start; at < end; at += ZEROS.length) {
    const length = Math.min(ZEROS.length, end - at);
    if (ZEROS.compare(bytes, at, at + length, 0, length) !== 0) return false;
  }
  return true;
}

/** `length` zero bytes to be read only; at most 1 MiB. */
export const zeros = (length: number): Buffer => ZEROS.subarray(0, length);
