import { MAX_MISMATCH_RANGES } from '../../protocol/messages/limits.js';
import type { RefusalCode } from '../../protocol/messages/message.js';
import type { BlockSpan } from '../../protocol/parcel/delta-layout.js';
import type { Range } from '../../protocol/ranges.js';
import { StoreError, type StoreErrorCode } from '../store/errors.js';

/** Spans as no more ranges than a message takes: where there are more, neighbours are told as one. */
export function coveringRanges(spans: readonly BlockSpan[]): Range[] {
  const together = Math.ceil(spans.length / MAX_MISMATCH_RANGES);
  const ranges: Range[] = [];
  for (let i = 0; i < spans.length; i += together) {
    const first = spans[i];
    const last = spans[Math.min(i + together, spans.length) - 1];
    if (first !== undefined && last !== undefined)
      ranges.push({ start: first.start, end: last.start + last.count });
  }
  return ranges;
}

const REFUSALS: Readonly<Partial<Record<StoreErrorCode, RefusalCode>>> = {
  'other-volume': 'other-volume',
  'base-mismatch': 'base-mismatch',
  'geometry-mismatch': 'geometry-mismatch',
  'digest-mismatch': 'digest-mismatch',
  'bad-parcel': 'digest-mismatch',
  'no-space': 'no-space',
};

/** How a set is refused for an error, and what is said of it. */
export function refusalFor(error: Error): { readonly code: RefusalCode; readonly text: string } {
  const known = error instanceof StoreError ? REFUSALS[error.code] : undefined;
  const hint = error instanceof StoreError && error.hint !== undefined ? `; ${error.hint}` : '';
  return { code: known ?? 'failed', text: `${error.message}${hint}` };
}
