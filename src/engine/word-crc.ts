/** CRC-32 (as zlib's) of a few 32-bit words: no call out of JavaScript and no view, which cost more than so few bytes. */

const POLYNOMIAL = 0xedb8_8320;
const BYTES = 256;
/** `BYTES` entries for each byte of a word, the last byte first. */
const TABLES = new Uint32Array(4 * BYTES);

for (let byte = 0; byte < BYTES; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ POLYNOMIAL;
  TABLES[byte] = crc;
}
for (let at = BYTES; at < TABLES.length; at++) {
  const crc = TABLES[at - BYTES] as number;
  TABLES[at] = (crc >>> 8) ^ (TABLES[crc & 0xff] as number);
}

/** CRC-32 of four u32 as they lie in little-endian bytes, going on from the CRC-32 `start` of what came before. */
export function crcOfWords(start: number, a: number, b: number, c: number, d: number): number {
  const crc = step(step(step(step(~start, a), b), c), d);
  return ~crc >>> 0;
}

function step(crc: number, word: number): number {
  const rest = crc ^ word;
  return (
    (TABLES[3 * BYTES + (rest & 0xff)] as number) ^
    (TABLES[2 * BYTES + ((rest >>> 8) & 0xff)] as number) ^
    (TABLES[BYTES + ((rest >>> 16) & 0xff)] as number) ^
    (TABLES[rest >>> 24] as number)
  );
}
