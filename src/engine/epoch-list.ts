import type { StateInfo } from '../../protocol/state.js';
import type { StateId, VolumeId } from '../../protocol/units.js';
import { VolumeError } from './errors.js';
import type { ComparedEntry, EpochEntry, EpochsRecord } from './volume-record.js';
import type { SetBounds } from './volume-service.js';

/*
 * Which epochs there are, what may be dropped, and what may be merged: pure steps from one record to the next.
 *
 *   epochs   0: null   1: S0   2: S1   3: null   4: S2      the last one is open
 *   pins     vault → S1
 *
 * Here epochs 0 and 1 can be dropped (nobody pins a state that old), 2 and 3 can be merged (nobody can name the
 * boundary between them), 4 stays apart because it is open.
 */

/** The record of a volume that has never been sealed. */
export const firstEpochs = (volume: VolumeId): EpochsRecord => ({
  magic: 'farcopy epochs',
  version: 1,
  volume,
  nextEpoch: 1,
  nextOrdinal: 0,
  lastState: null,
  epochs: [{ number: 0, start: null }],
  pins: [],
  compared: [],
});

/**
 * Lists a further epoch that begins at no state yet. What was written in the open one may stand in the record from an
 * earlier close, and more was written since.
 */
export const prepareEpoch = (record: EpochsRecord): EpochsRecord => ({
  ...record,
  nextEpoch: record.nextEpoch + 1,
  epochs: [
    ...record.epochs.map(({ number, start, written }, i) =>
      i === record.epochs.length - 1 || written === undefined
        ? { number, start }
        : { number, start, written },
    ),
    { number: record.nextEpoch, start: null },
  ],
});

/** The seal record: names the start of epoch `number`, and moves the pins of `pinAs` there. */
export function nameStart(
  record: EpochsRecord,
  number: number,
  start: StateInfo,
  pinAs: readonly string[],
): EpochsRecord {
  const moved = new Set(pinAs);
  return withoutStaleCompares({
    ...record,
    nextOrdinal: start.ordinal + 1,
    lastState: start,
    epochs: record.epochs.map((epoch) => (epoch.number === number ? { ...epoch, start } : epoch)),
    pins: [
      ...record.pins.filter((pin) => !moved.has(pin.owner)),
      ...[...moved].map((owner) => ({ owner, state: start.id })),
    ],
  });
}

/** Throws `unknown-state`. */
export function withPin(record: EpochsRecord, owner: string, state: StateId): EpochsRecord {
  if (comparedOf(record, owner, state) !== null) return record;
  epochFrom(record, state);
  const pins = [...record.pins.filter((pin) => pin.owner !== owner), { owner, state }];
  return withoutStaleCompares({ ...record, pins });
}

export const withoutPin = (record: EpochsRecord, owner: string): EpochsRecord =>
  withoutStaleCompares({ ...record, pins: record.pins.filter((pin) => pin.owner !== owner) });

/** Keeps how many bytes were written in an epoch; null: not known. */
export const withWritten = (record: EpochsRecord, number: number, written: number | null): EpochsRecord => ({
  ...record,
  epochs: record.epochs.map((epoch) => {
    if (epoch.number !== number) return epoch;
    const { start } = epoch;
    return written === null ? { number, start } : { number, start, written };
  }),
});

/** Bytes written from one state to the next, by the earlier one's id; null: not known. The open epoch is left out. */
export function writtenAfter(record: EpochsRecord): Record<StateId, number | null> {
  const sums: Record<StateId, number | null> = {};
  let state: StateId | null = null;
  for (const { start, written } of record.epochs.slice(0, -1)) {
    if (start !== null) {
      state = start.id;
      sums[state] = 0;
    }
    if (state !== null) sums[state] = sumOf(sums[state] ?? null, written ?? null);
  }
  return sums;
}

/** Of what is not known the sum is not known either. */
export const sumOf = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? null : a + b;

/** What a compare has found, with the owner's pin at its state in the same step. Throws `unknown-state` for `like`. */
export function withCompared(record: EpochsRecord, entry: ComparedEntry): EpochsRecord {
  epochFrom(record, entry.like);
  const { owner, state } = entry;
  return {
    ...record,
    pins: [...record.pins.filter((pin) => pin.owner !== owner), { owner, state: state.id }],
    compared: [...record.compared.filter((other) => other.owner !== owner), entry],
  };
}

/** What is known of a state to this owner by a compare; null: nothing. */
export const comparedOf = (record: EpochsRecord, owner: string, state: StateId): ComparedEntry | null =>
  record.compared.find((entry) => entry.owner === owner && entry.state.id === state) ?? null;

const withoutStaleCompares = (record: EpochsRecord): EpochsRecord => ({
  ...record,
  compared: record.compared.filter((entry) =>
    record.pins.some((pin) => pin.owner === entry.owner && pin.state === entry.state.id),
  ),
});

/** The state that a pin holds: where a compare has found what its own is like, that one. */
export const heldBy = (record: EpochsRecord, pin: EpochsRecord['pins'][number]): StateId =>
  comparedOf(record, pin.owner, pin.state)?.like ?? pin.state;

export const withoutEpochs = (record: EpochsRecord, numbers: ReadonlySet<number>): EpochsRecord => ({
  ...record,
  epochs: record.epochs.filter((epoch) => !numbers.has(epoch.number)),
});

/** The states that can be asked for, oldest first. */
export function answerableStates(record: EpochsRecord): StateInfo[] {
  const own = record.epochs.flatMap((epoch) => epoch.start ?? []);
  const known = new Set(own.map(({ id }) => id));
  const compared = record.compared.flatMap(({ state }) => (known.has(state.id) ? [] : [state]));
  return [...compared, ...own];
}

/** The epoch that begins at `state`. Throws `unknown-state`. */
export function epochFrom(record: EpochsRecord, state: StateId): EpochEntry & { readonly start: StateInfo } {
  for (const { number, start } of record.epochs) {
    if (start !== null && start.id === state) return { number, start };
  }
  throw new VolumeError(
    'unknown-state',
    `state ${state} is not known here any more`,
    'take a new snapshot; if the backup stands at this state, its copy must be compared',
  );
}

/** A set's epochs, as a range of epoch numbers, and the state it leads to. `from` null: no epochs, the whole volume. */
export interface SetEpochs {
  readonly from: number | null;
  /** What a compare has found to differ from the state at `from`'s start comes on top; null: nothing does. */
  readonly compared: number | null;
  readonly to: number;
  readonly toState: StateInfo;
}

/** Throws `unknown-state`, also if `to` is older than `from`. */
export function epochsOfSet(record: EpochsRecord, set: SetBounds): SetEpochs {
  const to = epochFrom(record, set.to);
  const base = set.from === null ? null : epochsFromBase(record, set.from, set.by);
  if (base !== null && base.from > to.number) {
    throw new VolumeError('unknown-state', `state ${set.to} is older than ${String(set.from)}`);
  }
  return {
    from: base?.from ?? null,
    compared: base?.compared ?? null,
    to: to.number,
    toState: to.start,
  };
}

/** Where a base of `by` begins: its epoch, the state at that epoch's start, and the compare that comes on top. */
export function epochsFromBase(
  record: EpochsRecord,
  base: StateId,
  by: string | undefined,
): { readonly from: number; readonly like: StateInfo; readonly compared: number | null } {
  const compared = by === undefined ? null : comparedOf(record, by, base);
  const { number, start } = epochFrom(record, compared?.like ?? base);
  return { from: number, like: start, compared: compared?.number ?? null };
}

/** Epochs that no pin reaches back to. The last state stays, pinned or not, so that it can still be pinned. */
export function droppable(record: EpochsRecord): ReadonlySet<number> {
  const pinned = new Set(record.pins.map((pin) => heldBy(record, pin)));
  const kept = record.epochs.findIndex(({ start }) => start !== null && pinned.has(start.id));
  const lastNamed = record.epochs.findLastIndex(({ start }) => start !== null);
  const first = kept >= 0 ? kept : lastNamed >= 0 ? lastNamed : record.epochs.length - 1;
  return new Set(record.epochs.slice(0, first).map((epoch) => epoch.number));
}

/** May the start of epoch `number` be forgotten: nobody pins it, and it is not the last state. */
export function isForgettable(record: EpochsRecord, number: number): boolean {
  const start = record.epochs.find((epoch) => epoch.number === number)?.start;
  if (start === undefined) return false;
  if (start === null) return true;
  return start.id !== record.lastState?.id && !record.pins.some((pin) => heldBy(record, pin) === start.id);
}

/** Two neighbours, earlier first, that can become one; null if there are none. The open epoch stays apart. */
export function mergeable(
  record: EpochsRecord,
  isSettled: (number: number) => boolean,
): readonly [earlier: number, later: number] | null {
  const closed = record.epochs.slice(0, -1);
  for (let i = 0; i + 1 < closed.length; i++) {
    const [earlier, later] = [closed[i], closed[i + 1]];
    if (earlier === undefined || later === undefined) continue;
    if (!isSettled(earlier.number) || !isSettled(later.number)) continue;
    if (isForgettable(record, later.number)) return [earlier.number, later.number];
  }
  return null;
}
