import type { ScrubResult } from '../control/appliance-control.js';
import type { ScrubRecord } from '../control/scrub-records.js';
import type { Suspects } from '../store/volume-store.js';
import type { EventLog } from './event-log.js';

/** What is to be known, and done, while blocks of an image are suspect. */
export function suspectText(volume: string, { since, blocks }: Suspects): string {
  const count = blocks.reduce((sum, { start, end }) => sum + end - start, 0);
  return (
    `since ${new Date(since).toISOString()} it is known that ${count} blocks of the copy are not what they should be; ` +
    `\`farcopy sync ${volume}\` on the primary heals them`
  );
}

export const lostText = ({ time }: ScrubRecord, points: number): string =>
  `by the scrub of ${time}, ${points} of its restore points lack blocks; \`farcopy points\` says which`;

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
    `${volume}: a scrub has found ${rottenBlocks} rotten blocks in the image, ${unknownBlocks} of which nothing is known, ` +
      `${increments.damaged.length} damaged increments; ${points.length} restore points lack something`,
  );
}
