import { cobsDecode } from './cobs.js';
import { CRC_BYTES, MAX_ENCODED_FRAME, MAX_FRAME_BODY } from './limits.js';
import type { Crc32 } from './frame.js';

/**
 * What a damaged frame may have been: the bodies that differ from it in one or two bits and whose checksum fits. A
 * checksum is linear, so what a flipped bit does to it depends only on how many bits stand behind it (its syndrome).
 * These are all different within a frame, so one flipped bit has one explanation; for two, a table finds the second
 * bit for each first one. None of the explanations is certain: something that cannot fit by chance, such as a seal,
 * has to confirm one.
 *
 * Cost: a frame's bits times one look into the table, and one decoding for each candidate.
 */

/** A body that the line may have carried. */
export interface Candidate {
  /** Fresh, owned by the receiver. */
  readonly body: Uint8Array;
  /** How many bits of the frame are taken for wrong, 1 or 2. */
  readonly bits: number;
}

/** Two wrong bits at most: by chance some hundred of a frame's trillions of triples would fit each checksum. */
const MAX_BITS = 2;
/** More explanations than by chance fit the longest frame are not looked at. */
const MAX_CANDIDATES = 16;
/** The polynomial of CRC-32, reflected: the syndrome of the last bit. */
const POLYNOMIAL = 0xedb88320;

/** Candidates for a frame given without its delimiter, the likelier first; none for one that is too long or too short. */
export function* repairs(frame: Uint8Array, crc32: Crc32): Generator<Candidate> {
  const length = frame.length - CRC_BYTES;
  if (length < 1 || frame.length > MAX_ENCODED_FRAME) return;
  const encoded = frame.subarray(0, length);
  const { value, wrong } = readDamagedCrc(frame, length);
  let left = MAX_CANDIDATES;
  for (const { flips, bits } of explanations(crc32(encoded) ^ value, wrong, length)) {
    const body = flipped(encoded, flips);
    if (body === undefined || body.length > MAX_FRAME_BODY) continue;
    yield { body, bits };
    if (--left === 0) return;
  }
}

/**
 * The same for two frames that follow each other and may be one: a flipped bit has made a delimiter of a byte between
 * them. A second bit may be wrong elsewhere.
 */
export function* joins(first: Uint8Array, second: Uint8Array, crc32: Crc32): Generator<Candidate> {
  const length = first.length + 1 + second.length - CRC_BYTES;
  if (length + CRC_BYTES > MAX_ENCODED_FRAME || first.length >= length) return;
  const frame = Buffer.concat([first, Uint8Array.of(0), second]);
  const encoded = frame.subarray(0, length);
  const { value, wrong } = readDamagedCrc(frame, length);
  if (wrong > 0) return;
  const syndrome = crc32(encoded) ^ value;
  const { syndromes } = table();
  const behind = 8 * (length - 1 - first.length);
  for (let place = behind; place < behind + 8; place++) {
    const rest = syndrome ^ (syndromes[place] as number);
    const other = rest === 0 ? undefined : placeOf(rest, 8 * length);
    if (rest !== 0 && other === undefined) continue;
    const body = flipped(encoded, other === undefined ? [place] : [place, other]);
    if (body !== undefined && body.length <= MAX_FRAME_BODY)
      yield { body, bits: other === undefined ? 1 : 2 };
  }
}

/**
 * Where one of two frames ends when the delimiter between them was damaged: the place of a byte before which, or behind
 * which, stands a whole frame with its checksum. The other one may be damaged too. `undefined` when there is none.
 */
export function endOfFirst(frame: Uint8Array): number | undefined {
  if (frame.length > 2 * MAX_ENCODED_FRAME + 1) return undefined;
  const { bytewise } = table();
  const states = new Int32Array(frame.length + 1);
  states[0] = -1;
  for (let at = 0; at < frame.length; at++) {
    if (at > CRC_BYTES && endsWhole(frame, at, states[at - CRC_BYTES] as number)) return at;
    states[at + 1] = advanced(bytewise, states[at] as number, frame[at] as number);
  }
  return startOfWhole(frame, states);
}

function endsWhole(frame: Uint8Array, at: number, state: number): boolean {
  const { value, wrong } = readDamagedCrc(frame, at - CRC_BYTES);
  return wrong === 0 && value === ~state;
}

/**
 * The place before the last whole frame. What a register would have to hold before each byte, for the checksum at the end
 * to be right, is found backwards; a delimiter with a flipped bit stands where it would have been fresh.
 */
function startOfWhole(frame: Uint8Array, states: Int32Array): number | undefined {
  const { bytewise, byHighByte } = table();
  const end = frame.length - CRC_BYTES;
  if (end < 1) return undefined;
  const { value, wrong } = readDamagedCrc(frame, end);
  if (wrong > 0) return undefined;
  // By linearity only the difference to the register that ran over the whole has to go back, and that through zeros.
  let difference = (states[end] as number) ^ ~value;
  for (let at = end; at > 1; at--) {
    const before = frame[at - 1] as number;
    if (at < end && (before & (before - 1)) === 0 && ((states[at] as number) ^ difference) === -1)
      return at - 1;
    const index = byHighByte[difference >>> 24] as number;
    difference = ((difference ^ (bytewise[index] as number)) << 8) | index;
  }
  return undefined;
}

/** Places in the encoded bytes (bits behind it) that are to be flipped. */
interface Explanation {
  readonly flips: readonly number[];
  readonly bits: number;
}

/** `syndrome`: calculated against written checksum; `wrong`: bits of the latter that cannot be right. */
function* explanations(syndrome: number, wrong: number, length: number): Generator<Explanation> {
  const left = MAX_BITS - wrong;
  if (left < 0) return;
  const difference = bitCount(syndrome);
  // The wrong bits are in the checksum.
  if (difference <= left) yield { flips: [], bits: wrong + difference };
  if (left === 0) return;
  const bits = 8 * length;
  const single = placeOf(syndrome, bits);
  if (single !== undefined) yield { flips: [single], bits: wrong + 1 };
  if (left === 1) return;
  for (let bit = 0; bit < 32; bit++) {
    const place = placeOf(syndrome ^ (1 << bit), bits);
    if (place !== undefined) yield { flips: [place], bits: 2 };
  }
  const { syndromes } = table();
  for (let first = 0; first < bits; first++) {
    const second = placeOf(syndrome ^ (syndromes[first] as number), bits);
    if (second !== undefined && second > first) yield { flips: [first, second], bits: 2 };
  }
}

function flipped(encoded: Uint8Array, flips: readonly number[]): Uint8Array | undefined {
  const bytes = Uint8Array.from(encoded);
  for (const place of flips) {
    const at = bytes.length - 1 - (place >> 3);
    bytes[at] = (bytes[at] as number) ^ (0x80 >> (place & 7));
  }
  return cobsDecode(bytes);
}

/** The checksum as it is written, and how many of its 40 bits cannot be right whatever it was. */
function readDamagedCrc(frame: Uint8Array, at: number): { readonly value: number; readonly wrong: number } {
  let value = 0;
  let wrong = 0;
  for (let i = 0; i < CRC_BYTES; i++) {
    const group = frame[at + i] as number;
    if (group < 0x80) wrong++;
    value |= (group & 0x7f) << (7 * i);
  }
  // The last group holds four bits of the checksum.
  return { value, wrong: wrong + bitCount((frame[at + CRC_BYTES - 1] as number) & 0x70) };
}

function bitCount(word: number): number {
  let count = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** A bit of the encoded bytes by its syndrome; undefined when no bit of a frame of so many bits has it. */
function placeOf(syndrome: number, bits: number): number | undefined {
  const { syndromes, slots } = table();
  const wanted = syndrome >>> 0;
  for (let slot = slotOf(wanted); ; slot = (slot + 1) & SLOT_MASK) {
    const place = (slots[slot] as number) - 1;
    if (place < 0) return undefined;
    if (syndromes[place] === wanted) return place < bits ? place : undefined;
  }
}

interface SyndromeTable {
  /** By the number of bits behind. */
  readonly syndromes: Uint32Array;
  /** What a byte does to the register. */
  readonly bytewise: Int32Array;
  /** Which byte has an entry there with this high byte: they are all different. */
  readonly byHighByte: Uint8Array;
  /** Open addressing: a place plus one, by its syndrome; 0: empty. */
  readonly slots: Int32Array;
}

const SLOT_BITS = 19;
const SLOT_MASK = 2 ** SLOT_BITS - 1;
const slotOf = (syndrome: number): number => Math.imul(syndrome, 0x9e3779b1) >>> (32 - SLOT_BITS);

let made: SyndromeTable | undefined;

/** Of the longest frame, 2.6 MB; made when the first frame is damaged. */
function table(): SyndromeTable {
  made ??= makeTable(8 * MAX_ENCODED_FRAME);
  return made;
}

function makeTable(bits: number): SyndromeTable {
  const syndromes = new Uint32Array(bits);
  const slots = new Int32Array(2 ** SLOT_BITS);
  let syndrome = POLYNOMIAL;
  for (let place = 0; place < bits; place++) {
    syndromes[place] = syndrome;
    let slot = slotOf(syndrome >>> 0);
    while (slots[slot] !== 0) slot = (slot + 1) & SLOT_MASK;
    slots[slot] = place + 1;
    syndrome = (syndrome >>> 1) ^ ((syndrome & 1) === 0 ? 0 : POLYNOMIAL);
  }
  const bytewise = Int32Array.from({ length: 256 }, (_, byte) => {
    let register = byte;
    for (let bit = 0; bit < 8; bit++) register = (register >>> 1) ^ ((register & 1) === 0 ? 0 : POLYNOMIAL);
    return register;
  });
  const byHighByte = new Uint8Array(256);
  bytewise.forEach((entry, byte) => (byHighByte[entry >>> 24] = byte));
  return { syndromes, slots, bytewise, byHighByte };
}

const advanced = (bytewise: Int32Array, register: number, byte: number): number =>
  (bytewise[(register ^ byte) & 0xff] as number) ^ (register >>> 8);
