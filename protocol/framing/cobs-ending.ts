/**
 * The end of a COBS form whose midst has lost bytes or codes. A form is a chain of codes, each of which says where the next
 * one stands, and the last points at the end; so behind the damage it can be read again from the place where the chain is
 * taken up, which has to be found. Every place whose chain reaches the end exactly may be one. They differ in their codes:
 * what is sealed looks random, and of random bytes more than a third of the codes are `FULL`, while of bytes that are no
 * codes one in 255 is. So the likeliest chain is the one whose codes are the most like codes, and a few dozen bytes of
 * content decide.
 */

const FULL = 0xff;

/** How much likelier (natural logarithm) a code of random content has this value than any other byte. */
const WEIGHTS = Float64Array.from({ length: 256 }, (_, code) =>
  code === FULL ? 254 * Math.log(255 / 256) + Math.log(255) : code * Math.log(255 / 256),
);

/** The end of an encoded form. */
export interface CobsEnding {
  /** Where in the encoded form the first code stands that could be made out. */
  readonly start: number;
  /** What stands behind that code, decoded; fresh. */
  readonly bytes: Uint8Array;
}

/** The likeliest end of an encoded form, empty where nothing speaks for any. Time linear in the bytes. */
export function cobsEnding(encoded: Uint8Array): CobsEnding {
  const end = encoded.length;
  const scores = new Float64Array(end + 1).fill(-Infinity);
  scores[end] = 0;
  let start = end;
  for (let at = end - 1; at >= 0; at--) {
    const code = encoded[at] as number;
    const next = at + code;
    if (code === 0 || next > end) continue;
    const score = (scores[next] as number) + (WEIGHTS[code] as number);
    scores[at] = score;
    if (score > (scores[start] as number)) start = at;
  }
  return { start, bytes: decodeChain(encoded, start) };
}

function decodeChain(encoded: Uint8Array, start: number): Uint8Array {
  const output = Buffer.allocUnsafe(encoded.length - start);
  let length = 0;
  for (let at = start; at < encoded.length;) {
    const code = encoded[at] as number;
    output.set(encoded.subarray(at + 1, at + code), length);
    length += code - 1;
    at += code;
    if (at < encoded.length && code !== FULL) output[length++] = 0;
  }
  return output.subarray(0, length);
}
