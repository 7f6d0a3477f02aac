import type { ParcelContent, ParcelRun } from '../../protocol/parcel/parcel.js';
import { blockIndex } from '../../protocol/units.js';
import { BLOCK_DIGEST_BYTES, blockDigest, SetDigest } from '../../protocol/parcel/set-digest.js';
import { layeredRuns } from '../store/layered-runs.js';
import { RunTable, ZERO_SLOT, type BlockRun } from '../store/run-table.js';

/** first index (6 bytes LE), count (6), zero (1) */
const HEAD_BYTES = 13;

/**
 * A parcel's runs and the digests of its blocks, so that the digest of a set can be made after a restart without its
 * content: for each run `first index (6 bytes LE), count (6), zero (1)`, then 16 bytes a block unless zero.
 */
export function digestEntries(parcel: ParcelContent): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const run of parcel.runs) {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUIntLE(run.start, 0, 6);
    head.writeUIntLE(run.count, 6, 6);
    head[12] = run.zero ? 1 : 0;
    parts.push(head);
    if (run.zero) continue;
    for (let i = 0; i < run.count; i++) {
      parts.push(blockDigest(parcel.content.subarray(at, at + parcel.blockSize)));
      at += parcel.blockSize;
    }
  }
  return Buffer.concat(parts);
}

/** The runs of a parcel, from its entries. */
export function runsOf(entries: Uint8Array): ParcelRun[] {
  const view = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength);
  const runs: ParcelRun[] = [];
  for (let at = 0; at < view.byteLength;) {
    const zero = view[at + 12] === 1;
    const count = view.readUIntLE(at + 6, 6);
    runs.push({ start: blockIndex(view.readUIntLE(at, 6)), count, zero });
    at += HEAD_BYTES + (zero ? 0 : count * BLOCK_DIGEST_BYTES);
  }
  return runs;
}

/** Which blocks a parcel's entries are of; a slot counts the digests before it. */
function tableOf(entries: Uint8Array): RunTable {
  const view = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength);
  const runs: BlockRun[] = [];
  let slot = 0;
  for (let at = 0; at < view.byteLength;) {
    const start = view.readUIntLE(at, 6);
    const count = view.readUIntLE(at + 6, 6);
    const zero = view[at + 12] === 1;
    runs.push({ start, count, slot: zero ? ZERO_SLOT : slot });
    at += HEAD_BYTES;
    if (zero) continue;
    slot += count;
    at += count * BLOCK_DIGEST_BYTES;
  }
  return RunTable.of(runs);
}

/** The digest and the size of a set. */
export interface SummedSet {
  readonly digest: Uint8Array;
  /** Blocks that it says something of. */
  readonly blocks: number;
}

/**
 * Sums up a set from its parcels' entries, as the backup does it: of a block that several parcels have, the last one
 * counts. Reads the entries twice, keeps 12 bytes a run in memory, and those entries in whose blocks the walk is.
 *
 * @param read the entries of parcel `0 … parcels - 1`
 */
export async function sumUp(
  parcels: number,
  read: (parcel: number) => Promise<Uint8Array>,
): Promise<SummedSet> {
  const tables: RunTable[] = [];
  for (let parcel = 0; parcel < parcels; parcel++) tables.push(tableOf(await read(parcel)));
  const digest = new SetDigest();
  const open = new Map<number, Uint8Array>();
  let blocks = 0;
  for (const { layer, run, start, count, slot } of layeredRuns(tables)) {
    blocks += count;
    if (slot === ZERO_SLOT) {
      digest.addZeroRun(start, count);
      continue;
    }
    let entries = open.get(layer);
    if (entries === undefined) {
      for (const other of open.keys()) {
        if ((tables[other] as RunTable).endBlock <= start) open.delete(other);
      }
      entries = await read(layer);
      open.set(layer, entries);
    }
    // Before a run's digests are those of the blocks before it, and the heads of all runs up to its own.
    const at = (run + 1) * HEAD_BYTES + slot * BLOCK_DIGEST_BYTES;
    for (let i = 0; i < count; i++) {
      const from = at + i * BLOCK_DIGEST_BYTES;
      digest.addBlock(start + i, entries.subarray(from, from + BLOCK_DIGEST_BYTES));
    }
  }
  return { digest: digest.finish(), blocks };
}

/** Adds a parcel's entries to a set's digest; those of later blocks than what was added before. */
export function addEntries(digest: SetDigest, entries: Uint8Array): void {
  let at = 0;
  for (const { start, count, zero } of runsOf(entries)) {
    at += HEAD_BYTES;
    if (zero) {
      digest.addZeroRun(start, count);
      continue;
    }
    for (let i = 0; i < count; i++, at += BLOCK_DIGEST_BYTES) {
      digest.addBlock(start + i, entries.subarray(at, at + BLOCK_DIGEST_BYTES));
    }
  }
}
