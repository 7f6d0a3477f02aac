import { DIGEST_BYTES, FAN_OUT, nodesAt, TreeDigest, treeHeight } from './digest.js';
import { RangeSet, type Range } from '../ranges.js';
import type { Scanned, ScanRequest } from './scan.js';
import { answerLevel, answerRanges, type Ask } from './walk.js';

/** Digests that are kept have at least so many bytes below them: 16 MB of memory for a TiB. Those below are made again. */
const KEPT_SPAN_BYTES = 1 << 20;
/** The lowest level whose digests are kept for the whole volume. */
export function keptLevel(blocks: number, blockSize: number): number {
  const height = treeHeight(blocks);
  let level = 0;
  while (level < height && FAN_OUT ** level * blockSize < KEPT_SPAN_BYTES) level++;
  return level;
}

/** Nodes asked for in one scan. */
const SCAN_NODES = 1 << 14;

/** Where a tree's digests come from. Rejects when the state cannot be read. */
export type Scan = (request: ScanRequest) => Promise<Scanned>;

export interface TreeOptions {
  readonly key: Uint8Array;
  readonly blockSize: number;
  readonly blocks: number;
  readonly scan: Scan;
  /** The tree is of these blocks, as if all others were zeros. Absent: of all. */
  readonly within?: readonly Range[];
}

/** A state's content can no longer be told, so neither can its digests. */
export class StateGone extends Error {
  override readonly name = 'StateGone';
}

/** The digest tree of one state: its upper levels in memory, the lower ones from its blocks whenever they are asked for. */
export class DigestTree {
  readonly #options: Growth;
  readonly #keptLevel: number;
  /** From the kept level up to the root. */
  readonly #levels: Uint8Array[];

  private constructor(options: Growth, keptLevel: number, levels: Uint8Array[]) {
    this.#options = options;
    this.#keptLevel = keptLevel;
    this.#levels = levels;
  }

  /** Digests all of the state. Rejects with `StateGone`, the signal's reason, or what the scan fails with. */
  static async grow({ within, ...rest }: TreeOptions, signal: AbortSignal): Promise<DigestTree> {
    const { blocks, blockSize, key } = rest;
    const options = { ...rest, within: within === undefined ? null : new RangeSet(within) };
    const height = treeHeight(blocks);
    const level = keptLevel(blocks, blockSize);
    const digest = new TreeDigest(key);
    const levels = [await scanAll(options, level, { start: 0, end: nodesAt(level, blocks) }, signal)];
    for (let below = level; below < height; below++) {
      levels.push(digest.fold(below, levels.at(-1) ?? new Uint8Array()));
    }
    return new DigestTree(options, level, levels);
  }

  get root(): Uint8Array {
    return (this.#levels.at(-1) ?? new Uint8Array()).slice(0, DIGEST_BYTES);
  }

  /** The digests that an ask is about. Rejects as `grow` does. */
  async answer(ask: Ask, signal: AbortSignal): Promise<Uint8Array> {
    const level = answerLevel(ask);
    const kept = this.#levels[level - this.#keptLevel];
    const parts: Uint8Array[] = [];
    for (const range of answerRanges(ask, this.#options.blocks)) {
      parts.push(
        level >= this.#keptLevel && kept !== undefined
          ? kept.subarray(range.start * DIGEST_BYTES, range.end * DIGEST_BYTES)
          : await scanAll(this.#options, level, range, signal),
      );
    }
    return Buffer.concat(parts);
  }
}

type Growth = Omit<TreeOptions, 'within'> & { readonly within: RangeSet | null };

async function scanAll(
  { key, scan, within }: Growth,
  level: number,
  { start, end }: { readonly start: number; readonly end: number },
  signal: AbortSignal,
): Promise<Uint8Array> {
  const digests = new Uint8Array((end - start) * DIGEST_BYTES);
  for (let at = start; at < end;) {
    signal.throwIfAborted();
    const count = Math.min(SCAN_NODES, end - at);
    const span = FAN_OUT ** level;
    const part = await scan({
      ...{ key, level, first: at, count },
      ...(within !== null && { within: within.parts(at * span, (at + count) * span) }),
    });
    if (part.unavailable) throw new StateGone('the content of a state can no longer be told');
    digests.set(part.digests.subarray(0, part.done * DIGEST_BYTES), (at - start) * DIGEST_BYTES);
    at += part.done;
  }
  return digests;
}
