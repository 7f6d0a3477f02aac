import type { Transport, TransportHandler } from '../transport/transport.js';

/** A transport that passes everything on to another one; what is to be different is overridden. */
export abstract class LineDecorator implements Transport {
  readonly #inner: Transport;

  constructor(inner: Transport) {
    this.#inner = inner;
  }

  get name(): string {
    return this.#inner.name;
  }

  get type(): Transport['type'] {
    return this.#inner.type;
  }

  get bytesPerSecond(): number | undefined {
    return this.#inner.bytesPerSecond;
  }

  get bytesSent(): number {
    return this.#inner.bytesSent;
  }

  get bytesReceived(): number {
    return this.#inner.bytesReceived;
  }

  get ready(): boolean {
    return this.#inner.ready;
  }

  attach(handler: TransportHandler): void {
    this.#inner.attach(handler);
  }

  send(frame: Uint8Array): void {
    this.#inner.send(frame);
  }

  abandon(): void {
    this.#inner.abandon();
  }

  get tail(): Uint8Array {
    return this.#inner.tail ?? new Uint8Array();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
