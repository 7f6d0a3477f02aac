import type { Transport } from '../transport/transport.js';

/** Where calling again costs nothing but a handshake, a peer that answers nothing for so long is called anew. */
const CHEAP_CALL_MS = 10_000;
/** Where it costs a dial. */
const DIALLED_CALL_MS = 30_000;
/** Line time of what may stand before the answer, on a slow line. */
const WAITING_BYTES = 2000;

/** How long a peer may leave questions unanswered on this line, ms. */
export function patienceOn({ type, bytesPerSecond }: Transport): number {
  const base = type === 'modem' ? DIALLED_CALL_MS : CHEAP_CALL_MS;
  return base + (bytesPerSecond === undefined ? 0 : (WAITING_BYTES * 1000) / bytesPerSecond);
}
