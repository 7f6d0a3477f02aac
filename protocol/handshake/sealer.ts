import { createCipheriv, createDecipheriv } from 'node:crypto';
import { ProtocolError } from '../errors.js';
import { KeyChain } from './key-chain.js';

/**
 * Sealed frames: ChaCha20-Poly1305 (RFC 8439) with the frame's number as nonce. On the line stand a header of two
 * bytes, which is the associated data, the ciphertext, and the tag of 16 bytes. The header's top bit is set; its other
 * 15 bits are the low bits of the number. Numbers rise strictly, so the receiver takes the first number after the last
 * good one that has these low bits: an old or repeated frame is read as a far later one, and its seal does not fit.
 */

export const HEADER_BYTES = 2;
export const TAG_BYTES = 16;
export const SEAL_OVERHEAD = HEADER_BYTES + TAG_BYTES;

/** Set in the first byte of a sealed frame, clear in that of a handshake frame. */
export const SEALED_BIT = 0x80;

/** Frames that may be lost in a row before the receiver can no longer tell the number: minutes of any line's frames. */
export const NUMBER_SPAN = 2 ** 15;

const CIPHER = 'chacha20-poly1305';
const OPTIONS = { authTagLength: TAG_BYTES } as const;

/** Seals the frames of one direction. */
export class Sealer {
  readonly #keys: KeyChain;
  #next: number;

  /** `key`: 32 bytes, of the direction. `first`: number of the first frame, for tests of the far future. */
  constructor(key: Uint8Array, first = 0) {
    this.#keys = new KeyChain(key, first);
    this.#next = first;
  }

  /** Number of the frame that `seal` makes next. */
  get nextNumber(): number {
    return this.#next;
  }

  /** A sealed frame's body, fresh. */
  seal(plaintext: Uint8Array): Uint8Array {
    const number = this.#next++;
    const key = this.#keys.keyFor(number);
    if (key === undefined || !Number.isSafeInteger(number)) throw new Error(`no key for frame ${number}`);
    this.#keys.advanceTo(number);
    const body = Buffer.allocUnsafe(SEAL_OVERHEAD + plaintext.length);
    body.writeUInt16BE((SEALED_BIT << 8) | (number % NUMBER_SPAN), 0);
    const cipher = createCipheriv(CIPHER, key, nonce(number), OPTIONS);
    cipher.setAAD(body.subarray(0, HEADER_BYTES), { plaintextLength: plaintext.length });
    body.set(cipher.update(plaintext), HEADER_BYTES);
    cipher.final();
    body.set(cipher.getAuthTag(), HEADER_BYTES + plaintext.length);
    return body;
  }
}

/** Opens the frames of one direction. */
export class Opener {
  readonly #keys: KeyChain;
  #last: number;

  /** `last`: number of the last good frame, -1 before the first. */
  constructor(key: Uint8Array, last = -1) {
    this.#keys = new KeyChain(key, Math.max(0, last));
    this.#last = last;
  }

  /** Number of the last good frame; -1 before the first. */
  get lastNumber(): number {
    return this.#last;
  }

  /** The plaintext, fresh, and the frame's number. Throws `bad-seal`, which changes nothing. */
  open(body: Uint8Array): { readonly number: number; readonly plaintext: Uint8Array } {
    const { number, plaintext, decipher } = this.#decrypt(body);
    decipher.setAuthTag(body.subarray(body.length - TAG_BYTES));
    try {
      decipher.final();
    } catch (cause) {
      throw bad(`frame ${number}`, cause);
    }
    this.#keys.advanceTo(number);
    this.#last = number;
    return { number, plaintext };
  }

  /**
   * What a damaged or cut-off body may have been, without its seal: anybody can have made this. It is good for a guess that
   * something sealed has to confirm, and for nothing else; it changes nothing here. Throws `bad-seal`.
   */
  guess(body: Uint8Array): { readonly number: number; readonly plaintext: Uint8Array } {
    const { number, plaintext } = this.#decrypt(body);
    return { number, plaintext };
  }

  #decrypt(body: Uint8Array): {
    readonly number: number;
    readonly plaintext: Uint8Array;
    readonly decipher: ReturnType<typeof decipherFor>;
  } {
    const end = body.length - TAG_BYTES;
    const high = body[0] ?? 0;
    if (end < HEADER_BYTES || (high & SEALED_BIT) === 0) throw bad('not a sealed frame');
    const low = ((high & ~SEALED_BIT) << 8) | (body[1] as number);
    const first = this.#last + 1;
    const number = first + ((((low - first) % NUMBER_SPAN) + NUMBER_SPAN) % NUMBER_SPAN);
    const key = this.#keys.keyFor(number);
    if (key === undefined) throw bad('no key');
    const decipher = decipherFor(key, number);
    decipher.setAAD(body.subarray(0, HEADER_BYTES), { plaintextLength: end - HEADER_BYTES });
    return { number, plaintext: decipher.update(body.subarray(HEADER_BYTES, end)), decipher };
  }
}

const decipherFor = (key: Uint8Array, number: number) =>
  createDecipheriv(CIPHER, key, nonce(number), OPTIONS);

/** Four zero bytes and the number, 64 bits, little-endian. */
function nonce(number: number): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(number % 2 ** 32, 4);
  bytes.writeUInt32LE(Math.floor(number / 2 ** 32), 8);
  return bytes;
}

const bad = (what: string, cause?: unknown): ProtocolError =>
  new ProtocolError('bad-seal', `seal: ${what}`, cause === undefined ? undefined : { cause });
