import { ProtocolError } from '../errors.js';
import { blockIndex, idHex, isBlockSize, MAX_BLOCKS, parcelId } from '../units.js';
import { AddressMemory } from './delta-address.js';
import {
  MAX_DELTA_COPIES,
  MAX_DELTA_PARCELS,
  MAX_DELTA_REFERENCES,
  MAX_DELTA_SPANS,
  spaceOf,
  type BlockSpan,
  type DeltaSources,
  type DeltaSpace,
  type ParcelBlocks,
} from './delta-layout.js';
import { joinCode } from './delta-code.js';
import {
  COMMAND_LITERALS,
  isReplacement,
  newPieces,
  sectionsOf,
  SEPARATES_CODE,
  SUBTRACTS,
  type Section,
} from './delta-script.js';
import { MAX_PARCEL_CONTENT, MAX_PARCEL_RUNS, type ParcelRun } from './parcel.js';
import { VarintReader } from './varint.js';

/** What the stage of a delta before brotli says, every field of it checked: what a copy reads is there by then. */
export interface DeltaForm {
  readonly sources: DeltaSources;
  readonly space: DeltaSpace;
  readonly copies: Copies;
  readonly bytes: NewBytes;
}

/** For each copy how many new bytes come before it, how many it copies, and from where in the space. */
export interface Copies {
  readonly literals: Uint32Array;
  readonly lengths: Uint32Array;
  readonly sources: Uint32Array;
}

/** The bytes that are not copied; views into the form. */
export interface NewBytes {
  readonly fresh: Uint8Array;
  /** Those that stand in the place of others. */
  readonly replaced: Uint8Array;
  /** Are they told as the difference from those others. */
  readonly subtract: boolean;
}

/** Takes the stage before brotli apart. Throws `bad-parcel`. `form` must not change afterwards. */
export function readForm(form: Uint8Array): DeltaForm {
  const { head, sections, fresh } = cutSections(form);
  const [flags, blockSize, runCount, baseCount, parcelCount] = head;
  if (!isBlockSize(blockSize)) throw bad(`block size ${blockSize}`);
  if (runCount > MAX_PARCEL_RUNS) throw bad(`${runCount} runs`);
  if (baseCount > MAX_DELTA_SPANS) throw bad(`${baseCount} references`);
  if (parcelCount > MAX_DELTA_PARCELS) throw bad(`references to ${parcelCount} parcels`);
  const runs = readSpans(sections.runs, runCount, (start, tagged): ParcelRun => {
    return { start: blockIndex(start), count: Math.floor(tagged / 2), zero: tagged % 2 === 1 };
  });
  const base = readSpans(sections.references, baseCount, plainSpan);
  const parcels = readParcels(sections.references, parcelCount);
  for (const section of [sections.runs, sections.references]) ended(section);
  const sources: DeltaSources = { blockSize, runs, base, parcels };
  const space = spaceOf(sources);
  if (space.own > MAX_PARCEL_CONTENT) throw bad('content longer than a parcel may hold');
  if (space.output - space.own > MAX_DELTA_REFERENCES) throw bad('more references than a delta may have');
  const branches = sections.branches.input;
  const operands = sections.operands.input;
  const freshBytes = fresh.byteLength + branches.byteLength + operands.byteLength;
  const copies = readCopies(sections, freshBytes, space, blockSize);
  const code = readCode(sections.code, space.own / blockSize);
  const bytes = {
    fresh:
      (flags & SEPARATES_CODE) === 0
        ? fresh
        : joinCode(
            { code, kept: fresh, branches, operands },
            newPieces({ ...sources, ...copies }),
            blockSize,
          ),
    replaced: sections.replaced.input,
    subtract: (flags & SUBTRACTS) !== 0,
  };
  return { sources, space, copies, bytes };
}

/** Blocks of the output, of which there are so many. */
function readCode(reader: VarintReader, blocks: number): BlockSpan[] {
  const spans: BlockSpan[] = [];
  let end = 0;
  while (reader.position < reader.input.byteLength) {
    const start = end + reader.read();
    const count = reader.read();
    if (count === 0 || start + count > blocks) throw bad(`code of ${count} blocks at ${start}`);
    spans.push({ start: blockIndex(start), count });
    end = start + count;
  }
  return spans;
}

function readCopies(
  sections: Record<Section, VarintReader>,
  freshBytes: number,
  space: DeltaSpace,
  blockSize: number,
): Copies {
  const commands = sections.commands.input;
  if (commands.byteLength > MAX_DELTA_COPIES) throw bad(`${commands.byteLength} copies`);
  const literals = new Uint32Array(commands.byteLength);
  const lengths = new Uint32Array(commands.byteLength);
  const sources = new Uint32Array(commands.byteLength);
  const memory = new AddressMemory(space, blockSize);
  const end = space.output + space.own;
  let at = space.output;
  let fresh = 0;
  let replaced = 0;
  let distanceBefore = 0;
  for (let i = 0; i < commands.byteLength; i++) {
    const command = commands[i] as number;
    const mode = Math.floor(command / COMMAND_LITERALS);
    const few = command % COMMAND_LITERALS;
    const literal = few < COMMAND_LITERALS - 1 ? few : few + sections.literals.read();
    const length = sections.lengths.read() + 1;
    if (literal > end - at || length > end - at - literal) throw bad('makes more than its blocks hold');
    at += literal;
    const explicit = AddressMemory.isExplicit(mode)
      ? { blocks: sections.blocks.read(), offset: sections.offsets.read() }
      : null;
    if (explicit !== null && explicit.offset >= blockSize) throw bad('address past the end of its block');
    const source = memory.source(mode, at, explicit);
    if (!(source >= 0 && source < at)) throw bad('copies what is not there');
    memory.note(mode, at, source, length);
    if (isReplacement(literal, at - source, distanceBefore)) replaced += literal;
    else fresh += literal;
    distanceBefore = at - source;
    literals[i] = literal;
    lengths[i] = length;
    sources[i] = source;
    at += length;
  }
  for (const name of ['literals', 'lengths', 'blocks', 'offsets'] as const) ended(sections[name]);
  if (replaced !== sections.replaced.input.byteLength) throw bad('replaces more or less than it says');
  if (freshBytes - fresh !== end - at) throw bad('makes another length than its blocks have');
  return { literals, lengths, sources };
}

function cutSections(form: Uint8Array): {
  readonly head: readonly [number, number, number, number, number];
  readonly sections: Record<Section, VarintReader>;
  readonly fresh: Uint8Array;
} {
  const reader = new VarintReader(form, early);
  const head = [reader.read(), reader.read(), reader.read(), reader.read(), reader.read()] as const;
  if (head[0] > (SUBTRACTS | SEPARATES_CODE)) throw bad(`flags ${head[0]}`);
  const names = sectionsOf(head[0]);
  const lengths = names.map(() => reader.read());
  let at = reader.position;
  const none = new VarintReader(new Uint8Array(), early);
  const sections: Partial<Record<Section, VarintReader>> = { code: none, branches: none, operands: none };
  for (const [i, section] of names.entries()) {
    const length = lengths[i] as number;
    if (length > form.byteLength - at) throw early();
    sections[section] = new VarintReader(form.subarray(at, at + length), early);
    at += length;
  }
  return { head, sections: sections as Record<Section, VarintReader>, fresh: form.subarray(at) };
}

const plainSpan = (start: number, count: number): BlockSpan => ({ start: blockIndex(start), count });

function readSpans<Span extends BlockSpan>(
  reader: VarintReader,
  count: number,
  make: (start: number, tagged: number) => Span,
): Span[] {
  const spans: Span[] = [];
  let end = 0;
  for (let i = 0; i < count; i++) {
    const start = end + reader.read();
    if (start >= MAX_BLOCKS) throw bad(`block ${start}`);
    const span = make(start, reader.read());
    end = start + span.count;
    if (span.count === 0 || end > MAX_BLOCKS) throw bad(`run of ${span.count} blocks at ${start}`);
    spans.push(span);
  }
  return spans;
}

function readParcels(reader: VarintReader, count: number): ParcelBlocks[] {
  const parcels: ParcelBlocks[] = [];
  let room = MAX_DELTA_SPANS;
  for (let i = 0; i < count; i++) {
    const id = parcelId(idHex(reader.take(16)));
    const spanCount = reader.read();
    if (spanCount === 0 || spanCount > room) throw bad(`references to ${spanCount} runs of a parcel`);
    room -= spanCount;
    parcels.push({ id, spans: readSpans(reader, spanCount, plainSpan) });
  }
  return parcels;
}

function ended(reader: VarintReader): void {
  if (reader.position !== reader.input.byteLength) throw bad('has bytes that nothing uses');
}

const early = (): ProtocolError => bad('ends early');

/** That a delta is none. */
export const bad = (what: string, cause?: unknown): ProtocolError =>
  new ProtocolError('bad-parcel', `delta: ${what}`, cause === undefined ? undefined : { cause });
