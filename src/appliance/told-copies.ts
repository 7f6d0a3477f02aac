import { decodeHello, encodeHello, encodeMessage } from '../../protocol/messages/codec.js';
import { MAX_ANSWER_HELLO_BYTES, MAX_CALLER_HELLO_BYTES } from '../../protocol/messages/limits.js';
import type { CopyStatus, Hello } from '../../protocol/messages/message.js';
import type { SessionLink } from '../replication/call.js';

/** Answers remembered: as many as a link keeps calls pending. */
const KEPT = 4;

/**
 * What the hellos on one line have said of a primary's copies. Between a hello and the session that it leads to lies a
 * round trip and more, in which an apply may end and another line may bring parcels; and a hello has room for a few
 * copies only.
 */
export class ToldCopies {
  readonly #told: Hello[] = [];

  /** The answer's payload, with as many copies as have room. */
  answer(hello: Hello): Uint8Array {
    return this.#tell(encodeHello(hello, MAX_ANSWER_HELLO_BYTES));
  }

  /** A call's payload. */
  call(hello: Hello): Uint8Array {
    return this.#tell(encodeHello(hello, MAX_CALLER_HELLO_BYTES));
  }

  /** A session has come of one of the hellos, whichever: says what that one did not, or what is so no more. */
  catchUp(now: Hello, link: SessionLink): void {
    const told = this.#told.splice(0);
    const isIncomplete = told.some(({ complete }) => !complete);
    for (const copy of now.copies) {
      const before = told.flatMap(({ copies }) => copies.filter(({ volume }) => volume === copy.volume));
      if (isIncomplete || before.some((each) => holdsOtherwise(each, copy))) {
        link.sendMessage(encodeMessage(copy));
      }
      if (copy.state !== null && before.some(({ state }) => state !== copy.state)) {
        link.sendMessage(encodeMessage({ kind: 'applied', volume: copy.volume, to: copy.state }));
      }
    }
    if (isIncomplete) link.sendMessage(encodeMessage({ kind: 'copies-told' }));
  }

  #tell(payload: Uint8Array): Uint8Array {
    this.#told.push(decodeHello(payload));
    if (this.#told.length > KEPT) this.#told.shift();
    return payload;
  }
}

/** Did another line bring something of a set meanwhile: the primary would send it a second time. */
const holdsOtherwise = (told: CopyStatus, now: CopyStatus): boolean =>
  now.capture !== null && Buffer.compare(encodeMessage(told), encodeMessage(now)) !== 0;
