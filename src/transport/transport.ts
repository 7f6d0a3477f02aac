import type { TransportError } from './errors.js';

export const TRANSPORT_TYPES = ['serial', 'modem', 'tcp', 'null-modem'] as const;
export type TransportType = (typeof TRANSPORT_TYPES)[number];

/** What a transport tells the one that holds it. */
export interface TransportHandler {
  /** The bytes between two delimiters, never empty; a view that is not kept by the transport. */
  onFrame(frame: Uint8Array): void;
  /** Some bytes have come of a frame that has not ended; only on a line of known rate. */
  onArriving?(): void;
  /** There is room for a frame again. */
  onReady(): void;
  /** The line is gone; called once, nothing follows. null: we closed it. */
  onClosed(error: TransportError | null): void;
}

/** One open line that carries frames; bytes are counted at the port. */
export interface Transport {
  readonly name: string;
  readonly type: TransportType;
  /** What the line carries by its setting; undefined: not limited by us. */
  readonly bytesPerSecond: number | undefined;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /**
   * May another frame be handed over: no more than a frame or two is ever queued, so that what is urgent next is not
   * behind a second of old data.
   */
  readonly ready: boolean;
  /** Exactly once, before anything else. Frames that arrived earlier are delivered then. */
  attach(handler: TransportHandler): void;
  /** Hands over one frame with its delimiter; it may be kept. */
  send(frame: Uint8Array): void;
  /** What of the last frame has not left yet is not worth its time: it may be dropped and ended by a delimiter. */
  abandon(): void;
  /** What has come of a frame that has not ended; absent where nobody can use it. */
  readonly tail?: Uint8Array;
  close(): Promise<void>;
}

/** A way to call a peer. */
export interface Dialer {
  readonly name: string;
  readonly type: TransportType;
  /** Fails with a `TransportError`, or the signal's reason. */
  dial(signal: AbortSignal): Promise<Transport>;
}

/** A port on which peers may call. */
export interface Listener {
  readonly name: string;
  readonly type: TransportType;
  /**
   * Hands over each call as it comes until the signal aborts; `onCall` resolves when the call is over, and a port that
   * carries one call at a time waits for that. `report` hears of a port that cannot be used (it is tried again) and
   * null when it works again. Resolves when nothing listens any more.
   */
  listen(
    onCall: (transport: Transport) => Promise<void>,
    report: (error: TransportError | null) => void,
    signal: AbortSignal,
  ): Promise<void>;
}
