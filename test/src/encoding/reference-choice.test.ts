import { expect } from 'chai';
import { blockIndex, parcelId } from '../../../protocol/units.js';
import { addBlocks } from '../../../src/encoding/index-builder.js';
import { chooseReferences } from '../../../src/encoding/reference-choice.js';
import { ReferenceIndex } from '../../../src/encoding/reference-index.js';
import type { EarlierParcel, References } from '../../../src/encoding/references.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

const BLOCK = 4096;
const OLDEST = parcelId('01'.repeat(16));
const NEWEST = parcelId('02'.repeat(16));

describe('what a parcel refers to', () => {
  const seed = seedOfThisRun();
  const random = new Seeded(seed);
  const volume = random.bytes(200 * BLOCK);
  const blocksAt = (start: number, count: number): Buffer =>
    volume.subarray(start * BLOCK, (start + count) * BLOCK);
  const earlierParcel = (id: EarlierParcel['id'], start: number): EarlierParcel => ({
    id,
    parcel: {
      blockSize: BLOCK,
      runs: [{ start: blockIndex(start), count: 30, zero: false }],
      content: random.bytes(30 * BLOCK),
    },
  });
  const earlier = [earlierParcel(OLDEST, 1000), earlierParcel(NEWEST, 2000)];
  const index = ReferenceIndex.create({ blocks: 3000, blockSize: BLOCK, memoryBytes: 1 << 20 });
  addBlocks(index, 0, volume);
  /** Four blocks of the oldest parcel, eight of the base state, two that are new. */
  const content = Buffer.concat([
    earlier[0]!.parcel.content.subarray(5 * BLOCK, 9 * BLOCK),
    blocksAt(100, 8),
    random.bytes(2 * BLOCK),
  ]);
  const parcel = {
    blockSize: BLOCK,
    runs: [{ start: blockIndex(2500), count: 14, zero: false }],
    content,
  };
  const references: References = {
    own: null,
    base: { read: (blocks) => Promise.resolve(blocks.map((block) => blocksAt(block, 1))) },
    finder: index,
    earlier,
  };
  const named = async (room: number): Promise<string[]> =>
    (await chooseReferences(parcel, references, room * BLOCK)).map(
      ({ parcel: from, block }) => `${from === null ? 'base' : from.slice(0, 2)} ${block}`,
    );
  const base = Array.from({ length: 8 }, (_, i) => `base ${100 + i}`);
  const copied = Array.from({ length: 4 }, (_, i) => `01 ${1005 + i}`);

  it(`is all of the earlier parcels and what is alike in the base state, where there is room (SEED=${seed})`, async () => {
    const chosen = await named(1000);
    expect(chosen).to.include.members([...base, ...copied]);
    expect(chosen.filter((name) => !name.startsWith('base'))).to.have.length(60);
  });

  it(`is what explains it, and then the newest, where there is little room (SEED=${seed})`, async () => {
    const chosen = await named(16);
    expect(chosen).to.have.length(16);
    expect(chosen).to.include.members([...base, ...copied]);
    expect(chosen.slice(-1)).to.deep.equal(['02 2029']);
    expect(await named(6)).to.include.members(copied);
    expect(await named(6)).to.have.length(6);
  });

  it(`comes in the order of a delta's address space (SEED=${seed})`, async () => {
    const chosen = await named(30);
    expect(chosen).to.deep.equal(
      [...chosen].sort((a, b) => rank(a) - rank(b) || Number(a.split(' ')[1]) - Number(b.split(' ')[1])),
    );
  });
});

const rank = (name: string): number => ['base', '01', '02'].indexOf(name.split(' ')[0] as string);
