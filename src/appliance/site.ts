import { Link } from '../../protocol/link/link.js';
import type { Role } from '../../protocol/handshake/roles.js';
import type { ScrapBook } from '../../protocol/link/scraps.js';
import { decodeHello } from '../../protocol/messages/codec.js';
import type { Hello } from '../../protocol/messages/message.js';
import type { KeyPair } from '../config/keys.js';
import type { Clock } from '../platform/clock.js';
import type { Random } from '../platform/random.js';
import { Call, type Session, type SessionLink } from '../replication/call.js';
import type { Transport } from '../transport/transport.js';
import { patienceOn } from './line-patience.js';
import { lineCrc } from './link-crc.js';
import { ToldCopies } from './told-copies.js';

/** An appliance as its peers meet it, whoever calls. */
export interface Site {
  readonly role: Role;
  readonly keys: KeyPair;
  readonly clock: Clock;
  readonly random: Random;
  /** What the damaged frames of its calls have left. */
  readonly scraps?: ScrapBook;
  /** The configured name of the peer with this key; undefined: a stranger. */
  peerName(key: Uint8Array): string | undefined;
  /** What is said of this site to a peer, in a call or in an answer. Must change nothing. */
  hello(peer: string, isCall: boolean): Hello;
  /** A peer has proved its key: the upper half of the session. Throws `ProtocolError` for one that cannot be. */
  meet(meeting: Meeting): Session;
  /** Counts a call that the peer has made; the returned function counts it as past. */
  account?(peer: string, transport: Transport, call: Call): () => void;
}

export interface Meeting {
  readonly peer: string;
  readonly link: SessionLink;
  readonly hello: Hello;
  /** What this site's hellos on this line have said. */
  readonly told: ToldCopies;
  readonly transport: Transport;
  /** The peer has called. */
  readonly isIncoming: boolean;
}

export interface CallMaking {
  readonly site: Site;
  readonly transport: Transport;
  /** The peer to call; left out: it is waited for. */
  readonly peerKey?: Uint8Array;
  /** Gives up a responder that hears of nobody for so long, ms. */
  readonly handshakeTimeout?: number;
  /** Called right after the session was made; more than once when a peer begins anew on the same line. */
  readonly onMeeting: (meeting: Meeting) => void;
  /** Somebody not known has called on this line; nobody is answered for so many ms. */
  readonly onStranger?: (pause: number) => void;
}

/**
 * A call over an open line. One that this side makes over a cable can also be made by the other side at the same time
 * or later, when it has lost the session: the link settles that, and the primary's call wins.
 */
export function makeCall({
  site,
  transport,
  peerKey,
  handshakeTimeout,
  onMeeting,
  onStranger,
}: CallMaking): Call {
  const { role, keys, clock, random } = site;
  const told = new ToldCopies();
  const isKnown = (key: Uint8Array): boolean =>
    peerKey === undefined ? site.peerName(key) !== undefined : Buffer.compare(key, peerKey) === 0;
  const nameOf = (key: Uint8Array): string => site.peerName(key) ?? '';
  const canBeCalled = peerKey === undefined || transport.type !== 'tcp';
  const rate = transport.bytesPerSecond;
  const link = new Link({
    initiator: peerKey !== undefined,
    role,
    keys,
    ...(peerKey !== undefined && { peerKey, hello: told.call(site.hello(nameOf(peerKey), true)) }),
    ...(canBeCalled && {
      acceptPeer: isKnown,
      answer: (key: Uint8Array) => told.answer(site.hello(nameOf(key), false)),
    }),
    randomBytes: (count) => random.bytes(count),
    crc32: lineCrc,
    deadAfter: patienceOn(transport),
    ...(site.scraps !== undefined && { scraps: site.scraps }),
    ...(rate !== undefined && { bytesPerSecond: rate }),
    ...(handshakeTimeout !== undefined && { handshakeTimeout }),
  });
  return new Call({
    transport,
    link,
    clock,
    ...(onStranger !== undefined && { onStranger }),
    onSession: (session, key, payload) => {
      const meeting: Meeting = {
        peer: nameOf(key),
        link: session,
        hello: decodeHello(payload),
        told,
        transport,
        isIncoming: peerKey === undefined,
      };
      const upper = site.meet(meeting);
      onMeeting(meeting);
      return upper;
    },
  });
}
