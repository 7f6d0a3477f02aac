import { open, type FileHandle } from 'node:fs/promises';
import { RangeSet, type Range } from '../../../protocol/ranges.js';
import { generateKeyPair } from '../../../protocol/handshake/keys.js';
import { ScrapBook } from '../../../protocol/link/scraps.js';
import { Link } from '../../../protocol/link/link.js';
import { idHex, parcelId } from '../../../protocol/units.js';
import { systemClock } from '../../../src/platform/clock.js';
import { lineCrc } from '../../../src/appliance/link-crc.js';
import { Call, type Session } from '../../../src/replication/call.js';
import { serialDialer, serialListener } from '../../../src/transport/serial.js';
import type { Sandbox } from '../../support/sandbox.js';
import { Seeded } from '../../support/seeded.js';
import { PtyLine, type PtyLineSettings } from './pty-line.js';

/** Sizes of what is said around a set of one parcel, as the product says it, bytes. */
const HELLO = { primary: 60, backup: 130 };
const OFFER = 110;
const ANNOUNCE = 75;
const COMMIT = 100;
const DURABLE = 45;
/** Ranges that are held, in front of a backup's hello: start and end, four bytes each. */
const RANGE_BYTES = 8;
const REDIAL_MS = 200;

export interface PtyRun {
  /** From the first byte that left the caller's port until the backup's file was synced. */
  readonly ms: number;
  readonly bytesOut: number;
  readonly bytesBack: number;
}

/**
 * One set of one spooled parcel over a line in real time: the product's ports, link and call, and a backup that writes
 * each segment to a file before it is reported and syncs the file before it says DURABLE. `during` may disturb the line.
 */
export async function ptyRun(
  sandbox: Sandbox,
  name: string,
  settings: PtyLineSettings,
  payload: number,
  during: (line: PtyLine) => Promise<void> = () => Promise.resolve(),
): Promise<PtyRun> {
  const random = new Seeded(settings.seed);
  const randomBytes = (count: number): Uint8Array => random.bytes(count);
  const keys = { primary: generateKeyPair(randomBytes), backup: generateKeyPair(randomBytes) };
  const id = parcelId(idHex(random.bytes(16)));
  const bytes = random.bytes(payload);
  const line = new PtyLine(sandbox, name, settings);
  await line.open();
  const file = await open(sandbox.path(`${name}.capture`), 'w');
  const stop = new AbortController();
  const { signal } = stop;
  const scraps = new ScrapBook();
  const shared = { keys, randomBytes, rate: settings.baud / 10 };
  const backup = new Backup(file, id, payload);
  const calls = new Set<Call>();
  const over = backup.durable.then(() => performance.now());

  const listening = serialListener({ device: line.right, baudRate: settings.baud }, systemClock).listen(
    async (transport) => {
      const link = new Link({
        initiator: false,
        role: 'backup',
        keys: keys.backup,
        acceptPeer: () => true,
        answer: () => backup.hello(),
        randomBytes,
        crc32: lineCrc,
        bytesPerSecond: shared.rate,
        deadAfter: 60_000,
        scraps,
      });
      const call = new Call({
        transport,
        link,
        clock: systemClock,
        onSession: (session) => backup.session(session),
      });
      calls.add(call);
      await call.ended;
      calls.delete(call);
    },
    () => undefined,
    signal,
  );

  const calling = (async () => {
    while (!signal.aborted) {
      try {
        const transport = await serialDialer(
          { device: line.left, baudRate: settings.baud },
          systemClock,
        ).dial(signal);
        const link = new Link({
          initiator: true,
          role: 'primary',
          keys: keys.primary,
          peerKey: keys.backup.publicKey,
          hello: new Uint8Array(HELLO.primary),
          randomBytes,
          crc32: lineCrc,
          bytesPerSecond: shared.rate,
          deadAfter: 60_000,
        });
        const call = new Call({
          transport,
          link,
          clock: systemClock,
          onSession: (session, _key, hello) => {
            for (const size of [OFFER, ANNOUNCE, COMMIT]) session.sendMessage(random.bytes(size));
            session.sendParcel(id, bytes, rangesIn(hello));
            return silent;
          },
        });
        calls.add(call);
        await call.ended;
        calls.delete(call);
      } catch {
        // The line is away for now.
      }
      await new Promise((resolve) => setTimeout(resolve, REDIAL_MS));
    }
  })();

  await during(line);
  const end = await over;
  const run = { ms: end - (line.firstByteAt ?? end), bytesOut: line.bytesOut, bytesBack: line.bytesBack };
  stop.abort();
  for (const call of calls) call.close('done');
  await Promise.all([...calls].map((call) => call.ended));
  await line.close();
  await Promise.all([listening, calling]);
  await file.close();
  return run;
}

const silent: Session = {
  handleMessage: () => undefined,
  handleSegment: () => undefined,
  handleProgress: () => undefined,
  handleParcelHeld: () => undefined,
  handleEnd: () => undefined,
};

/** Keeps a parcel in a file over any number of sessions. */
class Backup {
  readonly #file: FileHandle;
  readonly #id: ReturnType<typeof parcelId>;
  readonly #length: number;
  readonly #held = new RangeSet();
  readonly durable: Promise<void>;
  #resolve: () => void = () => undefined;

  constructor(file: FileHandle, id: ReturnType<typeof parcelId>, length: number) {
    this.#file = file;
    this.#id = id;
    this.#length = length;
    this.durable = new Promise((resolve) => (this.#resolve = resolve));
  }

  hello(): Uint8Array {
    const { ranges } = this.#held;
    const hello = Buffer.alloc(Math.max(HELLO.backup, 1 + ranges.length * RANGE_BYTES));
    hello[0] = Math.min(255, ranges.length);
    ranges.slice(0, 255).forEach(({ start, end }, index) => {
      hello.writeUInt32BE(start, 1 + index * RANGE_BYTES);
      hello.writeUInt32BE(end, 5 + index * RANGE_BYTES);
    });
    return hello;
  }

  session(link: Parameters<ConstructorParameters<typeof Call>[0]['onSession']>[0]): Session {
    let messages = 0;
    return {
      ...silent,
      handleMessage: () => {
        if (++messages === 2) link.expectParcel(this.#id, this.#length, this.#held.ranges);
      },
      handleSegment: (parcel, offset, bytes) => {
        void this.#keep(offset, bytes).then((isWhole) => {
          link.kept(parcel, offset, offset + bytes.length);
          if (isWhole) link.sendMessage(new Uint8Array(DURABLE));
        });
      },
    };
  }

  async #keep(offset: number, bytes: Uint8Array): Promise<boolean> {
    await this.#file.write(bytes, 0, bytes.length, offset);
    this.#held.add(offset, offset + bytes.length);
    if (!this.#held.covers(0, this.#length)) return false;
    await this.#file.sync();
    this.#resolve();
    return true;
  }
}

function rangesIn(hello: Uint8Array): Range[] {
  const view = Buffer.from(hello);
  return Array.from({ length: view[0] ?? 0 }, (_, index) => ({
    start: view.readUInt32BE(1 + index * RANGE_BYTES),
    end: view.readUInt32BE(5 + index * RANGE_BYTES),
  }));
}
