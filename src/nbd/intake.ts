import type { Socket } from 'node:net';
import { receiveHeld } from '../platform/syscalls.js';
import { ByteQueue } from './byte-queue.js';
import { descriptorOf } from './descriptor.js';
import { readInto, ReceiveBuffer } from './receive-buffer.js';
import type { RequestReader } from './request-reader.js';

/** Receives ahead: a header and the beginning of its payload at the most, then the payload's rest to its place. */
const AHEAD = 2;

/**
 * How often is received ahead in a turn of the event loop: each time one more write is carried out in it, and a client that
 * sends faster than is written would keep all others waiting.
 */
const AHEAD_A_TURN = 32;

/** Where a client's bytes go: into the queue from which requests are read, or straight to a long payload's own place. */
export class Intake {
  /** What is here and not read. */
  readonly queue = new ByteQueue();
  readonly #socket: Socket;
  readonly #slab = new ReceiveBuffer();
  #reader: RequestReader | null = null;
  /** Where the next bytes are read to, if that is a payload's own place. */
  #place: Buffer | null = null;
  #isBehindPayload = false;
  /** In the socket's own read, which reads on only when that is over. */
  #isInRead = false;
  /** Of this turn. */
  #aheadLeft = AHEAD_A_TURN;

  /**
   * @param socket accepted and paused; resumed by its owner
   * @param received called when there is more, from the socket's read
   */
  constructor(socket: Socket, received: () => void) {
    this.#socket = socket;
    const isReadInto = readInto(socket, {
      next: () => this.#room(),
      received: (count) => {
        this.#take(count);
        this.#isInRead = true;
        try {
          received();
        } finally {
          this.#isInRead = false;
        }
      },
    });
    if (isReadInto) return;
    socket.on('data', (chunk: Buffer) => {
      this.queue.push(chunk);
      received();
    });
  }

  /** From now on this reads requests from the queue, and says where their payloads belong. */
  follow(reader: RequestReader): void {
    this.#reader = reader;
  }

  /** These bytes, of a request that was read, are used for longer than until the next one is. */
  keep(bytes: Buffer): void {
    this.#slab.keep(bytes);
  }

  /**
   * Takes what the client has sent behind a long payload, which is in a place of its own, before its request keeps the thread:
   * so the kernel has room, and the client sends on meanwhile.
   */
  receiveAhead(): void {
    const fd = this.#isInRead ? descriptorOf(this.#socket) : null;
    if (fd === null || this.#aheadLeft === 0) return;
    if (this.#aheadLeft-- === AHEAD_A_TURN) setImmediate(() => (this.#aheadLeft = AHEAD_A_TURN));
    for (let times = 0; times < AHEAD; times++) {
      this.#reader?.prepare();
      const room = this.#room();
      if (times > 0 && this.#place === null) return;
      const count = receiveHeld(fd, room);
      if (count === 0) return;
      this.#take(count);
      if (this.#place !== null) return;
    }
  }

  #room(): Buffer {
    this.#place = this.#reader?.wanted ?? null;
    return this.#place ?? this.#slab.next(this.queue.length === 0, this.#isBehindPayload);
  }

  #take(count: number): void {
    this.#isBehindPayload = this.#place !== null && this.#reader?.wasGiven(count) === true;
    if (this.#place === null) this.queue.push(this.#slab.received(count));
  }
}
