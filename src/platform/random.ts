import { randomBytes } from 'node:crypto';
import { idHex } from '../../protocol/units.js';

/** Randomness as a parameter, so that a simulation can be replayed from a seed. */
export interface Random {
  /** `count` bytes, fresh, owned by the caller. */
  bytes(count: number): Uint8Array;
}

export const systemRandom: Random = { bytes: (count) => randomBytes(count) };

/** 128 random bits as 32 hex digits, for the makers of `protocol/units`. */
export const randomId = (random: Random): string => idHex(random.bytes(16));
