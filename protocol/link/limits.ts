/** Bounds on what a peer can make this side hold or do, each with its reason. Those of a frame are in `framing/limits.ts`. */

/** Payload of a handshake frame: a caller is not yet known when its hello is read, so it must stay small. */
export const MAX_HELLO = 8 << 10;

/** Calls answered and not yet confirmed: a recorded call played again must not push out the caller that is there. */
export const MAX_PENDING_CALLS = 4;

/** Between new calls read inside a session, ms: each costs a few curve multiplications. A caller repeats its call anyway. */
export const MIN_CALL_INTERVAL = 1000;

/**
 * After a whole frame that is a call of nobody known, this side reads no call for so long, ms, twice as long after each
 * further one: on a line that only one can hold, its strangers are as many as it has bytes for. Damaged frames do not count.
 */
export const STRANGER_PAUSE = { first: 500, longest: 60_000 } as const;

/** One control message: a list of a few thousand ranges or ids. */
export const MAX_MESSAGE = 256 << 10;

/** All control messages that wait or are unacknowledged on the sending side: the layer above talks, it does not stream. */
export const MAX_MESSAGE_QUEUE = 1 << 20;

/** Message fragments under way; the receiver keeps no fragment that is further ahead. As many as an ACK's mask has bits, and one. */
export const MESSAGE_WINDOW = 33;

/** Parcels queued for sending at once: one on the line and a few ahead of it. */
export const MAX_PARCELS = 16;

/** From the oldest parcel that is not settled to the newest announced; bounds a report, and what the receiver remembers. */
export const MAX_HANDLE_SPAN = 64;

/** Parcel bytes sent that no report has dealt with: 80 ms at 100 MB/s, for a receiver that syncs in batches. */
export const MAX_WINDOW = 8 << 20;

/** Segment bytes delivered and not yet kept, or come too early; more are dropped and sent again. A well-behaved sender stays within its window. */
export const MAX_PENDING_BYTES = 2 * MAX_WINDOW;

/** The same, counted in segments, for a peer that sends tiny ones. */
export const MAX_PENDING_SEGMENTS = 16 << 10;

/** Segments of parcels that are not expected yet: a window, which a fast line fills while the layer above looks the parcel up. */
export const MAX_EARLY_BYTES = MAX_WINDOW;

/** Separate ranges of one parcel at the receiver; a segment that would make another is dropped. Real lines make a few dozen. */
export const MAX_HELD_RANGES = 4096;

/** Runs in one report, over all parcels: a report must stay shorter than a frame of data on a slow line. */
export const MAX_REPORT_RUNS = 96;

/** What is left of damaged frames, of one peer: those of an outage or a hang-up are one or two. */
export const MAX_SCRAPS = 4;

/** Scraps in one frame: what stands before and what stands behind a loss. */
export const SCRAPS_AT_ONCE = 2;

/** Peers whose scraps are kept. */
export const MAX_SCRAP_PEERS = 32;

/** Runs of blocks in a recall: it rides in front of a segment. */
export const MAX_RECALL_RUNS = 31;
