import { expect } from 'chai';
import type { StateInfo } from '../../../protocol/state.js';
import type { SnapshotExport } from '../../../src/engine/snapshot-export.js';
import { EngineBench, pattern } from './engine-bench.js';

const BLOCK = 4096;
const BLOCKS = 512;
const SIZE = BLOCKS * BLOCK;

describe('a snapshot that is served', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = new EngineBench(SIZE, BLOCK);
    await bench.open();
  });
  afterEach(() => bench.dispose());

  const write = async (offset: number, bytes: Buffer): Promise<void> => {
    await bench.volume.backend.write(offset, bytes, false);
  };
  const seal = (...pinAs: string[]): Promise<StateInfo> => bench.volume.seal({ grade: 'quiet', pinAs });
  const named = (state: StateInfo): SnapshotExport | undefined =>
    bench.volume.snapshots().find(({ geometry }) => geometry.name === `ledger@${state.id}`);
  const open = (state: StateInfo): SnapshotExport => {
    const found = named(state);
    if (found === undefined) throw new Error('the state is not served');
    return found;
  };
  const read = async (snapshot: SnapshotExport, offset: number, length: number): Promise<Buffer> => {
    const into = Buffer.alloc(length, 0xee);
    await snapshot.read(offset, into);
    return into;
  };

  it('is there for each state that is pinned, under its name, read-only', async () => {
    expect(bench.volume.snapshots()).to.deep.equal([]);
    const first = await seal('base:vault');
    await write(0, pattern(1, BLOCK));
    const second = await seal('next:vault');
    const unpinned = await seal();
    expect(bench.volume.snapshots().map(({ state }) => state.id)).to.deep.equal([first.id, second.id]);
    expect(named(unpinned)).to.equal(undefined);
    const snapshot = open(second);
    expect(open(second)).to.equal(snapshot);
    expect(snapshot.geometry).to.include({ sizeBytes: SIZE, readOnly: true, blockSize: BLOCK });
    expect(snapshot.geometry.description).to.match(/^state 1 of ledger, .*, quiet$/);
    for (const change of [() => snapshot.write(), () => snapshot.trim(), () => snapshot.writeZeroes()])
      expect(change).to.throw().with.property('code', 'read-only');
  });

  it('reads as it was, at any alignment and length, however the volume goes on', async () => {
    const content = Buffer.alloc(SIZE);
    pattern(1, 200 * BLOCK).copy(content, 3 * BLOCK);
    await write(3 * BLOCK, content.subarray(3 * BLOCK, 203 * BLOCK));
    const state = await seal('base:vault');
    const snapshot = open(state);
    await write(10 * BLOCK + 7, pattern(2, 300_000));
    await bench.volume.backend.writeZeroes(4 * BLOCK, 3 * BLOCK, { noHole: false, fua: false });
    await write(400 * BLOCK, pattern(3, BLOCK));
    await seal('next:vault');
    await write(11 * BLOCK, pattern(4, BLOCK));
    for (const [offset, length] of [
      [0, SIZE],
      [1, 1],
      [5 * BLOCK - 1, 2],
      [10 * BLOCK + 100, 299_000],
      [SIZE - 5, 5],
    ] as const) {
      const found = await read(snapshot, offset, length);
      expect(found.equals(content.subarray(offset, offset + length)), `${offset}+${length}`).to.equal(true);
    }
    const extents = await snapshot.allocation({ start: 100, end: SIZE }, 1000);
    expect(extents.reduce((sum, { length }) => sum + length, 0)).to.equal(SIZE - 100);
    let at = 100;
    for (const { length, zero } of extents) {
      const isZero = content.subarray(at, at + length).every((byte) => byte === 0);
      if (zero) expect(isZero, `zeros at ${at}`).to.equal(true);
      at += length;
    }
    expect(extents.some(({ zero }) => zero)).to.equal(true);
  });

  it('stays readable while a client has it, when nobody pins it any more, and then goes', async () => {
    await write(0, pattern(1, BLOCK));
    const state = await seal('base:vault');
    const snapshot = open(state);
    const [one, other] = [snapshot.attach(), snapshot.attach()];
    await write(0, pattern(2, BLOCK));
    const next = await seal('base:vault');
    await write(0, pattern(3, BLOCK));
    await seal('base:vault');
    await bench.volume.tidied();
    expect(named(next)).to.equal(undefined);
    one();
    one();
    await bench.volume.tidied();
    expect(named(state)).to.equal(snapshot);
    expect((await read(snapshot, 0, BLOCK)).equals(pattern(1, BLOCK))).to.equal(true);
    other();
    await bench.volume.tidied();
    expect(named(state)).to.equal(undefined);
    const error: unknown = await read(snapshot, 0, BLOCK).catch((cause: unknown) => cause);
    expect(error).to.have.property('code', 'unknown-state');
    expect((await bench.volume.describe()).states).to.have.lengthOf(1);
  });

  it('keeps what it shows also when the last pin of the volume is gone', async () => {
    await write(0, pattern(1, BLOCK));
    const state = await seal('base:vault');
    const detach = open(state).attach();
    await bench.volume.unpin('base:vault');
    await write(0, pattern(2, BLOCK));
    expect((await read(open(state), 0, BLOCK)).equals(pattern(1, BLOCK))).to.equal(true);
    detach();
  });

  it('fails where the old content could not be kept, and only there', async () => {
    await bench.reopen({ beforeImageBudgetBytes: 0 });
    await write(0, pattern(1, 4 * BLOCK));
    const state = await seal('base:vault');
    await write(BLOCK, pattern(2, BLOCK));
    const snapshot = open(state);
    const error: unknown = await read(snapshot, 0, 4 * BLOCK).catch((cause: unknown) => cause);
    expect(error).to.have.property('code', 'io');
    expect(
      (await read(snapshot, 2 * BLOCK, BLOCK)).equals(pattern(1, 4 * BLOCK).subarray(2 * BLOCK, 3 * BLOCK)),
    ).to.equal(true);
  });
});
