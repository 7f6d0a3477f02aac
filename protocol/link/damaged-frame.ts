import { ProtocolError } from '../errors.js';
import { cobsSalvage } from '../framing/cobs.js';
import { CRC_BYTES } from '../framing/limits.js';
import { TAG_BYTES, type Opener } from '../handshake/sealer.js';
import { readPieces, type Piece } from './pieces.js';

/** A damaged frame whose number seems to be so far ahead is not what it seems. */
const MAX_AHEAD = 64;

/** What a damaged frame seems to have carried. */
export interface DamagedSegment {
  /** The frame's number. */
  readonly frame: number;
  /** Up to the damage its bytes are what they were; the last ones, in the place of the seal, are left out. */
  readonly segment: Piece & { readonly kind: 'segment' };
}

/**
 * The segment in a frame that is damaged or cut off, given without a delimiter; undefined when none can be made out.
 * Anybody can have made it: it is good for a guess that something sealed has to confirm. Changes nothing in `opener`.
 */
export function damagedSegment(frame: Uint8Array, opener: Opener): DamagedSegment | undefined {
  try {
    const { number, plaintext } = opener.guess(cobsSalvage(frame.subarray(0, -CRC_BYTES)));
    if (number - opener.lastNumber > MAX_AHEAD) return undefined;
    const last = readPieces(plaintext).at(-1);
    return last?.kind === 'segment' ? { frame: number, segment: last } : undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/** In the place of checksum and seal, which a frame that was cut off has not. */
const NO_SEAL = new Uint8Array(CRC_BYTES + TAG_BYTES).fill(1);

/** The same of a frame that is still to be ended: nothing stands behind its bytes. */
export const damagedTail = (tail: Uint8Array, opener: Opener): DamagedSegment | undefined =>
  damagedSegment(Buffer.concat([tail, NO_SEAL]), opener);
