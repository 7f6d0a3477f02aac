/** Everything a client could make grow, with the reason for each bound. */
export interface NbdLimits {
  /** Connections at a time. nbdcopy opens 4, the Linux client as many as it has processors. */
  readonly clients: number;
  /** From the accept to the end of the handshake; people who type by hand are not served. */
  readonly handshakeMillis: number;
  /** Requests of one connection under way; the Linux client's queue is 128 deep. */
  readonly requestsInFlight: number;
  /** Payload of those requests. One more request may pass it, so that the longest one can run at all. */
  readonly bytesInFlight: number;
  /** Replies the client has not taken; above it nothing more is read from it. */
  readonly unsentBytes: number;
}

export const DEFAULT_LIMITS: NbdLimits = {
  clients: 64,
  handshakeMillis: 10_000,
  requestsInFlight: 128,
  bytesInFlight: 16 << 20,
  unsentBytes: 1 << 20,
};

/** The longest READ or WRITE, told to clients as the maximum block size: what the protocol lets all assume. */
export const MAX_REQUEST_BYTES = 32 << 20;
/** A longer WRITE is refused, and its payload skipped up to here; beyond, the client has lost step or means harm. */
export const MAX_SKIPPED_BYTES = 128 << 20;
/** Export names and queries (proto.md, Conventions). */
export const MAX_STRING_BYTES = 4096;
/** Option data that is looked at: a name and a dozen of the longest queries. */
export const MAX_OPTION_BYTES = 64 << 10;
/** Longer option data is refused and skipped up to here; beyond, the connection ends. */
export const MAX_SKIPPED_OPTION_BYTES = 1 << 20;
/** Options of one handshake; the chattiest client sends fewer than twenty. */
export const MAX_OPTIONS = 256;
/** Extents in one BLOCK_STATUS chunk: 8 KiB of reply. Clients ask on from where it ends. */
export const MAX_EXTENTS = 1024;
/** Bytes of a socket path that fit `sockaddr_un` with its ending zero. */
export const MAX_SOCKET_PATH_BYTES = 107;
