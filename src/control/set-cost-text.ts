import { bytesOf, type LINE_KINDS, type LineBytes } from '../../protocol/set-account.js';
import { formatSize } from '../config/units.js';

/** Everything that crossed, both ways. */
export const lineTotal = ({ toBackup, toPrimary }: LineBytes): number =>
  bytesOf(toBackup) + bytesOf(toPrimary);

/** `1.2 MB written, 40 KB on the line`: what a set was worth and has cost, as far as it is known. */
export function setCostText(bytesWritten: number | null, line: LineBytes | null): string {
  const parts: string[] = [];
  if (bytesWritten !== null) parts.push(`${formatSize(bytesWritten)} written`);
  if (line !== null) parts.push(`${formatSize(lineTotal(line))} on the line`);
  return parts.join(', ');
}

/** `30 KB data, 2 KB addresses, 1 KB control, 4 KB again`: both ways, calls' beginnings with the rest of control. */
export function kindsText({ toBackup, toPrimary }: LineBytes): string {
  const both = (kind: (typeof LINE_KINDS)[number]): number => toBackup[kind] + toPrimary[kind];
  const addresses = addressesOf({ toBackup, toPrimary });
  const repeated = both('repeated');
  return [
    `${formatSize(both('data'))} data`,
    ...(addresses === null ? [] : [`${formatSize(addresses)} addresses`]),
    `${formatSize(both('control') + both('handshake'))} control`,
    ...(repeated === 0 ? [] : [`${formatSize(repeated)} again`]),
  ].join(', ');
}

/** null: not told apart from the data. */
export const addressesOf = ({ toBackup, toPrimary }: LineBytes): number | null =>
  toBackup.addresses === undefined ? null : toBackup.addresses + (toPrimary.addresses ?? 0);
