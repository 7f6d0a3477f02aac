import type { TransportError } from '../../../src/transport/errors.js';
import type { Transport } from '../../../src/transport/transport.js';
import { until } from '../../support/until.js';

/** A transport with a holder that keeps all it is told. */
export class Watched {
  readonly frames: Buffer[] = [];
  readonly closings: (TransportError | null)[] = [];
  readies = 0;
  /** Resolves when the line is closed. */
  readonly ended: Promise<void>;

  constructor(readonly transport: Transport) {
    this.ended = new Promise((resolve) => {
      transport.attach({
        onFrame: (frame) => this.frames.push(Buffer.from(frame)),
        onReady: () => this.readies++,
        onClosed: (error) => {
          this.closings.push(error);
          resolve();
        },
      });
    });
  }

  async untilFrames(count: number): Promise<void> {
    await until(`${count} frames are there`, () => this.frames.length >= count, {
      seen: () => `${this.frames.length} are`,
    });
  }

  async untilClosed(): Promise<TransportError | null> {
    await until('the line is closed', () => this.closings.length > 0);
    return this.closings[0]!;
  }

  async untilReady(): Promise<void> {
    await until('there is room', () => this.transport.ready);
  }
}

/** A frame with its delimiter: any bytes but zero, then one. */
export function frameOf(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes.map((byte) => (byte === 0 ? 1 : byte)), Buffer.of(0)]);
}
