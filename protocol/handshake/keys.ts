import { generateKeyPair as curveKeyPair } from 'noise-handshake/dh.js';

/** A static X25519 key pair; both 32 bytes. */
export interface KeyPair {
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

export const KEY_BYTES = 32;

/** A fresh key pair from 32 random bytes. */
export function generateKeyPair(random: (count: number) => Uint8Array): KeyPair {
  const secretKey = Buffer.from(random(KEY_BYTES));
  return { secretKey, publicKey: publicKeyOf(secretKey) };
}

/** The public key that belongs to a 32-byte secret key. */
export function publicKeyOf(secretKey: Uint8Array): Uint8Array {
  if (secretKey.byteLength !== KEY_BYTES) throw new RangeError('a secret key has 32 bytes');
  return curveKeyPair(Buffer.from(secretKey)).publicKey;
}
