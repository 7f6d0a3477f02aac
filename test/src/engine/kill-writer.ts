/**
 * The process that `kill.test.ts` kills: writers on a volume, each in its own region, sealing and unpinning beside
 * them. What each write does follows from the seed, so a line of log is enough to know it:
 *
 *   i W N   writer W is about to issue its write N        S K      seal K begins
 *   a W N   write N is acknowledged                       T K ID   seal K has ended, with that state
 */
import * as fs from 'node:fs';
import { pathToFileURL } from 'node:url';
import { Volume } from '../../../src/engine/volume.js';
import { systemClock } from '../../../src/platform/clock.js';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { systemRandom } from '../../../src/platform/random.js';
import { pattern } from './engine-bench.js';

export const KILL_BLOCK = 4096;
export const KILL_WRITERS = 4;
/** Blocks of one writer's region; a write may take all of it, which is too large to be done at once. */
export const KILL_REGION = 32;
export const KILL_SIZE = KILL_WRITERS * KILL_REGION * KILL_BLOCK;

export interface KillWrite {
  /** First byte within the writer's region. */
  readonly offset: number;
  /** null: zeros. */
  readonly bytes: Buffer | null;
  readonly length: number;
}

/** What write `number` of a writer does in the run with this seed. */
export function killWrite(seed: number, writer: number, number: number): KillWrite {
  const dice = pattern(seed * 31 + writer * 1009 + number * 7919, 12);
  const die = (at: number): number => dice.readUInt16LE(at);
  const blocks = 1 + (die(0) % 4 === 0 ? die(2) % KILL_REGION : die(2) % 3);
  const offset = (die(4) % (KILL_REGION - blocks + 1)) * KILL_BLOCK;
  const length = blocks * KILL_BLOCK - (die(6) % 3 === 0 ? die(6) % KILL_BLOCK : 0);
  return { offset, length, bytes: die(8) % 9 === 0 ? null : pattern(seed + writer * 77 + number, length) };
}

export const openKilled = (image: string, folder: string): Promise<Volume> =>
  Volume.open({
    name: 'ledger',
    device: image,
    blockSize: KILL_BLOCK,
    folder,
    beforeImageBudgetBytes: 1 << 30,
    files: nodeFiles,
    clock: systemClock,
    random: systemRandom,
  });

const log = (line: string): void => {
  fs.writeSync(1, `${line}\n`);
};

async function run(image: string, folder: string, seed: number): Promise<void> {
  const volume = await openKilled(image, folder);
  log('ready');
  const writer = async (id: number): Promise<void> => {
    for (let number = 0; ; number++) {
      const { offset, bytes, length } = killWrite(seed, id, number);
      const at = id * KILL_REGION * KILL_BLOCK + offset;
      log(`i ${id} ${number}`);
      if (bytes === null) await volume.backend.writeZeroes(at, length, { noHole: false, fua: false });
      else await volume.backend.write(at, bytes, false);
      log(`a ${id} ${number}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const sealer = async (): Promise<void> => {
    for (let number = 0; ; number++) {
      log(`S ${number}`);
      const state = await volume.seal({ grade: 'crash', pinAs: [`${seed}-${number}`, 'last'] });
      log(`T ${number} ${state.id}`);
      if (number % 3 !== 0) await volume.unpin(`${seed}-${number - 1}`);
    }
  };
  await Promise.all([sealer(), ...Array.from({ length: KILL_WRITERS }, (_, id) => writer(id))]);
}

const [, script, image, folder, seed] = process.argv;
if (import.meta.url === pathToFileURL(script ?? '').href && image !== undefined && folder !== undefined) {
  await run(image, folder, Number(seed));
}
