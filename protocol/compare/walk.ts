import { RangeSet, type Range } from '../ranges.js';
import { DIGEST_BYTES, FAN_OUT, nodesAt, treeHeight } from './digest.js';

/** Most digests in one answer: 8 KiB of them, so that a message stays short on a slow line. */
export const MAX_DIGESTS = 512;
/** Questions under way at once: enough to fill a fast line, few enough for the queue of a link. */
export const MAX_ASKS_UNDER_WAY = 8;
/** Levels that one question may go down. */
export const MAX_DEPTH = 2;

/** Asks for the digests `depth` levels below some nodes of a level; short at level 0. */
export interface Ask {
  readonly level: number;
  readonly depth: number;
  /** Nodes of `level` that differ. */
  readonly nodes: readonly number[];
}

/** A range of nodes whose digests make the answer to an ask, node by node. */
export const answerLevel = ({ level, depth }: Ask): number => Math.max(0, level - depth);

/** What is to be told below each node of an ask: ranges of `answerLevel`, in order, cut at the end of the tree. */
export function answerRanges(ask: Ask, blocks: number): Range[] {
  const level = answerLevel(ask);
  const width = FAN_OUT ** (ask.level - level);
  const limit = nodesAt(level, blocks);
  return ask.nodes.map((node) => ({
    start: Math.min(node * width, limit),
    end: Math.min((node + 1) * width, limit),
  }));
}

/** Is an ask one that the tree of so many blocks can answer, in one message. */
export function isAnswerable(ask: Ask, blocks: number): boolean {
  const { level, depth, nodes } = ask;
  if (level < 1 || level > treeHeight(blocks) || depth < 1 || depth > MAX_DEPTH) return false;
  if (nodes.some((node) => node >= nodesAt(level, blocks))) return false;
  return nodes.length * FAN_OUT ** Math.min(depth, level) <= MAX_DIGESTS;
}

/**
 * Finds the blocks in which two states differ, from the roots of their trees downwards: a pure machine. It asks for
 * digests of the other side, several questions at once, and is given the same ones of this side with each answer.
 * Lower levels come first, so that little is remembered however much differs.
 */
export class CompareWalk {
  readonly #blocks: number;
  readonly #depth: number;
  readonly #pending: number[][];
  readonly #differing = new RangeSet();
  #underWay = 0;

  /** @param depth levels that a question goes down: 1 for fewest bytes, 2 for fewest round trips */
  constructor(blocks: number, depth: number, rootsDiffer: boolean) {
    this.#blocks = blocks;
    this.#depth = depth;
    const height = treeHeight(blocks);
    this.#pending = Array.from({ length: height + 1 }, () => []);
    if (!rootsDiffer) return;
    if (height === 0) this.#differing.add(0, blocks);
    else this.#pending[height]?.push(0);
  }

  /** The next question; undefined: nothing to ask before an answer has come. */
  nextAsk(): Ask | undefined {
    if (this.#underWay >= MAX_ASKS_UNDER_WAY) return undefined;
    const level = this.#pending.findIndex((nodes) => nodes.length > 0);
    if (level < 0) return undefined;
    const depth = Math.min(this.#depth, level);
    const nodes = this.#pending[level]?.splice(0, Math.floor(MAX_DIGESTS / FAN_OUT ** depth)) ?? [];
    this.#underWay++;
    return { level, depth, nodes };
  }

  /** An answer, and the same digests of this side. Both are as long as `answerRanges` says. */
  take(ask: Ask, theirs: Uint8Array, ours: Uint8Array): void {
    const level = answerLevel(ask);
    this.#underWay--;
    let at = 0;
    for (const { start, end } of answerRanges(ask, this.#blocks)) {
      for (let node = start; node < end; node++, at += DIGEST_BYTES) {
        const differs = Buffer.compare(
          theirs.subarray(at, at + DIGEST_BYTES),
          ours.subarray(at, at + DIGEST_BYTES),
        );
        if (differs === 0) continue;
        if (level === 0) this.#differing.add(node, node + 1);
        else this.#pending[level]?.push(node);
      }
    }
  }

  get isDone(): boolean {
    return this.#underWay === 0 && this.#pending.every((nodes) => nodes.length === 0);
  }

  /** The blocks known to differ; all of them once it is done. */
  get differing(): RangeSet {
    return this.#differing;
  }
}
