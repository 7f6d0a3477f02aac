import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { blockIndex, parcelId } from '../../../protocol/units.js';
import { VolumeHost } from '../../../src/host/volume-host.js';
import { Encoder } from '../../../src/replication/encoder.js';
import { NbdClient } from '../../support/nbd-client.js';
import { Seeded } from '../../support/seeded.js';

/*
 * The latency of 4 KiB writes over NBD, one at a time, without and with parcels being encoded at the highest quality; on a
 * quiet machine with two processors: `npx tsc && node dist/test/bench/latency/main.js`. Design: the 99th percentile
 * with is at most twice that without.
 */

const BLOCK = 4096;
const BLOCKS = 16_384;
const WRITES = 100_000;

const percentile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;

async function measure(client: NbdClient, random: Seeded): Promise<{ median: number; p99: number }> {
  const bytes = random.bytes(BLOCK);
  const took: number[] = [];
  for (let i = 0; i < WRITES; i++) {
    const began = performance.now();
    await client.write(random.below(BLOCKS) * BLOCK, bytes);
    took.push((performance.now() - began) * 1000);
  }
  took.sort((a, b) => a - b);
  return { median: Math.round(percentile(took, 0.5)), p99: Math.round(percentile(took, 0.99)) };
}

/** Encodes large parcels of changed text again and again, until told to stop. */
async function encodeOn(encoder: Encoder, before: Uint8Array, signal: AbortSignal): Promise<number> {
  const count = before.byteLength / BLOCK;
  const content = before.map((byte, i) => (i % 97 === 0 ? byte ^ 1 : byte));
  const runs = [{ start: blockIndex(0), count, zero: false }];
  for (let parcels = 0; ; parcels++) {
    const known = new Uint8Array(count).fill(1);
    const id = parcelId(parcels.toString(16).padStart(32, '0'));
    const references = { id, earlier: [], before: { content: before, known }, readBase: null, index: null };
    const parcel = { blockSize: BLOCK, runs, content };
    const isOver = await encoder.encode(parcel, 11, references, signal).then(
      () => false,
      () => true,
    );
    if (isOver) return parcels;
  }
}

// Made before anything is measured: it is this thread's work, which is the client's too.
const old = new Uint8Array(2048 * BLOCK).map((_, i) => 97 + ((i * 2654435761) >>> 27));

const folder = await mkdtemp(join(tmpdir(), 'farcopy-latency-'));
const random = new Seeded(1);
await writeFile(join(folder, 'image'), '');
await truncate(join(folder, 'image'), BLOCKS * BLOCK);
const host = await VolumeHost.start({
  nbd: { kind: 'unix', path: join(folder, 'nbd.sock') },
  volumes: [
    {
      name: 'bench',
      device: join(folder, 'image'),
      blockSize: BLOCK,
      folder: join(folder, 'state'),
      beforeImageBudgetBytes: 2 ** 30,
    },
  ],
});
const encoder = new Encoder();
const client = await NbdClient.connect(join(folder, 'nbd.sock'), 'bench');
await measure(client, random);
for (let round = 1; round <= 3; round++) {
  const without = await measure(client, random);
  const pause = new AbortController();
  const encoding = encodeOn(encoder, old, pause.signal);
  const during = await measure(client, random);
  pause.abort(new Error('measured'));
  const parcels = await encoding;
  console.log(
    `round ${round}: without ${without.median}/${without.p99} us, while encoding ${during.median}/${during.p99} us ` +
      `(median/p99), ${(during.p99 / without.p99).toFixed(2)} times; ${parcels} parcels`,
  );
}
client.close();
await host.close();
await encoder.close();
await rm(folder, { recursive: true });
