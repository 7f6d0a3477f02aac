import { expect } from 'chai';
import type { Range } from '../../../protocol/ranges.js';
import { Allocation, type AllocationExtent } from '../../../src/engine/allocation.js';

const MIB = 1 << 20;
const SIZE = 64 * MIB;

/** A device of 64 MiB that is data except for some holes, and counts how often it is asked. */
class Holey {
  asked = 0;
  holes: Range[] = [{ start: 40 * MIB, end: 48 * MIB }];
  /** Awaited by an answer that is known already. */
  hold: Promise<void> | null = null;

  async nextData(from: number): Promise<Range | null> {
    this.asked++;
    const start = this.holes.find((hole) => hole.start <= from && from < hole.end)?.end ?? from;
    const end = this.holes.find((hole) => hole.start > start)?.start ?? SIZE;
    await this.hold;
    return start >= SIZE ? null : { start, end };
  }
}

describe('the allocation of a device', () => {
  let device: Holey;
  let allocation: Allocation;
  beforeEach(() => {
    device = new Holey();
    allocation = new Allocation(device);
  });

  const told = async (start: number, end: number, limit = 100): Promise<string> => {
    const extents: AllocationExtent[] = await allocation.extents(
      { start: start * MIB, end: end * MIB },
      limit,
    );
    return extents.map(({ hole, length }) => `${hole ? 'hole' : 'data'} ${length / MIB}`).join(', ');
  };

  it('tells data and holes, a hole at the end too, and no more than is asked for', async () => {
    expect(await told(0, 64)).to.equal('data 40, hole 8, data 16');
    expect(await told(0, 64, 1)).to.equal('data 40');
    expect(await told(39, 41)).to.equal('data 1, hole 1');
    expect(await told(41, 42)).to.equal('hole 1');
    device.holes.push({ start: 60 * MIB, end: SIZE });
    allocation.holesMade();
    expect(await told(50, 64)).to.equal('data 10, hole 4');
  });

  it('asks once where data end, however many pieces of them are asked for', async () => {
    for (let at = 0; at < 40; at++) expect(await told(at, at + 1)).to.equal('data 1');
    expect(device.asked).to.equal(1);
    expect(allocation.extents({ start: 0, end: MIB }, 1)).not.to.be.instanceOf(Promise);
    expect(await told(39, 64)).to.equal('data 1, hole 8, data 16');
    for (let at = 48; at < 64; at++) expect(await told(at, at + 1)).to.equal('data 1');
    expect(device.asked).to.equal(3);
  });

  it('sees a hole that was made, also while it was being asked', async () => {
    expect(await told(0, 4)).to.equal('data 4');
    device.holes.unshift({ start: MIB, end: 2 * MIB });
    allocation.holesMade();
    expect(await told(0, 4)).to.equal('data 1, hole 1, data 2');

    let release = (): void => undefined;
    allocation.holesMade();
    device.hold = new Promise((resolve) => (release = resolve));
    const early = told(3, 4);
    device.holes.splice(1, 0, { start: 3 * MIB, end: 4 * MIB });
    allocation.holesMade();
    release();
    expect(await early).to.equal('data 1');
    expect(await told(3, 4)).to.equal('hole 1');
  });
});
