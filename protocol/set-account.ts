/** Bytes that crossed a line in one direction, by what they were; together they are all that crossed. */
export interface LineKinds {
  /** Encoded parcels, each byte once; without their addresses where those are told apart. */
  readonly data: number;
  /** Of encoded parcels, what says where content goes and where it lies already; absent: not told apart. */
  readonly addresses?: number;
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
  /** On all lines up to the commit, addresses not told apart; null: not counted. */
  readonly line: LineBytes | null;
  /** Of the encoded bytes of all parcels of the set, how many are addresses; absent: not told. */
  readonly addresses?: number;
}

/** How many of the encoded bytes of some parcels are addresses. */
export interface AddressShare {
  readonly addresses: number;
  readonly encoded: number;
}

/** The kinds that counters at a line tell apart. */
export const LINE_KINDS = ['data', 'control', 'repeated', 'handshake'] as const;

const NOTHING: LineKinds = { data: 0, control: 0, repeated: 0, handshake: 0 };
export const NO_LINE_BYTES: LineBytes = { toBackup: NOTHING, toPrimary: NOTHING };

/** Everything in one direction. */
export const bytesOf = (kinds: LineKinds): number =>
  LINE_KINDS.reduce((sum, kind) => sum + kinds[kind], kinds.addresses ?? 0);

const combineKinds = (
  a: LineKinds,
  b: LineKinds,
  combine: (a: number, b: number, kind: (typeof LINE_KINDS)[number]) => number,
): LineKinds => ({
  data: combine(a.data, b.data, 'data'),
  control: combine(a.control, b.control, 'control'),
  repeated: combine(a.repeated, b.repeated, 'repeated'),
  handshake: combine(a.handshake, b.handshake, 'handshake'),
});

/** Number by number, of bytes whose addresses are not told apart; `combine` is told of what kind they are. */
export const combineLines = (
  a: LineBytes,
  b: LineBytes,
  combine: (a: number, b: number, kind: (typeof LINE_KINDS)[number]) => number,
): LineBytes => ({
  toBackup: combineKinds(a.toBackup, b.toBackup, combine),
  toPrimary: combineKinds(a.toPrimary, b.toPrimary, combine),
});

/**
 * The same bytes with the addresses of the parcels told apart, each part of the parcels' bytes alike; where the share is
 * not known, or is none that can be, as they are.
 */
export function tellAddressesApart(line: LineBytes, share: AddressShare | null): LineBytes {
  const { data } = line.toBackup;
  if (share === null || share.addresses > share.encoded || (share.encoded === 0 && data > 0)) return line;
  const addresses = data === 0 ? 0 : Math.round(data * (share.addresses / share.encoded));
  return {
    toBackup: { ...line.toBackup, data: data - addresses, addresses },
    // Parcels go one way only.
    toPrimary: { ...line.toPrimary, addresses: 0 },
  };
}
