import type { KeyPair } from '../handshake/keys.js';
import type { Role } from '../handshake/roles.js';
import type { ScrapBook } from './scraps.js';

/** What a link on one line is made of. Functions are called synchronously from the link's own methods. */
export interface LinkOptions {
  /** Starts the handshake; the other side only answers. */
  readonly initiator: boolean;
  /** This side's role; the peer's is the other one. */
  readonly role: Role;
  /** This side's static keys. */
  readonly keys: KeyPair;
  /** Initiator: the static public key that must answer, 32 bytes. */
  readonly peerKey?: Uint8Array;
  /** Initiator: payload of the first handshake frame, at most `MAX_HELLO` bytes, encrypted to the peer. */
  readonly hello?: Uint8Array;
  /**
   * Responder (and an initiator that can also be called): is this static key known. Asked before anything is sent;
   * a stranger gets no byte.
   */
  readonly acceptPeer?: (peerKey: Uint8Array) => boolean;
  /**
   * Responder (and an initiator that can also be called): the payload of the answer, at most `MAX_HELLO` bytes, made
   * after reading the caller's hello. `undefined` gives no answer. May be called for a call that never completes, also
   * for a recorded one played again: it must change nothing.
   */
  readonly answer?: (peerKey: Uint8Array, hello: Uint8Array) => Uint8Array | undefined;
  /** Fresh random bytes, owned by the link. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** CRC-32 (IEEE, reflected; `zlib.crc32`) as an unsigned number. */
  readonly crc32: (bytes: Uint8Array) => number;
  /**
   * Nominal rate of the line in bytes a second (serial: baud / 10), for frame size and timers; absent for a line that
   * is fast and loses nothing (TCP).
   */
  readonly bytesPerSecond?: number;
  /** What damaged frames of earlier sessions have left, of all peers; default: nothing, and for this session only. */
  readonly scraps?: ScrapBook;
  /** Gives up with `no-answer` when no session exists this many ms after the first poll; default: never for a responder, 30 s and the line's time for an initiator. */
  readonly handshakeTimeout?: number;
  /** Closes with `peer-silent` this many ms after an unanswered question; default 30 s and the line's time. */
  readonly deadAfter?: number;
}
