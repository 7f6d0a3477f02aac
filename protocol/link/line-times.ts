import { MAX_SEGMENT } from '../framing/limits.js';

/** Longest segment of the slowest line: on a clean one 94 % of it are content, and it takes two seconds at 2400 baud. */
const LEAST_LARGEST = 480;

/**
 * Line time of the longest segment, ms: what an urgent message waits for at worst, and what an outage costs at once. Above
 * `AMPLE` bytes the frame's own are 0.4 % and a longer one is worth less time.
 */
const LARGEST_TIME = { needed: 1200, ample: 600 } as const;
const AMPLE = 7 << 10;

/** The most parcel bytes in one frame on a line of this rate; 16 KB for one that is fast and loses nothing. */
export function largestSegmentFor(bytesPerSecond: number | undefined): number {
  if (bytesPerSecond === undefined) return MAX_SEGMENT;
  const within = (time: number): number => Math.floor((bytesPerSecond * time) / 1000);
  const useful = Math.max(Math.min(within(LARGEST_TIME.needed), AMPLE), within(LARGEST_TIME.ample));
  return Math.min(MAX_SEGMENT, Math.max(LEAST_LARGEST, useful));
}

/** Bytes that a frame adds to its segment, about: delimiter, CRC, COBS, header, tag, piece head. */
export const FRAME_OVERHEAD = 32;

/** A short report on the line, bytes. */
const REPORT_BYTES = 40;

/** An empty frame on the line, and from how many times its length on a frame is worth one on the way back, bytes. */
const SIGN_BYTES = 25;
const SIGN_SHARE = 160;

/** How much of a frame's time the port may hold beforehand, ms: a frame is made before the last one has left. */
const LEAD = 80;

/** The sizes and times that follow from a line's nominal rate and the frames on it; times in ms. */
export class LineTimes {
  readonly #bytesPerSecond: number;
  /** The most parcel bytes in one frame. */
  readonly largestSegment: number;
  /** Between two reports while data arrive: often enough that an outage costs little, at most a tenth of the way back. */
  readonly reportInterval: number;
  /** Between repeated questions to a silent peer. */
  readonly probeInterval: number;
  /** The same while a stream is waited for. */
  readonly wantingInterval: number;
  /** What a frame may wait in the port before its first bit. */
  readonly lead: number;
  #ownFrame = FRAME_OVERHEAD;
  #peerFrame = FRAME_OVERHEAD;

  constructor(bytesPerSecond: number | undefined) {
    this.#bytesPerSecond = bytesPerSecond ?? Infinity;
    this.largestSegment = largestSegmentFor(bytesPerSecond);
    this.reportInterval = bytesPerSecond === undefined ? 25 : Math.max(500, 10 * this.timeOf(REPORT_BYTES));
    this.probeInterval = Math.max(1000, 4 * this.timeOf(FRAME_OVERHEAD));
    this.wantingInterval = Math.max(500, 4 * this.timeOf(FRAME_OVERHEAD));
    this.lead = bytesPerSecond === undefined ? 0 : LEAD;
  }

  /**
   * How often the receiver of frames that take so long says that bytes are coming in: once in the midst of each. undefined:
   * reports come as often, or it is not worth its bytes.
   */
  signInterval(frameTime: number): number | undefined {
    if (frameTime < this.reportInterval || this.bytesIn(frameTime) < SIGN_SHARE * SIGN_BYTES)
      return undefined;
    return Math.max(0.55 * frameTime, this.reportInterval / 2);
  }

  /** No rate is known: it is not the line that limits. */
  get isFast(): boolean {
    return this.#bytesPerSecond === Infinity;
  }

  /** Line time of so many bytes. */
  timeOf(bytes: number): number {
    return (bytes * 1000) / this.#bytesPerSecond;
  }

  /** What the line carries in so many ms. */
  bytesIn(time: number): number {
    return (time * this.#bytesPerSecond) / 1000;
  }

  /** Line time of a frame with so many bytes of content. */
  timeOfFrame(content: number): number {
    return this.timeOf(content + FRAME_OVERHEAD);
  }

  /** A frame of so many bytes goes out; the next ones will have about that. */
  noteSent(bytes: number): void {
    this.#ownFrame = lately(this.#ownFrame, bytes);
  }

  /** A frame of so many bytes has come. */
  noteReceived(bytes: number): void {
    this.#peerFrame = lately(this.#peerFrame, bytes);
  }

  /** What a frame takes that this side sends of late: an answer may have to wait for it. */
  get ownFrameTime(): number {
    return this.timeOf(this.#ownFrame);
  }

  /** The same of the peer's. */
  get peerFrameTime(): number {
    return this.timeOf(this.#peerFrame);
  }

  /** The longest frame of data. */
  get largestFrameTime(): number {
    return this.timeOfFrame(this.largestSegment);
  }
}

/** The longest of the last frames: as long as a longer one, then slowly shorter. */
const lately = (longest: number, bytes: number): number => Math.max(bytes, longest - longest / 8);
