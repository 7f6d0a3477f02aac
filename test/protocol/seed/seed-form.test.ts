import { expect } from 'chai';
import { crc32 } from 'node:zlib';
import { ProtocolError } from '../../../protocol/errors.js';
import {
  decodeSeedEnd,
  decodeSeedHead,
  decodeSeedPart,
  encodeSeedEnd,
  encodeSeedHead,
  encodeSeedPart,
  isSeedPartIntact,
  SEED_END_BYTES,
  SEED_PART_HEAD_BYTES,
  SEED_START_BYTES,
  seedHeadBytes,
  type SeedHead,
} from '../../../protocol/seed/seed-form.js';
import { byteCount } from '../../../protocol/units.js';
import { bytesOf, hexOf, vectors } from '../../support/vectors.js';

interface SeedVector {
  readonly name: string;
  readonly head: Omit<SeedHead, 'publicKey'> & { readonly publicKey: string };
  readonly file: string;
  readonly parts: readonly { readonly encoded: string; readonly digest: string }[];
  readonly contentBytes: number;
  readonly digest: string;
}
const cases = vectors('seed') as readonly SeedVector[];

const headOf = ({ head }: SeedVector): SeedHead => ({
  ...head,
  publicKey: new Uint8Array(Buffer.from(head.publicKey, 'base64')),
});

describe('the form of a seed', () => {
  for (const vector of cases) {
    it(`is read as it was made elsewhere: ${vector.name}`, () => {
      const file = bytesOf(vector.file);
      const headBytes = seedHeadBytes(file.subarray(0, SEED_START_BYTES));
      const { head, crc } = decodeSeedHead(file.subarray(0, headBytes), crc32);
      expect(head).to.deep.equal(headOf(vector));
      let at = headBytes;
      let before = crc;
      for (const { encoded, digest } of vector.parts) {
        const fields = file.subarray(at, at + SEED_PART_HEAD_BYTES);
        const part = decodeSeedPart(fields);
        expect(part?.length).to.equal(encoded.length / 2);
        expect(hexOf(part?.digest ?? new Uint8Array())).to.equal(digest);
        at += SEED_PART_HEAD_BYTES;
        const bytes = file.subarray(at, at + encoded.length / 2);
        expect(hexOf(bytes)).to.equal(encoded);
        expect(isSeedPartIntact(fields, bytes, before, crc32)).to.equal(true);
        expect(isSeedPartIntact(fields, bytes, before + 1, crc32)).to.equal(false);
        before = part?.crc ?? 0;
        at += bytes.byteLength;
      }
      const end = decodeSeedEnd(file.subarray(at), crc, crc32);
      expect(file.byteLength).to.equal(at + SEED_END_BYTES);
      expect({ ...end, digest: hexOf(end?.digest ?? new Uint8Array()) }).to.deep.equal({
        parts: vector.parts.length,
        contentBytes: vector.contentBytes,
        digest: vector.digest,
        lastCrc: before,
      });
    });

    it(`is made as it was made elsewhere: ${vector.name}`, () => {
      const head = encodeSeedHead(headOf(vector), crc32);
      const headCrc = Buffer.from(head).readUInt32LE(head.byteLength - 4);
      const pieces = [head];
      let lastCrc = headCrc;
      for (const { encoded, digest } of vector.parts) {
        const part = encodeSeedPart(bytesOf(encoded), bytesOf(digest), lastCrc, crc32);
        pieces.push(part.head, bytesOf(encoded));
        lastCrc = part.crc;
      }
      const [parts, contentBytes] = [vector.parts.length, byteCount(vector.contentBytes)];
      pieces.push(
        encodeSeedEnd({ parts, contentBytes, digest: bytesOf(vector.digest), lastCrc }, headCrc, crc32),
      );
      expect(hexOf(Buffer.concat(pieces))).to.equal(vector.file);
    });
  }

  it('says of another file that it is none, and of a later version that it is of one', () => {
    const start = (text: string): Uint8Array => Buffer.concat([Buffer.from(text), Buffer.alloc(8)]);
    expect(() => seedHeadBytes(start('farcopy seed 2\n\0'))).to.throw(ProtocolError, /another version/);
    expect(() => seedHeadBytes(start('an ext4 image .\0'))).to.throw(ProtocolError, /not a seed/);
  });
});
