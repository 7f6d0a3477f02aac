import type { ParcelId } from '../units.js';
import type { CloseReason } from './close-reason.js';
import type { Link } from './link.js';

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
