import type { Range } from '../ranges.js';
import type { Millis, ParcelId } from '../units.js';
import type { CloseReason, LinkEvent, LinkStats } from './link-event.js';
import type { LinkOptions } from './link-options.js';

const unbuilt = (): never => {
  throw new Error('link: being built');
};

/**
 * One session with one peer over one line, as a pure machine: it owns no socket and no clock. Whoever owns the line
 * calls `handleFrame` for every frame cut from it and `handleTimeout` when `pollTimeout` has come; and after *any*
 * call (a command such as `sendMessage` or `kept` too) drains `pollEvent`, pulls `pollTransmit` as long as the line
 * has room for another frame, and arms its one timer to `pollTimeout`. A line that has room again is polled again.
 *
 * A link lives for one session. After `closed`, or when the line is gone, make a new one.
 */
export class Link {
  constructor(options: LinkOptions) {
    void options;
  }

  /** A frame cut from the line, without its delimiter. Damaged and foreign ones are counted and ignored. */
  handleFrame(now: Millis, bytes: Uint8Array): void {
    (void now, bytes, unbuilt());
  }

  /** To be called when the time of `pollTimeout` has come; calling it early or late does no harm. */
  handleTimeout(now: Millis): void {
    (void now, unbuilt());
  }

  /**
   * The next frame for the line, with its delimiter, owned by the caller; `undefined` when nothing is to be sent now.
   * Frames are made at this moment, so pull only when the line has room.
   */
  pollTransmit(now: Millis): Uint8Array | undefined {
    void now;
    return unbuilt();
  }

  /** When `handleTimeout` wants to be called; `undefined`: not before something else happens. */
  pollTimeout(): Millis | undefined {
    return unbuilt();
  }

  pollEvent(): LinkEvent | undefined {
    return unbuilt();
  }

  get state(): 'handshaking' | 'established' | 'closed' {
    return unbuilt();
  }

  get stats(): LinkStats {
    return unbuilt();
  }

  /** When the last valid sealed frame came (the end of the handshake before the first); `undefined` before a session. */
  get lastHeardAt(): Millis | undefined {
    return unbuilt();
  }

  /** Every message is acknowledged, and every parcel held, refused or withdrawn. */
  get isIdle(): boolean {
    return unbuilt();
  }

  /**
   * Queues a message for ordered, exactly-once delivery, ahead of parcels; may be called before `established`. The
   * bytes are copied. Throws `ProtocolError` `limit-exceeded` for one over `MAX_MESSAGE` or a queue over
   * `MAX_MESSAGE_QUEUE` bytes.
   */
  sendMessage(bytes: Uint8Array): void {
    (void bytes, unbuilt());
  }

  /**
   * Queues a parcel behind those queued before; only what is not in `held` (byte ranges) is sent. The link reads `bytes`
   * until `parcel-held`, `parcel-refused` or `withdrawParcel`; they must not change. Throws `limit-exceeded` for more than
   * `MAX_PARCELS` at once.
   */
  sendParcel(id: ParcelId, bytes: Uint8Array, held: readonly Range[]): void {
    (void id, bytes, held, unbuilt());
  }

  /** Sender: no further byte of it is sent and no event comes for it; unknown ids are ignored. */
  withdrawParcel(id: ParcelId): void {
    (void id, unbuilt());
  }

  /**
   * Receiver: this parcel of `length` bytes is wanted, `held` is stored already. Segments that came too early are
   * delivered now. Expecting it again replaces what is held.
   */
  expectParcel(id: ParcelId, length: number, held: readonly Range[]): void {
    (void id, length, held, unbuilt());
  }

  /** Receiver: the bytes `start … end-1` of an expected parcel are stored; from now on they may be reported as held. */
  kept(id: ParcelId, start: number, end: number): void {
    (void id, start, end, unbuilt());
  }

  /** Receiver: tells the peer to stop sending this parcel. */
  refuseParcel(id: ParcelId): void {
    (void id, unbuilt());
  }

  /**
   * Receiver: no further segment of it is delivered. Of a parcel that was kept whole the link goes on to report that,
   * for as long as the sender may not have heard it; another one is offered again when a segment comes.
   */
  forgetParcel(id: ParcelId): void {
    (void id, unbuilt());
  }

  /** Ends the session: `closed` is raised, one CLOSE frame can be pulled. What was not acknowledged is lost. */
  close(why: CloseReason): void {
    (void why, unbuilt());
  }
}
