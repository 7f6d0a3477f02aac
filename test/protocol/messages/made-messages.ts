import * as fc from 'fast-check';
import {
  MAX_ASKED_NODES,
  MAX_COMPARED_RANGES,
  MAX_HELD_RANGES,
  MAX_NAME_LENGTH,
  MAX_PARTIAL_PARCELS,
  MAX_TEXT_LENGTH,
} from '../../../protocol/messages/limits.js';
import {
  REFUSAL_CODES,
  type CopyStatus,
  type Hello,
  type Message,
} from '../../../protocol/messages/message.js';
import { GRADES, type StateInfo } from '../../../protocol/state.js';
import {
  byteCount,
  idHex,
  MAX_BLOCKS,
  parcelId,
  stateId,
  volumeId,
  wallTime,
  type ParcelId,
} from '../../../protocol/units.js';

/** Messages of every kind and of every size that is allowed. */

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const id = bytes(16).map(idHex);
const state = id.map(stateId);
const parcel = id.map(parcelId);
const volume = id.map(volumeId);
const name = fc.string({ minLength: 1, maxLength: MAX_NAME_LENGTH });
const text = fc.string({ maxLength: MAX_TEXT_LENGTH });
const natural = fc.oneof(
  fc.nat(300),
  fc.nat(),
  fc.integer({ min: 2 ** 31, max: 2 ** 34 }),
  fc.maxSafeNat(),
  fc.constantFrom(2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
);
const orNull = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(of, { nil: null, freq: 3 });
const blockSize = fc.integer({ min: 9, max: 20 }).map((power) => 2 ** power);

const stateInfo: fc.Arbitrary<StateInfo> = fc
  .record({
    id: state,
    parent: orNull(state),
    ordinal: natural,
    time: natural.map(wallTime),
    grade: fc.constantFrom(...GRADES),
    size: natural.map(byteCount),
    note: orNull(text),
  })
  .map(({ note, ...info }) => (note === null ? info : { ...info, note }));

/** As many as may be, and as far apart as the largest volume lets them be. */
const comparedRanges = fc
  .array(fc.nat(Math.floor(MAX_BLOCKS / MAX_COMPARED_RANGES / 2)), { maxLength: 2 * MAX_COMPARED_RANGES })
  .map((steps) => {
    let at = 0;
    return steps.slice(0, steps.length - (steps.length % 2)).flatMap((step, index, all) => {
      if (index % 2 === 1) return [];
      const start = at + step;
      at = start + (all[index + 1] ?? 0);
      return [{ start, end: at }];
    });
  });

/** Ascending, disjoint, with gaps. */
const ranges = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 70_000 })), {
    maxLength: MAX_HELD_RANGES,
  })
  .map((steps) => {
    let at = -1;
    return steps.map(([gap, length]) => {
      const start = at + gap;
      at = start + length;
      return { start, end: at };
    });
  });

const partial: fc.Arbitrary<
  readonly {
    readonly id: ParcelId;
    readonly held: typeof ranges extends fc.Arbitrary<infer Held> ? Held : never;
  }[]
> = fc.array(fc.record({ id: parcel, held: ranges }), {
  maxLength: MAX_PARTIAL_PARCELS,
});

const plainCopyStatuses: fc.Arbitrary<CopyStatus> = fc.record({
  kind: fc.constant('copy-status' as const),
  volume: name,
  volumeId: orNull(volume),
  state: orNull(state),
  capture: orNull(
    fc.record({
      from: orNull(state),
      to: state,
      durable: fc.boolean(),
      whole: natural,
      wholeDigest: bytes(16),
      partial,
    }),
  ),
});

const opening = bytes(8).map((value) => Buffer.from(value).toString('hex'));

/** Either way of what may be left out. */
export const copyStatuses: fc.Arbitrary<CopyStatus> = fc.oneof(
  plainCopyStatuses,
  fc.tuple(plainCopyStatuses, opening).map(([status, named]) => ({ ...status, opening: named })),
);

const ofSet = <Kind extends Message['kind']>(
  kind: Kind,
): { readonly kind: fc.Arbitrary<Kind>; readonly volume: typeof name; readonly to: typeof state } => ({
  kind: fc.constant(kind),
  volume: name,
  to: state,
});

const plainOffers = fc.record({
  kind: fc.constant('offer' as const),
  volume: name,
  volumeId: volume,
  blockSize,
  from: orNull(state),
  to: stateInfo,
});

const lineKinds = fc.record({ data: natural, control: natural, repeated: natural, handshake: natural });

export const messages: fc.Arbitrary<Message> = fc.oneof(
  copyStatuses,
  plainOffers,
  fc.tuple(plainOffers, opening).map(([offer, named]) => ({ ...offer, opening: named })),
  fc.record({
    ...ofSet('announce'),
    parcel,
    length: natural.map(byteCount),
    digest: bytes(32),
  }),
  fc.record(ofSet('withdraw')),
  fc.record({
    ...ofSet('commit'),
    from: orNull(state),
    parcels: natural,
    parcelsDigest: bytes(16),
    digest: bytes(32),
  }),
  fc.record({
    ...ofSet('commit'),
    from: orNull(state),
    parcels: natural,
    parcelsDigest: bytes(16),
    digest: bytes(32),
    account: fc.record(
      {
        written: orNull(natural),
        line: orNull(fc.record({ toBackup: lineKinds, toPrimary: lineKinds })),
        addresses: natural,
      },
      { requiredKeys: ['written', 'line'] },
    ),
  }),
  fc.record(ofSet('durable')),
  fc.record(ofSet('applied')),
  fc.record({ ...ofSet('refused'), code: fc.constantFrom(...REFUSAL_CODES), text }),
  fc.record({ ...ofSet('spoiled'), parcel }),
  fc.record({ ...ofSet('base-mismatch'), parcel, base: ranges }),
  fc.record({ kind: fc.constant('suspect' as const), volume: name, state, blocks: ranges }),
  fc.constant({ kind: 'copies-told' as const }),
  fc.record({
    ...ofSet('compare'),
    serial: natural,
    volumeId: volume,
    blockSize,
    blocks: fc.integer({ min: 0, max: MAX_BLOCKS }),
    key: bytes(16),
  }),
  fc.record({
    ...ofSet('compare'),
    serial: natural,
    volumeId: volume,
    blockSize,
    blocks: fc.integer({ min: 0, max: MAX_BLOCKS }),
    key: bytes(16),
    within: comparedRanges,
  }),
  fc.record(
    {
      ...ofSet('compare'),
      serial: natural,
      volumeId: volume,
      blockSize,
      blocks: fc.integer({ min: 0, max: MAX_BLOCKS }),
      key: bytes(16),
      within: comparedRanges,
      why: fc
        .string({ maxLength: MAX_TEXT_LENGTH, unit: 'grapheme' })
        .map((said) => said.slice(0, MAX_TEXT_LENGTH)),
    },
    { requiredKeys: ['kind', 'volume', 'to', 'serial', 'volumeId', 'blockSize', 'blocks', 'key', 'why'] },
  ),
  fc.record({ ...ofSet('compare-root'), serial: natural, state: stateInfo, root: bytes(16) }),
  fc.record({
    ...ofSet('compare-root'),
    serial: natural,
    state: stateInfo,
    root: bytes(16),
    heeded: fc.constant(true as const),
  }),
  fc.record({
    ...ofSet('compare-ask'),
    serial: natural,
    level: fc.nat(8),
    depth: fc.nat(8),
    nodes: fc
      .array(fc.nat(2 ** 32 - 1), { maxLength: MAX_ASKED_NODES })
      .map((nodes) => nodes.sort((a, b) => a - b)),
  }),
  fc.record({
    ...ofSet('compare-digests'),
    serial: natural,
    digests: fc.nat(MAX_ASKED_NODES).map((count) => new Uint8Array(16 * count).fill(count)),
  }),
  fc.record({ ...ofSet('compare-over'), serial: natural }),
  fc.record({
    ...ofSet('compare-over'),
    serial: natural,
    differing: fc.integer({ min: 0, max: MAX_BLOCKS }),
  }),
);

export const hellos: fc.Arbitrary<Hello> = fc.record({
  name,
  software: text,
  complete: fc.boolean(),
  copies: fc.array(copyStatuses, { maxLength: 6 }),
});
