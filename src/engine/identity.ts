import { join } from 'node:path';
import type { Clock } from '../platform/clock.js';
import type { Files } from '../platform/files.js';
import type { Doubt } from './left-behind.js';
import { MAX_RECORD_BYTES, readIdentity, writeRecord, type IdentityRecord } from './volume-record.js';

const RECORD_NAME = 'volume.json';
const MAX_DOUBTS = 32;
/** So many digits of an incarnation tell it from others, and are short enough to be told in each session. */
const OPENING_LENGTH = 16;

/** `volume.json`, as it is on disk. */
export class Identity {
  private constructor(
    readonly files: Files,
    readonly folder: string,
    readonly record: IdentityRecord,
  ) {}

  /** Null if there is none. Throws `bad-state`. */
  static async read(files: Files, folder: string): Promise<IdentityRecord | null> {
    const path = join(folder, RECORD_NAME);
    if (!(await files.exists(path))) return null;
    return readIdentity(await files.readWhole(path, MAX_RECORD_BYTES), path);
  }

  /** Writes the record; durable when it resolves. */
  static async write(files: Files, folder: string, record: IdentityRecord): Promise<Identity> {
    await files.replace(join(folder, RECORD_NAME), writeRecord(record));
    return new Identity(files, folder, record);
  }

  change(fields: Partial<IdentityRecord>): Promise<Identity> {
    return Identity.write(this.files, this.folder, { ...this.record, ...fields });
  }
}

/** The doubts of a record with one more; of too many, the oldest two become one. */
export function withDoubt(
  doubts: IdentityRecord['doubts'],
  clock: Clock,
  { text, within }: Doubt,
  /** States of a lower ordinal are in doubt. */
  ordinal: number,
): IdentityRecord['doubts'] {
  const doubt = { time: clock.wall(), text, ordinal, ...(within !== null && { within }) };
  const [oldest, second, ...rest] = doubts;
  if (oldest === undefined || second === undefined || doubts.length < MAX_DOUBTS) return [...doubts, doubt];
  // Of everything, and as late as the later one: that covers both.
  const both = { time: second.time, text: oldest.text, ordinal: second.ordinal ?? ordinal };
  return [both, ...rest, doubt];
}

/** This opening and those before it, newest first, as others are told of them. */
export const openingsOf = ({ incarnation, ancestors }: IdentityRecord): string[] =>
  [incarnation, ...ancestors].map((id) => id.slice(0, OPENING_LENGTH));
