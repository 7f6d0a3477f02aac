import type { Transport } from '../transport/transport.js';

/** Where calling again costs nothing but a handshake, a peer that answers nothing for so long is called anew. */
const CHEAP_CALL_MS = 10_000;
/** Where it costs a dial, a silent line is kept: a lost carrier is told by the modem. */
const DIALLED_CALL_MS = 120_000;
/** A line without a valid frame for so long, with something outstanding, is left when there is another. */
const SILENT_MS = 10_000;
/** Line time of what may stand before the answer, on a slow line. */
const WAITING_BYTES = 2000;

type Line = Pick<Transport, 'type' | 'bytesPerSecond'>;

const lineTime = ({ bytesPerSecond }: Line): number =>
  bytesPerSecond === undefined ? 0 : (WAITING_BYTES * 1000) / bytesPerSecond;

/** How long a peer may leave questions unanswered on this line, ms. */
export const patienceOn = (line: Line): number =>
  (line.type === 'modem' ? DIALLED_CALL_MS : CHEAP_CALL_MS) + lineTime(line);

/** After how long, ms, another link is tried, where there is one. */
export const silenceOn = (line: Line): number => SILENT_MS + lineTime(line);
