import { blockIndex } from '../units.js';
import { bad, readForm, type Copies, type DeltaForm, type NewBytes } from './delta-form.js';
import {
  countBlocks,
  type BlockSpan,
  type DeltaSources,
  type DeltaSpace,
  type ParcelBlocks,
} from './delta-layout.js';
import { isReplacement, writeDelta, type DeltaScript } from './delta-script.js';
import {
  MAX_PARCEL_CONTENT,
  serializeParcel,
  type AsyncDecompressor,
  type Compressor,
  type Decompressor,
  type ParcelRun,
} from './parcel.js';

/** The format byte of a parcel that is a delta. */
export const DELTA_FORMAT = 2;

/** The longest form a delta may have before brotli: nothing that an encoder keeps comes near. */
export const MAX_DELTA_FORM = MAX_PARCEL_CONTENT + (16 << 20);

/** What must be at hand before a delta can be applied. */
export interface DeltaNeeds {
  readonly blockSize: number;
  /**
   * Blocks of the base state, ascending and disjoint; those past its end count as zeros. Only blocks that a copy reads
   * are named, own ones as well as others. A set without a base state must not name any.
   */
  readonly base: readonly BlockSpan[];
  /** Blocks of earlier parcels of the same set. */
  readonly parcels: readonly ParcelBlocks[];
}

export interface DeltaReferences {
  /** Content of `needs.base`, one after the other. */
  readonly base: Uint8Array;
  /** Content of each of `needs.parcels`, its spans one after the other. */
  readonly parcels: readonly Uint8Array[];
}

/** A delta whose every field has been checked. */
export interface OpenedDelta {
  readonly needs: DeltaNeeds;
  /** The decoded form, for `parcelDigest` and `parseParcel`; the caller's own. References of wrong length throw a RangeError. */
  apply(references: DeltaReferences): Uint8Array;
}

/** Is this encoded parcel to be opened by `openDelta`. */
export const isDelta = (encoded: Uint8Array): boolean => encoded[0] === DELTA_FORMAT;

/** An encoded parcel from what `writeDelta` made. */
export const packDelta = (form: Uint8Array, compressor: Compressor): Uint8Array =>
  Buffer.concat([Uint8Array.of(DELTA_FORMAT), compressor.compress(form)]);

/** An encoded parcel from a script that is right. */
export const encodeDelta = (script: DeltaScript, compressor: Compressor): Uint8Array =>
  packDelta(writeDelta(script), compressor);

/** Takes an encoded delta (with its format byte) apart. Throws `bad-parcel`. */
export function openDelta(encoded: Uint8Array, decompressor: Decompressor): OpenedDelta {
  let form: Uint8Array;
  try {
    form = decompressor.decompress(encoded.subarray(1), MAX_DELTA_FORM);
  } catch (cause) {
    throw bad('does not decompress', cause);
  }
  return readDelta(form);
}

/** `openDelta` with the decompression done elsewhere. Rejects with `bad-parcel`. */
export async function openDeltaAsync(
  encoded: Uint8Array,
  decompressor: AsyncDecompressor,
): Promise<OpenedDelta> {
  let form: Uint8Array;
  try {
    form = await decompressor.decompress(encoded.subarray(1), MAX_DELTA_FORM);
  } catch (cause) {
    throw bad('does not decompress', cause);
  }
  return readDelta(form);
}

/** Takes the stage before brotli apart, checking every field. Throws `bad-parcel`. `form` must not change afterwards. */
export function readDelta(form: Uint8Array): OpenedDelta {
  return new CheckedDelta(readForm(form));
}

/** A delta that has passed every check. */
class CheckedDelta implements OpenedDelta {
  readonly needs: DeltaNeeds;
  readonly #sources: DeltaSources;
  readonly #space: DeltaSpace;
  readonly #copies: Copies;
  readonly #bytes: NewBytes;

  constructor({ sources, space, copies, bytes }: DeltaForm) {
    this.#sources = sources;
    this.#space = space;
    this.#copies = copies;
    this.#bytes = bytes;
    const { blockSize, runs, base, parcels } = sources;
    const used = ownBlocksRead(space.own / blockSize, blockSize, copies);
    this.needs = { blockSize, base: unionOf(usedRuns(runs, used), base), parcels };
  }

  apply(references: DeltaReferences): Uint8Array {
    const { blockSize, runs } = this.#sources;
    const { output, own } = this.#space;
    const bytes = Buffer.alloc(output + own);
    this.#place(bytes, references);
    const { literals, lengths, sources } = this.#copies;
    const { fresh, replaced, subtract } = this.#bytes;
    let at = output;
    let freshAt = 0;
    let replacedAt = 0;
    let distanceBefore = 0;
    for (let i = 0; i < lengths.length; i++) {
      const literal = literals[i] as number;
      const length = lengths[i] as number;
      const source = sources[i] as number;
      const distance = at + literal - source;
      if (!isReplacement(literal, distance, distanceBefore)) {
        bytes.set(fresh.subarray(freshAt, freshAt + literal), at);
        freshAt += literal;
      } else {
        for (let j = 0; j < literal; j++) {
          const before = subtract ? (bytes[at + j - distance] as number) : 0;
          bytes[at + j] = (before + (replaced[replacedAt + j] as number)) & 0xff;
        }
        replacedAt += literal;
      }
      distanceBefore = distance;
      at += literal;
      copyForward(bytes, at, source, length);
      at += length;
    }
    bytes.set(fresh.subarray(freshAt), at);
    return serializeParcel({ blockSize, runs, content: bytes.subarray(output) });
  }

  #place(bytes: Uint8Array, references: DeltaReferences): void {
    const { blockSize, runs, base } = this.#sources;
    const wanted = [this.needs.base, ...this.needs.parcels.map(({ spans }) => spans)];
    const given = [references.base, ...references.parcels];
    if (wanted.length !== given.length) throw new RangeError('references of another delta');
    for (const [i, spans] of wanted.entries()) {
      if (given[i]?.byteLength !== countBlocks(spans) * blockSize)
        throw new RangeError('references of another length');
    }
    placeSpans(
      bytes,
      0,
      runs.filter(({ zero }) => !zero),
      this.needs.base,
      references.base,
      blockSize,
    );
    placeSpans(bytes, this.#space.own, base, this.needs.base, references.base, blockSize);
    let at = this.#space.parcels;
    for (const content of references.parcels) {
      bytes.set(content, at);
      at += content.byteLength;
    }
  }
}

/** Puts those blocks of `wanted` that are among `held` into `bytes`, from `at` on; both ascending. */
function placeSpans(
  bytes: Uint8Array,
  at: number,
  wanted: readonly BlockSpan[],
  held: readonly BlockSpan[],
  content: Uint8Array,
  blockSize: number,
): void {
  let i = 0;
  let heldAt = 0;
  let to = at;
  for (const span of wanted) {
    const end = span.start + span.count;
    for (let candidate = held[i]; candidate !== undefined; candidate = held[i]) {
      const candidateEnd = candidate.start + candidate.count;
      const start = Math.max(span.start, candidate.start);
      const stop = Math.min(end, candidateEnd);
      if (start < stop) {
        const from = heldAt + (start - candidate.start) * blockSize;
        bytes.set(
          content.subarray(from, from + (stop - start) * blockSize),
          to + (start - span.start) * blockSize,
        );
      }
      if (candidateEnd > end) break;
      heldAt += candidate.count * blockSize;
      i++;
    }
    to += span.count * blockSize;
  }
}

/** A copy may reach into what it makes: it then repeats itself. */
function copyForward(bytes: Uint8Array, to: number, from: number, length: number): void {
  const distance = to - from;
  let done = Math.min(distance, length);
  bytes.copyWithin(to, from, from + done);
  while (done < length) {
    const step = Math.min(done, length - done);
    bytes.copyWithin(to + done, to, to + step);
    done += step;
  }
}

/** Which of the own blocks, by their place among them, a copy reads. */
function ownBlocksRead(count: number, blockSize: number, { lengths, sources }: Copies): Uint8Array {
  const read = new Uint8Array(count);
  for (let i = 0; i < lengths.length; i++) {
    const first = Math.floor((sources[i] as number) / blockSize);
    if (first >= count) continue;
    const last = Math.floor(((sources[i] as number) + (lengths[i] as number) - 1) / blockSize);
    read.fill(1, first, last + 1);
  }
  return read;
}

function usedRuns(runs: readonly ParcelRun[], used: Uint8Array): BlockSpan[] {
  const spans: BlockSpan[] = [];
  let place = 0;
  for (const { start, count, zero } of runs) {
    if (zero) continue;
    for (let i = 0; i < count; i++) {
      if (used[place + i] === 0) continue;
      let end = i + 1;
      while (end < count && used[place + end] === 1) end++;
      spans.push({ start: blockIndex(start + i), count: end - i });
      i = end;
    }
    place += count;
  }
  return spans;
}

function unionOf(one: readonly BlockSpan[], other: readonly BlockSpan[]): BlockSpan[] {
  const union: { start: BlockSpan['start']; count: number }[] = [];
  for (const { start, count } of [...one, ...other].sort((a, b) => a.start - b.start)) {
    const last = union.at(-1);
    if (last !== undefined && last.start + last.count >= start) {
      last.count = Math.max(last.count, start + count - last.start);
    } else {
      union.push({ start, count });
    }
  }
  return union;
}
