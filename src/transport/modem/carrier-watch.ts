const LOST = Buffer.from('\r\nNO CARRIER\r\n', 'latin1');
const LF = 0x0a;

/**
 * Looks at the bytes of a call for the modem's word that it is over, for lines that have no carrier wire. The words
 * count wherever they stand, also in the middle of a frame, since that is where carriers drop: sealed bytes spell
 * them by chance once in 2^112, and a stranger on the line who says them could as well hang up.
 */
export class CarrierWatch {
  #lineFeedDue: boolean;
  /** The end of what was seen: a beginning of the words may be in it. */
  #tail: Buffer = Buffer.alloc(0);

  /** `lineFeedDue`: see `Remainder`. */
  constructor(lineFeedDue: boolean) {
    this.#lineFeedDue = lineFeedDue;
  }

  /** What of `bytes` belongs to the call, and whether the carrier is gone. */
  pass(bytes: Uint8Array): { readonly bytes: Uint8Array; readonly lost: boolean } {
    if (bytes.length === 0) return { bytes, lost: false };
    const ours = this.#lineFeedDue && bytes[0] === LF ? bytes.subarray(1) : bytes;
    this.#lineFeedDue = false;
    const seen = Buffer.concat([this.#tail, ours]);
    this.#tail = seen.subarray(Math.max(0, seen.length - (LOST.length - 1)));
    return { bytes: ours, lost: seen.includes(LOST) };
  }
}
