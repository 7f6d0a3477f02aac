import type { Duplex, Readable } from 'node:stream';
import { FRAME_DELIMITER } from '../../protocol/framing/limits.js';
import { sleep, type Clock } from '../platform/clock.js';
import { TransportError } from './errors.js';
import { Pace } from './pace.js';
import { Tail } from './tail.js';
import type { Transport, TransportHandler, TransportType } from './transport.js';

export interface StreamTransportOptions {
  readonly name: string;
  readonly type: TransportType;
  readonly bytesPerSecond: number | undefined;
  readonly clock: Clock;
  /** Cuts the stream's bytes into frames: an object stream of what stands between delimiters. */
  readonly cut: (stream: Duplex) => Readable;
  /** What goes on the line for a frame, where that is not the frame itself. */
  readonly encode?: (frame: Uint8Array) => Uint8Array;
  /** Undoes `encode`. */
  readonly decode?: (bytes: Uint8Array) => Uint8Array;
  /** Ends the stream for good; resolves when the port is free. */
  readonly shut: (stream: Duplex) => Promise<void>;
}

/** How long closing may wait for what was handed over. */
const FAREWELL_MS = 1500;
const POLL_MS = 10;
/** Line time of what a paced line is given at once: a frame of a second can still be cut off in its midst. */
const SLICE_MS = 60;
const LEAST_SLICE_BYTES = 16;

/** A transport over a Node stream: an open serial port or a socket. */
export class StreamTransport implements Transport {
  readonly name: string;
  readonly type: TransportType;
  readonly bytesPerSecond: number | undefined;
  readonly #stream: Duplex;
  readonly #options: StreamTransportOptions;
  readonly #pace: Pace | null;
  #frames: Readable | null = null;
  #handler: TransportHandler | null = null;
  #bytesSent = 0;
  #bytesReceived = 0;
  #writing = 0;
  /** What a paced line has not been given yet, of the frame that is going out. */
  #rest: Uint8Array = new Uint8Array();
  #isMidFrame = false;
  #ended = false;
  readonly #tail = new Tail();

  constructor(stream: Duplex, options: StreamTransportOptions) {
    this.name = options.name;
    this.type = options.type;
    this.bytesPerSecond = options.bytesPerSecond;
    this.#stream = stream;
    this.#options = options;
    const rate = options.bytesPerSecond;
    this.#pace = rate === undefined ? null : new Pace(options.clock, rate, () => this.#feed());
    // A stream without a listener throws its errors at the process; those before `attach` show up as a close.
    stream.on('error', (cause: Error) => {
      this.#end(new TransportError('lost', `${this.name}: ${cause.message}`, undefined, { cause }));
    });
    stream.on('close', () => {
      this.#end(new TransportError('lost', `${this.name}: the line was closed`));
    });
    stream.on('end', () => {
      this.#end(new TransportError('lost', `${this.name}: the other side closed the line`));
    });
    stream.on('drain', () => this.#offerRoom());
  }

  get bytesSent(): number {
    return this.#bytesSent;
  }

  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  get ready(): boolean {
    if (this.#ended) return false;
    // A paced line waits until the system has taken the last frame; a fast one only while its buffer is full.
    return this.#pace === null
      ? !this.#stream.writableNeedDrain
      : this.#rest.length === 0 && this.#hasRoom(this.#pace);
  }

  /** How long the line is still busy with what was handed over, ms; 0 where that is not known. */
  get queuedMs(): number {
    if (this.#pace === null) return 0;
    return this.#pace.queuedMs + (this.#rest.length * 1000) / (this.bytesPerSecond ?? Infinity);
  }

  attach(handler: TransportHandler): void {
    this.#handler = handler;
    if (this.#ended) {
      handler.onClosed(new TransportError('lost', `${this.name}: the line was closed`));
      return;
    }
    this.#stream.on('data', (chunk: Uint8Array) => {
      this.#bytesReceived += chunk.byteLength;
      if (this.#pace === null) return;
      this.#tail.push(chunk);
      if (!this.#ended && this.#tail.isOpen) handler.onArriving?.();
    });
    this.#frames = this.#options.cut(this.#stream);
    this.#frames.on('data', (frame: Uint8Array) => {
      if (frame.byteLength > 0 && !this.#ended) handler.onFrame(frame);
    });
  }

  send(frame: Uint8Array): void {
    if (this.#ended) return;
    if (this.#pace === null) {
      this.#write(frame);
      return;
    }
    const encoded = this.#options.encode?.(frame) ?? frame;
    // Only a farewell comes while a frame is going out.
    this.#rest = this.#rest.length === 0 ? encoded : Buffer.concat([this.#rest, encoded]);
    this.#feed();
  }

  abandon(): void {
    if (this.#rest.length === 0) return;
    this.#rest = this.#isMidFrame ? Uint8Array.of(FRAME_DELIMITER) : new Uint8Array();
    this.#feed();
  }

  get tail(): Uint8Array {
    const { bytes } = this.#tail;
    return this.#options.decode?.(bytes) ?? bytes;
  }

  /** What was handed over may still go out, the farewell above all; a line that does not move is not waited for. */
  async close(): Promise<void> {
    const wasOpen = !this.#ended;
    this.#end(null);
    if (wasOpen) await this.#settled();
    await this.#options.shut(this.#stream);
  }

  async #settled(): Promise<void> {
    const { clock } = this.#options;
    const until = clock.now() + FAREWELL_MS;
    while ((this.#writing > 0 || this.#rest.length > 0) && clock.now() < until) {
      this.#feed();
      await sleep(clock, POLL_MS);
    }
    await sleep(clock, Math.min(this.queuedMs, Math.max(0, until - clock.now())));
  }

  #hasRoom(pace: Pace): boolean {
    return this.#writing === 0 && pace.ready;
  }

  /** Gives a paced line its next slice when it has room for one. */
  #feed(): void {
    const pace = this.#pace;
    if (pace !== null && this.#rest.length > 0 && this.#hasRoom(pace)) {
      const rate = this.bytesPerSecond ?? Infinity;
      const slice = this.#rest.subarray(0, Math.max(LEAST_SLICE_BYTES, Math.floor((rate * SLICE_MS) / 1000)));
      this.#rest = this.#rest.subarray(slice.length);
      this.#isMidFrame = this.#rest.length > 0;
      pace.spend(slice.byteLength);
      this.#write(slice);
    }
    this.#offerRoom();
  }

  #write(bytes: Uint8Array): void {
    this.#bytesSent += bytes.byteLength;
    this.#writing++;
    this.#stream.write(bytes, () => {
      this.#writing--;
      if (this.#pace !== null) this.#feed();
    });
  }

  #offerRoom(): void {
    if (this.ready) this.#handler?.onReady();
  }

  #end(error: TransportError | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#pace?.stop();
    if (error !== null) this.#rest = new Uint8Array();
    this.#handler?.onClosed(error);
    if (error !== null) void this.#options.shut(this.#stream).catch(() => undefined);
  }
}
