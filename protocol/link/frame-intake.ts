import { ProtocolError } from '../errors.js';
import { decodeFrame, type Crc32 } from '../framing/frame.js';
import { MAX_ENCODED_FRAME } from '../framing/limits.js';
import { endOfFirst, joins, repairs, type Candidate } from '../framing/repair.js';
import type { Millis } from '../units.js';

/** What is done with the frames that come. */
export interface FrameHandler {
  /** A body whose checksum is right, a view not to be kept; `length`: of its frame on the line, with the delimiter. */
  handleBody(now: Millis, body: Uint8Array, length: number): void;
  /** A body that may have been meant where a damaged one came. Does something confirm it that cannot fit by chance. */
  confirm(now: Millis, body: Uint8Array): boolean;
  /** That was it, and so many bits of the frame were wrong. */
  noteRepaired(bits: number): void;
  /** Nothing can be made of it as a whole. */
  handleDamaged(now: Millis, frame: Uint8Array): void;
}

/** Damaged delimiters in what came as one frame. */
const MAX_SPLITS = 4;

/**
 * From what stands between two delimiters to bodies. A frame that is damaged may be one with a bit or two wrong, the rest
 * of the one before it, or two whose delimiter is damaged: where `repairing`, each is tried.
 */
export class FrameIntake {
  readonly #crc32: Crc32;
  readonly #repairing: boolean;
  readonly #handler: FrameHandler;
  /** Where frames are decoded: on a fast line those left to the garbage collector would be half its work. */
  readonly #scratch = Buffer.allocUnsafeSlow(MAX_ENCODED_FRAME);
  /** The frame that came last, if it is damaged: the next one may be the rest of it. */
  #fragment: Uint8Array | undefined;

  constructor(crc32: Crc32, repairing: boolean, handler: FrameHandler) {
    this.#crc32 = crc32;
    this.#repairing = repairing;
    this.#handler = handler;
  }

  handle(now: Millis, bytes: Uint8Array): void {
    this.#handle(now, bytes, MAX_SPLITS);
  }

  #handle(now: Millis, bytes: Uint8Array, splits: number): void {
    const fragment = this.#fragment;
    this.#fragment = undefined;
    let body: Uint8Array;
    try {
      body = decodeFrame(bytes, this.#crc32, this.#scratch);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (this.#repairing && this.#repair(now, bytes, fragment, splits)) return;
      this.#handler.handleDamaged(now, bytes);
      return;
    }
    this.#handler.handleBody(now, body, bytes.length + 1);
  }

  #repair(now: Millis, bytes: Uint8Array, fragment: Uint8Array | undefined, splits: number): boolean {
    if (this.#tryEach(now, repairs(bytes, this.#crc32))) return true;
    if (fragment !== undefined && this.#tryEach(now, joins(fragment, bytes, this.#crc32))) return true;
    const end = splits === 0 ? undefined : endOfFirst(bytes);
    if (end === undefined) {
      this.#fragment = bytes;
      return false;
    }
    this.#handler.noteRepaired(0);
    this.#handle(now, bytes.subarray(0, end), splits - 1);
    this.#handle(now, bytes.subarray(end + 1), splits - 1);
    return true;
  }

  #tryEach(now: Millis, candidates: Iterable<Candidate>): boolean {
    for (const { body, bits } of candidates) {
      if (!this.#handler.confirm(now, body)) continue;
      this.#handler.noteRepaired(bits);
      return true;
    }
    return false;
  }
}
