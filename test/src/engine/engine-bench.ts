import { expect } from 'chai';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { blockIndex, type BlockIndex, type StateId } from '../../../protocol/units.js';
import { Volume, type VolumeOptions } from '../../../src/engine/volume.js';
import type { SetBounds } from '../../../src/engine/volume-service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { systemRandom } from '../../../src/platform/random.js';
import { faultyFiles, type FaultyFiles } from './faulty-files.js';

/** A folder with one image and one state folder, and the volume on them, opened and reopened. */
export class EngineBench {
  readonly root = fs.mkdtempSync(join(tmpdir(), 'farcopy-engine-'));
  readonly image = join(this.root, 'image');
  readonly folder = join(this.root, 'state');
  readonly files: FaultyFiles = faultyFiles();
  options: Partial<VolumeOptions> = {};
  #volume: Volume | null = null;

  constructor(
    readonly sizeBytes: number,
    readonly blockSize = 4096,
  ) {
    fs.writeFileSync(this.image, '');
    fs.truncateSync(this.image, sizeBytes);
  }

  get volume(): Volume {
    if (this.#volume === null) throw new Error('the volume is not open');
    return this.#volume;
  }

  async open(options: Partial<VolumeOptions> = {}): Promise<Volume> {
    this.options = { ...this.options, ...options };
    this.#volume = await Volume.open({
      name: 'ledger',
      device: this.image,
      blockSize: this.blockSize,
      folder: this.folder,
      beforeImageBudgetBytes: 1 << 30,
      files: this.files,
      clock: systemClock,
      random: systemRandom,
      bootId: 'boot-1',
      ...this.options,
    });
    return this.#volume;
  }

  async reopen(options: Partial<VolumeOptions> = {}): Promise<Volume> {
    await this.close();
    return this.open(options);
  }

  /**
   * What a killed process leaves: copies image and state as they are now to a new bench, without a clean mark.
   * Call it when nothing is under way.
   */
  killed(): EngineBench {
    const copy = new EngineBench(0, this.blockSize);
    fs.cpSync(this.root, copy.root, { recursive: true });
    copy.options = this.options;
    return copy;
  }

  stateFile(name: string): string {
    return join(this.folder, name);
  }

  async close(): Promise<void> {
    await this.#volume?.close();
    this.#volume = null;
  }

  async dispose(): Promise<void> {
    this.files.fault = () => null;
    await this.close();
    fs.rmSync(this.root, { recursive: true, force: true });
  }
}

export interface GatheredSet {
  /** Content by block; null for zeros. */
  readonly blocks: ReadonlyMap<number, Uint8Array | null>;
  /** Of blocks with content: what they held before, where that is known. */
  readonly before: ReadonlyMap<number, Uint8Array>;
  readonly unavailable: ReadonlySet<number>;
}

/** Collects a set to its end, checking what `VolumeService` promises of each part. */
export async function gather(
  volume: Volume,
  set: SetBounds,
  blockSize: number,
  maxContentBytes = 1 << 20,
): Promise<GatheredSet> {
  const blocks = new Map<number, Uint8Array | null>();
  const before = new Map<number, Uint8Array>();
  const unavailable = new Set<number>();
  let last = -1;
  for (let cursor: BlockIndex | null = blockIndex(0); cursor !== null;) {
    const part = await volume.collect({ ...set, cursor, maxContentBytes });
    let position = 0;
    for (const run of part.runs) {
      expect(run.start).to.be.greaterThan(last, 'runs ascend');
      expect(run.count).to.be.greaterThan(0);
      last = run.start + run.count - 1;
      for (let block: number = run.start; block <= last; block++) {
        if (run.zero) {
          blocks.set(block, null);
        } else {
          blocks.set(block, part.content.slice(position, position + blockSize));
          if (part.before?.known[position / blockSize] === 1) {
            before.set(block, part.before.content.slice(position, position + blockSize));
          }
          position += blockSize;
        }
      }
    }
    expect(position).to.equal(part.content.byteLength);
    if (set.from === null) expect(part.before).to.equal(null);
    else expect(part.before?.content.byteLength).to.equal(position);
    expect(part.content.byteLength).to.be.at.most(Math.max(maxContentBytes, blockSize));
    for (const block of part.unavailable) unavailable.add(block);
    if (part.next !== null) expect(part.next).to.be.greaterThan(cursor);
    cursor = part.next;
  }
  return { blocks, before, unavailable };
}

/** The whole content of a state, and the blocks of it that are unavailable (zeros here). */
export async function contentOf(
  volume: Volume,
  state: StateId,
  blockSize: number,
  sizeBytes: number,
): Promise<{ content: Buffer; unavailable: ReadonlySet<number> }> {
  const { blocks, unavailable } = await gather(volume, { from: null, to: state }, blockSize);
  const content = Buffer.alloc(sizeBytes);
  for (const [block, bytes] of blocks) if (bytes !== null) content.set(bytes, block * blockSize);
  return { content, unavailable };
}

/** Compares two images block by block and names the first that differs. */
export function expectSame(
  found: Uint8Array,
  wanted: Uint8Array,
  what: string,
  blockSize: number,
  except: ReadonlySet<number> = new Set(),
): void {
  expect(found.byteLength).to.equal(wanted.byteLength, `${what}: size`);
  for (let block = 0; block * blockSize < wanted.byteLength; block++) {
    if (except.has(block)) continue;
    const range = [block * blockSize, (block + 1) * blockSize] as const;
    if (Buffer.compare(found.subarray(...range), wanted.subarray(...range)) !== 0) {
      throw new Error(`${what}: block ${block} differs`);
    }
  }
}

/** `length` bytes that depend on `seed`, none of them zero. */
export function pattern(seed: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let value = (seed * 2654435761 + 12345) >>> 0;
  for (let i = 0; i < length; i++) {
    value = (Math.imul(value, 1664525) + 1013904223) >>> 0;
    bytes[i] = (value >>> 24) | 1;
  }
  return bytes;
}

/** Seeded random numbers; `SEED=` in the environment repeats a run. */
export function seededRandom(test: string): { readonly seed: number; below(limit: number): number } {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
  console.log(`      ${test}: SEED=${seed}`);
  let value = seed >>> 0;
  return {
    seed,
    below(limit) {
      value = (value + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(value ^ (value >>> 15), value | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
    },
  };
}
