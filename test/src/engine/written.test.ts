import { expect } from 'chai';
import type { StateId } from '../../../protocol/units.js';
import type { Volume } from '../../../src/engine/volume.js';
import { EngineBench, pattern } from './engine-bench.js';

const BLOCK = 4096;

describe('bytes that clients have written', () => {
  let bench: EngineBench;
  let volume: Volume;
  beforeEach(async () => {
    bench = new EngineBench(256 * BLOCK);
    volume = await bench.open();
  });
  afterEach(() => bench.dispose());

  const write = async (block: number, length: number): Promise<void> => {
    await volume.backend.write(block * BLOCK, pattern(block, length), false);
  };
  const seal = async (...pinAs: string[]): Promise<StateId> =>
    (await volume.seal({ grade: 'crash', pinAs })).id;
  const written = async (): Promise<Readonly<Record<StateId, number | null>>> =>
    (await volume.describe()).written!;

  it('are counted from state to state, each write as long as it is, also where it changes nothing new', async () => {
    const first = await seal('base');
    await write(1, 10);
    await write(1, 10);
    await write(100, 100 * BLOCK);
    await volume.backend.writeZeroes(0, 8 * BLOCK, { noHole: false, fua: false });
    await volume.backend.trim(20 * BLOCK, 8 * BLOCK, false);
    expect(await written()).to.deep.equal({}, 'the open epoch is not told yet');
    const second = await seal('next');
    await write(7, 500);
    const third = await seal('other');
    expect(await written()).to.deep.equal({ [first]: 20 + 100 * BLOCK, [second]: 500 });
    expect((await volume.describe()).lastState?.id).to.equal(third);
  });

  it('are added up where epochs are merged, and go with those that are dropped', async () => {
    const first = await seal('base');
    await write(1, 10);
    const second = await seal('middle');
    await write(2, 300);
    const third = await seal('last');
    await write(3, 7);
    await seal('newest');
    await volume.unpin('middle');
    await volume.tidied();
    expect(await written()).to.deep.equal({ [first]: 310, [third]: 7 });
    await volume.unpin('base');
    await volume.tidied();
    expect(await written()).to.deep.equal({ [third]: 7 });
    expect((await volume.describe()).states.map(({ id }) => id)).to.not.include(second);
  });

  it('outlive a close, and what is written after it comes on top', async () => {
    const first = await seal('base');
    await write(1, 10);
    volume = await bench.reopen();
    await write(2, 30);
    await seal('next');
    expect(await written()).to.deep.equal({ [first]: 40 });
    volume = await bench.reopen();
    expect(await written()).to.deep.equal({ [first]: 40 });
  });

  it('are not known of an epoch in which the process was killed; of the next they are', async () => {
    const first = await seal('base');
    await write(1, 10);
    volume = await bench.reopen();
    const killed = bench.killed();
    try {
      volume = await killed.open();
      await write(2, 30);
      const second = await seal('next');
      await write(2, 5);
      await seal('newest');
      expect(await written()).to.deep.equal({ [first]: null, [second]: 5 });
    } finally {
      await killed.dispose();
    }
  });
});
