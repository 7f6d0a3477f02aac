import { millis, type Millis } from '../../protocol/units.js';
import type { Clock } from '../platform/clock.js';
import type { Log } from '../platform/log.js';
import type { CallEnd } from '../replication/call.js';
import { TransportError } from '../transport/errors.js';
import type { EventLog } from './event-log.js';
import { chooseLinks, isInWindow, type DropCause, type Situation } from './link-choice.js';
import { LinkMeter } from './link-meter.js';
import { OutgoingLink, type PeerLink } from './outgoing-link.js';
import type { Meeting, Site } from './site.js';

export interface PeerLinksOptions {
  /** The peer's configured name and key. */
  readonly peer: string;
  readonly publicKey: Uint8Array;
  /** In the order to try them. */
  readonly links: readonly PeerLink[];
  readonly site: Site;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventLog;
  /** Something is to be sent to the peer, or awaited from it. */
  readonly hasWork: () => boolean;
  /** The session of a call that the peer has made. */
  readonly calledBy: () => Situation['calledBy'];
  /** How each attempt and each call has ended; null: before there was a line. */
  readonly onEnd?: (end: CallEnd | null) => void;
}

/** How often it is asked whether there is work, ms. */
const LOOK_MS = 1000;
/** A link that the operator has hung up is not called again for so long, ms. */
const HUNG_UP_MS = 5 * 60_000;

/** The links to one peer: does what `chooseLinks` says, and tells the operator of it. */
export class PeerLinks {
  readonly #options: PeerLinksOptions;
  readonly #links: readonly OutgoingLink[];
  #work = false;
  #idleSince: Millis;
  #cancelLook: (() => void) | null = null;
  #isLooking = false;
  #isClosed = true;
  #lastTold = '';

  constructor(options: PeerLinksOptions) {
    this.#options = options;
    this.#idleSince = options.clock.now();
    this.#links = options.links.map((link) => this.#makeLink(link));
  }

  get meters(): readonly LinkMeter[] {
    return this.#links.map(({ meter }) => meter);
  }

  /** The last thing that went wrong with a link, or why none may be called, for the operator. */
  get lastError(): string | null {
    const failed = this.meters.find((meter) => meter.lastError !== null)?.lastError;
    if (failed !== undefined && failed !== null) return failed;
    const usedUp = this.#links.find(({ closedUntil }) => closedUntil !== null);
    if (usedUp !== undefined) return usedUpText(usedUp);
    const minute = this.#minute();
    const closed = this.#links.find(({ traits }) => !isInWindow(traits.window, minute));
    return closed === undefined ? null : `${closed.name}: no calls are made at this time of day`;
  }

  /** Is it the time of day for a call on any of them. */
  get mayCall(): boolean {
    const minute = this.#minute();
    return this.#links.some(({ traits }) => isInWindow(traits.window, minute));
  }

  start(): void {
    this.#isClosed = false;
    this.look();
  }

  /** Decides anew; safe to call at any time. */
  look(): void {
    // What is done on a decision comes back here.
    if (this.#isClosed || this.#isLooking) return;
    this.#isLooking = true;
    let lookAt: Millis | null = null;
    try {
      const { clock } = this.#options;
      const hasWork = this.#options.hasWork();
      if (this.#work && !hasWork) this.#idleSince = clock.now();
      this.#work = hasWork;
      const choice = chooseLinks(this.#situation());
      for (const { link, because } of choice.drop) this.#drop(link, because);
      if (choice.dial !== null) this.#links[choice.dial]?.dial();
      lookAt = choice.lookAt;
    } finally {
      this.#isLooking = false;
    }
    this.#lookAgain(lookAt);
  }

  /** Ends the calls on the link of this name, or on all; they are not called again for a while. True if there is one. */
  hangUp(name?: string): boolean {
    const named = this.#links.filter((link) => name === undefined || link.meter.name === name);
    for (const link of named) {
      link.hold(millis(this.#options.clock.now() + HUNG_UP_MS));
      link.drop('done');
    }
    return named.length > 0;
  }

  /** Links that were hung up, or that rest after failures, may be called at once. */
  release(): void {
    for (const link of this.#links) link.hold(null);
    this.look();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelLook?.();
    await Promise.all(this.#links.map((link) => link.close()));
  }

  #makeLink(link: PeerLink): OutgoingLink {
    const { peer, site, publicKey, clock } = this.#options;
    const meter = new LinkMeter(`${peer}: ${link.dialer.name}`, link.dialer.type);
    const made: OutgoingLink = new OutgoingLink({
      link,
      meter,
      site,
      peerKey: publicKey,
      clock,
      onChange: () => this.look(),
      onMeeting: (meeting) => this.#tellMeeting(meeting),
      onTrouble: (error) => {
        if (!(error instanceof TransportError)) this.#options.log.error('A call failed.', { err: error });
        this.#tellTrouble(meter, error.message);
        this.#options.onEnd?.(null);
      },
      onUsedUp: () => this.#options.events.add('warning', usedUpText(made)),
      onCharge: (lasted) => this.#tellCharge(link, lasted),
      onEnd: (end) => {
        this.#tellEnd(end, meter);
        this.#options.onEnd?.(end);
      },
    });
    return made;
  }

  #situation(): Situation {
    return {
      now: this.#options.clock.now(),
      minute: this.#minute(),
      work: this.#work,
      idleSince: this.#idleSince,
      calledBy: this.#options.calledBy(),
      links: this.#links.map(({ traits, position }) => ({ ...traits, position })),
    };
  }

  #minute(): number {
    const time = new Date(this.#options.clock.wall());
    return time.getHours() * 60 + time.getMinutes();
  }

  #lookAgain(lookAt: Millis | null): void {
    const { clock } = this.#options;
    this.#cancelLook?.();
    const wait = Math.min(LOOK_MS, (lookAt ?? Infinity) - clock.now());
    this.#cancelLook = clock.after(Math.max(1, wait), () => this.look());
  }

  #drop(index: number, because: DropCause): void {
    const link = this.#links[index];
    if (link === undefined) return;
    const { peer, events } = this.#options;
    if (link.position.kind === 'up') events.add('info', `${link.name} to ${peer}: ${DROP_TEXTS[because]}`);
    link.drop(because === 'better' ? 'replaced' : 'done');
  }

  #tellMeeting({ peer, transport, hello }: Meeting): void {
    this.#lastTold = '';
    this.#options.events.add('info', `connected to ${peer} over ${transport.name} (${hello.software})`);
  }

  #tellCharge(link: PeerLink, lasted: number): void {
    if (link.dialer.type !== 'modem') return;
    const minutes = lasted / 60_000;
    const cost = link.costPerMinute === null ? '' : `, about ${(minutes * link.costPerMinute).toFixed(2)}`;
    this.#options.events.add('info', `${link.dialer.name}: the call lasted ${minutes.toFixed(1)} min${cost}`);
  }

  #tellEnd(end: CallEnd, meter: LinkMeter): void {
    if (end.reason === 'closed-here') return;
    if (end.reason === 'closed-by-peer' && (end.why === 'done' || end.why === 'replaced')) return;
    const why = end.line?.message ?? END_TEXTS[end.reason];
    if (!end.established) {
      this.#tellTrouble(meter, end.reason === 'no-answer' ? `${meter.name}: ${END_TEXTS['no-answer']}` : why);
      return;
    }
    meter.lastError = why;
    this.#options.events.add('warning', `the call with ${this.#options.peer} has ended: ${why}`);
  }

  /** A line that stays dead is told of once, not with every attempt. */
  #tellTrouble(meter: LinkMeter, text: string): void {
    const isNews = meter.lastError !== text && this.#lastTold !== text;
    meter.lastError = text;
    if (this.#isClosed || !isNews) return;
    this.#lastTold = text;
    this.#options.events.add('warning', `no call to ${this.#options.peer}: ${text}`);
  }
}

function usedUpText({ name, closedUntil }: OutgoingLink): string {
  const until = new Date(closedUntil ?? 0).toTimeString().slice(0, 5);
  return `${name}: the calls of a day (callsPerDay) are used up; the next one may be made at ${until}`;
}

const DROP_TEXTS: Readonly<Record<DropCause, string>> = {
  idle: 'all is done; hung up',
  window: 'the time for calls is over; hung up, what is left goes on later',
  better: 'another link has taken over; hung up',
};

const END_TEXTS: Readonly<Record<CallEnd['reason'], string>> = {
  'closed-here': 'closed here',
  'closed-by-peer': 'the other side hung up',
  'peer-silent': 'the other side has fallen silent',
  'no-answer':
    'the line is open, but nobody answers the handshake (is the other side running, and do both know each other’s public key?)',
  'protocol-violation': 'the other side broke the protocol',
  'line-lost': 'the line was lost',
};
