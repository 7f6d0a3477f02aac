import { expect } from 'chai';
import { wallTime } from '../../../protocol/units.js';
import { CallRecord } from '../../../src/appliance/call-budget.js';
import { MemoryFiles } from '../../support/memory-files.js';

const HOUR = 3_600_000;
const PATH = '/calls.json';
const START = 1_800_000_000_000;
const at = (hours: number) => wallTime(START + hours * HOUR);

describe('the calls of a day', () => {
  it('are used up, and come back as the earlier ones fall out of the 24 hours', async () => {
    const record = await CallRecord.open(new MemoryFiles(), PATH);
    const budget = record.budget('vault: modem', 3);
    for (const hour of [0, 1, 5]) {
      expect(budget.closedUntil(at(hour))).to.equal(null);
      budget.note(at(hour));
    }
    expect(budget.closedUntil(at(6))).to.equal(at(24));
    expect(budget.closedUntil(at(24))).to.equal(null);
    budget.note(at(24));
    expect(budget.closedUntil(at(24))).to.equal(at(25));
  });

  it('are remembered over a restart, each link by itself', async () => {
    const files = new MemoryFiles();
    const before = await CallRecord.open(files, PATH);
    before.budget('a', 1).note(at(0));
    await before.settled();
    const after = await CallRecord.open(files, PATH);
    expect(after.budget('a', 1).closedUntil(at(1))).to.equal(at(24));
    expect(after.budget('b', 1).closedUntil(at(1))).to.equal(null);
  });

  it('do not count when they lie in the future of a clock that was put back', async () => {
    const record = await CallRecord.open(new MemoryFiles(), PATH);
    const budget = record.budget('a', 1);
    budget.note(at(1000));
    expect(budget.closedUntil(at(0))).to.equal(null);
  });

  it('begin anew with a file that cannot be understood', async () => {
    const files = new MemoryFiles();
    await files.replace(PATH, Buffer.from('{"magic":"something else"}'));
    const record = await CallRecord.open(files, PATH);
    expect(record.budget('a', 1).closedUntil(at(0))).to.equal(null);
  });
});
