/** A small ledger as a database would lay it on a disk: records that look alike, in blocks of 4096 bytes. */

export const BLOCK = 4096;
const RECORD = 64;

/** `count` blocks of account records; `seed` makes other ones. */
export function ledgerBlocks(count: number, seed: number): Buffer {
  const random = sequence(seed);
  const records = Array.from({ length: (count * BLOCK) / RECORD }, (_, index) => {
    const balance = (random() % 10_000_000) / 100;
    const text = `account ${String(index).padStart(8, '0')} balance ${balance.toFixed(2).padStart(10)} EUR day ${random() % 366}`;
    return `${text.padEnd(RECORD - 1)}\n`;
  });
  return Buffer.from(records.join(''), 'latin1');
}

/** xorshift32: the same numbers in every run. */
function sequence(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}
