import { crc32 } from 'node:zlib';
import { LineCutter } from '../../protocol/framing/line-cutter.js';
import { generateKeyPair, type KeyPair } from '../../protocol/handshake/keys.js';
import type { Role } from '../../protocol/handshake/roles.js';
import type { LinkEvent } from '../../protocol/link/link-event.js';
import type { LinkOptions } from '../../protocol/link/link-options.js';
import { Link } from '../../protocol/link/link.js';
import { millis, type Millis, type ParcelId } from '../../protocol/units.js';
import { Seeded } from './seeded.js';

/** What one direction of the line does to the bytes. */
export interface LineSettings {
  /** Ten bits a byte; undefined: no time passes. */
  baud?: number;
  /** From the last bit sent to the last bit received, ms. */
  latency?: number;
  bitErrorRate?: number;
  /** Noise bursts: mean bytes between two, bytes hit, and the bit error rate inside. */
  bursts?: { readonly every: number; readonly length: number; readonly bitErrorRate: number };
  /** Whole frames that vanish, as a probability. */
  frameLoss?: number;
  /** Bytes go in and never come out. */
  stuck?: boolean;
  /** Called for every frame that arrives; what it returns arrives instead. For attackers. */
  tap?: (frame: Uint8Array) => readonly Uint8Array[];
}

/** A link and the layer above it: keeps what comes, after `keepDelay` ms. */
export class Station {
  readonly events: LinkEvent[] = [];
  readonly messages: Uint8Array[] = [];
  readonly received = new Map<ParcelId, Uint8Array>();
  readonly kept: { readonly at: Millis; readonly run: () => void }[] = [];
  /** Of the link and those it replaced. */
  link: Link;
  keepDelay = 0;
  /** Called with every event before the station acts on it. */
  onEvent: (event: LinkEvent) => void = () => undefined;

  constructor(link: Link) {
    this.link = link;
  }

  /** Wants a parcel: makes room for it and expects it. */
  expect(
    id: ParcelId,
    length: number,
    held: readonly { readonly start: number; readonly end: number }[] = [],
  ): void {
    if (!this.received.has(id)) this.received.set(id, new Uint8Array(length));
    this.link.expectParcel(id, length, held);
  }

  of<Kind extends LinkEvent['kind']>(kind: Kind): (LinkEvent & { readonly kind: Kind })[] {
    return this.events.filter((event) => event.kind === kind) as (LinkEvent & { readonly kind: Kind })[];
  }

  drain(now: Millis): void {
    for (let event = this.link.pollEvent(); event !== undefined; event = this.link.pollEvent()) {
      this.onEvent(event);
      this.events.push(event.kind === 'segment' ? { ...event, bytes: new Uint8Array() } : event);
      if (event.kind === 'message') this.messages.push(event.bytes);
      if (event.kind === 'replaced') this.link = event.successor;
      if (event.kind === 'segment') this.#store(now, event);
    }
    while (this.kept[0] !== undefined && this.kept[0].at <= now) this.kept.shift()?.run();
  }

  #store(now: Millis, { parcel, offset, bytes }: LinkEvent & { readonly kind: 'segment' }): void {
    this.received.get(parcel)?.set(bytes, offset);
    const { link } = this;
    const run = (): void => {
      link.kept(parcel, offset, offset + bytes.length);
    };
    this.kept.push({ at: millis(now + this.keepDelay), run });
  }
}

/** One direction of the line. */
class Wire {
  readonly settings: LineSettings;
  readonly #random: Seeded;
  readonly #cutter = new LineCutter();
  #freeAt = 0;
  #burstIn: number;
  readonly #underWay: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  /** Bytes put in, frames with delimiters. */
  bytes = 0;
  frames = 0;

  constructor(settings: LineSettings, random: Seeded) {
    this.settings = settings;
    this.#random = random;
    this.#burstIn = this.#nextBurst();
  }

  isFree(now: Millis): boolean {
    return this.#freeAt <= now;
  }

  /** When something arrives, or the wire becomes free; Infinity: never. */
  nextWake(now: Millis): number {
    const arrival = this.#underWay[0]?.at ?? Infinity;
    return this.#freeAt > now ? Math.min(arrival, this.#freeAt) : arrival;
  }

  get isEmpty(): boolean {
    return this.#underWay.length === 0;
  }

  put(now: Millis, frame: Uint8Array): void {
    this.bytes += frame.length;
    this.frames++;
    const { baud, latency = 0, frameLoss = 0, stuck = false } = this.settings;
    this.#freeAt = now + (baud === undefined ? 0 : (frame.length * 10_000) / baud);
    if (stuck || (frameLoss > 0 && this.#random.fraction() < frameLoss)) return;
    this.#underWay.push({ at: this.#freeAt + latency, bytes: this.#damage(frame) });
  }

  /** Frames that have arrived by now. */
  take(now: Millis): Uint8Array[] {
    const frames: Uint8Array[] = [];
    while (this.#underWay[0] !== undefined && this.#underWay[0].at <= now) {
      frames.push(...this.#cutter.push((this.#underWay.shift() as { bytes: Uint8Array }).bytes));
    }
    const { tap } = this.settings;
    return tap === undefined ? frames : frames.flatMap((frame) => tap(Uint8Array.from(frame)));
  }

  /** The carrier is gone, and what was under way with it. */
  drop(): void {
    this.#underWay.length = 0;
    this.#freeAt = 0;
  }

  #damage(frame: Uint8Array): Uint8Array {
    const { bitErrorRate = 0, bursts } = this.settings;
    if (bitErrorRate === 0 && bursts === undefined) return frame;
    const bytes = Uint8Array.from(frame);
    this.#flip(bytes, 0, bytes.length, bitErrorRate);
    if (bursts === undefined) return bytes;
    for (let at = this.#burstIn; at < bytes.length; at = this.#burstIn) {
      this.#flip(bytes, at, Math.min(at + bursts.length, bytes.length), bursts.bitErrorRate);
      this.#burstIn += bursts.length + this.#nextBurst();
    }
    this.#burstIn -= bytes.length;
    return bytes;
  }

  #flip(bytes: Uint8Array, start: number, end: number, rate: number): void {
    if (rate <= 0) return;
    const gap = (): number => Math.floor(Math.log(1 - this.#random.fraction()) / Math.log(1 - rate));
    for (let bit = start * 8 + gap(); bit < end * 8; bit += 1 + gap()) {
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    }
  }

  #nextBurst(): number {
    const { bursts } = this.settings;
    return bursts === undefined
      ? Infinity
      : Math.floor(-Math.log(1 - this.#random.fraction()) * bursts.every);
  }
}

export interface NullModemOptions {
  readonly seed: number;
  /** Both directions. */
  readonly line?: LineSettings;
  /** From the primary, and to it; over `line`. */
  readonly out?: LineSettings;
  readonly back?: LineSettings;
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
  readonly out: Wire;
  readonly back: Wire;
  readonly #options: NullModemOptions;
  #now = 0;

  constructor(options: NullModemOptions) {
    this.#options = options;
    this.random = new Seeded(options.seed);
    this.keys = options.keys ?? {
      primary: generateKeyPair(this.randomBytes),
      backup: generateKeyPair(this.randomBytes),
    };
    this.out = new Wire({ ...options.line, ...options.out }, new Seeded(this.random.word()));
    this.back = new Wire({ ...options.line, ...options.back }, new Seeded(this.random.word()));
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

  /** The carrier drops: what is under way is gone. */
  dropCarrier(): void {
    this.out.drop();
    this.back.drop();
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
        for (const frame of back.take(now)) {
          station.link.handleFrame(now, frame);
          station.drain(now);
        }
        if ((station.link.pollTimeout() ?? Infinity) <= now) station.link.handleTimeout(now);
        station.drain(now);
        while (out.isFree(now)) {
          const frame = station.link.pollTransmit(now);
          station.drain(now);
          if (frame === undefined) break;
          out.put(now, frame);
          quiet = -1;
        }
      }
    }
  }
}
