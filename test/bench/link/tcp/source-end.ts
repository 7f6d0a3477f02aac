/**
 * The primary of the TCP bench, a process of its own: spool, set sending, link and dialer are the product's; engine and
 * encoder have done their part before it begins. `node source-end.js FOLDER PORT PARCELS`; says `{spooled}`, is asked
 * `send`, and answers for each of two sets (a first copy, then as much on top of it) with a `SentSet`.
 */
import { join } from 'node:path';
import { generateKeyPair } from '../../../../protocol/handshake/keys.js';
import { Link } from '../../../../protocol/link/link.js';
import { decodeMessage } from '../../../../protocol/messages/codec.js';
import { encodeParcel, parcelDigest, serializeParcel } from '../../../../protocol/parcel/parcel.js';
import { blockIndex } from '../../../../protocol/units.js';
import { lineCrc } from '../../../../src/appliance/link-crc.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { nodeFiles } from '../../../../src/platform/node-files.js';
import { systemRandom } from '../../../../src/platform/random.js';
import { SerialQueue } from '../../../../src/platform/serial-queue.js';
import { Call, type SessionLink } from '../../../../src/replication/call.js';
import { CopyStanding } from '../../../../src/replication/copy-standing.js';
import { ParcelLane } from '../../../../src/replication/parcel-lane.js';
import { digestEntries } from '../../../../src/replication/set-entries.js';
import { SetSending } from '../../../../src/replication/set-sending.js';
import { Spool } from '../../../../src/replication/spool.js';
import { tcpDialer } from '../../../../src/transport/tcp.js';
import { ProcessWatch, type ProcessUse } from './process-use.js';
import { baseOf, BLOCK_SIZE, keyBytes, PARCEL_BYTES, stateOf, VOLUME, VOLUME_ID } from './the-set.js';

/** How one set went; times in seconds from the offer on. */
export interface SentSet {
  readonly bytes: number;
  /** Until the backup had said that it keeps all of it. */
  readonly kept: number;
  /** Until it said DURABLE: decoded, checked and synced. */
  readonly durable: number;
  readonly repeated: number;
  /** Up to `kept`. */
  readonly use: ProcessUse;
}

const [folder = '', port = '', parcels = ''] = process.argv.slice(2);
const count = Number(parcels);
const BLOCKS_EACH = PARCEL_BYTES / BLOCK_SIZE;

const spools = new Map<number, Spool>();
for (const n of [1, 2]) spools.set(n, await spooled(n));
process.send?.({ spooled: true });

process.on('message', (asked) => {
  if (asked === 'send') void sendAll();
});

async function spooled(n: number): Promise<Spool> {
  const spool = await Spool.open(join(folder, `spool-${n}`), nodeFiles, systemRandom);
  const blocks = count * BLOCKS_EACH;
  await spool.begin(baseOf(n), stateOf(n, count).id, blocks);
  for (let i = 0; i < count; i++) {
    const content = systemRandom.bytes(PARCEL_BYTES);
    const run = { start: blockIndex(i * BLOCKS_EACH), count: BLOCKS_EACH, zero: false };
    const parcel = { blockSize: BLOCK_SIZE, runs: [run], content };
    const serialized = serializeParcel(parcel);
    // Nothing makes it smaller, so it is not tried.
    const encoded = encodeParcel(serialized, { compress: (bytes) => bytes });
    const upTo = i + 1 === count ? null : blockIndex((i + 1) * BLOCKS_EACH);
    const addresses = encoded.byteLength - content.byteLength;
    const made = { encoded, addresses, digest: parcelDigest(serialized), entries: digestEntries(parcel) };
    await spool.add(made, { blocks: BLOCKS_EACH, upTo });
  }
  await spool.finish();
  return spool;
}

async function sendAll(): Promise<void> {
  const transport = await tcpDialer({ host: '127.0.0.1', port: Number(port) }, systemClock).dial(
    new AbortController().signal,
  );
  const link = new Link({
    initiator: true,
    role: 'primary',
    keys: generateKeyPair(keyBytes(1)),
    peerKey: generateKeyPair(keyBytes(2)).publicKey,
    randomBytes: (size) => systemRandom.bytes(size),
    crc32: lineCrc,
  });
  let sending: SetSending | null = null;
  let lane: ParcelLane | null = null;
  let begin: (session: SessionLink) => void = () => undefined;
  const begun = new Promise<SessionLink>((resolve) => (begin = resolve));
  const call = new Call({
    transport,
    link,
    clock: systemClock,
    onSession: (session) => {
      begin((lane = new ParcelLane(session)));
      return {
        handleMessage: (bytes) => void sending?.handleMessage(decodeMessage(bytes)),
        handleSegment: () => undefined,
        handleProgress: (id, held) => sending?.handleProgress(id, held),
        handleParcelHeld: (id) => {
          lane?.handleParcelHeld(id);
          sending?.handleParcelHeld(id);
        },
        handleEnd: () => undefined,
      };
    },
  });
  const session = await begun;
  for (const [n, spool] of spools) {
    const sent = await sendOne(
      n,
      spool,
      session,
      (next) => (sending = next),
      () => link.stats.payloadRepeated,
    );
    process.send?.({ sent });
  }
  call.close('done');
  await call.ended;
  process.disconnect();
}

function sendOne(
  n: number,
  spool: Spool,
  session: SessionLink,
  use: (sending: SetSending) => void,
  repeated: () => number,
): Promise<SentSet> {
  return new Promise((resolve, reject) => {
    const parcelsOf = spool.set?.parcels ?? [];
    const bytes = parcelsOf.reduce((sum, { length }) => sum + length, 0);
    const began = performance.now();
    const passed = (): number => (performance.now() - began) / 1000;
    const watch = new ProcessWatch();
    const before = repeated();
    let moved = 0;
    let kept = 0;
    let durable = 0;
    let used: ProcessUse | null = null;
    const sending = new SetSending({
      volumeName: VOLUME,
      volumeId: VOLUME_ID,
      blockSize: BLOCK_SIZE,
      spool,
      queue: new SerialQueue(),
      copy: new CopyStanding(VOLUME, VOLUME_ID),
      isTimeToCommit: () => true,
      account: () => ({ written: null, line: null }),
      onMoved: (more) => {
        moved += more;
        if (moved < bytes || used !== null) return;
        kept = passed();
        used = watch.end();
      },
      onRoom: () => undefined,
      opening: () => undefined,
      withheld: () => [],
      onMismatch: () => {
        reject(new Error('base mismatch'));
        return Promise.resolve();
      },
      onDurable: () => {
        durable = passed();
        return Promise.resolve();
      },
      onApplied: () => {
        sending.end();
        if (used === null) used = watch.end();
        resolve({ bytes, kept, durable, repeated: repeated() - before, use: used });
        return Promise.resolve();
      },
      onRefused: (code, text) => {
        reject(new Error(`${code}: ${text}`));
        return Promise.resolve();
      },
      onFailed: (error) => {
        reject(error);
        return Promise.resolve();
      },
    });
    use(sending);
    const remote = {
      kind: 'copy-status',
      volume: VOLUME,
      volumeId: n === 1 ? null : VOLUME_ID,
      state: baseOf(n),
      capture: null,
    } as const;
    sending.begin(session, baseOf(n), stateOf(n, count), remote);
  });
}
