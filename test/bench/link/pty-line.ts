import { LineNoise, type NoiseSettings } from '../../support/line-noise.js';
import { PtyEnd } from '../../support/pty-pair.js';
import type { Sandbox } from '../../support/sandbox.js';

export interface PtyLineSettings extends NoiseSettings {
  readonly baud: number;
  /** One way, ms. */
  readonly latency: number;
  readonly seed: number;
}

const BITS_PER_BYTE = 10;
/** What a port's own buffer takes beyond what is on the line; then its writer has to wait. */
const DEVICE_BUFFER = 4096;
const TICK_MS = 2;

/**
 * A full-duplex line between two ptys in real time: 8N1 at a baud rate, with a latency, noise from a seed, and a device
 * buffer of 4096 bytes in front of each direction.
 */
export class PtyLine {
  readonly left: string;
  readonly right: string;
  readonly #settings: PtyLineSettings;
  #ends: readonly [PtyEnd, PtyEnd] | null = null;
  #ways: readonly Way[] = [];
  #timer: NodeJS.Timeout | null = null;
  #deafUntil = 0;
  /** When the first byte came out of the left port; `performance.now()`. */
  firstByteAt: number | null = null;
  /** Bytes that came out of the ports. */
  bytesOut = 0;
  bytesBack = 0;

  constructor(sandbox: Sandbox, name: string, settings: PtyLineSettings) {
    this.left = sandbox.path(`${name}-left`);
    this.right = sandbox.path(`${name}-right`);
    this.#settings = settings;
  }

  async open(): Promise<void> {
    const [left, right] = await Promise.all([PtyEnd.open(this.left), PtyEnd.open(this.right)]);
    this.#ends = [left, right];
    const { seed } = this.#settings;
    this.#ways = [
      new Way(left, right, this.#settings, new LineNoise(this.#settings, 2 * seed), (count) => {
        this.firstByteAt ??= performance.now();
        this.bytesOut += count;
      }),
      new Way(right, left, this.#settings, new LineNoise(this.#settings, 2 * seed + 1), (count) => {
        this.bytesBack += count;
      }),
    ];
    this.#timer = setInterval(() => {
      const now = performance.now();
      for (const way of this.#ways) way.carry(now, now < this.#deafUntil);
    }, TICK_MS);
  }

  /** Nothing that is put in during the next so many ms comes out. */
  fail(duration: number): void {
    this.#deafUntil = performance.now() + duration;
  }

  /** Hangs up: the devices vanish until `open`. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await Promise.all((this.#ends ?? []).map((end) => end.close()));
    this.#ends = null;
  }
}

/** One direction. */
class Way {
  readonly #to: PtyEnd;
  readonly #settings: PtyLineSettings;
  readonly #noise: LineNoise;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  readonly #underWay: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  /** Up to when the line's time is used. */
  #usedUntil = 0;

  constructor(
    from: PtyEnd,
    to: PtyEnd,
    settings: PtyLineSettings,
    noise: LineNoise,
    count: (bytes: number) => void,
  ) {
    this.#to = to;
    this.#settings = settings;
    this.#noise = noise;
    const { stdout } = from.child;
    from.onBytes((bytes) => {
      count(bytes.length);
      if (this.#waitingBytes === 0) this.#usedUntil = Math.max(this.#usedUntil, performance.now());
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
      if (this.#waitingBytes > DEVICE_BUFFER) stdout.pause();
    });
    this.#resume = () => {
      if (this.#waitingBytes <= DEVICE_BUFFER && stdout.isPaused()) stdout.resume();
    };
  }

  readonly #resume: () => void;

  carry(now: number, deaf: boolean): void {
    const { baud, latency } = this.#settings;
    const msPerByte = (BITS_PER_BYTE * 1000) / baud;
    const count = Math.min(this.#waitingBytes, Math.floor((now - this.#usedUntil) / msPerByte));
    if (count > 0) {
      const all = Buffer.concat(this.#waiting);
      this.#usedUntil += count * msPerByte;
      this.#waitingBytes -= count;
      this.#waiting = this.#waitingBytes === 0 ? [] : [all.subarray(count)];
      const bytes = this.#noise.pass(all.subarray(0, count));
      if (!deaf) this.#underWay.push({ at: this.#usedUntil + latency, bytes });
      this.#resume();
    }
    while (this.#underWay[0] !== undefined && this.#underWay[0].at <= now) {
      const { bytes } = this.#underWay.shift() as { bytes: Uint8Array };
      if (bytes.length > 0) this.#to.write(Buffer.from(bytes));
    }
  }
}
