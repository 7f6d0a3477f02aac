import { covering, RangeSet, type Range } from '../../protocol/ranges.js';
import { sleep, type Clock } from '../platform/clock.js';
import { breathe } from '../store/block-content.js';
import type { VolumeStore } from '../store/volume-store.js';
import type { OperationOptions, ScrubRequest, ScrubResult } from './appliance-control.js';
import type { ScrubRecord } from './scrub-records.js';

/** Ranges told of one image or increment; more are told as fewer that cover them. */
export const MAX_TOLD = 4096;

/** Scrubs a volume's copy (`VolumeStore.scrub`), at the rate that is asked for, and puts what was found into the form that scripts get. */
export async function scrubCopy(
  store: VolumeStore,
  { volume, bytesPerSecond }: ScrubRequest,
  { signal, progress, clock }: OperationOptions & { readonly clock: Clock },
): Promise<ScrubResult> {
  const started = clock.now();
  const report = await store.scrub({
    signal,
    progress: (done, total) => progress({ phase: 'scrubbing', done, total, unit: 'bytes' }),
    ...(bytesPerSecond !== undefined && { pace: paceOf(bytesPerSecond, clock, signal) }),
  });
  const { state, digests, blocks, bytes, rotten, unknown, increments, points, records } = report;
  const lost = increments.damaged.length > 0 || points.length > 0;
  return {
    volume,
    state: state.id,
    stateTime: isoTime(state.time),
    digests,
    passed: rotten.length + unknown.length + records.length === 0 && !lost,
    blocks,
    bytes,
    rotten: told(rotten),
    unknown: told(unknown),
    rottenBlocks: countOf(rotten),
    unknownBlocks: countOf(unknown),
    increments: {
      files: increments.files,
      blocks: increments.blocks,
      damaged: increments.damaged.map((each) => ({
        point: each.state,
        blocks: each.blocks === null ? null : told(each.blocks),
      })),
    },
    points: points.map(({ state: of, blocks: count }) => ({
      id: of.id,
      time: isoTime(of.time),
      blocks: count,
    })),
    records,
    time: isoTime(clock.wall()),
    seconds: Math.round(clock.now() - started) / 1000,
  };
}

/** What is kept of a scrub, for the points there are now. */
export function recordOf(result: ScrubResult, points: readonly string[]): ScrubRecord {
  const { time, passed, seconds, rottenBlocks, unknownBlocks } = result;
  const lost = new Map(result.points.map(({ id, blocks }) => [id, blocks]));
  const ofPoint = (id: string): number | null => (lost.has(id) ? (lost.get(id) ?? null) : 0);
  return {
    ...{ time, passed, seconds, rottenBlocks, unknownBlocks },
    points: Object.fromEntries(points.map((id) => [id, ofPoint(id)])),
  };
}

/** Waits as long as it takes for the mean to be no more than so many bytes a second. */
function paceOf(bytesPerSecond: number, clock: Clock, signal: AbortSignal): (bytes: number) => Promise<void> {
  const started = clock.now();
  let read = 0;
  return async (bytes) => {
    read += bytes;
    const wait = started + (read / bytesPerSecond) * 1000 - clock.now();
    if (wait > 0) await sleep(clock, wait, signal);
    else await breathe();
  };
}

const told = (ranges: readonly Range[]): readonly Range[] =>
  covering(ranges, MAX_TOLD).map(({ start, end }) => ({ start, end }));

const countOf = (ranges: readonly Range[]): number => new RangeSet(ranges).size;

const isoTime = (ms: number): string => new Date(ms).toISOString();
