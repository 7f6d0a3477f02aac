const ZEROS = Buffer.alloc(1 << 20);

/** Are all bytes zero. */
export function isZero(bytes: Uint8Array): boolean {
  if (bytes.byteLength > 0 && (bytes[0] !== 0 || bytes[bytes.byteLength - 1] !== 0)) return false;
  for (let at = 0; at < bytes.byteLength; at += ZEROS.byteLength) {
    const part = bytes.subarray(at, at + ZEROS.byteLength);
    if (ZEROS.compare(part, 0, part.byteLength, 0, part.byteLength) !== 0) return false;
  }
  return true;
}

/** `length` zero bytes to be read only; at most 1 MiB. */
export const zeros = (length: number): Buffer => ZEROS.subarray(0, length);
