import { LineCutter } from '../../protocol/framing/line-cutter.js';
import type { Millis } from '../../protocol/units.js';
import { LineNoise, type NoiseSettings } from './line-noise.js';
import type { Seeded } from './seeded.js';

/** One direction of a line: its speed, and what it does to the bytes. May be changed while it runs, but for the noise. */
export interface LineSettings extends NoiseSettings {
  /** Ten bits a byte; undefined: no time passes. */
  baud?: number;
  /** From the last bit sent to the last bit received, ms. */
  latency?: number;
  /** On top of it, drawn anew for each frame, ms; frames do not overtake each other. */
  jitter?: number;
  /** Whole frames that vanish, as a probability. */
  frameLoss?: number;
  /** A network that takes everything at once and carries so many bytes a second. */
  queue?: number;
  /** Bytes go in and never come out. */
  stuck?: boolean;
  /** Called for every frame that arrives; what it returns arrives instead. For attackers. */
  tap?: (frame: Uint8Array) => readonly Uint8Array[];
}

/** Bytes that will come out, and when the first and the last of their bits do, ms. */
interface UnderWay {
  readonly start: number;
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** A line is fed in slices of so much of its time, ms. */
const SLICE = 60;
/** What two ways to calculate one instant differ in at most, ms. */
const EPSILON = 1e-6;

/** One direction of the line, under a clock that is passed in. */
export class SimulatedWire {
  readonly settings: LineSettings;
  readonly #random: Seeded;
  readonly #noise: LineNoise;
  readonly #cutter = new LineCutter();
  #freeAt = 0;
  #lastArrival = 0;
  readonly #underWay: UnderWay[] = [];
  readonly #outages: { readonly from: number; readonly until: number }[] = [];
  /** Bytes put in, frames with delimiters. */
  bytes = 0;
  frames = 0;

  constructor(settings: LineSettings, random: Seeded) {
    this.settings = settings;
    this.#random = random;
    this.#noise = new LineNoise(settings, random.word());
  }

  isFree(now: Millis): boolean {
    return this.#freeAt <= now;
  }

  /** When something arrives, or the wire becomes free; Infinity: never. */
  nextWake(now: Millis): number {
    const first = this.#underWay[0];
    const arrival = first?.at ?? Infinity;
    const slice = first === undefined ? Infinity : sliceBehind(first, now);
    return Math.min(arrival, slice, this.#freeAt > now ? this.#freeAt : Infinity);
  }

  /** A slice of a frame that has not ended has just come out. */
  isArriving(now: Millis): boolean {
    const first = this.#underWay[0];
    if (first === undefined || now <= first.start || now >= first.at) return false;
    if (this.#outages.some(({ from, until }) => now > from && now <= until)) return false;
    const part = (now - first.start) % SLICE;
    return Math.min(part, SLICE - part) < 2 * EPSILON;
  }

  get isEmpty(): boolean {
    return this.#underWay.length === 0;
  }

  put(now: Millis, frame: Uint8Array): void {
    this.bytes += frame.length;
    this.frames++;
    this.#freeAt = now + this.#timeOf(frame.length);
    const { frameLoss = 0 } = this.settings;
    if (frameLoss > 0 && this.#random.fraction() < frameLoss) return;
    this.#send(now, this.#freeAt, frame);
  }

  /** The rest of the frame that is being put in is cut off. */
  abandon(now: Millis): void {
    const last = this.#underWay.at(-1);
    if (last === undefined || this.#freeAt <= now || this.settings.baud === undefined) return;
    const left = Math.min(
      last.bytes.length - 1,
      Math.floor(((this.#freeAt - now) * this.settings.baud) / 10_000),
    );
    const at = last.at - this.#timeOf(left);
    this.#underWay[this.#underWay.length - 1] = {
      ...last,
      at,
      bytes: Buffer.concat([last.bytes.subarray(0, last.bytes.length - left), Uint8Array.of(0)]),
    };
    this.bytes -= left;
    this.#lastArrival = at;
    this.#freeAt -= this.#timeOf(left);
  }

  /** Bytes that come out of the wire without having been sent by the other end. */
  inject(now: Millis, bytes: Uint8Array): void {
    this.#send(now, now, bytes);
  }

  /** Frames that have arrived by now. */
  take(now: Millis): Uint8Array[] {
    const frames: Uint8Array[] = [];
    while (this.#underWay[0] !== undefined && this.#underWay[0].at <= now) {
      frames.push(...this.#cutter.push(this.#arrived(this.#underWay.shift() as UnderWay)));
    }
    const { tap } = this.settings;
    return tap === undefined ? frames : frames.flatMap((frame) => tap(Uint8Array.from(frame)));
  }

  /** The carrier is gone, and what was under way with it. */
  drop(): void {
    this.#underWay.length = 0;
    this.#freeAt = 0;
  }

  /** The same, and what of the frame under way had come out by then; undefined: nothing. */
  cutOff(now: Millis): Uint8Array | undefined {
    const first = this.#underWay[0];
    this.drop();
    if (first === undefined || first.start >= now || first.at <= first.start) return undefined;
    const part = Math.floor(((now - first.start) / (first.at - first.start)) * first.bytes.length);
    return part === 0 ? undefined : first.bytes.subarray(0, part);
  }

  /** Nothing that is on the wire between now and `until` arrives, nor what is put in meanwhile. */
  fail(now: Millis, until: number): void {
    this.#outages.push({ from: now, until });
  }

  /** Without the bytes whose time on the wire was in an outage. */
  #arrived({ start, at, bytes }: UnderWay): Uint8Array {
    const gap = this.#outages.find(({ from, until }) => start < until && at > from);
    if (gap === undefined) return bytes;
    const placeOf = (time: number): number =>
      at <= start
        ? 0
        : Math.max(0, Math.min(bytes.length, Math.floor(((time - start) / (at - start)) * bytes.length)));
    return Buffer.concat([bytes.subarray(0, placeOf(gap.from)), bytes.subarray(placeOf(gap.until))]);
  }

  #send(start: number, end: number, bytes: Uint8Array): void {
    const { latency = 0, jitter = 0, stuck = false, queue } = this.settings;
    const noisy = this.#noise.pass(bytes);
    if (stuck) return;
    const late = latency + (jitter === 0 ? 0 : this.#random.fraction() * jitter);
    const queued = queue === undefined ? 0 : (bytes.length * 1000) / queue;
    const at = Math.max(this.#lastArrival, end + late) + queued;
    this.#lastArrival = at;
    this.#underWay.push({ at, start: at - (end - start), bytes: noisy });
  }

  #timeOf(bytes: number): number {
    const { baud } = this.settings;
    return baud === undefined ? 0 : (bytes * 10_000) / baud;
  }
}

/** When the next slice of it has come out; Infinity: it comes out as a whole. */
function sliceBehind({ start, at }: UnderWay, now: number): number {
  const next = start + (Math.floor((now - start + EPSILON) / SLICE) + 1) * SLICE;
  return next < at ? Math.max(next, start + SLICE) : Infinity;
}
