/**
 * Branded units. A number or string of one kind cannot be handed over as another; each is made by one
 * checking function, at the edge where it enters the program.
 */

declare const unit: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [unit]: Name };

/** Index of a block in a volume, `0 … size / blockSize - 1`; always below 2^32. */
export type BlockIndex = Branded<number, 'BlockIndex'>;
/** Position in bytes from the start of a volume, file or parcel; a safe integer, at least 0. */
export type ByteOffset = Branded<number, 'ByteOffset'>;
/** A length in bytes; a safe integer, at least 0. */
export type ByteCount = Branded<number, 'ByteCount'>;
/** Milliseconds on a monotonic clock; only differences mean anything. */
export type Millis = Branded<number, 'Millis'>;
/** Milliseconds since 1970-01-01T00:00Z on the wall clock; may jump. */
export type WallTime = Branded<number, 'WallTime'>;

/** Names a state of a volume (DESIGN section 1): 128 random bits as 32 lower-case hex digits. */
export type StateId = Branded<string, 'StateId'>;
/** Names an encoded parcel: 128 random bits as 32 lower-case hex digits. */
export type ParcelId = Branded<string, 'ParcelId'>;
/** Names a volume for good, whatever it is called: 128 random bits as 32 lower-case hex digits. */
export type VolumeId = Branded<string, 'VolumeId'>;

/** Names the instant at which the volumes of a group were sealed together: 128 random bits as 32 hex digits. */
export type GroupId = Branded<string, 'GroupId'>;

/** Blocks are counted in 32 bits: 16 TiB at 4096 bytes a block. */
export const MAX_BLOCKS = 2 ** 32;
export const MIN_BLOCK_SIZE = 512;
export const MAX_BLOCK_SIZE = 1 << 20;

function natural(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${what} out of range: ${value}`);
  return value;
}

export function blockIndex(value: number): BlockIndex {
  if (natural(value, 'block index') >= MAX_BLOCKS) throw new RangeError(`block index out of range: ${value}`);
  return value as BlockIndex;
}
export const byteOffset = (value: number): ByteOffset => natural(value, 'byte offset') as ByteOffset;
export const byteCount = (value: number): ByteCount => natural(value, 'byte count') as ByteCount;
export const millis = (value: number): Millis => value as Millis;
export const wallTime = (value: number): WallTime => natural(value, 'wall time') as WallTime;

const ID = /^[0-9a-f]{32}$/;
function id(value: string, what: string): string {
  if (!ID.test(value)) throw new RangeError(`${what} is not 32 hex digits`);
  return value;
}
export const stateId = (value: string): StateId => id(value, 'state id') as StateId;
export const parcelId = (value: string): ParcelId => id(value, 'parcel id') as ParcelId;
export const volumeId = (value: string): VolumeId => id(value, 'volume id') as VolumeId;
export const groupId = (value: string): GroupId => id(value, 'group id') as GroupId;

/** Bytes of one of the 128-bit ids above, for the wire and for files. */
export const idBytes = (value: StateId | ParcelId | VolumeId | GroupId): Uint8Array =>
  Buffer.from(value, 'hex');
/** The hex form of 16 bytes; pass the result through the maker of the id that is meant. */
export const idHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Is `value` a block size farcopy works with: a power of two from 512 bytes to 1 MiB. */
export const isBlockSize = (value: number): boolean =>
  value >= MIN_BLOCK_SIZE && value <= MAX_BLOCK_SIZE && Number.isInteger(Math.log2(value));
