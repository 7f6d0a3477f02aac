import { MAX_SEGMENT } from '../framing/limits.js';
import { idBytes, idHex, parcelId, type ParcelId } from '../units.js';
import { MAX_RECALL_RUNS } from './limits.js';
import { blocksIn, CHECK_BYTES, RECALL_DIGEST_BYTES } from './scrap-blocks.js';
import { CLOSE_REASONS, type CloseReason } from './close-reason.js';
import { readReport, writeReport, type Report } from './report.js';
import { badContent, WireReader, type WireWriter } from './wire.js';

/**
 * The content of a sealed frame: pieces, one behind the other, each a tag byte and its fields. A frame without a piece
 * says that its sender lives.
 */
export type Piece =
  /** All message fragments before `next` have arrived; bit `i` of `mask` (32 bits): so has fragment `next + 1 + i`. */
  | { readonly kind: 'ack'; readonly next: number; readonly mask: number }
  | { readonly kind: 'report'; readonly report: Report }
  /** Asks for a report; parcels with a handle below `floor` are settled and need not be reported. */
  | { readonly kind: 'prompt'; readonly floor: number }
  /** Fragment `sequence` of the stream of messages; `last`: a message ends with it. */
  | {
      readonly kind: 'message';
      readonly sequence: number;
      readonly last: boolean;
      readonly bytes: Uint8Array;
    }
  /** `handle` stands for this parcel in this session; `floor` as in a prompt. */
  | { readonly kind: 'announce'; readonly handle: number; readonly floor: number; readonly parcel: ParcelId }
  /** Asks for any frame. */
  | { readonly kind: 'probe' }
  /** The session ends; nothing follows. */
  | { readonly kind: 'close'; readonly why: CloseReason }
  /** Bytes of a parcel from `offset` on; always the last piece, it takes the rest of the frame. */
  | {
      readonly kind: 'segment';
      readonly handle: number;
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  /**
   * What came of a frame that was damaged, from `offset` of a parcel on: its length and a checksum of each block.
   * `frame`: its number, undefined for one of an earlier session.
   */
  | {
      readonly kind: 'scrap';
      readonly frame: number | undefined;
      readonly parcel: ParcelId;
      readonly offset: number;
      readonly length: number;
      readonly checks: readonly number[];
    }
  /** Of the scrap at `offset`, these blocks are as they should be if they have this digest; runs as in `scrap-blocks.ts`. */
  | {
      readonly kind: 'recall';
      readonly handle: number;
      readonly offset: number;
      readonly runs: readonly number[];
      readonly digest: Uint8Array;
    };

const TAG = {
  ack: 1,
  report: 2,
  prompt: 3,
  message: 4,
  announce: 5,
  probe: 6,
  close: 7,
  segment: 8,
  scrap: 9,
  recall: 10,
} as const;

const ID_BYTES = 16;

/** Room for everything that rides along with a segment: an acknowledgement, a prompt, an announcement, its own head. */
export const RIDERS_ROOM = 64;

/** Room for a recall, and an announcement of its own. */
export const RECALL_ROOM = 112;

/** Room for a scrap of the longest segment. */
export const SCRAP_ROOM = 32 + CHECK_BYTES * blocksIn(MAX_SEGMENT);

export function writePiece(writer: WireWriter, piece: Piece): void {
  writer.byte(TAG[piece.kind]);
  switch (piece.kind) {
    case 'ack':
      writer.varint(piece.next);
      writer.varint(piece.mask);
      break;
    case 'report':
      writeReport(writer, piece.report);
      break;
    case 'prompt':
      writer.varint(piece.floor);
      break;
    case 'message':
      writer.varint(piece.sequence);
      writer.varint(piece.bytes.length * 2 + (piece.last ? 1 : 0));
      writer.bytes(piece.bytes);
      break;
    case 'announce':
      writer.varint(piece.handle);
      writer.varint(piece.floor);
      writer.bytes(idBytes(piece.parcel));
      break;
    case 'probe':
      break;
    case 'close':
      writer.varint(CLOSE_REASONS.indexOf(piece.why));
      break;
    case 'segment':
      writer.varint(piece.handle);
      writer.varint(piece.offset);
      writer.bytes(piece.bytes);
      break;
    case 'scrap':
      writer.varint(piece.frame === undefined ? 0 : piece.frame + 1);
      writer.bytes(idBytes(piece.parcel));
      writer.varint(piece.offset);
      writer.varint(piece.length);
      for (const check of piece.checks) {
        writer.byte(check >>> 8);
        writer.byte(check & 0xff);
      }
      break;
    case 'recall':
      writer.varint(piece.handle);
      writer.varint(piece.offset);
      writer.varint(piece.runs.length);
      for (const run of piece.runs) writer.varint(run);
      writer.bytes(piece.digest);
      break;
    default:
      piece satisfies never;
  }
}

/** The pieces of a sealed frame; byte fields are views of `content`. Throws `ProtocolError` `bad-message`. */
export function readPieces(content: Uint8Array): Piece[] {
  const reader = new WireReader(content);
  const pieces: Piece[] = [];
  while (!reader.atEnd) pieces.push(readPiece(reader));
  return pieces;
}

function readPiece(reader: WireReader): Piece {
  const tag = reader.byte();
  switch (tag) {
    case TAG.ack: {
      const next = reader.varint();
      const mask = reader.varint();
      if (mask >= 2 ** 32) throw badContent('mask over 32 bits');
      return { kind: 'ack', next, mask };
    }
    case TAG.report:
      return { kind: 'report', report: readReport(reader) };
    case TAG.prompt:
      return { kind: 'prompt', floor: reader.varint() };
    case TAG.message: {
      const sequence = reader.varint();
      const tagged = reader.varint();
      return {
        kind: 'message',
        sequence,
        last: tagged % 2 === 1,
        bytes: reader.bytes(Math.floor(tagged / 2)),
      };
    }
    case TAG.announce:
      return {
        kind: 'announce',
        handle: reader.varint(),
        floor: reader.varint(),
        parcel: parcelId(idHex(reader.bytes(ID_BYTES))),
      };
    case TAG.probe:
      return { kind: 'probe' };
    case TAG.close:
      // A reason that a newer peer has added still ends the session.
      return { kind: 'close', why: CLOSE_REASONS[reader.varint()] ?? 'done' };
    case TAG.segment:
      return { kind: 'segment', handle: reader.varint(), offset: reader.varint(), bytes: reader.rest() };
    case TAG.scrap:
      return readScrap(reader);
    case TAG.recall:
      return readRecall(reader);
    default:
      throw badContent(`unknown piece ${tag}`);
  }
}

function readScrap(reader: WireReader): Piece {
  const number = reader.varint();
  const parcel = parcelId(idHex(reader.bytes(ID_BYTES)));
  const offset = reader.varint();
  const length = reader.varint();
  if (length > MAX_SEGMENT) throw badContent(`scrap of ${length} bytes`);
  const checks = Array.from({ length: blocksIn(length) }, () => reader.byte() * 0x100 + reader.byte());
  return { kind: 'scrap', frame: number === 0 ? undefined : number - 1, parcel, offset, length, checks };
}

function readRecall(reader: WireReader): Piece {
  const handle = reader.varint();
  const offset = reader.varint();
  const count = reader.varint();
  if (count > MAX_RECALL_RUNS) throw badContent(`recall of ${count} runs`);
  const runs: number[] = [];
  for (let i = 0; i < count; i++) {
    const run = reader.varint();
    if (run > blocksIn(MAX_SEGMENT)) throw badContent(`recall of ${run} blocks`);
    runs.push(run);
  }
  return { kind: 'recall', handle, offset, runs, digest: reader.bytes(RECALL_DIGEST_BYTES) };
}
