import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { DIGEST_BYTES, KEY_BYTES, nodesAt } from '../../protocol/compare/digest.js';
import { keptLevel } from '../../protocol/compare/tree.js';
import { idBytes, idHex, type StateId } from '../../protocol/units.js';
import { FileError, type Files } from '../platform/files.js';
import type { KnownDigests } from '../replication/known-digests.js';

const MAGIC = Buffer.from('farcopy digests\n', 'latin1');
/** magic 16, state 16, key 16, block size u32, blocks u64; then the digests, and a CRC-32 of all before it. */
const HEAD_BYTES = 60;
/** 16 TiB, 16 bytes a MiB. */
const MAX_BYTES = (256 << 20) + HEAD_BYTES + 4;

/**
 * What the primary keeps of a state that it has written to a disk for a backup: the digests by which the copy is
 * confirmed, under a key that is told to nobody before. `<folder>/<backup>/<volume>.digests`.
 */
export class SeedNotes {
  constructor(
    readonly files: Files,
    readonly folder: string,
  ) {}

  /** Durable when it resolves; in the place of another seed's. */
  async keep(backup: string, volume: string, state: StateId, digests: KnownDigests): Promise<void> {
    const head = Buffer.alloc(HEAD_BYTES);
    MAGIC.copy(head);
    head.set(idBytes(state), 16);
    head.set(digests.key, 32);
    head.writeUInt32LE(digests.blockSize, 48);
    head.writeBigUInt64LE(BigInt(digests.blocks), 52);
    const body = Buffer.concat([head, digests.kept]);
    const check = Buffer.alloc(4);
    check.writeUInt32LE(crc32(body));
    await this.files.makeFolder(join(this.folder, backup));
    await this.files.replace(this.#path(backup, volume), Buffer.concat([body, check]));
  }

  /** null: of this state there is none, or it is damaged. */
  async read(backup: string, volume: string, state: StateId): Promise<KnownDigests | null> {
    try {
      const bytes = Buffer.from(await this.files.readWhole(this.#path(backup, volume), MAX_BYTES));
      return digestsOf(bytes, state);
    } catch (error) {
      if (error instanceof FileError) return null;
      throw error;
    }
  }

  /** Absent is fine. */
  forget(backup: string, volume: string): Promise<void> {
    return this.files.remove(this.#path(backup, volume));
  }

  #path(backup: string, volume: string): string {
    return join(this.folder, backup, `${volume}.digests`);
  }
}

function digestsOf(bytes: Buffer, state: StateId): KnownDigests | null {
  const end = bytes.byteLength - 4;
  if (end < HEAD_BYTES || bytes.readUInt32LE(end) !== crc32(bytes.subarray(0, end))) return null;
  if (!bytes.subarray(0, 16).equals(MAGIC) || idHex(bytes.subarray(16, 32)) !== state) return null;
  const blockSize = bytes.readUInt32LE(48);
  const blocks = Number(bytes.readBigUInt64LE(52));
  const kept = Uint8Array.from(bytes.subarray(HEAD_BYTES, end));
  if (kept.byteLength !== nodesAt(keptLevel(blocks, blockSize), blocks) * DIGEST_BYTES) return null;
  return { key: Uint8Array.from(bytes.subarray(32, 32 + KEY_BYTES)), blockSize, blocks, kept };
}
