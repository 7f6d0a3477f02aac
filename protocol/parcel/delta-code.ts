import { ProtocolError } from '../errors.js';
import type { BlockSpan } from './delta-layout.js';
import { blockIndex } from '../units.js';

/**
 * Machine code of x86-64 names what it calls and reads by the distance from the instruction, so the same target is told in
 * other bytes each time. In blocks of code the new bytes of a delta have these operands made absolute and told apart
 * from the instructions (PROTOCOL.md, "Machine code"); brotli then makes an eighth less of it. The idea is that of 7-Zip's BCJ2.
 */

/** New bytes that follow each other in the output, ascending and disjoint; in bytes of the output. */
export interface NewPieces {
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
}

/** New bytes with the operands taken out. */
export interface SeparatedCode {
  /** Blocks of the output that are code; ascending, disjoint. */
  readonly code: readonly BlockSpan[];
  /** What is left of the new bytes. */
  readonly kept: Uint8Array;
  /** Three bytes, high to low, of each target of a call or jump. */
  readonly branches: Uint8Array;
  /** The same of each other place in memory. */
  readonly operands: Uint8Array;
}

/** An operand, and where in it the byte lies that tells whether it is near. */
const OPERAND = 4;
const HIGHEST = 3;
/** The longest instruction up to its operand's end; nearer to the end of a piece none is looked for. */
const LONGEST = 3 + OPERAND;

const CALL = 0xe8;
const JUMP = 0xe9;
const PREFIX = 0x0f;
/** One-byte opcodes whose operand is mostly in memory. */
const WITH_MEMORY = new Uint8Array(256);
for (const opcode of [
  0x03, 0x0b, 0x23, 0x2b, 0x33, 0x38, 0x39, 0x3b, 0x63, 0x80, 0x81, 0x83, 0x85, 0x88, 0x89, 0x8a, 0x8b, 0x8d,
  0xc6, 0xc7, 0xf6, 0xf7, 0xff,
]) {
  WITH_MEMORY[opcode] = 1;
}

/** Added to the opcode's length where the operand is not a branch's. */
const MEMORY = 8;
/** Is it the ModRM byte of an address relative to the instruction. */
const isRelative = (modrm: number): boolean => (modrm & 0xc7) === 0x05;

/** Length of the opcode at `at` whose operand is to be told apart, with `MEMORY`; 0: there is none. Looks at three bytes. */
function opcodeAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first === CALL || first === JUMP) return 1;
  const second = bytes[at + 1] as number;
  if (first !== PREFIX) return WITH_MEMORY[first] === 1 && isRelative(second) ? 2 + MEMORY : 0;
  if ((second & 0xf0) === 0x80) return 2;
  // A reader does not know yet what comes behind such a second byte.
  if (second === CALL || second === JUMP) return 0;
  return isRelative(bytes[at + 2] as number) ? 3 + MEMORY : 0;
}

const isNear = (highest: number): boolean => highest === 0 || highest === 0xff;
/** The low 25 bits, with the sign of the highest. */
const nearOf = (value: number): number => (value << 7) >> 7;

/** A block is code if it has one near operand in so many bytes at least, and more of them than of others. */
const BYTES_A_NEAR_OPERAND = 128;

function isCode(block: Uint8Array): boolean {
  let near = 0;
  let all = 0;
  for (let at = 0; at + LONGEST <= block.byteLength;) {
    const opcode = opcodeAt(block, at);
    if (opcode === 0) {
      at++;
      continue;
    }
    at += (opcode % MEMORY) + OPERAND;
    all++;
    if (isNear(block[at - OPERAND + HIGHEST] as number)) near++;
  }
  return near * BYTES_A_NEAR_OPERAND >= block.byteLength && near * 2 > all;
}

/** Takes the operands out of the new bytes of `output`; null: none of its blocks that have new ones is code. */
export function separateCode(output: Uint8Array, pieces: NewPieces, blockSize: number): SeparatedCode | null {
  const code = codeBlocks(output, pieces, blockSize);
  if (code.length === 0) return null;
  let bytes = 0;
  for (const [i, end] of pieces.ends.entries()) bytes += end - (pieces.starts[i] as number);
  const kept = new Uint8Array(bytes);
  const told = { branches: new Uint8Array(bytes), operands: new Uint8Array(bytes) };
  const lengths = { branches: 0, operands: 0 };
  let to = 0;
  forEachPart(pieces, code, blockSize, (start, end, inCode) => {
    let at = start;
    while (inCode && at + LONGEST <= end) {
      const opcode = opcodeAt(output, at);
      if (opcode === 0) {
        kept[to++] = output[at++] as number;
        continue;
      }
      for (let left = opcode % MEMORY; left > 0; left--) kept[to++] = output[at++] as number;
      const highest = output[at + HIGHEST] as number;
      if (isNear(highest)) {
        const target = nearOf(readOperand(output, at) + at);
        const into = opcode < MEMORY ? 'branches' : 'operands';
        kept[to++] = (target >> 24) & 0xff;
        for (const shift of [16, 8, 0]) told[into][lengths[into]++] = (target >> shift) & 0xff;
      } else {
        kept[to++] = highest;
        kept.set(output.subarray(at, at + HIGHEST), to);
        to += HIGHEST;
      }
      at += OPERAND;
    }
    kept.set(output.subarray(at, end), to);
    to += end - at;
  });
  return {
    code,
    kept: kept.subarray(0, to),
    branches: told.branches.subarray(0, lengths.branches),
    operands: told.operands.subarray(0, lengths.operands),
  };
}

/**
 * The new bytes, one piece after the other, as `separateCode` had them. Whatever the parts hold, it makes as many bytes as
 * the pieces have or throws `bad-parcel`, also where parts are left over. `code` lies in the output.
 */
export function joinCode(
  { code, kept, branches, operands }: SeparatedCode,
  pieces: NewPieces,
  blockSize: number,
): Uint8Array {
  const bytes = new Uint8Array(kept.byteLength + branches.byteLength + operands.byteLength);
  let to = 0;
  let from = 0;
  let branch = 0;
  let operand = 0;
  forEachPart(pieces, code, blockSize, (start, end, inCode) => {
    let at = start;
    while (inCode && at + LONGEST <= end) {
      const opcode = opcodeAt(kept, from);
      if (opcode === 0) {
        bytes[to++] = kept[from++] as number;
        at++;
        continue;
      }
      const length = opcode % MEMORY;
      at += length;
      bytes.set(kept.subarray(from, from + length), to);
      to += length;
      from += length;
      const highest = kept[from++] as number;
      if (isNear(highest)) {
        const isBranch = opcode < MEMORY;
        const [source, place] = isBranch ? [branches, branch] : [operands, operand];
        const target =
          (highest << 24) |
          ((source[place] as number) << 16) |
          ((source[place + 1] as number) << 8) |
          (source[place + 2] as number);
        if (isBranch) branch += HIGHEST;
        else operand += HIGHEST;
        writeOperand(bytes, to, nearOf(target - at));
      } else {
        bytes.set(kept.subarray(from, from + HIGHEST), to);
        bytes[to + HIGHEST] = highest;
        from += HIGHEST;
      }
      to += OPERAND;
      at += OPERAND;
    }
    if (from + end - at > kept.byteLength) throw bad('code ends early');
    bytes.set(kept.subarray(from, from + end - at), to);
    to += end - at;
    from += end - at;
  });
  if (from !== kept.byteLength || branch !== branches.byteLength || operand !== operands.byteLength)
    throw bad('code has more or fewer operands than are told');
  return bytes;
}

/** Those that have new bytes and are code; neighbours together. */
function codeBlocks(output: Uint8Array, { starts, ends }: NewPieces, blockSize: number): BlockSpan[] {
  const spans: { start: BlockSpan['start']; count: number }[] = [];
  let next = 0;
  for (const [i, end] of ends.entries()) {
    const last = Math.ceil(end / blockSize);
    for (let block = Math.max(next, Math.floor((starts[i] as number) / blockSize)); block < last; block++) {
      next = block + 1;
      if (!isCode(output.subarray(block * blockSize, (block + 1) * blockSize))) continue;
      const span = spans.at(-1);
      if (span !== undefined && span.start + span.count === block) span.count++;
      else spans.push({ start: blockIndex(block), count: 1 });
    }
  }
  return spans;
}

/** The pieces, cut where code begins and ends. */
function forEachPart(
  { starts, ends }: NewPieces,
  code: readonly BlockSpan[],
  blockSize: number,
  visit: (start: number, end: number, inCode: boolean) => void,
): void {
  let span = 0;
  for (const [i, end] of ends.entries()) {
    let at = starts[i] as number;
    while (at < end) {
      while (span < code.length && endOf(code[span] as BlockSpan) * blockSize <= at) span++;
      const here = code[span];
      const from = here === undefined ? end : here.start * blockSize;
      const inCode = here !== undefined && at >= from;
      const to = Math.min(end, inCode ? endOf(here) * blockSize : from);
      visit(at, to, inCode);
      at = to;
    }
  }
}

const endOf = ({ start, count }: BlockSpan): number => start + count;

const readOperand = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) |
  ((bytes[at + 1] as number) << 8) |
  ((bytes[at + 2] as number) << 16) |
  ((bytes[at + 3] as number) << 24);

function writeOperand(bytes: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < OPERAND; i++) bytes[at + i] = (value >> (8 * i)) & 0xff;
}

const bad = (what: string): ProtocolError => new ProtocolError('bad-parcel', `delta: ${what}`);
