import type { LinkStats } from './link-event.js';

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
