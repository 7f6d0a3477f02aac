import type { Crc32 } from '../framing/frame.js';
import { MAX_SEGMENT } from '../framing/limits.js';
import type { ParcelId } from '../units.js';
import { MAX_SCRAPS, SCRAPS_AT_ONCE } from './limits.js';
import type { Piece } from './pieces.js';
import { checksOf, rangesOfRuns, recallDigest, SCRAP_BLOCK } from './scrap-blocks.js';
import { Scraps } from './scraps.js';

type ScrapPiece = Piece & { readonly kind: 'scrap' };
type RecallPiece = Piece & { readonly kind: 'recall' };

/**
 * The receiving half of saving what came of a damaged frame: keeps the scrap, tells the sender of it, and gives out what
 * the sender's digest confirms. Nothing else ever comes out of a scrap.
 */
export class ScrapCollector {
  readonly #crc32: Crc32;
  #scraps = new Scraps();
  #untold: { readonly frame: number | undefined; readonly parcel: ParcelId; readonly offset: number }[] = [];

  constructor(crc32: Crc32) {
    this.#crc32 = crc32;
  }

  /** From now on the scraps of this peer. */
  adopt(scraps: Scraps): void {
    this.#scraps = scraps;
  }

  /** There is one that the sender does not know of. */
  get isDue(): boolean {
    return this.#untold.length > 0;
  }

  /** How many those are: no more than are kept, however long nothing can be told. */
  get due(): number {
    return this.#untold.length;
  }

  /** Of a damaged frame of this number; the bytes are kept. Is it worth its mention. */
  add(frame: number, parcel: ParcelId, offset: number, bytes: Uint8Array): boolean {
    if (bytes.length < SCRAP_BLOCK) return false;
    // Two frames of which the line has lost the middle may look like one that is longer than any.
    this.#scraps.keep({ parcel, offset, bytes: bytes.subarray(0, MAX_SEGMENT) });
    this.#untold = this.#untold.filter((told) => told.parcel !== parcel || told.offset !== offset);
    this.#untold.push({ frame, parcel, offset });
    if (this.#untold.length > MAX_SCRAPS) this.#untold.shift();
    return true;
  }

  /** A parcel is expected: what an earlier session has left of it may be of use, where `isMissing` something. */
  recollect(parcel: ParcelId, isMissing: (start: number, end: number) => boolean): void {
    for (const { offset, bytes } of [...this.#scraps.of(parcel)]) {
      if (this.#untold.some((told) => told.parcel === parcel && told.offset === offset)) continue;
      if (isMissing(offset, offset + bytes.length)) this.#untold.push({ frame: undefined, parcel, offset });
      else this.#scraps.take(parcel, offset);
    }
  }

  /** What to tell of those of the next frame where `isMissing` something; each is told once. */
  take(isMissing: (parcel: ParcelId, start: number, end: number) => boolean): ScrapPiece[] {
    const pieces: ScrapPiece[] = [];
    for (let next = this.#untold[0]; next !== undefined; next = this.#untold[0]) {
      const { frame, parcel, offset } = next;
      if (pieces.length > 0 && (frame === undefined || frame !== pieces[0]?.frame)) break;
      this.#untold.shift();
      const scrap = this.#scraps.of(parcel).find((each) => each.offset === offset);
      if (scrap === undefined) continue;
      const { length } = scrap.bytes;
      if (!isMissing(parcel, offset, offset + length)) continue;
      pieces.push({
        kind: 'scrap',
        frame,
        parcel,
        offset,
        length,
        checks: checksOf(scrap.bytes, this.#crc32),
      });
      if (pieces.length === SCRAPS_AT_ONCE) break;
    }
    return pieces;
  }

  /** The bytes that the digest confirms, views of the scrap; none when it does not fit. The scrap is done with. */
  recall(
    parcel: ParcelId,
    { offset, runs, digest }: RecallPiece,
  ): { readonly offset: number; readonly bytes: Uint8Array }[] {
    const scrap = this.#scraps.take(parcel, offset);
    if (scrap === undefined) return [];
    const parts = rangesOfRuns(runs, scrap.bytes.length).map(({ start, end }) => ({
      offset: offset + start,
      bytes: scrap.bytes.subarray(start, end),
    }));
    const found = recallDigest(parts.map(({ bytes }) => bytes));
    return Buffer.compare(found, digest) === 0 ? parts : [];
  }
}
