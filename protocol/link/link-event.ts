import type { ParcelId } from '../units.js';
import type { Link } from './link.js';

/** Why a side ends a session on purpose; the peer is told. The order is the wire's code. */
export const CLOSE_REASONS = ['done', 'shutdown', 'refused', 'replaced', 'failed'] as const;
export type CloseReason = (typeof CLOSE_REASONS)[number];

/**
 * How a link ended: `closed-here` and `closed-by-peer` on purpose, `peer-silent` after a session went dead,
 * `no-answer` when no session came about, `protocol-violation` when the authenticated peer broke PROTOCOL.md.
 */
export type LinkCloseReason =
  'closed-here' | 'closed-by-peer' | 'peer-silent' | 'no-answer' | 'protocol-violation';

export type LinkEvent =
  /** The peer has proved its key and a first sealed frame of it was valid. `hello` is the payload of its handshake frame. */
  | { readonly kind: 'established'; readonly peerKey: Uint8Array; readonly hello: Uint8Array }
  /** In the order of the peer's `sendMessage`, each exactly once. The receiver owns `bytes`. */
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  /**
   * A segment of a parcel asked for by `expectParcel`; never one that was delivered before in this session. The
   * receiver owns `bytes`, and calls `kept` when it has stored them.
   */
  | {
      readonly kind: 'segment';
      readonly parcel: ParcelId;
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  /** The peer streams a parcel that is not expected: answer with `expectParcel` or `refuseParcel`. */
  | { readonly kind: 'parcel-offered'; readonly parcel: ParcelId }
  /** Sender: the peer holds so many bytes of it. */
  | { readonly kind: 'progress'; readonly parcel: ParcelId; readonly held: number; readonly length: number }
  /** Sender: the peer holds all of it; the link has let go of its bytes. */
  | { readonly kind: 'parcel-held'; readonly parcel: ParcelId }
  /** Sender: the peer does not want it; the link has let go of its bytes. */
  | { readonly kind: 'parcel-refused'; readonly parcel: ParcelId }
  /** On a line of known rate somebody has called who is not known here: no call is read for so many ms. */
  | { readonly kind: 'stranger'; readonly pause: number }
  /**
   * The peer has begun a new session on this line (it was restarted, or both called at once), and that session's
   * first sealed frame was valid. `successor` is established and has events waiting: give it everything from now on.
   */
  | { readonly kind: 'replaced'; readonly successor: Link }
  /** The last event. A CLOSE frame may still be pulled with `pollTransmit`. */
  | {
      readonly kind: 'closed';
      readonly reason: LinkCloseReason;
      /** With `closed-here` and `closed-by-peer`: why. */
      readonly why?: CloseReason;
      /** With `protocol-violation`: what was wrong. */
      readonly detail?: string;
    };

/** Counters since the link was made; bytes are those of frames with their delimiters. */
export interface LinkStats {
  readonly framesSent: number;
  readonly framesReceived: number;
  /** Frames whose CRC or form was wrong and that could not be repaired. */
  readonly framesDamaged: number;
  /** Frames with a wrong bit or two that were put right, which the seal has confirmed. */
  readonly framesRepaired: number;
  /** Frames of good form whose seal did not open: of another session, replayed, or forged. */
  readonly framesRejected: number;
  /** Handshake frames that did not lead to an answer: strangers, wrong roles or version, replays. */
  readonly handshakesRefused: number;
  /** Frames sent that carried something sent before. */
  readonly framesRepeated: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Those of them that were handshake frames. */
  readonly handshakeSent: number;
  readonly handshakeReceived: number;
  /** Bytes of parcels received and handed on, duplicates not. */
  readonly payloadReceived: number;
  /** Bytes of parcels sent, repeats included. */
  readonly payloadSent: number;
  /** Bytes of parcels sent that had been sent before in this session. */
  readonly payloadRepeated: number;
  /** Bytes of parcels that had come in damaged frames, and of which only a digest was sent. */
  readonly payloadRecalled: number;
  /** Bytes of parcels received that had arrived before in this session or were held. */
  readonly payloadDuplicate: number;
  readonly reportsSent: number;
  readonly reportsReceived: number;
  readonly promptsSent: number;
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly messagesRepeated: number;
  /** Smoothed round trip in ms; null before the first measurement. */
  readonly roundTrip: number | null;
}
