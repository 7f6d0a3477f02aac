import { idBytes, idHex, parcelId, type ParcelId } from '../units.js';
import { CLOSE_REASONS, type CloseReason } from './link-event.js';
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
} as const;

const ID_BYTES = 16;

/** Room for everything that rides along with a segment: an acknowledgement, a prompt, an announcement, its own head. */
export const RIDERS_ROOM = 64;

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
    default:
      throw badContent(`unknown piece ${tag}`);
  }
}
