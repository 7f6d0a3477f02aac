/** Bounds on what a peer may say, each with its reason. A message past one of them is `limit-exceeded`. */

/** Longest control message in bytes; a frame of the link must be able to carry it. */
export const MAX_MESSAGE_BYTES = 12 * 1024;
/** Longest hello of a caller: it is read before the caller is known, so it is kept small. */
export const MAX_CALLER_HELLO_BYTES = 700;
/**
 * Longest hello of an answer: it is one frame, and on a noisy line a long one does not get through; copies that it has
 * no room for follow as messages.
 */
export const MAX_ANSWER_HELLO_BYTES = 1024;
/** CBOR nesting: our deepest message has five levels. */
export const MAX_MESSAGE_DEPTH = 8;
/** Names of sites and volumes, in UTF-16 units as the configuration counts them. */
export const MAX_NAME_LENGTH = 64;
/** Notes on a state and reasons of a refusal, for people. */
export const MAX_TEXT_LENGTH = 400;
/** Partly held parcels told in one copy status; those left out are merely sent again. */
export const MAX_PARTIAL_PARCELS = 16;
/** Held ranges told for one parcel; those left out are merely sent again. */
export const MAX_HELD_RANGES = 64;
/** Ranges of blocks told in one base mismatch; more are told as fewer that cover them. */
export const MAX_MISMATCH_RANGES = 256;
/**
 * Ranges of blocks to which a compare is confined; more are told as fewer that cover them. With steps of five bytes, as
 * the largest volume has, they fit into a message.
 */
export const MAX_COMPARED_RANGES = 1024;
/** Ranges of blocks told as suspect; more are told as fewer that cover them. As many as a compare is confined to. */
export const MAX_SUSPECT_RANGES = MAX_COMPARED_RANGES;
/** Nodes in one question of a compare: as many as an answer has digests, each 16 bytes. */
export const MAX_ASKED_NODES = 512;
/** Copies told of in one hello; the others follow as messages. */
export const MAX_HELLO_COPIES = 64;
