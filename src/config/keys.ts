import { createPrivateKey, createPublicKey } from 'node:crypto';
import { join } from 'node:path';
import { FileError, type Files } from '../platform/files.js';
import type { Random } from '../platform/random.js';
import { ConfigError } from './config-error.js';

/** X25519 keys, 32 bytes each; what the handshake of `protocol/` takes. */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** Base64 text of the secret key and a line end; mode 0600. */
const SECRET_FILE = 'secret.key';
/** The same of the public key, for the operator to copy. */
const PUBLIC_FILE = 'public.key';
const KEY_BYTES = 32;

/** Makes a key pair in the state folder; refuses to replace one, since every peer knows an appliance by it. */
export async function makeKeyPair(state: string, files: Files, random: Random): Promise<KeyPair> {
  if (await hasKeyPair(state, files)) {
    throw new ConfigError('exists', `there is a key pair in ${state} already`, [], 'choose another --dir');
  }
  const keys = keyPairOf(random.bytes(KEY_BYTES));
  await files.makeFolder(state);
  await files.replace(join(state, SECRET_FILE), textOf(keys.secretKey), 0o600);
  await files.replace(join(state, PUBLIC_FILE), textOf(keys.publicKey), 0o644);
  return keys;
}

export const hasKeyPair = (state: string, files: Files): Promise<boolean> =>
  files.exists(join(state, SECRET_FILE));

/** The key pair that `makeKeyPair` left; the public key is always computed, never believed. */
export async function loadKeyPair(state: string, files: Files): Promise<KeyPair> {
  const path = join(state, SECRET_FILE);
  let text: string;
  try {
    text = Buffer.from(await files.readWhole(path, 256))
      .toString('latin1')
      .trim();
  } catch (cause) {
    const absent = cause instanceof FileError && cause.code === 'not-found';
    throw new ConfigError(
      'unreadable',
      absent
        ? `there is no key pair in ${state}`
        : `cannot read the key ${path}: ${(cause as Error).message}`,
      [],
      absent ? 'make one with `farcopy init`, or put back the state folder it was made in' : undefined,
      { cause },
    );
  }
  const secretKey = Buffer.from(text, 'base64');
  if (secretKey.length !== KEY_BYTES || secretKey.toString('base64') !== text) {
    throw new ConfigError(
      'unreadable',
      `${path} does not hold a key`,
      [],
      'put back the one from `farcopy init`',
    );
  }
  return keyPairOf(secretKey);
}

/** RFC 8410: what stands before the 32 bytes of an X25519 secret key in PKCS #8. */
const PKCS8_X25519 = Buffer.from('302e020100300506032b656e04220420', 'hex');

function keyPairOf(secret: Uint8Array): KeyPair {
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_X25519, secret]),
    format: 'der',
    type: 'pkcs8',
  });
  const jwk = createPublicKey(key).export({ format: 'jwk' });
  return {
    publicKey: new Uint8Array(Buffer.from(jwk.x ?? '', 'base64url')),
    secretKey: new Uint8Array(secret),
  };
}

export const keyText = (key: Uint8Array): string => Buffer.from(key).toString('base64');

const textOf = (key: Uint8Array): Uint8Array => Buffer.from(`${keyText(key)}\n`, 'latin1');
