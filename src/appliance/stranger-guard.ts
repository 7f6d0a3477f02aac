import { TransportError } from '../transport/errors.js';
import type { TransportHandler } from '../transport/transport.js';
import { LineDecorator } from './line-decorator.js';

/** Frames of a caller who has not proved its key yet; an honest one needs two, and a few more on a bad line. */
const MAX_FRAMES = 8;
/** The same in bytes: a few calls. The frame that goes beyond it may still be the proof. */
const MAX_BYTES = 1024;

/**
 * A connection that anybody can make, until its caller is known: what a stranger can make this side read and compute
 * is bounded, and then the line is closed.
 */
export class StrangerGuard extends LineDecorator {
  #isTrusted = false;
  #frames = 0;
  #bytes = 0;

  /** The caller has proved its key. */
  trust(): void {
    this.#isTrusted = true;
  }

  override attach(handler: TransportHandler): void {
    let isOver = false;
    super.attach({
      onFrame: (frame) => {
        if (isOver) return;
        // Not the line's own count: one read may bring the proof and much of what is sent after it.
        if (this.#isTrusted || (++this.#frames <= MAX_FRAMES && this.#bytes <= MAX_BYTES)) {
          this.#bytes += this.#isTrusted ? 0 : frame.byteLength + 1;
          handler.onFrame(frame);
          return;
        }
        isOver = true;
        handler.onClosed(new TransportError('closed', `${this.name}: a stranger said too much`));
      },
      onReady: () => handler.onReady(),
      onClosed: (error) => {
        if (!isOver) handler.onClosed(error);
      },
    });
  }
}
