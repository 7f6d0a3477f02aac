/** Bytes that crossed a line in one direction, by what they were; together they are all that crossed. */
export interface LineKinds {
  /** Encoded parcels, each byte once. */
  readonly data: number;
  /** What it takes beside: messages, reports, framing and seals, and what came damaged. */
  readonly control: number;
  /** Encoded parcels again, or for nothing because the call ended. */
  readonly repeated: number;
  readonly handshake: number;
}

/** Both directions, of which a line has one each. */
export interface LineBytes {
  readonly toBackup: LineKinds;
  readonly toPrimary: LineKinds;
}

/** What a set was worth and what it has cost, as its primary tells it with the commit. */
export interface SetAccount {
  /** Bytes that clients wrote between the set's two states, over again counted again; null: not known. */
  readonly written: number | null;
  /** On all lines up to the commit; null: not counted. */
  readonly line: LineBytes | null;
}

export const LINE_KINDS = ['data', 'control', 'repeated', 'handshake'] as const;

const NOTHING: LineKinds = { data: 0, control: 0, repeated: 0, handshake: 0 };
export const NO_LINE_BYTES: LineBytes = { toBackup: NOTHING, toPrimary: NOTHING };

/** Everything in one direction. */
export const bytesOf = (kinds: LineKinds): number => LINE_KINDS.reduce((sum, kind) => sum + kinds[kind], 0);

const combineKinds = (
  a: LineKinds,
  b: LineKinds,
  combine: (a: number, b: number, kind: keyof LineKinds) => number,
): LineKinds => ({
  data: combine(a.data, b.data, 'data'),
  control: combine(a.control, b.control, 'control'),
  repeated: combine(a.repeated, b.repeated, 'repeated'),
  handshake: combine(a.handshake, b.handshake, 'handshake'),
});

/** Number by number; `combine` is told of what kind they are. */
export const combineLines = (
  a: LineBytes,
  b: LineBytes,
  combine: (a: number, b: number, kind: keyof LineKinds) => number,
): LineBytes => ({
  toBackup: combineKinds(a.toBackup, b.toBackup, combine),
  toPrimary: combineKinds(a.toPrimary, b.toPrimary, combine),
});
