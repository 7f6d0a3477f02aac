import { isDeepStrictEqual } from 'node:util';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { encodeDelta } from '../../../protocol/parcel/delta.js';
import type { ParcelBlocks } from '../../../protocol/parcel/delta-layout.js';
import {
  decodeParcel,
  encodeParcel,
  parseParcel,
  parcelDigest,
  serializeParcel,
  type ParcelRun,
} from '../../../protocol/parcel/parcel.js';
import { blockDigest, SetDigest } from '../../../protocol/parcel/set-digest.js';
import type { StateInfo } from '../../../protocol/state.js';
import {
  blockIndex,
  byteCount,
  millis,
  parcelId,
  stateId,
  volumeId,
  wallTime,
  type ParcelId,
  type StateId,
} from '../../../protocol/units.js';
import type { Clock } from '../../../src/platform/clock.js';
import { randomId } from '../../../src/platform/random.js';
import type {
  ParcelAnnouncement,
  RestorePoint,
  SetOffer,
  StateReader,
  VolumeStore,
} from '../../../src/store/volume-store.js';
import { chance, pick, shuffle } from '../../support/seeded-choices.js';
import type { Seeded } from '../../support/seeded.js';

/** A wall clock that goes on by a second each time it is read. */
export function steppingClock(): Clock {
  let wall = 1_700_000_000_000;
  return { now: () => millis(0), wall: () => wallTime((wall += 1000)), after: () => () => undefined };
}

/** Blocks of a parcel: content, or null for zeros. */
export type Blocks = ReadonlyMap<number, Uint8Array | null>;

export interface MadeParcel {
  readonly announcement: ParcelAnnouncement;
  readonly encoded: Uint8Array;
  readonly blocks: Blocks;
}

/** A change set as a primary would make it, and the content it leads to. */
export interface MadeSet {
  readonly offer: SetOffer;
  readonly parcels: readonly MadeParcel[];
  readonly order: readonly ParcelId[];
  readonly digest: Uint8Array;
  readonly content: Uint8Array;
}

export function makeParcel(seeded: Seeded, blockSize: number, blocks: Blocks): MadeParcel {
  const runs: ParcelRun[] = [];
  const content: Uint8Array[] = [];
  for (const [index, block] of [...blocks].sort(([a], [b]) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last.start + last.count === index && last.zero === (block === null)) {
      runs[runs.length - 1] = { ...last, count: last.count + 1 };
    } else {
      runs.push({ start: blockIndex(index), count: 1, zero: block === null });
    }
    if (block !== null) content.push(block);
  }
  const serialized = serializeParcel({ blockSize, runs, content: Buffer.concat(content) });
  const encoded = encodeParcel(serialized, {
    compress: quickly,
  });
  const id = parcelId(randomId(seeded));
  const announcement = { id, length: byteCount(encoded.byteLength), digest: parcelDigest(serialized) };
  return { announcement, encoded, blocks };
}

/** What the blocks of a delta may be like: the base state, and parcels of the same set. */
export interface MadeReferences {
  readonly base: Uint8Array | null;
  readonly earlier: readonly MadeParcel[];
}

/**
 * The same as a delta: every block is copied, byte run by byte run, from the block that it has most in common with
 * among its own place in the base state, all other blocks there, and those of earlier parcels.
 */
export function makeDelta(
  seeded: Seeded,
  blockSize: number,
  blocks: Blocks,
  references: MadeReferences,
): MadeParcel {
  const plain = makeParcel(seeded, blockSize, blocks);
  const { runs, content } = parseParcel(decodePlain(plain.encoded));
  const own = runs.filter(({ zero }) => !zero).flatMap(({ start, count }) => indices(start, count));
  const baseBlocks = references.base === null ? 0 : references.base.byteLength / blockSize;
  const base = baseBlocks === 0 ? [] : [{ start: blockIndex(0), count: baseBlocks }];
  const parcels: ParcelBlocks[] = [];
  const places: Uint8Array[] = [];
  const baseAt = (index: number): Uint8Array =>
    index < baseBlocks
      ? references.base!.subarray(index * blockSize, (index + 1) * blockSize)
      : new Uint8Array(blockSize);
  for (const index of own) places.push(baseAt(index));
  for (let index = 0; index < baseBlocks; index++) places.push(baseAt(index));
  for (const { announcement, blocks: earlier } of references.earlier) {
    const told = [...earlier].filter(([, block]) => block !== null).sort(([a], [b]) => a - b);
    if (told.length === 0) continue;
    parcels.push({
      id: announcement.id,
      spans: told.map(([index]) => ({ start: blockIndex(index), count: 1 })),
    });
    for (const [, block] of told) places.push(block!);
  }
  const copies = { literals: [] as number[], lengths: [] as number[], sources: [] as number[] };
  let copied = 0;
  for (let slot = 0; slot < own.length; slot++) {
    const block = content.subarray(slot * blockSize, (slot + 1) * blockSize);
    // Without a base state the own places hold nothing.
    const likest = mostAlike(block, places, references.base === null ? own.length : 0);
    if (likest < 0) continue;
    for (const [start, end] of equalRuns(block, places[likest]!)) {
      copies.literals.push(slot * blockSize + start - copied);
      copies.lengths.push(end - start);
      copies.sources.push(likest * blockSize + start);
      copied = slot * blockSize + end;
    }
  }
  const encoded = encodeDelta(
    {
      blockSize,
      runs,
      base,
      parcels,
      content,
      literals: Uint32Array.from(copies.literals),
      lengths: Uint32Array.from(copies.lengths),
      sources: Uint32Array.from(copies.sources),
      byteBefore: (copy, bytes) => {
        const address = copies.sources[copy]! - bytes;
        return places[Math.floor(address / blockSize)]![address % blockSize]!;
      },
    },
    { compress: quickly },
  );
  return {
    ...plain,
    encoded,
    announcement: { ...plain.announcement, length: byteCount(encoded.byteLength) },
  };
}

const indices = (start: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => start + i);

const decodePlain = (encoded: Uint8Array): Uint8Array =>
  decodeParcel(encoded, { decompress: (bytes) => brotliDecompressSync(bytes) });

/** The place, from `first` on, that has most bytes in common; -1: none has any. */
function mostAlike(block: Uint8Array, places: readonly Uint8Array[], first: number): number {
  let [best, most] = [-1, 0];
  for (let place = first; place < places.length; place++) {
    let common = 0;
    for (let i = 0; i < block.byteLength; i += 16) if (block[i] === places[place]![i]) common++;
    if (common > most) [best, most] = [place, common];
  }
  return best;
}

function* equalRuns(one: Uint8Array, other: Uint8Array): Generator<readonly [number, number]> {
  for (let at = 0; at < one.byteLength; at++) {
    const start = at;
    while (at < one.byteLength && one[at] === other[at]) at++;
    if (at - start >= 4) yield [start, at];
  }
}

const quickly = (bytes: Uint8Array): Uint8Array =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } });

/** The digest of a set by its definition, from one flat map. */
export function digestOf(blocks: Blocks): Uint8Array {
  const digest = new SetDigest();
  for (const [index, block] of [...blocks].sort(([a], [b]) => a - b)) {
    if (block === null || block.every((byte) => byte === 0)) digest.addZeroRun(index, 1);
    else digest.addBlock(index, blockDigest(block));
  }
  return digest.finish();
}

/** A volume as its primary sees it: makes one random set after the other. */
export class MadeVolume {
  readonly id;
  readonly states: { readonly info: StateInfo; readonly content: Uint8Array }[] = [];

  constructor(
    readonly seeded: Seeded,
    readonly blockSize = 4096,
    readonly firstBlocks = 16,
  ) {
    this.id = volumeId(randomId(seeded));
  }

  /** A random set from the last state added (or of the whole volume); it counts once `accept`ed. */
  makeSet(): MadeSet {
    const { seeded, blockSize } = this;
    const base = this.states.at(-1);
    const baseBlocks = base === undefined ? 0 : base.content.byteLength / blockSize;
    const count =
      base === undefined ? this.firstBlocks : baseBlocks + (chance(seeded, 0.2) ? seeded.below(4) : 0);
    const content = new Uint8Array(count * blockSize);
    if (base !== undefined) content.set(base.content);

    const parcels: MadeParcel[] = [];
    const all = new Map<number, Uint8Array | null>();
    for (let i = seeded.below(4); i >= 0; i--) {
      const blocks = this.#someBlocks(count, content);
      if (blocks.size === 0) continue;
      const references = { base: base?.content ?? null, earlier: parcels.slice() };
      parcels.push(
        chance(seeded, 0.6)
          ? makeDelta(seeded, blockSize, blocks, references)
          : makeParcel(seeded, blockSize, blocks),
      );
      for (const [index, block] of blocks) {
        all.set(index, block);
        content.set(block ?? new Uint8Array(blockSize), index * blockSize);
      }
    }
    const to: StateInfo = {
      id: stateId(randomId(seeded)),
      parent: base?.info.id ?? null,
      ordinal: this.states.length,
      time: wallTime(1_600_000_000_000 + this.states.length),
      grade: pick(seeded, ['application', 'quiet', 'crash']),
      size: byteCount(content.byteLength),
      ...(chance(seeded, 0.3) ? { note: 'before the upgrade' } : {}),
    };
    return {
      offer: { volumeId: this.id, blockSize, from: base?.info.id ?? null, to },
      parcels,
      order: parcels.map(({ announcement }) => announcement.id),
      digest: digestOf(all),
      content,
    };
  }

  /** A set of these parcels after the last state added, to a state of `blocks` blocks. */
  setOf(parcels: readonly MadeParcel[], blocks = this.firstBlocks): MadeSet {
    const { offer } = this.makeSet();
    const content = new Uint8Array(blocks * this.blockSize);
    content.set((this.states.at(-1)?.content ?? new Uint8Array()).subarray(0, content.byteLength));
    const all = new Map(parcels.flatMap((parcel) => [...parcel.blocks]));
    for (const [index, block] of all)
      content.set(block ?? new Uint8Array(this.blockSize), index * this.blockSize);
    return {
      offer: { ...offer, to: { ...offer.to, size: byteCount(content.byteLength) } },
      parcels,
      order: parcels.map(({ announcement }) => announcement.id),
      digest: digestOf(all),
      content,
    };
  }

  accept(set: MadeSet): void {
    this.states.push({ info: set.offer.to, content: set.content });
  }

  contentOf(state: StateId): Uint8Array {
    const known = this.states.find(({ info }) => info.id === state);
    if (known === undefined) throw new Error(`no state ${state}`);
    return known.content;
  }

  /** A block that is anywhere now, but for a byte. */
  #likeAnother(content: Uint8Array): Uint8Array {
    const { seeded, blockSize } = this;
    const start = seeded.below(content.byteLength / blockSize) * blockSize;
    const block = content.slice(start, start + blockSize);
    block[seeded.below(blockSize)]! ^= 0x55;
    return block;
  }

  #someBlocks(count: number, content: Uint8Array): Blocks {
    const { seeded, blockSize } = this;
    const blocks = new Map<number, Uint8Array | null>();
    for (let i = seeded.below(5); i >= 0 && count > 0; i--) {
      const start = seeded.below(count);
      const kind = seeded.below(6);
      for (let index = start; index < Math.min(count, start + 1 + seeded.below(4)); index++) {
        if (kind === 0) blocks.set(index, null);
        else if (kind === 1) blocks.set(index, new Uint8Array(blockSize));
        else if (kind < 4) blocks.set(index, this.#likeAnother(content));
        else blocks.set(index, seeded.bytes(blockSize));
      }
    }
    return blocks;
  }
}

/** Sends what the store does not hold of a set, in segments of random size and order; announces all of it. */
export async function send(
  store: VolumeStore,
  set: MadeSet,
  seeded: Seeded,
  acknowledged: (id: ParcelId, start: number, end: number) => void = () => undefined,
): Promise<void> {
  await store.begin(set.offer);
  for (const { announcement } of set.parcels) await store.announce(announcement);
  const segments: { parcel: MadeParcel; start: number; end: number }[] = [];
  for (const parcel of set.parcels) {
    const { id, length } = parcel.announcement;
    const held = store.status().capture?.parcels.find((each) => each.id === id)?.held ?? [];
    let at = 0;
    for (const { start, end } of [...held, { start: length, end: length }]) {
      while (at < start) {
        const until = Math.min(start, at + 1 + seeded.below(2 * length));
        segments.push({ parcel, start: at, end: until });
        at = until;
      }
      at = end;
    }
  }
  for (const { parcel, start, end } of shuffle(seeded, segments)) {
    const { id } = parcel.announcement;
    const middle = start + seeded.below(end - start + 1);
    await store.append(
      id,
      start,
      parcel.encoded.subarray(start, middle),
      parcel.encoded.subarray(middle, end),
    );
    acknowledged(id, start, end);
  }
}

export async function transfer(store: VolumeStore, set: MadeSet, seeded: Seeded): Promise<RestorePoint> {
  await send(store, set, seeded);
  await store.commit(set.order, set.digest);
  return store.apply();
}

export async function readAll(reader: StateReader): Promise<Uint8Array> {
  const content = new Uint8Array(reader.state.size);
  await reader.read(content, 0);
  return content;
}

/** Reads a state by `nextData`, taking everything it leaves out for zeros. */
export async function readSparse(reader: StateReader): Promise<Uint8Array> {
  const content = new Uint8Array(reader.state.size);
  for (let data = await reader.nextData(0); data !== null; data = await reader.nextData(data.end)) {
    await reader.read(content.subarray(data.start, data.end), data.start);
  }
  return content;
}

/** Scrubs a copy that has a state: nothing is wrong, and every digest was there to tell. */
export async function expectScrubbedClean(store: VolumeStore): Promise<void> {
  const { digests, rotten, unknown, increments, points, records } = await store.scrub({
    signal: new AbortController().signal,
  });
  const found = [digests, rotten, unknown, increments.damaged, points, records, store.status().suspects];
  const wanted = ['checked', [], [], [], [], [], null];
  if (!isDeepStrictEqual(found, wanted)) throw new Error(`scrubbed: ${JSON.stringify(found)}`);
}

/** Every point the store lists reads exactly as the volume was. Returns how many there are. */
export async function expectPointsExact(store: VolumeStore, volume: MadeVolume): Promise<number> {
  for (const { state } of store.points()) {
    const reader = await store.openState(state.id);
    const wanted = volume.contentOf(state.id);
    const found = [await readAll(reader), await readSparse(reader)];
    await reader.close();
    for (const content of found) {
      if (Buffer.compare(content, wanted) !== 0) throw new Error(`state ${state.ordinal} reads wrong`);
    }
  }
  return store.points().length;
}
