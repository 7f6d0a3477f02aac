import { brotliDecompressSync } from 'node:zlib';
import type { BlockSpan } from '../../protocol/parcel/delta-layout.js';
import { openDelta } from '../../protocol/parcel/delta.js';
import { parcelDigest, type ParcelContent } from '../../protocol/parcel/parcel.js';
import { blockIndex, type BlockIndex } from '../../protocol/units.js';
import type { BaseReader, References } from '../encoding/references.js';

/** A reader that remembers what it has read, for the proof. */
export class RememberingReader implements BaseReader {
  readonly #reader: BaseReader;
  readonly #read = new Map<BlockIndex, Uint8Array>();

  constructor(reader: BaseReader) {
    this.#reader = reader;
  }

  async read(blocks: readonly BlockIndex[]): Promise<readonly (Uint8Array | null)[]> {
    const contents = await this.#reader.read(blocks);
    for (const [i, block] of blocks.entries()) {
      const content = contents[i];
      if (content != null) this.#read.set(block, content);
    }
    return contents;
  }

  get(block: BlockIndex): Uint8Array | undefined {
    return this.#read.get(block);
  }
}

/**
 * Does a delta, decoded as the far side does it, make what has this digest: from `references`, as they were told, and the
 * base blocks that `base` has read.
 */
export function makesAgain(
  delta: Uint8Array,
  digest: Uint8Array,
  parcel: ParcelContent,
  references: References,
  base: RememberingReader | null,
): boolean {
  const opened = openDelta(delta, {
    decompress: (bytes, limit) => brotliDecompressSync(bytes, { maxOutputLength: limit }),
  });
  const own = new Map(ownBlocks(parcel, references));
  const baseContent = gather(opened.needs.base, (block) => own.get(block) ?? base?.get(block));
  const parcels = opened.needs.parcels.map(({ id, spans }) => {
    const from = references.earlier.find((each) => each.id === id)?.parcel;
    const blocks = new Map(from === undefined ? [] : contentOf(from));
    return gather(spans, (block) => blocks.get(block));
  });
  if (baseContent === null || parcels.includes(null)) return false;
  const made = opened.apply({ base: baseContent, parcels: parcels.filter((content) => content !== null) });
  return Buffer.compare(parcelDigest(made), digest) === 0;
}

function* ownBlocks(
  parcel: ParcelContent,
  { own }: References,
): Generator<readonly [BlockIndex, Uint8Array]> {
  if (own === null) return;
  let slot = 0;
  for (const entry of contentOf({ ...parcel, content: own.content })) {
    if (own.present[slot++] === 1) yield entry;
  }
}

function* contentOf({
  blockSize,
  runs,
  content,
}: ParcelContent): Generator<readonly [BlockIndex, Uint8Array]> {
  let at = 0;
  for (const { start, count, zero } of runs) {
    for (let i = 0; !zero && i < count; i++, at += blockSize) {
      yield [blockIndex(start + i), content.subarray(at, at + blockSize)];
    }
  }
}

/** null: one of the blocks is not there. */
function gather(
  spans: readonly BlockSpan[],
  find: (block: BlockIndex) => Uint8Array | undefined,
): Uint8Array | null {
  const parts: Uint8Array[] = [];
  for (const { start, count } of spans) {
    for (let i = 0; i < count; i++) {
      const content = find(blockIndex(start + i));
      if (content === undefined) return null;
      parts.push(content);
    }
  }
  return Buffer.concat(parts);
}
