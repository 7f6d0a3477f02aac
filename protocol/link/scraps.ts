import type { ParcelId } from '../units.js';
import { MAX_SCRAP_PEERS, MAX_SCRAPS } from './limits.js';

/**
 * What is left of a frame that came damaged or cut off: bytes that may stand in a parcel from `offset` on. No seal has
 * confirmed them, so they are nothing but a guess until a sealed frame brings their digest.
 */
export interface Scrap {
  readonly parcel: ParcelId;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The scraps of one peer's frames, a few, over its sessions. */
export class Scraps {
  #scraps: Scrap[] = [];

  /** Owns the bytes; the oldest makes room. */
  keep(scrap: Scrap): void {
    this.#drop(scrap.parcel, scrap.offset);
    this.#scraps.push(scrap);
    if (this.#scraps.length > MAX_SCRAPS) this.#scraps.shift();
  }

  of(parcel: ParcelId): readonly Scrap[] {
    return this.#scraps.filter((scrap) => scrap.parcel === parcel);
  }

  /** The scrap at this place, which is here no longer. */
  take(parcel: ParcelId, offset: number): Scrap | undefined {
    const found = this.#scraps.find((scrap) => scrap.parcel === parcel && scrap.offset === offset);
    this.#drop(parcel, offset);
    return found;
  }

  #drop(parcel: ParcelId, offset: number): void {
    this.#scraps = this.#scraps.filter((scrap) => scrap.parcel !== parcel || scrap.offset !== offset);
  }
}

/** The scraps of all peers, so that a session can use what the last one of the same peer has left. */
export class ScrapBook {
  readonly #peers = new Map<string, Scraps>();

  of(peerKey: Uint8Array): Scraps {
    const name = Buffer.from(peerKey).toString('hex');
    const scraps = this.#peers.get(name) ?? new Scraps();
    // The one that was asked for last stands at the end.
    this.#peers.delete(name);
    this.#peers.set(name, scraps);
    for (const oldest of this.#peers.keys()) {
      if (this.#peers.size <= MAX_SCRAP_PEERS) break;
      this.#peers.delete(oldest);
    }
    return scraps;
  }
}
