import { ProtocolError } from '../errors.js';
import { MAX_MESSAGE, MAX_MESSAGE_QUEUE, MESSAGE_WINDOW } from './limits.js';
import type { Piece } from './pieces.js';
import { badContent } from './wire.js';

/**
 * The reliable channel for messages: each message is cut into fragments, fragments are numbered from 0, acknowledged
 * cumulatively with a mask of what came behind a hole, and repeated until acknowledged. Frames do not overtake each
 * other, so a fragment is lost when one that was first sent after its latest sending has been acknowledged; the last
 * ones are repeated by timer.
 */

type MessagePiece = Piece & { readonly kind: 'message' };
type AckPiece = Piece & { readonly kind: 'ack' };

interface Fragment {
  readonly piece: MessagePiece;
  /** Numbers of the frames that carried it. */
  readonly firstFrame: number;
  latestFrame: number;
  received: boolean;
  lost: boolean;
}

export class MessageSender {
  readonly #queue: Uint8Array[] = [];
  /** Bytes of the first queued message that are in fragments already. */
  #cut = 0;
  /** Fragments not acknowledged cumulatively, by rising sequence; the first has `#base`. */
  readonly #fragments: Fragment[] = [];
  #base = 0;
  #bytes = 0;

  /** Nothing waits and everything is acknowledged. */
  get isIdle(): boolean {
    return this.#queue.length === 0 && this.#fragments.length === 0;
  }

  /** Fragments were sent that are not acknowledged. */
  get isWaiting(): boolean {
    return this.#fragments.length > 0;
  }

  get isDue(): boolean {
    return (
      (this.#queue.length > 0 && this.#fragments.length < MESSAGE_WINDOW) ||
      this.#fragments.some((fragment) => fragment.lost)
    );
  }

  /** Copies the message. Throws `limit-exceeded`. */
  enqueue(bytes: Uint8Array): void {
    if (bytes.length > MAX_MESSAGE)
      throw new ProtocolError('limit-exceeded', `message of ${bytes.length} bytes`);
    if (this.#bytes + bytes.length > MAX_MESSAGE_QUEUE) {
      throw new ProtocolError('limit-exceeded', 'too many messages wait for the line');
    }
    this.#bytes += bytes.length;
    this.#queue.push(Uint8Array.from(bytes));
  }

  /** The next fragment for the frame of this number, of at most `room` message bytes (at least 1). */
  take(
    frame: number,
    room: number,
  ): { readonly piece: MessagePiece; readonly repeated: boolean } | undefined {
    const lost = this.#fragments.find((fragment) => fragment.lost);
    if (lost !== undefined) {
      if (lost.piece.bytes.length > room) return undefined;
      lost.lost = false;
      lost.latestFrame = frame;
      return { piece: lost.piece, repeated: true };
    }
    const message = this.#queue[0];
    if (message === undefined || this.#fragments.length >= MESSAGE_WINDOW) return undefined;
    const end = Math.min(this.#cut + room, message.length);
    const last = end === message.length;
    const piece: MessagePiece = {
      kind: 'message',
      sequence: this.#base + this.#fragments.length,
      last,
      bytes: message.subarray(this.#cut, end),
    };
    this.#cut = last ? 0 : end;
    if (last) this.#queue.shift();
    this.#fragments.push({ piece, firstFrame: frame, latestFrame: frame, received: false, lost: false });
    return { piece, repeated: false };
  }

  /** Is anything new in it. Throws `bad-message` for fragments that were never sent. */
  acknowledge(ack: AckPiece): boolean {
    if (ack.next > this.#base + this.#fragments.length) throw badContent('acknowledges what was not sent');
    let news = false;
    let newest = -1;
    const settle = (fragment: Fragment | undefined): void => {
      if (fragment === undefined || fragment.received) return;
      fragment.received = true;
      fragment.lost = false;
      news = true;
      this.#bytes -= fragment.piece.bytes.length;
      newest = Math.max(newest, fragment.firstFrame);
    };
    for (let bit = 0; bit < 32; bit++) {
      if (((ack.mask >>> bit) & 1) === 1) settle(this.#fragments[ack.next + 1 + bit - this.#base]);
    }
    while (this.#base < ack.next) {
      settle(this.#fragments.shift());
      this.#base++;
    }
    for (const fragment of this.#fragments) {
      if (!fragment.received && fragment.latestFrame < newest) fragment.lost = true;
    }
    return news;
  }

  /** The answer is late: the oldest fragment goes again. */
  repeatOldest(): void {
    const oldest = this.#fragments.find((fragment) => !fragment.received);
    if (oldest !== undefined) oldest.lost = true;
  }
}

export class MessageReceiver {
  #next = 0;
  /** Fragments that came behind a hole, by sequence. */
  readonly #ahead = new Map<number, MessagePiece>();
  #parts: Uint8Array[] = [];
  #length = 0;

  /** The messages that this fragment completes. Throws `limit-exceeded` for a message over `MAX_MESSAGE`. */
  receive(piece: MessagePiece): Uint8Array[] {
    const distance = piece.sequence - this.#next;
    if (distance < 0 || distance >= MESSAGE_WINDOW) return [];
    this.#ahead.set(piece.sequence, piece);
    const messages: Uint8Array[] = [];
    for (let at = this.#ahead.get(this.#next); at !== undefined; at = this.#ahead.get(this.#next)) {
      this.#ahead.delete(this.#next++);
      this.#length += at.bytes.length;
      if (this.#length > MAX_MESSAGE) throw new ProtocolError('limit-exceeded', 'message too long');
      this.#parts.push(at.bytes);
      if (at.last) {
        messages.push(new Uint8Array(Buffer.concat(this.#parts)));
        this.#parts = [];
        this.#length = 0;
      }
    }
    return messages;
  }

  get ack(): AckPiece {
    let mask = 0;
    for (const sequence of this.#ahead.keys()) mask |= 1 << (sequence - this.#next - 1);
    return { kind: 'ack', next: this.#next, mask: mask >>> 0 };
  }
}
