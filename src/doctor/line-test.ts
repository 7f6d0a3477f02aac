import type { Clock } from '../platform/clock.js';
import { sleep } from '../platform/clock.js';
import { closeSerialPort, openSerialPort, type SerialSettings } from '../transport/serial.js';
import { failing, ok, warning, type Finding } from './finding.js';
import { judgeLine, LINE_PATTERN, type LineVerdict } from './line-pattern.js';

const BITS_PER_BYTE = 10;
/** Rounds to hear before the line is judged. */
const ROUNDS = 3;
/** Rounds that are sent after that, so that the other end hears enough too. */
const FAREWELL_ROUNDS = 4;
/** No more than that is kept of what comes, bytes. */
const MOST_HEARD = 1 << 20;

/**
 * Tries what a serial line does to bytes, together with the same test at its other end; waits so long for that, ms.
 * Fails with `TransportError` when the port cannot be opened, or with the signal's reason.
 */
export async function testLine(
  settings: SerialSettings,
  waitMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<Finding> {
  const port = await openSerialPort(settings);
  const heard: Uint8Array[] = [];
  let length = 0;
  const gone = new AbortController();
  port.on('data', (bytes: Uint8Array) => {
    if (length < MOST_HEARD) heard.push(Uint8Array.from(bytes));
    length += bytes.length;
  });
  const leave = (): void => gone.abort();
  port.on('error', leave);
  port.on('close', leave);
  const roundMs = (LINE_PATTERN.length * BITS_PER_BYTE * 1000) / settings.baudRate;
  const until = clock.now() + Math.max(waitMs, ROUNDS * 2 * roundMs);
  const verdict = (): LineVerdict => judgeLine(Buffer.concat(heard));
  try {
    let left = FAREWELL_ROUNDS;
    while (!gone.signal.aborted && left > 0 && clock.now() < until) {
      port.write(Buffer.from(LINE_PATTERN));
      await sleep(clock, Math.max(roundMs * 1.05, 20), signal);
      if (verdict().rounds >= ROUNDS) left--;
    }
  } finally {
    await closeSerialPort(port);
  }
  return explain(settings.device, verdict());
}

/** What an operator is told of a verdict. */
export function explain(device: string, { rounds, bytes, lost, intact }: LineVerdict): Finding {
  const subject = `line ${device}`;
  if (bytes === 0) {
    return failing(
      subject,
      'nothing was heard from the other end',
      `is \`farcopy doctor --line\` running there now; is the cable a null-modem cable; are both devices right`,
    );
  }
  if (rounds < 1) {
    return failing(
      subject,
      `${bytes} bytes came, and they were not the pattern of the other end`,
      'is the baud rate the same at both ends; is something else running on the line',
    );
  }
  const percent = (100 * intact).toFixed(1);
  if (lost.length === 0) {
    return intact > 0.999
      ? ok(subject, 'all 256 byte values come through')
      : warning(subject, `all byte values come through, but only ${percent} % unharmed`, 'the line is noisy');
  }
  const names = lost.slice(0, 8).map(({ value }) => `0x${value.toString(16).padStart(2, '0')}`);
  const text = `${lost.length} byte values do not come through: ${names.join(', ')}${lost.length > 8 ? ' …' : ''}`;
  const isSevenBits = lost.length >= 120 && lost.every(({ value }) => value >= 0x80);
  if (isSevenBits) return failing(subject, text, 'something on the way carries seven bits: set it to 8N1');
  return failing(
    subject,
    text,
    lost.every(({ value }) => [0x11, 0x13, 0x91, 0x93, 0xff].includes(value))
      ? 'something on the way obeys XON and XOFF: set it to hardware flow control or none, or set `flow: xonxoff` for this line at both ends'
      : 'something on the way interprets bytes (a terminal server, an escape character): make it transparent',
  );
}
