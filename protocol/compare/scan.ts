import { RangeSet, type Range } from '../ranges.js';
import { DIGEST_BYTES, FAN_OUT, TreeDigest } from './digest.js';

/** A state's blocks, as something that can be read piece by piece. */
export interface BlockSource {
  readonly blockSize: number;
  readonly blocks: number;
  /** The next run at or after `from`, below `limit`, that may be other than zeros; null if there is none. */
  next(from: number, limit: number): Promise<Range | null>;
  /** The content of blocks; null when it can no longer be told. The buffer is the caller's until the next call. */
  read(start: number, count: number): Promise<Uint8Array | null>;
}

export interface ScanRequest {
  readonly key: Uint8Array;
  readonly level: number;
  /** First node of the level, and how many. */
  readonly first: number;
  readonly count: number;
  /** Blocks outside these ranges are not read and count as zeros; ascending and disjoint. Absent: all are read. */
  readonly within?: readonly Range[];
}

export interface Scanned {
  /** 16 bytes for each node from the first on: `done` of them, at least one. */
  readonly digests: Uint8Array;
  readonly done: number;
  /** Some content can no longer be told: there are no digests of this state. */
  readonly unavailable: boolean;
}

/** Bytes read at a time; whoever shares the thread comes in between. */
const STEP_BYTES = 256 << 10;
/** Bytes read in one scan, after which it stops at the end of a node: its caller may want to stop altogether. */
const MAX_READ_BYTES = 32 << 20;
/** Runs looked up in one scan; each is a question to the file system at the worst. */
const MAX_RUNS = 1 << 14;

/** The digests of some nodes of a level, from the blocks below them; all zeros are found without reading. */
export async function scanNodes(all: BlockSource, request: ScanRequest): Promise<Scanned> {
  const source = request.within === undefined ? all : new BlocksWithin(all, new RangeSet(request.within));
  const { blockSize, blocks } = source;
  const { level, first, count } = request;
  const digest = new TreeDigest(request.key);
  const span = FAN_OUT ** level;
  const stepBlocks = Math.max(1, Math.floor(STEP_BYTES / blockSize));
  const limit = Math.min(blocks, (first + count) * span);
  const digests = new Uint8Array(count * DIGEST_BYTES);
  const leaves = new Uint8Array(span * DIGEST_BYTES);
  let room = Math.max(1, Math.floor(MAX_READ_BYTES / blockSize));
  let runs = MAX_RUNS;
  for (let node = first; ;) {
    const run = await source.next(node * span, limit);
    if (run === null) return { digests, done: count, unavailable: false };
    node = Math.floor(run.start / span);
    if (room <= 0 || runs <= 0) {
      const done = node - first;
      return { digests: digests.slice(0, done * DIGEST_BYTES), done, unavailable: false };
    }
    const end = Math.min((node + 1) * span, limit);
    leaves.fill(0);
    for (let part: Range | null = run; part !== null; part = await source.next(part.end, end)) {
      const until = Math.min(part.end, end);
      for (let at = part.start; at < until; at += stepBlocks) {
        const size = Math.min(stepBlocks, until - at);
        const content = await source.read(at, size);
        if (content === null) return { digests, done: count, unavailable: true };
        addLeaves(digest, content, blockSize, leaves, at - node * span);
        room -= size;
      }
      runs--;
      if (until >= end) break;
    }
    let folded: Uint8Array = leaves;
    for (let below = 0; below < level; below++) folded = digest.fold(below, folded);
    digests.set(folded, (node - first) * DIGEST_BYTES);
    node++;
    if (node >= first + count) return { digests, done: count, unavailable: false };
  }
}

/** Some blocks of a source; all others are zeros. */
class BlocksWithin implements BlockSource {
  constructor(
    readonly source: BlockSource,
    readonly within: RangeSet,
  ) {}

  get blockSize(): number {
    return this.source.blockSize;
  }

  get blocks(): number {
    return this.source.blocks;
  }

  async next(from: number, limit: number): Promise<Range | null> {
    for (
      let part = this.within.first(from, limit);
      part !== null;
      part = this.within.first(part.end, limit)
    ) {
      const run = await this.source.next(part.start, part.end);
      if (run !== null) return { start: run.start, end: Math.min(run.end, part.end) };
    }
    return null;
  }

  read(start: number, count: number): Promise<Uint8Array | null> {
    return this.source.read(start, count);
  }
}

function addLeaves(
  digest: TreeDigest,
  content: Uint8Array,
  blockSize: number,
  leaves: Uint8Array,
  first: number,
): void {
  const zeros = zeroBlock(blockSize);
  for (let at = 0; at < content.byteLength; at += blockSize) {
    const block = content.subarray(at, at + blockSize);
    if (Buffer.compare(block, zeros) === 0) continue;
    digest.block(block, leaves, (first + at / blockSize) * DIGEST_BYTES);
  }
}

const zeroBlocks = new Map<number, Uint8Array>();
function zeroBlock(size: number): Uint8Array {
  const known = zeroBlocks.get(size) ?? new Uint8Array(size);
  zeroBlocks.set(size, known);
  return known;
}
