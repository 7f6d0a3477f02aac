import type { ExportGeometry } from './backend.js';
import { MAX_REQUEST_BYTES } from './limits.js';
import { Info, Option, OptionReply, optionReply, TransmissionFlag } from './wire.js';

/** What an export's clients are told they may use. Multi-conn: all connections share one back end. */
export function transmissionFlags(readOnly: boolean, structuredReplies: boolean): number {
  return (
    TransmissionFlag.hasFlags |
    TransmissionFlag.sendFlush |
    TransmissionFlag.sendFua |
    TransmissionFlag.canMultiConn |
    TransmissionFlag.sendCache |
    (structuredReplies ? TransmissionFlag.sendDf : 0) |
    (readOnly ? TransmissionFlag.readOnly : TransmissionFlag.sendTrim | TransmissionFlag.sendWriteZeroes)
  );
}

/** One row of a LIST: name, then a text for people. */
export function serverReply(geometry: ExportGeometry): Buffer {
  const name = Buffer.from(geometry.name);
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(name.length);
  return optionReply(
    Option.list,
    OptionReply.server,
    Buffer.concat([length, name, Buffer.from(geometry.description)]),
  );
}

/** Size and flags, which every INFO and GO gets. */
export function exportInfo(option: number, geometry: ExportGeometry, flags: number): Buffer {
  const payload = Buffer.allocUnsafe(12);
  payload.writeUInt16BE(Info.export, 0);
  payload.writeBigUInt64BE(BigInt(geometry.sizeBytes), 2);
  payload.writeUInt16BE(flags, 10);
  return optionReply(option, OptionReply.info, payload);
}

/** What else was asked for and is known here. */
export function infoReplies(option: number, geometry: ExportGeometry, infos: readonly number[]): Buffer[] {
  return [...new Set(infos)].flatMap((info) => {
    const payload = infoPayload(info, geometry);
    return payload === null ? [] : [optionReply(option, OptionReply.info, payload)];
  });
}

function infoPayload(info: number, geometry: ExportGeometry): Buffer | null {
  switch (info) {
    case Info.name:
      return Buffer.concat([uint16(info), Buffer.from(geometry.name)]);
    case Info.description:
      return Buffer.concat([uint16(info), Buffer.from(geometry.description)]);
    case Info.blockSize: {
      const payload = Buffer.allocUnsafe(14);
      payload.writeUInt16BE(info, 0);
      payload.writeUInt32BE(1, 2);
      payload.writeUInt32BE(geometry.blockSize, 6);
      payload.writeUInt32BE(MAX_REQUEST_BYTES, 10);
      return payload;
    }
    default:
      return null;
  }
}

/** The old way into the transmission phase: no header, and 124 zero bytes unless both sides waived them. */
export function exportNameReply(geometry: ExportGeometry, flags: number, noZeroes: boolean): Buffer {
  const bytes = Buffer.alloc(noZeroes ? 10 : 134);
  bytes.writeBigUInt64BE(BigInt(geometry.sizeBytes), 0);
  bytes.writeUInt16BE(flags, 8);
  return bytes;
}

export function metaContextReply(option: number, id: number, name: string): Buffer {
  const head = Buffer.allocUnsafe(4);
  head.writeUInt32BE(id);
  return optionReply(option, OptionReply.metaContext, Buffer.concat([head, Buffer.from(name)]));
}

function uint16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
