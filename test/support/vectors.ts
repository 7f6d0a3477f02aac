import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The cases of `fixtures/vectors/NAME.json`, for the caller to say their shape; tests run from the project's root. */
export const vectors = (name: string): unknown =>
  JSON.parse(readFileSync(join('fixtures', 'vectors', `${name}.json`), 'utf8'));

export const bytesOf = (hex: string): Buffer => Buffer.from(hex, 'hex');
export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
