import { brotliDecompress } from 'node:zlib';
import type { AsyncDecompressor } from '../../protocol/parcel/parcel.js';

/** Brotli by Node's zlib, in its thread pool, so that the backup's main thread goes on serving its links. */
export const brotliDecompressor: AsyncDecompressor = {
  decompress: (bytes, limit) =>
    new Promise((resolve, reject) => {
      brotliDecompress(bytes, { maxOutputLength: limit }, (error, result) => {
        if (error === null) resolve(result);
        else reject(error);
      });
    }),
};
