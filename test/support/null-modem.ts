import { crc32 } from 'node:zlib';
import { generateKeyPair, type KeyPair } from '../../protocol/handshake/keys.js';
import type { Role } from '../../protocol/handshake/roles.js';
import type { LinkOptions } from '../../protocol/link/link-options.js';
import { Link } from '../../protocol/link/link.js';
import { millis, type Millis } from '../../protocol/units.js';
import { Seeded } from './seeded.js';
import { SimulatedWire, type LineSettings } from './simulated-wire.js';
import { Station } from './station.js';

export type { LineSettings } from './simulated-wire.js';

export interface NullModemOptions {
  readonly seed: number;
  /** Both directions. */
  readonly line?: LineSettings;
  /** From the primary, and to it; over `line`. */
  readonly out?: LineSettings;
  readonly back?: LineSettings;
  /** Everything a station sends comes back to itself as well, as from a modem that echoes. */
  readonly echo?: boolean;
  /** Changes to the options of either link. */
  readonly primary?: Partial<LinkOptions>;
  readonly backup?: Partial<LinkOptions>;
  /** Keys of an earlier modem, for a second call between the same two. */
  readonly keys?: { readonly primary: KeyPair; readonly backup: KeyPair };
}

/**
 * A primary and a backup, two lengths of wire and one virtual clock. The primary calls unless told otherwise. A link is
 * pulled when its wire is free, so an hour at 2400 baud takes milliseconds.
 */
export class NullModem {
  readonly random: Seeded;
  readonly randomBytes = (count: number): Uint8Array => this.random.bytes(count);
  readonly keys: { readonly primary: KeyPair; readonly backup: KeyPair };
  readonly primary: Station;
  readonly backup: Station;
  readonly out: SimulatedWire;
  readonly back: SimulatedWire;
  readonly #options: NullModemOptions;
  #now = 0;

  constructor(options: NullModemOptions) {
    this.#options = options;
    this.random = new Seeded(options.seed);
    this.keys = options.keys ?? {
      primary: generateKeyPair(this.randomBytes),
      backup: generateKeyPair(this.randomBytes),
    };
    this.out = new SimulatedWire({ ...options.line, ...options.out }, new Seeded(this.random.word()));
    this.back = new SimulatedWire({ ...options.line, ...options.back }, new Seeded(this.random.word()));
    this.primary = new Station(this.newLink('primary'));
    this.backup = new Station(this.newLink('backup'));
  }

  get now(): Millis {
    return millis(this.#now);
  }

  /** Bytes on the wire in both directions. */
  get bytes(): number {
    return this.out.bytes + this.back.bytes;
  }

  /** A link as the modem's options make it: at the start, and for one that was restarted. */
  newLink(role: Role, changes: Partial<LinkOptions> = {}): Link {
    const peer = this.keys[role === 'primary' ? 'backup' : 'primary'].publicKey;
    const baud = this.#options.line?.baud;
    const caller = role === 'primary';
    return new Link({
      initiator: caller,
      role,
      keys: this.keys[role],
      ...(caller
        ? { peerKey: peer, hello: Buffer.from('hello from the primary') }
        : {
            acceptPeer: (key: Uint8Array) => Buffer.compare(key, peer) === 0,
            answer: () => Buffer.from('hello from the backup'),
          }),
      randomBytes: this.randomBytes,
      crc32: (bytes) => crc32(bytes),
      ...(baud === undefined ? {} : { bytesPerSecond: baud / 10 }),
      ...this.#options[role],
      ...changes,
    });
  }

  /** Carries, delivers and wakes until `done`; throws after `limit` ms of the virtual clock. */
  runUntil(done: () => boolean, limit = 3_600_000): void {
    const end = this.#now + limit;
    for (;;) {
      this.#settle();
      if (done()) return;
      const wake = this.#nextWake();
      if (wake > end) throw new Error(`not done after ${limit} ms`);
      this.#now = Math.max(this.#now, wake);
    }
  }

  /** So many ms of the virtual clock. */
  runFor(duration: number): void {
    const end = this.#now + duration;
    this.#settle();
    for (let wake = this.#nextWake(); wake <= end; wake = this.#nextWake()) {
      this.#now = Math.max(this.#now, wake);
      this.#settle();
    }
    this.#now = end;
    this.#settle();
  }

  /** Until nothing is under way and nobody wants to be woken within ten seconds. */
  drive(): void {
    this.driveBounded(Infinity);
  }

  /** As `drive`, in at most so many steps: a livelock fails. */
  driveBounded(steps: number): void {
    for (let step = 0; step < steps; step++) {
      this.#settle();
      const wake = this.#nextWake();
      if (this.out.isEmpty && this.back.isEmpty && wake > this.#now + 10_000) return;
      this.#now = Math.max(this.#now, wake);
    }
    throw new Error(`still busy after ${steps} steps`);
  }

  /** Both directions lose every bit for so many ms from now on. */
  fail(duration: number): void {
    for (const wire of [this.out, this.back]) wire.fail(this.now, this.#now + duration);
  }

  /** The carrier drops: what is under way is gone. */
  dropCarrier(): void {
    this.out.drop();
    this.back.drop();
  }

  /** The same as a port sees it that hands over what has come of the frame under way. */
  hangUp(): void {
    for (const { wire, station } of [
      { wire: this.out, station: this.backup },
      { wire: this.back, station: this.primary },
    ]) {
      const head = wire.cutOff(this.now);
      if (head !== undefined) station.link.handleTail(head);
      station.drain(this.now);
    }
  }

  #nextWake(): number {
    const wakes = [this.out.nextWake(this.now), this.back.nextWake(this.now)];
    for (const station of [this.primary, this.backup]) {
      wakes.push(station.link.pollTimeout() ?? Infinity, station.kept[0]?.at ?? Infinity);
    }
    return Math.min(...wakes);
  }

  #settle(): void {
    const { now } = this;
    const sides = [
      { station: this.primary, out: this.out, back: this.back },
      { station: this.backup, out: this.back, back: this.out },
    ];
    for (let quiet = 0; quiet < 2; quiet++) {
      for (const { station, out, back } of sides) {
        if (back.isArriving(now)) station.link.handleArriving(now);
        for (const frame of back.take(now)) {
          station.link.handleFrame(now, frame);
          station.drain(now);
        }
        if ((station.link.pollTimeout() ?? Infinity) <= now) station.link.handleTimeout(now);
        station.drain(now);
        if (station.link.takeAbandon()) out.abandon(now);
        while (out.isFree(now)) {
          const frame = station.link.pollTransmit(now);
          station.drain(now);
          if (frame === undefined) break;
          out.put(now, frame);
          if (this.#options.echo === true) back.inject(now, frame);
          quiet = -1;
        }
      }
    }
  }
}
