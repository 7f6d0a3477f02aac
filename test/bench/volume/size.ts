import type { ScaleFound } from '../../src/engine/scale-probe.js';
import type { BenchOptions, BenchPart } from '../bench-part.js';
import { median, type Table } from '../table.js';
import { probeScale, probeVolume } from './probing.js';

const CHANGED = 1_000_000;

interface Goal {
  readonly name: string;
  readonly unit: string;
  readonly most: number;
  readonly values: number[];
}

/** Time and memory of large volumes, of seals under load and of an absent backup; each in a process of its own. */
export const volumeSize: BenchPart = {
  name: 'size',
  async run({ rounds, note, memory, sandbox }: BenchOptions): Promise<Table> {
    const goal = (name: string, unit: string, most: number): Goal => ({ name, unit, most, values: [] });
    const opening = goal('1 TiB: time to open', 'ms', 1000);
    const open = goal('1 TiB: memory when open', 'MB', 200);
    const changed = goal('1,000,000 blocks changed, before-images kept: memory', 'MB', 300);
    const reopening = goal('the same: time to open again', 'ms', NaN);
    const stall = goal('sealing under load, in memory: 99th percentile of a write meanwhile', 'ms', 20);
    const stallOnDisk = goal('the same on the disk', 'ms', NaN);
    const noStallOnDisk = goal('a write on the disk beside no seal', 'ms', NaN);
    const maps = goal('1,000 seals, one backup absent: maps', '', 2);
    const state = goal('the same: state folder', 'MB', NaN);
    for (let round = 1; round <= rounds; round++) {
      note(`large volumes, round ${round} of ${rounds}`);
      const large = (await probeScale(memory, 2 ** 40, false, 4096, 1000)) as ScaleFound;
      opening.values.push(large.openMs);
      open.values.push(large.openRssMb);
      // As many small blocks, since it is the blocks that cost memory.
      const full = (await probeScale(memory, CHANGED * 512, true, 512, CHANGED)) as ScaleFound;
      changed.values.push(full.writtenRssMb);
      reopening.values.push(full.reopenMs);
      stall.values.push((await probeVolume('seals', memory, 2 ** 30)).p99Ms);
      const onDisk = await probeVolume('seals', sandbox.folder, 2 ** 30);
      stallOnDisk.values.push(onDisk.p99Ms);
      noStallOnDisk.values.push(onDisk.otherP99Ms);
      const absent = await probeVolume('epochs', memory, 2 ** 30);
      maps.values.push(absent.maps);
      state.values.push(absent.stateMb);
    }
    const missed: string[] = [];
    const all = [opening, open, changed, reopening, stall, stallOnDisk, noStallOnDisk, maps, state];
    const rows = all.map(({ name, unit, most, values }) => {
      const value = median(values);
      if (value > most) missed.push(`${name}: ${value.toFixed(1)} ${unit}, at most ${most} wanted`);
      const told = `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${unit}`;
      return [name, told.trim(), Number.isNaN(most) ? '' : `${most} ${unit}`.trim()];
    });
    return { title: `Large volumes; medians of ${rounds}`, columns: ['', 'found', 'at most'], rows, missed };
  },
};
