import { ProtocolError } from '../errors.js';
import { MAX_MESSAGE_DEPTH } from './limits.js';

/**
 * Walks one CBOR item without building it and refuses what our messages never use (RFC 8949): tags, indefinite
 * lengths, maps, floats, nesting past `MAX_MESSAGE_DEPTH`, and bytes after the item. A decoder that recurses may then
 * be trusted with the input.
 */
export function checkCborShape(input: Uint8Array): void {
  const end = skipItem(input, 0, MAX_MESSAGE_DEPTH);
  if (end !== input.byteLength) throw bad('bytes after the message');
}

const bad = (what: string): ProtocolError => new ProtocolError('bad-message', what);

const UNSIGNED = 0;
const BYTE_STRING = 2;
const TEXT_STRING = 3;
const ARRAY = 4;
const SIMPLE = 7;
const FALSE = 20;
const NULL = 22;

function skipItem(input: Uint8Array, start: number, depth: number): number {
  if (depth === 0) throw bad('message is nested too deep');
  const head = input[start];
  if (head === undefined) throw bad('message ends early');
  const major = head >> 5;
  if (major === SIMPLE) {
    const value = head & 31;
    // cbor-x writes integers past 32 bits as 64-bit floats.
    if (value === 27) return bounded(input, start + 9);
    if (value < FALSE || value > NULL) throw bad('message holds a value of a kind not used');
    return start + 1;
  }
  const { value, next } = readArgument(input, start);
  switch (major) {
    case UNSIGNED:
      return next;
    case BYTE_STRING:
    case TEXT_STRING:
      return bounded(input, next + value);
    case ARRAY: {
      if (value > input.byteLength - next) throw bad('message ends early');
      let at = next;
      for (let i = 0; i < value; i++) at = skipItem(input, at, depth - 1);
      return at;
    }
    default:
      throw bad('message holds a value of a kind not used');
  }
}

function bounded(input: Uint8Array, end: number): number {
  if (end > input.byteLength) throw bad('message ends early');
  return end;
}

function readArgument(input: Uint8Array, start: number): { value: number; next: number } {
  const short = (input[start] ?? 0) & 31;
  if (short < 24) return { value: short, next: start + 1 };
  if (short > 27) throw bad('message holds a length of a kind not used');
  const width = 1 << (short - 24);
  const next = bounded(input, start + 1 + width);
  let value = 0;
  for (let i = start + 1; i < next; i++) value = value * 256 + (input[i] ?? 0);
  return { value, next };
}
