import { expect } from 'chai';
import fc from 'fast-check';
import { KeptDigests } from '../../../protocol/compare/kept-digests.js';
import { scanNodes, type BlockSource } from '../../../protocol/compare/scan.js';
import { DigestTree } from '../../../protocol/compare/tree.js';
import type { StateInfo } from '../../../protocol/state.js';
import type { ParcelEncoder } from '../../../src/replication/encoder.js';
import { scanKnown } from '../../../src/replication/known-digests.js';
import { encode } from '../../../src/replication/parcel-encoding.js';
import { SeedError } from '../../../src/seed/errors.js';
import { SeedFile } from '../../../src/seed/seed-file.js';
import { SeedNotes } from '../../../src/seed/seed-notes.js';
import { takeInSeed, type TakenIn } from '../../../src/seed/take-in-seed.js';
import { writeSeed } from '../../../src/seed/write-seed.js';
import { Store } from '../../../src/store/store.js';
import { CrashFiles, type CrashOptions } from '../../support/crash-files.js';
import { Seeded } from '../../support/seeded.js';
import { BLOCK, ModelVolume } from '../replication/model-volume.js';
import { steppingClock } from '../store/made-sets.js';

const PATH = '/disk/first.seed';
const PRIMARY = 'branch';
const KEY = new Uint8Array(16).fill(7);
const encoder: ParcelEncoder = { encode: (parcel, quality) => Promise.resolve(encode(parcel, quality)) };

/** A volume that is sealed for a disk. */
async function sealed(volume: ModelVolume): Promise<StateInfo> {
  return volume.seal({ grade: 'crash', pinAs: ['seeding:vault'] });
}

/** Writes a state of it to the disk; the digests that are kept. */
async function exported(
  volume: ModelVolume,
  state: StateInfo,
  files: CrashFiles,
  signal = new AbortController().signal,
): Promise<Uint8Array> {
  await files.makeFolder('/disk');
  let found = new Uint8Array();
  await writeSeed({
    ...{ service: volume, encoder, files, path: PATH, key: KEY, signal },
    head: {
      ...{ primary: PRIMARY, publicKey: new Uint8Array(32).fill(1), volume: volume.name },
      ...{ volumeId: volume.id, blockSize: BLOCK, state, software: 'a test' },
    },
    progress: () => undefined,
    beforeNamed: async (kept) => {
      expect(await files.exists(PATH)).to.equal(false);
      found = Uint8Array.from(kept);
    },
  });
  return found;
}

const openStore = (files: CrashFiles, seeded: Seeded): Promise<Store> =>
  Store.open({ folder: '/store', files, clock: steppingClock(), random: seeded });

async function imported(store: Store, files: CrashFiles, path = PATH): Promise<TakenIn> {
  const seed = await SeedFile.open(files, path);
  try {
    return await takeInSeed({
      ...{ seed, store: await store.volume(PRIMARY, 'ledger'), freeBytes: null },
      ...{ signal: new AbortController().signal, progress: () => undefined },
    });
  } finally {
    await seed.close();
  }
}

async function imageOf(store: Store): Promise<Uint8Array> {
  const copy = await store.volume(PRIMARY, 'ledger');
  const { state } = copy.points()[0]!;
  const reader = await copy.openState(state.id);
  const found = new Uint8Array(state.size);
  await reader.read(found, 0);
  await reader.close();
  return found;
}

async function errorOf(work: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not fail');
}

/** Some blocks of a small volume that become short. */
function shortVolume(seeded: Seeded): ModelVolume {
  const volume = new ModelVolume(seeded, 'ledger', 40);
  for (const block of [0, 1, 30]) volume.write(block, Buffer.alloc(BLOCK, `block ${block} `));
  return volume;
}

describe('a state that is written to a disk and brought in from there', () => {
  it('is the same, whatever is in it, and its digests are those of the state', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 600 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(),
        async (blocks, share, number) => {
          const seeded = new Seeded(number);
          const volume = new ModelVolume(seeded, 'ledger', blocks);
          for (let block = 0; block < blocks; block++) {
            if (seeded.chance(share)) volume.write(block, seeded.bytes(BLOCK));
          }
          const files = new CrashFiles();
          const state = await sealed(volume);
          const kept = await exported(volume, state, files);
          const content = volume.content.slice();
          volume.write(0, seeded.bytes(BLOCK));

          const store = await openStore(files, seeded);
          const { state: found } = await imported(store, files);
          expect(found).to.deep.equal(state);
          expect(Buffer.compare(await imageOf(store), content)).to.equal(0);
          const copy = await store.volume(PRIMARY, 'ledger');
          expect(copy.points().map(({ seed }) => seed)).to.deep.equal(['unconfirmed']);
          expect(copy.status().opening).to.equal('0000000000000000');
          await store.close();

          const source = sourceOf(content);
          const { signal } = new AbortController();
          const options = { key: KEY, blockSize: BLOCK, blocks };
          const whole = await DigestTree.grow({ ...options, scan: (ask) => scanNodes(source, ask) }, signal);
          const none = scanKnown({ ...options, kept }, () => Promise.reject(new Error('not to be read')));
          const known = await DigestTree.grow({ ...options, scan: none }, signal);
          expect(known.root).to.deep.equal(whole.root);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('is refused with any byte of it changed or cut off, and then no state is to be seen', async () => {
    const seeded = new Seeded(2);
    const files = new CrashFiles();
    const volume = shortVolume(seeded);
    await exported(volume, await sealed(volume), files);
    const bytes = await files.readWhole(PATH, 1 << 20);
    const store = await openStore(files, seeded);
    const refuse = async (changed: Uint8Array, what: string): Promise<void> => {
      await files.replace('/disk/changed.seed', changed);
      const error = await errorOf(imported(store, files, '/disk/changed.seed'));
      expect(error, what).to.be.instanceOf(SeedError);
      expect(error.code, what).to.be.oneOf(['damaged', 'not-a-seed']);
      const copy = await store.volume(PRIMARY, 'ledger');
      expect([copy.status().state, copy.status().capture, copy.points()], what).to.deep.equal([
        null,
        null,
        [],
      ]);
    };
    for (let at = 0; at < bytes.byteLength; at++) {
      const flipped = Uint8Array.from(bytes);
      flipped[at] = flipped[at]! ^ (1 << seeded.below(8));
      await refuse(flipped, `byte ${at}`);
      await refuse(bytes.subarray(0, at), `cut at ${at}`);
    }
    await refuse(Buffer.concat([bytes, Buffer.from('more')]), 'with more behind it');
    const place = bytes.byteLength - 60;
    const flipped = Uint8Array.from(bytes);
    flipped[place] = flipped[place]! ^ 4;
    await files.replace('/disk/changed.seed', flipped);
    expect((await errorOf(imported(store, files, '/disk/changed.seed'))).message).to.match(
      /part 2 of 2, at byte \d+, is not what was written/,
    );
    // It was none of the store's fault.
    await imported(store, files);
    expect(Buffer.compare(await imageOf(store), volume.content)).to.equal(0);
    await store.close();
  });

  it('is brought in again after a kill, wherever that was, and is never half there', async () => {
    const seeded = new Seeded(3);
    const volume = shortVolume(seeded);
    const disk = new CrashFiles();
    await exported(volume, await sealed(volume), disk);
    const run = async (options: CrashOptions): Promise<CrashFiles> => {
      const files = disk.killed(options);
      try {
        const store = await openStore(files, seeded);
        await imported(store, files);
        await store.close();
      } catch (error) {
        if (!files.hasCrashed) throw error;
        expect((error as Error).message).to.match(/has stopped/);
      }
      return files;
    };
    const operations = (await run({})).log.length;
    let whole = 0;
    for (let crashAt = 0; crashAt < operations; crashAt++) {
      for (const left of [
        (await run({ crashAt })).killed(),
        (await run({ crashAt })).powerCut(seeded.word()),
      ]) {
        // What is cut is the store's machine; the disk that travels is as it was.
        const files = left;
        if (!(await files.exists(PATH))) continue;
        const store = await openStore(files, seeded);
        const status = store.volumes()[0];
        if ((status?.state ?? null) === null) await imported(store, files);
        else whole++;
        expect(Buffer.compare(await imageOf(store), volume.content), `killed at ${crashAt}`).to.equal(0);
        const copy = await store.volume(PRIMARY, 'ledger');
        expect(copy.points().map(({ seed }) => seed)).to.deep.equal(['unconfirmed']);
        expect(copy.status().opening).to.equal('0000000000000000');
        await store.close();
      }
    }
    expect(whole).to.be.greaterThan(0);
  });

  it('leaves nothing behind when the writing is stopped, or the disk is full', async () => {
    const seeded = new Seeded(4);
    const volume = shortVolume(seeded);
    const state = await sealed(volume);
    const stop = new AbortController();
    stop.abort(new Error('interrupted'));
    const files = new CrashFiles();
    expect((await errorOf(exported(volume, state, files, stop.signal))).message).to.equal('interrupted');
    expect(await files.list('/disk')).to.deep.equal([]);

    const operations = files.log.length;
    let failures = 0;
    for (let operation = operations; ; operation++) {
      const full = new CrashFiles({ failAt: { operation, code: 'no-space' } });
      try {
        await exported(volume, state, full);
        break;
      } catch (error) {
        if (error instanceof SeedError) expect(error.code).to.equal('no-space');
        failures++;
        expect(await full.list('/disk')).to.deep.equal([]);
      }
    }
    expect(failures).to.be.greaterThan(3);

    volume.spoil(state.id);
    const spoiled = await errorOf(exported(volume, state, new CrashFiles()));
    expect(spoiled.code).to.equal('spoiled');
  });

  it('begins a copy and never takes the place of one; a primary that calls meanwhile has to wait', async () => {
    const seeded = new Seeded(5);
    const files = new CrashFiles();
    const volume = shortVolume(seeded);
    const state = await sealed(volume);
    await exported(volume, state, files);
    const store = await openStore(files, seeded);
    const copy = await store.volume(PRIMARY, 'ledger');
    const offer = { volumeId: volume.id, blockSize: BLOCK, from: null, to: state };
    const told: unknown[] = [];
    const seed = await SeedFile.open(files, PATH);
    await takeInSeed({
      ...{ seed, store: copy, freeBytes: null, signal: new AbortController().signal },
      progress: () => {
        told.push(errorOf(copy.begin(offer)), errorOf(imported(store, files)));
      },
    });
    const codes = (await Promise.all(told as Promise<{ code?: string }>[])).map(({ code }) => code);
    expect(codes).to.include('in-use');
    expect(new Set(codes).size).to.equal(1);
    expect((await errorOf(imported(store, files))).code).to.equal('copy-exists');

    const small = await openStore(new CrashFiles(), seeded);
    const noRoom = takeInSeed({
      ...{ seed, store: await small.volume(PRIMARY, 'ledger'), freeBytes: 2 * BLOCK },
      ...{ signal: new AbortController().signal, progress: () => undefined },
    });
    expect((await errorOf(noRoom)).code).to.equal('no-space');
    await seed.close();
    await store.close();
    await small.close();
  });

  it('is confirmed as a point by the compare with its own state, and marked when that finds anything', async () => {
    for (const [differing, like, expected] of [
      [0, 'own', undefined],
      [3, 'own', 'differed'],
      [0, 'other', 'unconfirmed'],
    ] as const) {
      const seeded = new Seeded(6);
      const files = new CrashFiles();
      const volume = shortVolume(seeded);
      const state = await sealed(volume);
      await exported(volume, state, files);
      const store = await openStore(files, seeded);
      await imported(store, files);
      const copy = await store.volume(PRIMARY, 'ledger');
      const other = await sealed(volume);
      await copy.compared(like === 'own' ? state.id : other.id, differing);
      await store.close();
      const again = await openStore(files, seeded);
      const after = await again.volume(PRIMARY, 'ledger');
      expect(after.points().map(({ seed }) => seed)).to.deep.equal([expected]);
      expect(after.status().opening).to.equal(null);
      await again.close();
    }
  });
});

describe('the digests that are kept of a seed', () => {
  it('are those of one state, whole or none', async () => {
    const files = new CrashFiles();
    const seeded = new Seeded(7);
    const volume = shortVolume(seeded);
    const { id } = await sealed(volume);
    const kept = new KeptDigests(KEY, 40, BLOCK).finish();
    const digests = { key: KEY, blockSize: BLOCK, blocks: 40, kept };
    const notes = new SeedNotes(files, '/state/seeds');
    expect(await notes.read('vault', 'ledger', id)).to.equal(null);
    await notes.keep('vault', 'ledger', id, digests);
    expect(await notes.read('vault', 'ledger', id)).to.deep.equal(digests);
    expect(await notes.read('vault', 'ledger', (await sealed(volume)).id)).to.equal(null);
    const path = '/state/seeds/vault/ledger.digests';
    const bytes = await files.readWhole(path, 1 << 20);
    for (let at = 0; at < bytes.byteLength; at++) {
      const flipped = Uint8Array.from(bytes);
      flipped[at] = flipped[at]! ^ 1;
      await files.replace(path, flipped);
      expect(await notes.read('vault', 'ledger', id)).to.equal(null);
    }
    await notes.forget('vault', 'ledger');
    await notes.forget('vault', 'ledger');
    expect(await files.exists(path)).to.equal(false);
  });

  it('count what cannot be read any more as different, and nothing else', async () => {
    const seeded = new Seeded(8);
    const blocks = 600;
    const content = seeded.bytes(blocks * BLOCK);
    const digests = new KeptDigests(KEY, blocks, BLOCK);
    digests.add(0, content);
    const known = { key: KEY, blockSize: BLOCK, blocks, kept: digests.finish() };
    const gone = new Set([5, 300]);
    const whole = sourceOf(content);
    const holed: BlockSource = {
      ...whole,
      read: (start, count) =>
        [...gone].some((block) => block >= start && block < start + count)
          ? Promise.resolve(null)
          : whole.read(start, count),
    };
    const scan = scanKnown(known, (request) => scanNodes(holed, request));
    const found = await scan({ key: KEY, level: 0, first: 0, count: 16 });
    const expected = await scanNodes(whole, { key: KEY, level: 0, first: 0, count: 16 });
    // Also from zeros.
    expect(found.digests.slice(5 * 16, 6 * 16)).not.to.deep.equal(new Uint8Array(16));
    for (let block = 0; block < 16; block++) {
      const [a, b] = [found, expected].map(({ digests: all }) => all.slice(block * 16, block * 16 + 16));
      expect(Buffer.compare(a!, b!) === 0, `block ${block}`).to.equal(block !== 5);
    }
  });
});

function sourceOf(content: Uint8Array): BlockSource {
  const blocks = content.byteLength / BLOCK;
  return {
    ...{ blockSize: BLOCK, blocks },
    next: (from, limit) => Promise.resolve(from < limit ? { start: from, end: limit } : null),
    read: (start, count) => Promise.resolve(content.subarray(start * BLOCK, (start + count) * BLOCK)),
  };
}
