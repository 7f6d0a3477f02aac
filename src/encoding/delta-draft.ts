import type { BlockSpan, ParcelBlocks } from '../../protocol/parcel/delta-layout.js';
import type { DeltaScript } from '../../protocol/parcel/delta-script.js';
import type { ParcelContent, ParcelRun } from '../../protocol/parcel/parcel.js';
import { blockIndex, type BlockIndex, type ParcelId } from '../../protocol/units.js';
import { MatchTables } from './match-tables.js';
import { Parser, type ParseCosts, type Parsed, type ParseSpace } from './parse.js';
import type { OwnBlocks } from './references.js';

/** A block that may be copied from: of the base state, or of an earlier parcel. */
export interface Reference {
  readonly parcel: ParcelId | null;
  readonly block: BlockIndex;
  readonly content: Uint8Array;
}

/** A parcel beside all that may be referred to. It takes much memory, so all drafts of a parcel are made on one. */
export class DraftGround {
  readonly parcel: ParcelContent;
  readonly space: ParseSpace;
  readonly references: readonly Reference[];
  readonly tables: MatchTables;

  /** `references`: other blocks of the base state, then those of earlier parcels; within the bounds of a delta, ascending. */
  constructor(parcel: ParcelContent, own: OwnBlocks | null, references: readonly Reference[]) {
    const { blockSize, content } = parcel;
    const ownBytes = content.byteLength;
    const output = ownBytes + references.length * blockSize;
    const bytes = new Uint8Array(output + ownBytes);
    if (own !== null) bytes.set(own.content);
    for (const [i, reference] of references.entries()) bytes.set(reference.content, ownBytes + i * blockSize);
    bytes.set(content, output);
    const present = own?.present ?? new Uint8Array(ownBytes / blockSize);
    this.parcel = parcel;
    this.space = { bytes, own: ownBytes, output, blockSize, present };
    this.references = references;
    this.tables = new MatchTables(bytes);
  }
}

/** A parcel as it was parsed with some costs. */
export class DeltaDraft {
  readonly #parcel: ParcelContent;
  readonly #space: ParseSpace;
  readonly #references: readonly Reference[];
  readonly #parsed: Parsed;

  constructor({ parcel, space, references, tables }: DraftGround, costs: ParseCosts) {
    this.#parcel = parcel;
    this.#space = space;
    this.#references = references;
    this.#parsed = new Parser(space, costs, tables).run();
  }

  /** For each block with content: how many of its bytes are in no copy. */
  newBytes(): Uint32Array {
    const { blockSize } = this.#parcel;
    const { literals, lengths } = this.#parsed;
    const counts = new Uint32Array(this.#parcel.content.byteLength / blockSize);
    const add = (from: number, to: number): void => {
      for (let at = from; at < to;) {
        const block = Math.floor(at / blockSize);
        const end = Math.min(to, (block + 1) * blockSize);
        counts[block] = (counts[block] as number) + end - at;
        at = end;
      }
    };
    let at = 0;
    for (let i = 0; i < lengths.length; i++) {
      add(at, at + (literals[i] as number));
      at += (literals[i] as number) + (lengths[i] as number);
    }
    add(at, this.#parcel.content.byteLength);
    return counts;
  }

  get copies(): number {
    return this.#parsed.lengths.length;
  }

  /** For each reference: 1 if a copy reads it. */
  used(): Uint8Array {
    const { blockSize } = this.#parcel;
    const { own, output } = this.#space;
    const { lengths, sources } = this.#parsed;
    const used = new Uint8Array(this.#references.length);
    for (let i = 0; i < lengths.length; i++) {
      const source = sources[i] as number;
      const end = Math.min(source + (lengths[i] as number), output);
      if (source >= output || end <= own) continue;
      used.fill(1, Math.max(0, Math.floor((source - own) / blockSize)), Math.ceil((end - own) / blockSize));
    }
    return used;
  }

  /** With only those references that a copy reads. */
  script(): DeltaScript {
    const { blockSize } = this.#parcel;
    const { bytes, own } = this.#space;
    const { lengths, sources } = this.#parsed;
    const used = this.used();
    // Bytes of unused references before each one.
    const dropped = new Uint32Array(used.length + 1);
    for (let i = 0; i < used.length; i++) {
      dropped[i + 1] = (dropped[i] as number) + (used[i] === 1 ? 0 : blockSize);
    }
    const moved = sources.map((source) => {
      if (source < own) return source;
      return source - (dropped[Math.min(used.length, Math.floor((source - own) / blockSize))] as number);
    });
    const kept = this.#references.filter((_, i) => used[i] === 1);
    return {
      ...this.#parcel,
      base: spansOf(kept.filter(({ parcel }) => parcel === null)),
      parcels: parcelsOf(kept.filter(({ parcel }) => parcel !== null)),
      literals: this.#parsed.literals,
      lengths,
      sources: moved,
      byteBefore: (copy, ahead) => bytes[(sources[copy] as number) - ahead] as number,
    };
  }
}

/** The blocks of a parcel that are not zeros. */
export function blocksOf(
  parcel: ParcelContent,
): { readonly block: BlockIndex; readonly content: Uint8Array }[] {
  const { blockSize, content } = parcel;
  return contentBlocks(parcel.runs).map((block, i) => ({
    block,
    content: content.subarray(i * blockSize, (i + 1) * blockSize),
  }));
}

export function contentBlocks(runs: readonly ParcelRun[]): BlockIndex[] {
  const blocks: BlockIndex[] = [];
  for (const { start, count, zero } of runs) {
    if (!zero) for (let i = 0; i < count; i++) blocks.push(blockIndex(start + i));
  }
  return blocks;
}

function spansOf(references: readonly Reference[]): BlockSpan[] {
  const spans: { start: BlockIndex; count: number }[] = [];
  for (const { block } of references) {
    const last = spans.at(-1);
    if (last !== undefined && last.start + last.count === block) last.count++;
    else spans.push({ start: block, count: 1 });
  }
  return spans;
}

function parcelsOf(references: readonly Reference[]): ParcelBlocks[] {
  const byParcel = new Map<ParcelId, Reference[]>();
  for (const reference of references) {
    if (reference.parcel === null) continue;
    const blocks = byParcel.get(reference.parcel);
    if (blocks === undefined) byParcel.set(reference.parcel, [reference]);
    else blocks.push(reference);
  }
  return [...byParcel].map(([id, blocks]) => ({ id, spans: spansOf(blocks) }));
}
