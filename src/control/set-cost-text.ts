import { bytesOf, type LineBytes } from '../../protocol/set-account.js';
import { formatSize } from '../config/units.js';

/** Everything that crossed, both ways. */
export const lineTotal = ({ toBackup, toPrimary }: LineBytes): number =>
  bytesOf(toBackup) + bytesOf(toPrimary);

/** `1.2 MB written, 40 KB on the line`: what a set was worth and has cost, as far as it is known. */
export function setCostText(bytesWritten: number | null, line: LineBytes | null): string {
  const parts: string[] = [];
  if (bytesWritten !== null) parts.push(`${formatSize(bytesWritten)} written`);
  if (line !== null) {
    const repeated = line.toBackup.repeated + line.toPrimary.repeated;
    const again = repeated === 0 ? '' : ` (${formatSize(repeated)} again)`;
    parts.push(`${formatSize(lineTotal(line))} on the line${again}`);
  }
  return parts.join(', ');
}
