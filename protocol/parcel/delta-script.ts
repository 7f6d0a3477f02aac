import { idBytes } from '../units.js';
import { ByteSink } from './byte-sink.js';
import { AddressMemory } from './delta-address.js';
import { separateCode, type NewPieces } from './delta-code.js';
import { spaceOf, type BlockSpan, type DeltaSources } from './delta-layout.js';
import { VarintReader } from './varint.js';

/**
 * What an encoder found: the output is, again and again, some bytes that are new and then a copy. The three arrays have
 * an entry for each copy; bytes left at the end are new.
 */
export interface DeltaScript extends DeltaSources {
  /** The content that is to be made. */
  readonly content: Uint8Array;
  /** New bytes before each copy. */
  readonly literals: Uint32Array;
  /** Bytes of each copy; at least 1. */
  readonly lengths: Uint32Array;
  /** Address of each copy's source in the space of `spaceOf`; below where it is copied to. */
  readonly sources: Uint32Array;
  /** The byte that lies so many bytes before the source of this copy. */
  readonly byteBefore: (copy: number, bytes: number) => number;
}

/** The flags of a delta: replaced bytes are differences; machine code is told apart. */
export const SUBTRACTS = 1;
export const SEPARATES_CODE = 2;

/** The names of a delta's sections, in their order; the rest of its bytes are the new ones. */
export const SECTIONS = [
  'runs',
  'references',
  'commands',
  'literals',
  'lengths',
  'blocks',
  'offsets',
  'replaced',
] as const;
/** Those that follow with `SEPARATES_CODE`. */
export const CODE_SECTIONS = ['code', 'branches', 'operands'] as const;
export type Section = (typeof SECTIONS)[number] | (typeof CODE_SECTIONS)[number];
export const sectionsOf = (flags: number): readonly Section[] =>
  (flags & SEPARATES_CODE) === 0 ? SECTIONS : [...SECTIONS, ...CODE_SECTIONS];

/** A command is `mode * COMMAND_LITERALS + literals`, the last value meaning that many or more. */
export const COMMAND_LITERALS = 32;

/**
 * Do the new bytes before a copy stand in the place of as many between what the copy before it and itself read. Few enough
 * that they lie in blocks which those copies read.
 */
export const isReplacement = (literal: number, distance: number, distanceBefore: number): boolean =>
  distance === distanceBefore && literal < COMMAND_LITERALS - 1;

/**
 * The stage before brotli of a delta (PROTOCOL.md, "Delta"). The script must be right; it is not checked here.
 * `separate`: machine code is told apart, if there is any; null: there is none.
 */
export function writeDelta(script: DeltaScript): Uint8Array;
export function writeDelta(script: DeltaScript, how: 'separate'): Uint8Array | null;
export function writeDelta(script: DeltaScript, how?: 'separate'): Uint8Array | null {
  const { blockSize, runs, base, parcels, content, literals, lengths, sources } = script;
  const separated = how === 'separate' ? separateCode(content, newPieces(script), blockSize) : null;
  if (how === 'separate' && separated === null) return null;
  const names = sectionsOf(separated === null ? 0 : SEPARATES_CODE);
  const sinks = Object.fromEntries(
    [...SECTIONS, ...CODE_SECTIONS].map((section) => [section, new ByteSink()]),
  ) as Record<Section, ByteSink>;
  writeSpans(sinks.runs, runs, ({ count, zero }) => count * 2 + (zero ? 1 : 0));
  writeSpans(sinks.references, base);
  for (const { id, spans } of parcels) {
    sinks.references.bytes(idBytes(id));
    sinks.references.varint(spans.length);
    writeSpans(sinks.references, spans);
  }
  const fresh = new ByteSink();
  const replaced = new ByteSink();
  const differences = new ByteSink();
  const { output } = spaceOf(script);
  const memory = new AddressMemory(spaceOf(script), blockSize);
  let at = 0;
  let distanceBefore = 0;
  for (let i = 0; i < lengths.length; i++) {
    const literal = literals[i] as number;
    const length = lengths[i] as number;
    const source = sources[i] as number;
    const distance = output + at + literal - source;
    if (isReplacement(literal, distance, distanceBefore)) {
      for (let left = literal; left > 0; left--) {
        const byte = content[at + literal - left] as number;
        replaced.byte(byte);
        differences.byte((byte - script.byteBefore(i, left)) & 0xff);
      }
    } else if (separated === null) {
      fresh.bytes(content.subarray(at, at + literal));
    }
    distanceBefore = distance;
    at += literal;
    const { mode, explicit } = memory.tell(output + at, source);
    memory.note(mode, output + at, source, length);
    sinks.commands.byte(mode * COMMAND_LITERALS + Math.min(literal, COMMAND_LITERALS - 1));
    if (literal >= COMMAND_LITERALS - 1) sinks.literals.varint(literal - COMMAND_LITERALS + 1);
    sinks.lengths.varint(length - 1);
    if (explicit !== null) {
      sinks.blocks.varint(explicit.blocks);
      sinks.offsets.varint(explicit.offset);
    }
    at += length;
  }
  if (separated === null) {
    fresh.bytes(content.subarray(at));
  } else {
    fresh.bytes(separated.kept);
    writeSpans(sinks.code, separated.code);
    sinks.branches.bytes(separated.branches);
    sinks.operands.bytes(separated.operands);
  }
  const subtract = entropy(differences.written()) < entropy(replaced.written());
  sinks.replaced.bytes((subtract ? differences : replaced).written());

  const head = new ByteSink();
  const flags = (subtract ? SUBTRACTS : 0) | (separated === null ? 0 : SEPARATES_CODE);
  for (const value of [flags, blockSize, runs.length, base.length, parcels.length]) {
    head.varint(value);
  }
  for (const section of names) head.varint(sinks[section].length);
  return Buffer.concat([
    head.written(),
    ...names.map((section) => sinks[section].written()),
    fresh.written(),
  ]);
}

/** Of what `writeDelta` made, the bytes before the first that is content: they say where all of it goes. */
export function deltaAddressBytes(form: Uint8Array): number {
  const reader = new VarintReader(form, () => new RangeError('not a delta'));
  const flags = reader.read();
  for (let i = 1; i < HEAD_FIELDS; i++) reader.read();
  const names = sectionsOf(flags);
  const lengths = names.map(() => reader.read());
  return lengths.slice(0, names.indexOf('replaced')).reduce((end, length) => end + length, reader.position);
}

/** Flags, block size, and the numbers of runs, references and parcels. */
const HEAD_FIELDS = 5;

/** Where the new bytes stand that are not replaced ones. `literals` … as in a script, to addresses from `output` on. */
export function newPieces(
  script: Pick<DeltaScript, 'literals' | 'lengths' | 'sources'> & DeltaSources,
): NewPieces {
  const { literals, lengths, sources } = script;
  const { own, output } = spaceOf(script);
  const starts = new Uint32Array(literals.length + 1);
  const ends = new Uint32Array(literals.length + 1);
  let count = 0;
  let at = 0;
  let distanceBefore = 0;
  for (const [i, literal] of literals.entries()) {
    const distance = output + at + literal - (sources[i] as number);
    if (literal > 0 && !isReplacement(literal, distance, distanceBefore)) {
      starts[count] = at;
      ends[count++] = at + literal;
    }
    distanceBefore = distance;
    at += literal + (lengths[i] as number);
  }
  starts[count] = at;
  ends[count++] = own;
  return { starts: starts.subarray(0, count), ends: ends.subarray(0, count) };
}

/** Bits that these bytes are worth if each says nothing of the next. */
function entropy(bytes: Uint8Array): number {
  const counts = new Uint32Array(256);
  for (const byte of bytes) counts[byte] = (counts[byte] as number) + 1;
  return counts.reduce(
    (bits, count) => (count === 0 ? bits : bits - count * Math.log2(count / bytes.length)),
    0,
  );
}

function writeSpans<Span extends BlockSpan>(
  sink: ByteSink,
  spans: readonly Span[],
  tagged: (span: Span) => number = ({ count }) => count,
): void {
  let end = 0;
  for (const span of spans) {
    sink.varint(span.start - end);
    sink.varint(tagged(span));
    end = span.start + span.count;
  }
}
