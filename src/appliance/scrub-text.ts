import { formatCount } from '../config/units.js';
import type { ScrubResult } from '../control/appliance-control.js';
import type { ScrubRecord } from '../control/scrub-records.js';
import type { Suspects } from '../store/volume-store.js';
import type { EventLog } from './event-log.js';

/** What is to be known, and done, while blocks of an image are suspect. */
export function suspectText(volume: string, { since, blocks }: Suspects): string {
  const count = blocks.reduce((sum, { start, end }) => sum + end - start, 0);
  return (
    `it is known since ${new Date(since).toISOString()} that the copy has ${formatCount(count, 'rotten block')}; ` +
    `\`farcopy sync ${volume}\` on the primary heals it`
  );
}

export const lostText = ({ time }: ScrubRecord, points: number): string =>
  `by the scrub of ${time}, blocks are missing from ${formatCount(points, 'restore point')}; \`farcopy points\` says which`;

/** Raises the events of a scrub. */
export function tellScrubbed(result: ScrubResult, events: EventLog): void {
  const { volume, passed, digests, rottenBlocks, unknownBlocks, increments, points, seconds } = result;
  if (digests === 'remade')
    events.add('warning', `${volume}: the digests of the copy were lost, and made anew of what it holds`);
  if (passed) {
    events.add('info', `${volume}: scrubbed in ${seconds.toFixed(1)} s, clean`);
    return;
  }
  events.add(
    'error',
    `${volume}: a scrub has found ${formatCount(rottenBlocks, 'rotten block')} in the image, ` +
      `${formatCount(unknownBlocks, 'block')} that cannot be judged and ${formatCount(increments.damaged.length, 'damaged increment')}; ` +
      `blocks are missing from ${formatCount(points.length, 'restore point')}`,
  );
}
