import type { Socket } from 'node:net';

/** Bytes read at a time: requests of several writes. */
const SLAB_BYTES = 128 << 10;
/** With less room left, a new slab is begun. */
const MIN_ROOM_BYTES = 16 << 10;
/** Behind a long payload: the next header, and little of its payload, which is then read to its place. */
const SHORT_READ_BYTES = 4 << 10;

/**
 * Where a socket's bytes are read to, one slab at a time. What was received may be used until `next` is told that all of
 * it is; who needs some of it longer says so with `keep`.
 */
export class ReceiveBuffer {
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** Bytes of the slab that were received since it was begun. */
  #end = 0;
  /** What was given out last; the socket may hold on to it while the slab is changed. */
  #room = this.#slab;

  /** Room for the next bytes; at the slab's beginning again if none received so far are needed. */
  next(isAllUsed: boolean, isShort: boolean): Buffer {
    if (isAllUsed) this.#end = 0;
    if (SLAB_BYTES - this.#end < MIN_ROOM_BYTES) this.#begin();
    const until = isShort ? Math.min(SLAB_BYTES, this.#end + SHORT_READ_BYTES) : SLAB_BYTES;
    this.#room = this.#slab.subarray(this.#end, until);
    return this.#room;
  }

  /** The first `count` bytes of what `next` gave out last, now received. */
  received(count: number): Buffer {
    const bytes = this.#room.subarray(0, count);
    if (this.#room.buffer === this.#slab.buffer) this.#end = this.#room.byteOffset + count;
    return bytes;
  }

  /** These bytes are used for longer: if they are of the slab, it is left to them. */
  keep(bytes: Buffer): void {
    if (bytes.buffer === this.#slab.buffer) this.#begin();
  }

  #begin(): void {
    this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.#end = 0;
  }
}

/** What Node keeps in a socket for the option `onread`, under symbols of these names, and the handle it is made known to. */
const FIELDS = ['kBuffer', 'kBufferCb', 'kBufferGen'] as const;
interface Handle {
  useUserBuffer?(buffer: Buffer): void;
}

/**
 * Lets a socket that was accepted, and is paused, read into memory of ours. Node has that for sockets it connects
 * (`onread` of net.Socket); for accepted ones there is no way to ask, so what the option does is done here.
 *
 * @param next where the next bytes go; asked after each `received`
 * @returns false if this Node cannot: the socket then has its `data` events as ever
 */
export function readInto(
  socket: Socket,
  { next, received }: { readonly next: () => Buffer; readonly received: (count: number) => void },
): boolean {
  const handle = (socket as unknown as { readonly _handle?: Handle | null })._handle;
  const symbols = Object.getOwnPropertySymbols(socket);
  const [buffer, callback, generator] = FIELDS.map((name) =>
    symbols.find(({ description }) => description === name),
  );
  if (typeof handle?.useUserBuffer !== 'function') return false;
  if (buffer === undefined || callback === undefined || generator === undefined) return false;
  const first = next();
  Object.assign(socket, { [buffer]: first, [callback]: received, [generator]: next });
  handle.useUserBuffer(first);
  return true;
}
