import type { Sandbox } from '../../support/sandbox.js';
import type { Table } from '../table.js';
import { idleBytesForReal } from './quiet-minute.js';
import { emptyCall, idleBytes } from './quiet-runs.js';

const HOUR = 3_600_000;
const MINUTE = 60_000;
const EMPTY_CALL_BYTES = 600;
/** One way, ms. */
const LATENCY = 250;

const LINES = [
  { name: '2400 baud', line: { baud: 2400 } },
  { name: '57600 baud', line: { baud: 57600 } },
  { name: 'TCP', line: {} },
] as const;

/** What a line costs on which nothing is to be said, on the virtual clock; and for a minute of real time. */
export async function quietTable(sandbox: Sandbox): Promise<Table> {
  const rows: string[][] = [];
  const missed: string[] = [];
  for (const { name, line } of LINES) {
    const bytes = idleBytes(line, HOUR, 1);
    const what = `open and idle for an hour, ${name}`;
    rows.push([what, `${(bytes / (HOUR / 1000)).toFixed(3)} bytes a second`, 'under 1']);
    if (bytes >= HOUR / 1000) missed.push(`${what}: ${bytes} bytes.`);
  }
  const real = await idleBytesForReal(sandbox, MINUTE);
  rows.push([
    'the same for a real minute, ptys',
    `${(real / (MINUTE / 1000)).toFixed(3)} bytes a second`,
    'under 1',
  ]);
  if (real >= MINUTE / 1000) missed.push(`a real minute: ${real} bytes.`);
  for (const { name, line } of LINES) {
    const { bytes, framesOut, framesBack, ms } = emptyCall(line, 1);
    const trips = (emptyCall({ ...line, latency: LATENCY }, 1).ms - ms) / (2 * LATENCY);
    const what = `a call that finds nothing to send, ${name}`;
    rows.push([
      what,
      `${bytes} bytes in ${framesOut} + ${framesBack} frames, ${trips.toFixed(2)} round trips`,
      `under ${EMPTY_CALL_BYTES}, 1.5 round trips`,
    ]);
    if (bytes >= EMPTY_CALL_BYTES || trips > 1.5) missed.push(`${what}.`);
  }
  return { title: 'Lines on which nothing is to be said', columns: ['', 'found', 'asked'], rows, missed };
}
