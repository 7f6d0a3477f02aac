import { idBytes } from '../units.js';
import { ByteSink } from './byte-sink.js';
import { AddressMemory } from './delta-address.js';
import { spaceOf, type BlockSpan, type DeltaSources } from './delta-layout.js';

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
}

/** The names of a delta's sections, in their order; the last has the new bytes. */
export const SECTIONS = ['runs', 'references', 'modes', 'literals', 'lengths', 'blocks', 'offsets'] as const;
export type Section = (typeof SECTIONS)[number];

/** The stage before brotli of a delta (PROTOCOL.md, "Delta"). The script must be right; it is not checked here. */
export function writeDelta(script: DeltaScript): Uint8Array {
  const { blockSize, runs, base, parcels, content, literals, lengths, sources } = script;
  const sinks: Record<Section, ByteSink> = {
    runs: new ByteSink(),
    references: new ByteSink(),
    modes: new ByteSink(),
    literals: new ByteSink(),
    lengths: new ByteSink(),
    blocks: new ByteSink(),
    offsets: new ByteSink(),
  };
  writeSpans(sinks.runs, runs, ({ count, zero }) => count * 2 + (zero ? 1 : 0));
  writeSpans(sinks.references, base);
  for (const { id, spans } of parcels) {
    sinks.references.bytes(idBytes(id));
    sinks.references.varint(spans.length);
    writeSpans(sinks.references, spans);
  }
  const fresh = new ByteSink();
  const { output } = spaceOf(script);
  const memory = new AddressMemory(spaceOf(script), blockSize);
  let at = 0;
  for (let i = 0; i < lengths.length; i++) {
    const literal = literals[i] as number;
    const length = lengths[i] as number;
    const source = sources[i] as number;
    fresh.bytes(content.subarray(at, at + literal));
    at += literal;
    const { mode, explicit } = memory.tell(output + at, source);
    memory.note(mode, output + at, source, length);
    sinks.modes.byte(mode);
    sinks.literals.varint(literal);
    sinks.lengths.varint(length - 1);
    if (explicit !== null) {
      sinks.blocks.varint(explicit.blocks);
      sinks.offsets.varint(explicit.offset);
    }
    at += length;
  }
  fresh.bytes(content.subarray(at));

  const head = new ByteSink();
  for (const value of [blockSize, runs.length, base.length, parcels.length]) head.varint(value);
  for (const section of SECTIONS) head.varint(sinks[section].length);
  return Buffer.concat([
    head.written(),
    ...SECTIONS.map((section) => sinks[section].written()),
    fresh.written(),
  ]);
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
