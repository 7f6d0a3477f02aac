import { MAX_STRING_BYTES } from './limits.js';

/** Data of INFO and GO. */
export interface InfoRequest {
  readonly name: string;
  /** Kinds of information asked for; unknown ones are to be ignored. */
  readonly infos: readonly number[];
}

/** Data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export interface MetaContextRequest {
  readonly name: string;
  readonly queries: readonly string[];
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A string of the protocol: UTF-8, no NUL, bounded. Null when it is none. */
export function parseString(data: Buffer): string | null {
  if (data.length > MAX_STRING_BYTES || data.includes(0)) return null;
  try {
    return utf8.decode(data);
  } catch {
    return null;
  }
}

/** Null when the data is malformed, too long or too short. */
export function parseInfoRequest(data: Buffer): InfoRequest | null {
  const name = lengthAndString(data, 0);
  if (name === null || name.end + 2 > data.length) return null;
  const count = data.readUInt16BE(name.end);
  if (name.end + 2 + 2 * count !== data.length) return null;
  const infos = Array.from({ length: count }, (_, i) => data.readUInt16BE(name.end + 2 + 2 * i));
  return { name: name.text, infos };
}

/** Null when the data is malformed, too long or too short. */
export function parseMetaContextRequest(data: Buffer): MetaContextRequest | null {
  const name = lengthAndString(data, 0);
  if (name === null || name.end + 4 > data.length) return null;
  const count = data.readUInt32BE(name.end);
  const queries: string[] = [];
  let at = name.end + 4;
  for (let i = 0; i < count; i++) {
    const query = lengthAndString(data, at);
    if (query === null) return null;
    queries.push(query.text);
    at = query.end;
  }
  return at === data.length ? { name: name.text, queries } : null;
}

function lengthAndString(data: Buffer, at: number): { readonly text: string; readonly end: number } | null {
  if (at + 4 > data.length) return null;
  const end = at + 4 + data.readUInt32BE(at);
  if (end > data.length) return null;
  const text = parseString(data.subarray(at + 4, end));
  return text === null ? null : { text, end };
}
