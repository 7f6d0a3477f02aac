/** Counters since the link was made; bytes are those of frames with their delimiters. */
export interface LinkStats {
  readonly framesSent: number;
  readonly framesReceived: number;
  /** Frames whose CRC or form was wrong and that could not be repaired. */
  readonly framesDamaged: number;
  /** Frames with a wrong bit or two that were put right, which the seal has confirmed. */
  readonly framesRepaired: number;
  /** Frames of good form whose seal did not open: of another session, replayed, or forged. */
  readonly framesRejected: number;
  /** Handshake frames that did not lead to an answer: strangers, wrong roles or version, replays. */
  readonly handshakesRefused: number;
  /** Frames sent that carried something sent before. */
  readonly framesRepeated: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Those of them that were handshake frames. */
  readonly handshakeSent: number;
  readonly handshakeReceived: number;
  /** Bytes of parcels received and handed on, duplicates not. */
  readonly payloadReceived: number;
  /** Bytes of parcels sent, repeats included. */
  readonly payloadSent: number;
  /** Bytes of parcels sent that had been sent before in this session. */
  readonly payloadRepeated: number;
  /** Bytes of parcels that had come in damaged frames, and of which only a digest was sent. */
  readonly payloadRecalled: number;
  /** Bytes of parcels received that had arrived before in this session or were held. */
  readonly payloadDuplicate: number;
  readonly reportsSent: number;
  readonly reportsReceived: number;
  readonly promptsSent: number;
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly messagesRepeated: number;
  /** Smoothed round trip in ms; null before the first measurement. */
  readonly roundTrip: number | null;
}

/** `LinkStats` while it is being counted. */
export type Counters = { -readonly [Name in keyof LinkStats]: LinkStats[Name] };

export const noCounts = (): Counters => ({
  framesSent: 0,
  framesReceived: 0,
  framesDamaged: 0,
  framesRepaired: 0,
  framesRejected: 0,
  handshakesRefused: 0,
  framesRepeated: 0,
  bytesSent: 0,
  bytesReceived: 0,
  handshakeSent: 0,
  handshakeReceived: 0,
  payloadReceived: 0,
  payloadSent: 0,
  payloadRepeated: 0,
  payloadRecalled: 0,
  payloadDuplicate: 0,
  reportsSent: 0,
  reportsReceived: 0,
  promptsSent: 0,
  messagesSent: 0,
  messagesReceived: 0,
  messagesRepeated: 0,
  roundTrip: null,
});
