import { brotliCompressSync, constants } from 'node:zlib';
import {
  encodeParcel,
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
    compress: (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  });
  const id = parcelId(randomId(seeded));
  const announcement = { id, length: byteCount(encoded.byteLength), digest: parcelDigest(serialized) };
  return { announcement, encoded, blocks };
}

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
      const blocks = this.#someBlocks(count);
      if (blocks.size === 0) continue;
      parcels.push(makeParcel(seeded, blockSize, blocks));
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

  accept(set: MadeSet): void {
    this.states.push({ info: set.offer.to, content: set.content });
  }

  contentOf(state: StateId): Uint8Array {
    const known = this.states.find(({ info }) => info.id === state);
    if (known === undefined) throw new Error(`no state ${state}`);
    return known.content;
  }

  #someBlocks(count: number): Blocks {
    const { seeded, blockSize } = this;
    const blocks = new Map<number, Uint8Array | null>();
    for (let i = seeded.below(5); i >= 0 && count > 0; i--) {
      const start = seeded.below(count);
      const kind = seeded.below(4);
      for (let index = start; index < Math.min(count, start + 1 + seeded.below(4)); index++) {
        if (kind === 0) blocks.set(index, null);
        else if (kind === 1) blocks.set(index, new Uint8Array(blockSize));
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
    await store.append(id, start, parcel.encoded.subarray(start, end));
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
