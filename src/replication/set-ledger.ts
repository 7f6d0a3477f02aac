import type { LineBytes } from '../../protocol/set-account.js';

/** Keeps what the sets of a peer's volumes cost on its lines. */
export interface SetLedger {
  /** A set of this volume is under way from now on; a repeat is fine. */
  begin(volume: string): void;
  /** So many parcel bytes of it have arrived. */
  moved(volume: string, bytes: number): void;
  /** What it has cost up to now; null: none is under way. */
  account(volume: string): LineBytes | null;
  /** The same, and it is over. */
  end(volume: string): LineBytes | null;
}
