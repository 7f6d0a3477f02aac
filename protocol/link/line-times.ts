import { MAX_SEGMENT } from '../framing/limits.js';

/** Shortest segment: below it the frame's own 30 bytes cost more than what a damaged frame does. */
export const MIN_SEGMENT = 200;

/**
 * Line time of a segment, ms: what an urgent message waits for at worst. At 57,600 baud these are 864 bytes, which lose
 * 4 % of a clean line to overhead and 7 % of frames to a bit error rate of 1e-5.
 */
const SEGMENT_TIME = 150;

/** Parcel bytes in one frame for a line of this rate; 16 KB for one that is fast and loses nothing. */
export const segmentSizeFor = (bytesPerSecond: number | undefined): number =>
  bytesPerSecond === undefined
    ? MAX_SEGMENT
    : Math.min(MAX_SEGMENT, Math.max(MIN_SEGMENT, Math.floor((bytesPerSecond * SEGMENT_TIME) / 1000)));

/** Bytes that a frame adds to its segment, about: delimiter, CRC, COBS, header, tag, piece head. */
const FRAME_OVERHEAD = 32;

/** The sizes and times that follow from a line's nominal rate; times in ms. */
export class LineTimes {
  readonly #bytesPerSecond: number;
  /** Parcel bytes in one frame. */
  readonly segmentSize: number;
  /** What a full frame of data takes on the line. */
  readonly frameTime: number;
  /** Between two reports while data arrive: often enough that an outage costs little, 1 % of a slow line's way back. */
  readonly reportInterval: number;
  /** Between repeated questions to a silent peer. */
  readonly probeInterval: number;

  constructor(bytesPerSecond: number | undefined, segmentSize = segmentSizeFor(bytesPerSecond)) {
    this.#bytesPerSecond = bytesPerSecond ?? Infinity;
    this.segmentSize = segmentSize;
    this.frameTime = this.timeOf(segmentSize + FRAME_OVERHEAD);
    this.reportInterval = bytesPerSecond === undefined ? 25 : Math.max(500, 2 * this.frameTime);
    this.probeInterval = Math.max(1000, 4 * this.timeOf(FRAME_OVERHEAD));
  }

  /** Line time of so many bytes. */
  timeOf(bytes: number): number {
    return (bytes * 1000) / this.#bytesPerSecond;
  }
}
