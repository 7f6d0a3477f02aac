import type { ParcelId } from '../../protocol/units.js';

/** The most bytes that are kept together. */
const MOST_BYTES = 1 << 20;

/** Segments of one parcel that follow each other. */
export interface SegmentRun {
  readonly parcel: ParcelId;
  readonly offset: number;
  readonly end: number;
  /** In the order of their offsets. */
  readonly parts: readonly Uint8Array[];
}

/**
 * Segments that arrive while the store is busy with earlier ones, put together so that they are kept in one step: a fast
 * line brings thousands a second, and each step of its own costs more than its bytes. A slow line's segments find
 * nothing to join, and wait for nothing.
 */
export class GatheredSegments {
  #open: OpenRun | null = null;

  /** Adds a segment, whose bytes are kept until the run is taken. Returns the run if the segment begins one. */
  add(parcel: ParcelId, offset: number, bytes: Uint8Array): SegmentRun | null {
    if (this.#open?.add(parcel, offset, bytes) === true) return null;
    this.#open = new OpenRun(parcel, offset, bytes);
    return this.#open;
  }

  /** From now on nothing is added to what was begun. */
  close(): void {
    this.#open = null;
  }

  /** The run's turn has come: nothing is added to it any more. */
  take(run: SegmentRun): void {
    if (this.#open === run) this.#open = null;
  }
}

class OpenRun implements SegmentRun {
  readonly parts: Uint8Array[];
  end: number;

  constructor(
    readonly parcel: ParcelId,
    readonly offset: number,
    bytes: Uint8Array,
  ) {
    this.parts = [bytes];
    this.end = offset + bytes.byteLength;
  }

  add(parcel: ParcelId, offset: number, bytes: Uint8Array): boolean {
    const end = offset + bytes.byteLength;
    if (parcel !== this.parcel || offset !== this.end || end - this.offset > MOST_BYTES) return false;
    this.parts.push(bytes);
    this.end = end;
    return true;
  }
}
