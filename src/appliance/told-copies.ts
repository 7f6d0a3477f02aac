import { decodeHello, encodeHello, encodeMessage } from '../../protocol/messages/codec.js';
import { MAX_ANSWER_HELLO_BYTES } from '../../protocol/messages/limits.js';
import type { Hello } from '../../protocol/messages/message.js';
import type { SessionLink } from '../replication/call.js';

/** Answers remembered: as many as a link keeps calls pending. */
const KEPT = 4;

/**
 * What the answers on one line have said of a primary's copies. Between an answer and the session that it leads to
 * lies a round trip, in which an apply of an earlier session may end; and an answer has room for a few copies only.
 */
export class ToldCopies {
  readonly #told: Hello[] = [];

  /** The answer's payload, with as many copies as have room. */
  answer(hello: Hello): Uint8Array {
    const answer = encodeHello(hello, MAX_ANSWER_HELLO_BYTES);
    this.#told.push(decodeHello(answer));
    if (this.#told.length > KEPT) this.#told.shift();
    return answer;
  }

  /** A session has come of one of the answers, whichever: says what that one did not, or what is so no more. */
  catchUp(now: Hello, link: SessionLink): void {
    const told = this.#told.splice(0);
    if (told.some(({ complete }) => !complete)) {
      for (const copy of now.copies) link.sendMessage(encodeMessage(copy));
      link.sendMessage(encodeMessage({ kind: 'copies-told' }));
    }
    for (const { volume, state } of now.copies) {
      const isNews = told.some(({ copies }) =>
        copies.some((copy) => copy.volume === volume && copy.state !== state),
      );
      if (state !== null && isNews) link.sendMessage(encodeMessage({ kind: 'applied', volume, to: state }));
    }
  }
}
