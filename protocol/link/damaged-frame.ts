import { ProtocolError } from '../errors.js';
import { cobsSalvage } from '../framing/cobs.js';
import { cobsEnding } from '../framing/cobs-ending.js';
import { CRC_BYTES } from '../framing/limits.js';
import { TAG_BYTES, type Opener } from '../handshake/sealer.js';
import { readPieces, type Piece } from './pieces.js';

/** A damaged frame whose number seems to be so far ahead is not what it seems. */
const MAX_AHEAD = 64;

/**
 * The segment in a frame that is damaged or cut off. Anybody can have made it: it is good for a guess that something sealed
 * has to confirm.
 */
export interface DamagedSegment {
  /** The frame's number. */
  readonly frame: number;
  readonly handle: number;
  readonly offset: number;
  /** As read from the front: up to the damage its bytes are what they were. */
  readonly bytes: Uint8Array;
  /** As read from the end, where that can be. */
  readonly ending?: DamagedEnding;
}

/** Where the line has lost some bytes of a frame, those behind are right again once the segment's length is known. */
export interface DamagedEnding {
  /** About how many bytes of the segment have come. */
  readonly came: number;
  /** The last bytes of the segment, as many as can be made out, if it was of `length` bytes. */
  bytes(length: number): Uint8Array;
}

/** The segment in a frame given without a delimiter; undefined when none can be made out. Changes nothing in `opener`. */
export function damagedSegment(frame: Uint8Array, opener: Opener): DamagedSegment | undefined {
  const encoded = frame.subarray(0, -CRC_BYTES);
  const front = guessAt(cobsSalvage(encoded), opener);
  if (front === undefined) return undefined;
  const ending = damagedEnding(encoded, front, opener);
  return ending === undefined ? front.segment : { ...front.segment, ending };
}

/** In the place of checksum and seal, which a frame that was cut off has not. */
const NO_SEAL = new Uint8Array(CRC_BYTES + TAG_BYTES).fill(1);

/** The same of a frame that is still to be ended: nothing stands behind its bytes. */
export const damagedTail = (tail: Uint8Array, opener: Opener): DamagedSegment | undefined =>
  guessAt(cobsSalvage(Buffer.concat([tail, NO_SEAL]).subarray(0, -CRC_BYTES)), opener)?.segment;

interface Guess {
  readonly segment: DamagedSegment;
  /** Of the body, what stands in front of the segment's bytes. */
  readonly head: Uint8Array;
}

function guessAt(body: Uint8Array, opener: Opener): Guess | undefined {
  try {
    const { number, plaintext } = opener.guess(body);
    if (number - opener.lastNumber > MAX_AHEAD) return undefined;
    const last: Piece | undefined = readPieces(plaintext).at(-1);
    if (last?.kind !== 'segment') return undefined;
    const { handle, offset, bytes } = last;
    return {
      segment: { frame: number, handle, offset, bytes },
      head: body.subarray(0, body.length - TAG_BYTES - bytes.length),
    };
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function damagedEnding(encoded: Uint8Array, { head }: Guess, opener: Opener): DamagedEnding | undefined {
  const ending = cobsEnding(encoded);
  const before = cobsSalvage(encoded.subarray(0, ending.start)).length;
  if (ending.bytes.length <= TAG_BYTES) return undefined;
  return {
    came: before + ending.bytes.length - head.length - TAG_BYTES,
    bytes: (length) => {
      const end = ending.bytes.subarray(-Math.min(ending.bytes.length, length + TAG_BYTES));
      const body = Buffer.alloc(head.length + length + TAG_BYTES);
      body.set(head);
      body.set(end, body.length - end.length);
      const { plaintext } = opener.guess(body);
      return plaintext.subarray(plaintext.length - end.length + TAG_BYTES);
    },
  };
}
