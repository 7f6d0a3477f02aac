/**
 * A process with one volume, for what is measured without NBD: `volume-probe.js KIND IMAGE FOLDER [SECONDS]`; prints one
 * JSON value, `Found`. KIND: `tracked` and `plain`, random writes over a volume or over its bare image; `seals`, the same
 * with seals in between; `epochs`, a thousand seals while a backup is absent.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Volume } from '../../../src/engine/volume.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Files } from '../../../src/platform/files.js';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { systemRandom } from '../../../src/platform/random.js';
import { Seeded } from '../../support/seeded.js';
import { percentile } from '../table.js';

export interface Found {
  /** 99th percentile of a write's time, in milliseconds; with `seals`, of those during which a seal was under way. */
  readonly p99Ms: number;
  /** The same of the writes beside no seal. */
  readonly otherP99Ms: number;
  readonly writes: number;
  /** Syncs of whatever file, those while it warmed up too. */
  readonly syncs: number;
  readonly maps: number;
  readonly stateMb: number;
}

type Write = (offset: number, from: Buffer) => void | Promise<void>;

const BLOCK = 4096;
const DEPTH = 16;
const SEALS = 20;
const EPOCHS = 1000;
/** As fio's rows have a time that is not measured: V8 compiles a program while it runs. */
const WARM_UP_SECONDS = 1;

let syncs = 0;
const countingFiles: Files = {
  ...nodeFiles,
  async open(path, mode) {
    const file = await nodeFiles.open(path, mode);
    const sync = file.sync.bind(file);
    const syncContent = file.syncContent?.bind(file);
    const counted = {
      sync: () => {
        syncs++;
        return sync();
      },
    };
    const more = {
      syncContent: () => {
        syncs++;
        return syncContent?.() ?? Promise.resolve();
      },
    };
    return Object.assign(file, counted, syncContent === undefined ? {} : more);
  },
};

/** Goes on from one call to the next, so that hardly a block is written twice. */
const random = new Seeded(1);

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Random writes, `DEPTH` at a time, until `isOver`; their times in milliseconds, those beside a seal apart. */
async function writeAtRandom(
  write: Write,
  sizeBytes: number,
  isOver: () => boolean,
  isSealing: () => boolean = () => false,
): Promise<{ readonly beside: readonly number[]; readonly others: readonly number[] }> {
  const beside: number[] = [];
  const others: number[] = [];
  const content = random.bytes(BLOCK);
  const one = async (): Promise<void> => {
    while (!isOver()) {
      const offset = random.below(sizeBytes / BLOCK) * BLOCK;
      const beganBeside = isSealing();
      const began = performance.now();
      await write(offset, content);
      (beganBeside || isSealing() ? beside : others).push(performance.now() - began);
      await turn();
    }
  };
  await Promise.all(Array.from({ length: DEPTH }, one));
  return { beside, others };
}

async function probe(kind: string, image: string, folder: string, seconds: number): Promise<Found> {
  const sizeBytes = statSync(image).size;
  const isOverAfter = (howLong: number): (() => boolean) => {
    const end = performance.now() + howLong * 1000;
    return () => performance.now() > end;
  };
  const warmUp = (write: Write): Promise<unknown> =>
    writeAtRandom(write, sizeBytes, isOverAfter(WARM_UP_SECONDS));
  const found = (times: readonly number[], others: readonly number[] = []): Found => {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    const bytes = files.reduce((sum, name) => sum + statSync(join(folder, name)).blocks * 512, 0);
    return {
      p99Ms: times.length === 0 ? 0 : percentile(times, 0.99),
      otherP99Ms: others.length === 0 ? 0 : percentile(others, 0.99),
      writes: times.length,
      syncs,
      maps: files.filter((name) => /epoch-\d+\.map$/.test(name)).length,
      stateMb: bytes / 2 ** 20,
    };
  };
  if (kind === 'plain') {
    const file = await countingFiles.open(image, 'read-write');
    const write: Write = (offset, from) => file.writeSync(from, offset);
    await warmUp(write);
    return found((await writeAtRandom(write, sizeBytes, isOverAfter(seconds))).others);
  }
  const volume = await Volume.open({
    name: 'volume',
    device: image,
    blockSize: BLOCK,
    folder: join(folder, 'state'),
    beforeImageBudgetBytes: 16 * 2 ** 30,
    files: countingFiles,
    clock: systemClock,
    random: systemRandom,
  });
  const write: Write = (offset, from) => volume.backend.write(offset, from, false);
  await volume.seal({ grade: 'crash', pinAs: ['base:bench'] });
  if (kind === 'epochs') {
    const content = new Seeded(2).bytes(BLOCK);
    for (let i = 0; i < EPOCHS; i++) {
      await write((i % 100) * BLOCK, content);
      await volume.seal({ grade: 'crash', pinAs: [] });
    }
    await volume.tidied();
    return found([]);
  }
  if (kind === 'seals') {
    const state = { over: false, sealing: false };
    const writing = writeAtRandom(
      write,
      sizeBytes,
      () => state.over,
      () => state.sealing,
    );
    for (let i = 0; i < SEALS; i++) {
      for (let turns = 0; turns < 100; turns++) await turn();
      state.sealing = true;
      await volume.seal({ grade: 'crash', pinAs: ['travel:bench'] });
      state.sealing = false;
    }
    state.over = true;
    const { beside, others } = await writing;
    return found(beside, others);
  }
  const syncsBefore = syncs;
  await warmUp(write);
  const { others } = await writeAtRandom(write, sizeBytes, isOverAfter(seconds));
  return { ...found(others), syncs: syncs - syncsBefore };
}

const [, , kind = '', image = '', folder = '', seconds = '5'] = process.argv;
console.log(JSON.stringify(await probe(kind, image, folder, Number(seconds))));
process.exit(0);
