import { ProtocolError } from '../../protocol/errors.js';
import type { Link } from '../../protocol/link/link.js';
import type { CloseReason } from '../../protocol/link/close-reason.js';
import type { LinkCloseReason, LinkEvent } from '../../protocol/link/link-event.js';
import type { Range } from '../../protocol/ranges.js';
import type { Millis, ParcelId } from '../../protocol/units.js';
import type { Clock } from '../platform/clock.js';
import type { TransportError } from '../transport/errors.js';
import type { Transport } from '../transport/transport.js';
import { CallMeter, type CallTotals } from './call-totals.js';

/** What a session may do with its line; every call is followed by whatever the link then wants to send. */
export interface SessionLink {
  readonly bytesPerSecond: number | undefined;
  /** When the last valid frame of this session came; null: none since the handshake. */
  readonly lastHeardAt: Millis | null;
  /** Of the whole call, with its earlier sessions. */
  readonly totals?: CallTotals;
  sendMessage(bytes: Uint8Array): void;
  sendParcel(id: ParcelId, bytes: Uint8Array, held: readonly Range[]): void;
  /** Returns what the peer has reported of it. */
  withdrawParcel(id: ParcelId): readonly Range[];
  expectParcel(id: ParcelId, length: number, held: readonly Range[]): void;
  kept(id: ParcelId, start: number, end: number): void;
  refuseParcel(id: ParcelId): void;
  forgetParcel(id: ParcelId): void;
  /** Something is awaited from the peer in this matter, or no longer: it is probed sooner when it falls silent. */
  attend(matter: string, awaited: boolean): void;
  close(why: CloseReason): void;
}

/** What happens in an established session; the layer above makes one for each. */
export interface Session {
  handleMessage(bytes: Uint8Array): void;
  handleSegment(parcel: ParcelId, offset: number, bytes: Uint8Array): void;
  handleProgress(parcel: ParcelId, held: number): void;
  handleParcelHeld(parcel: ParcelId): void;
  /** The last call; the link is gone. */
  handleEnd(): void;
}

/** How a call ended. `line` is set when the line went before the link did. */
export interface CallEnd {
  readonly established: boolean;
  readonly reason: LinkCloseReason | 'line-lost';
  readonly why: CloseReason | null;
  readonly line: TransportError | null;
}

export interface CallOptions {
  readonly transport: Transport;
  readonly link: Link;
  readonly clock: Clock;
  /** Makes the session's upper half once the peer has proved its key. */
  readonly onSession: (link: SessionLink, peerKey: Uint8Array, hello: Uint8Array) => Session;
  /** Somebody has called on this line who is not known here: no call is read for so many ms. */
  readonly onStranger?: (pause: number) => void;
}

/** How long a farewell may take on a line that does not move. */
const FAREWELL_MS = 2000;

/**
 * One call: drives the pure link over a transport until either ends. It reads, calls the machine, drains what the
 * machine wants and arms its one timer; it decides nothing about the protocol.
 */
export class Call {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #onSession: CallOptions['onSession'];
  readonly #onStranger: CallOptions['onStranger'];
  readonly ended: Promise<CallEnd>;
  readonly #meter = new CallMeter();
  #link: Link;
  #session: Session | null = null;
  #wasEstablished = false;
  #cancelTimer: (() => void) | null = null;
  #cancelFarewell: (() => void) | null = null;
  #pumping = false;
  #over = false;
  #resolve: (end: CallEnd) => void = () => undefined;

  constructor(options: CallOptions) {
    this.#transport = options.transport;
    this.#link = options.link;
    this.#clock = options.clock;
    this.#onSession = options.onSession;
    this.#onStranger = options.onStranger;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#transport.attach({
      onFrame: (frame) => {
        if (this.#over) return;
        this.#link.handleFrame(this.#clock.now(), frame);
        this.#pump();
      },
      onArriving: () => {
        if (this.#over) return;
        const before = this.#link.pollTimeout();
        this.#link.handleArriving(this.#clock.now());
        // A few bytes come at a time, and each time nothing is due but a timer.
        if (this.#link.pollTimeout() !== before) this.#armTimer();
      },
      onReady: () => this.#pump(),
      onClosed: (error) => this.#end({ reason: 'line-lost', why: null, line: error }),
    });
    this.#pump();
  }

  get totals(): CallTotals {
    return this.#over ? this.#meter.past : this.#meter.totals(this.#link.stats);
  }

  /** Parcel bytes that have arrived, both directions together, over all sessions of the call. */
  get moved(): number {
    return this.#meter.moved;
  }

  /** There is something to carry. */
  get isBusy(): boolean {
    return !this.#over && this.#link.isBusy;
  }

  /** When the peer was last heard of; null: never. */
  get lastHeardAt(): Millis | null {
    return this.#link.lastHeardAt ?? null;
  }

  /** Says goodbye and ends the call; `ended` resolves soon after. */
  close(why: CloseReason): void {
    if (this.#over) return;
    this.#cancelFarewell ??= this.#clock.after(FAREWELL_MS, () => {
      this.#end({ reason: 'closed-here', why, line: null });
    });
    this.#link.close(why);
    this.#pump();
  }

  #pump(): void {
    // A session's answer to an event comes back here while events are being drained: the outer loop takes it up.
    if (this.#pumping || this.#over) return;
    this.#pumping = true;
    try {
      this.#drainEvents();
      if (this.#link.takeAbandon()) this.#transport.abandon();
      while (this.#transport.ready) {
        const frame = this.#link.pollTransmit(this.#clock.now());
        if (frame === undefined) break;
        this.#transport.send(frame);
        this.#drainEvents();
      }
    } finally {
      this.#pumping = false;
    }
    this.#armTimer();
  }

  #drainEvents(): void {
    for (
      let event = this.#link.pollEvent();
      event !== undefined && !this.#over;
      event = this.#link.pollEvent()
    ) {
      this.#handleEvent(event);
    }
  }

  #handleEvent(event: LinkEvent): void {
    switch (event.kind) {
      case 'established':
        this.#wasEstablished = true;
        this.#beginSession(event.peerKey, event.hello);
        return;
      case 'message':
        this.#session?.handleMessage(event.bytes);
        return;
      case 'segment':
        this.#meter.segmentArrived(event.bytes.byteLength);
        this.#session?.handleSegment(event.parcel, event.offset, event.bytes);
        return;
      case 'progress':
        this.#meter.parcelProgress(event.parcel, event.held);
        this.#session?.handleProgress(event.parcel, event.held);
        return;
      case 'parcel-held':
        this.#meter.parcelHeld(event.parcel);
        this.#session?.handleParcelHeld(event.parcel);
        return;
      case 'stranger':
        this.#onStranger?.(event.pause);
        return;
      case 'parcel-offered':
      case 'parcel-refused':
        // Whoever announced or withdrew the parcel has said so in a message; that decides.
        return;
      case 'replaced':
        this.#endSession();
        this.#meter.endSession(this.#link.stats);
        this.#link = event.successor;
        return;
      case 'closed':
        this.#flushFarewell();
        this.#end({ reason: event.reason, why: event.why ?? null, line: null });
        return;
      default:
        event satisfies never;
    }
  }

  #beginSession(peerKey: Uint8Array, hello: Uint8Array): void {
    try {
      this.#session = this.#onSession(this.#sessionLink(this.#link), peerKey, hello);
    } catch (error) {
      // A hello that cannot be read.
      if (!(error instanceof ProtocolError)) throw error;
      this.close('failed');
    }
  }

  /** A link that has ended may have one CLOSE frame left; a line that cannot take it now goes without. */
  #flushFarewell(): void {
    const frame = this.#link.pollTransmit(this.#clock.now());
    if (frame !== undefined) this.#transport.send(frame);
  }

  #armTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (this.#over) return;
    const at = this.#link.pollTimeout();
    if (at === undefined) return;
    this.#cancelTimer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => {
      if (this.#over) return;
      this.#link.handleTimeout(this.#clock.now());
      this.#pump();
    });
  }

  #sessionLink(link: Link): SessionLink {
    const act = (what: () => void): void => {
      // A session of a replaced link may still be finishing its disk work: it talks to nobody.
      if (this.#over || link !== this.#link || link.state === 'closed') return;
      try {
        what();
      } catch (error) {
        // More waits for the line than it can ever carry.
        if (!(error instanceof ProtocolError)) throw error;
        this.close('failed');
        return;
      }
      this.#pump();
    };
    const awaited = new Set<string>();
    const totals = (): CallTotals => this.totals;
    return {
      bytesPerSecond: this.#transport.bytesPerSecond,
      get lastHeardAt() {
        return link.lastHeardAt ?? null;
      },
      get totals() {
        return totals();
      },
      sendMessage: (bytes) => act(() => link.sendMessage(bytes)),
      sendParcel: (id, bytes, held) =>
        act(() => {
          this.#meter.parcelSent(id, bytes.byteLength, held);
          link.sendParcel(id, bytes, held);
        }),
      withdrawParcel: (id) => {
        let held: readonly Range[] = [];
        act(() => {
          held = link.withdrawParcel(id);
        });
        return held;
      },
      expectParcel: (id, length, held) => act(() => link.expectParcel(id, length, held)),
      kept: (id, start, end) => act(() => link.kept(id, start, end)),
      refuseParcel: (id) => act(() => link.refuseParcel(id)),
      forgetParcel: (id) => act(() => link.forgetParcel(id)),
      attend: (matter, isAwaited) =>
        act(() => {
          if (isAwaited) awaited.add(matter);
          else awaited.delete(matter);
          link.attend(awaited.size > 0);
        }),
      close: (why) => act(() => this.close(why)),
    };
  }

  #endSession(): void {
    const session = this.#session;
    this.#session = null;
    session?.handleEnd();
  }

  #end(how: Omit<CallEnd, 'established'>): void {
    if (this.#over) return;
    this.#over = true;
    const { tail } = this.#transport;
    if (tail !== undefined && tail.length > 0) this.#link.handleTail(tail);
    this.#cancelTimer?.();
    this.#cancelFarewell?.();
    this.#endSession();
    this.#meter.endSession(this.#link.stats);
    const resolve = (): void => this.#resolve({ established: this.#wasEstablished, ...how });
    this.#transport.close().then(resolve, resolve);
  }
}
