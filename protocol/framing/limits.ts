/** Ends a frame on the line, and occurs nowhere inside one. */
export const FRAME_DELIMITER = 0x00;

/** The most parcel bytes one frame carries: at 100 MB/s the cost of a frame is small beside them, and a fast line loses none. */
export const MAX_SEGMENT = 16 << 10;

/** Longest body of a frame: a segment with its header, its seal, and small pieces that ride along. */
export const MAX_FRAME_BODY = MAX_SEGMENT + 256;

/** CRC-32 in seven-bit groups. */
export const CRC_BYTES = 5;

/** Longest COBS form of `length` bytes: one byte in front, and one more after each 254 bytes without a zero. */
export const maxCobsLength = (length: number): number => length + Math.floor(length / 254) + 1;

/** Longest frame on the line without its delimiter; whatever is longer is noise and may be dropped unseen. */
export const MAX_ENCODED_FRAME = maxCobsLength(MAX_FRAME_BODY) + CRC_BYTES;
