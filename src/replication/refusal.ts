import type { CopyStatus } from '../../protocol/messages/message.js';
import type { StateInfo } from '../../protocol/state.js';

/** Why something does not go on until the operator, or another session, changes what stands in its way. */
export interface Refusal {
  readonly text: string;
  readonly hint?: string;
  /** Nothing is wrong: it is how the operator wants it. */
  readonly isExpected?: boolean;
}

/** In the backup's words. */
export const refusalOf = (text: string): Refusal => ({ text: `the backup refused the set: ${text}` });

export const NO_COPY: Refusal = {
  text: 'the backup has no finished copy to compare with',
  hint: 'run `farcopy sync` first',
};

export const OTHER_VOLUME: Refusal = {
  text: 'the backup keeps the copy of another volume under this name',
  hint: 'give the volume another name, or move the old copy away on the backup',
};

/** A first copy is on its way on a disk: none is begun over the line. */
export const waitsForSeed = (volume: string, backup: string, { time }: StateInfo): Refusal => ({
  text: `the first copy of ${volume} is on its way to ${backup} on a disk (a seed of ${new Date(time).toISOString()})`,
  hint: `import it there with \`farcopy seed import\`, or give it up with \`farcopy seed drop ${volume}\`: then all of it goes over the line`,
  isExpected: true,
});

/** To the backup's operator: why its copy is compared before anything is built on it. */
export const STRANGER = 'the primary does not know the state that the copy is at';
export const FROM_DISK = 'it came on a disk and was not compared yet';
export const OTHER_WRITER =
  'the copy was last written from a later state of the volume, or from a clone of it';

/** No refusal: a copy at a state that this side never had is compared and then sent what differs. */
export const strangerText = (volume: string, backup: string, { state }: CopyStatus): string =>
  `${volume}: ${backup} holds state ${state?.slice(0, 8) ?? 'none'}, which this primary does not know ` +
  '(was its state folder restored, or does a clone run?); it is compared, and what differs is sent. ' +
  'The state it held stays there as a restore point';

/** The copy was written by an opening of the volume's state that this one does not descend from. */
export const otherWriterText = (volume: string, backup: string): string =>
  `${volume}: the copy at ${backup} was last written from a later state of this volume, or from a clone of it. ` +
  'Was the state folder restored, the machine reverted, or does another one run with the same keys? It is compared';
