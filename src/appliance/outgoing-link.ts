import type { Millis, WallTime } from '../../protocol/units.js';
import type { Clock } from '../platform/clock.js';
import type { Call, CallEnd } from '../replication/call.js';
import { TransportError, type TransportErrorCode } from '../transport/errors.js';
import type { Dialer, Transport } from '../transport/transport.js';
import type { CallBudget } from './call-budget.js';
import { BackOff, DIALLED_LINE, STANDING_LINE } from './back-off.js';
import { silenceOn } from './line-patience.js';
import type { LinkPosition, LinkTraits } from './link-choice.js';
import type { LinkMeter } from './link-meter.js';
import { RateFloor, type RateFloorSettings } from './rate-floor.js';
import { makeCall, type Meeting, type Site } from './site.js';

/** A configured way to call a peer. */
export interface PeerLink extends LinkTraits {
  readonly dialer: Dialer;
  /** How often it may be dialled; null: as often as it is wanted. */
  readonly budget: CallBudget | null;
  /** For reports; null: not known. */
  readonly costPerMinute: number | null;
  /** A call below it is hung up; null: however slow. */
  readonly floor: RateFloorSettings | null;
}

export interface OutgoingLinkOptions {
  readonly link: PeerLink;
  readonly meter: LinkMeter;
  readonly site: Site;
  readonly peerKey: Uint8Array;
  readonly clock: Clock;
  /** The link stands elsewhere now. */
  readonly onChange: () => void;
  readonly onMeeting: (meeting: Meeting) => void;
  /** An attempt has failed before there was a line, or none may be made, or a call was not worth it. */
  readonly onTrouble: (error: Error) => void;
  /** The day's last call was made. */
  readonly onUsedUp: () => void;
  /** A line was open for so long, ms. */
  readonly onCharge: (lasted: number) => void;
  readonly onEnd: (end: CallEnd) => void;
}

/** How a call ends that was made and came to nothing. */
const CALLED: readonly TransportErrorCode[] = ['busy', 'no-answer', 'no-carrier'];

const RATE_LOOK_MS = 1000;

/** One link, and at most one call on it: dials when told to, and knows where it stands and when it may be tried again. */
export class OutgoingLink {
  readonly meter: LinkMeter;
  readonly traits: LinkTraits;
  readonly #options: OutgoingLinkOptions;
  readonly #backOff: BackOff;
  #state: Exclude<LinkPosition, { kind: 'up' }> | { readonly kind: 'up'; readonly since: Millis };
  #patience = 0;
  #attempt: AbortController | null = null;
  #call: Call | null = null;
  #transport: Transport | null = null;
  #running: Promise<void> = Promise.resolve();
  #heldUntil: Millis | null = null;
  #isHopeless = false;

  constructor(options: OutgoingLinkOptions) {
    this.#options = options;
    this.meter = options.meter;
    this.traits = options.link;
    const times = options.link.dialer.type === 'modem' ? DIALLED_LINE : STANDING_LINE;
    this.#backOff = new BackOff(times, () => (options.site.random.bytes(1)[0] ?? 0) / 256);
    this.#state = { kind: 'down', retryAt: options.clock.now() };
  }

  get name(): string {
    return this.#options.link.dialer.name;
  }

  get position(): LinkPosition {
    const state = this.#state;
    if (state.kind === 'up') {
      const heardAt = this.#call?.lastHeardAt ?? state.since;
      return { kind: 'up', heardAt, patience: this.#patience };
    }
    if (state.kind !== 'down') return state;
    const { closedUntil } = this;
    const { clock } = this.#options;
    // Not later than it is: whoever asks has read the clock before, and would never find it due.
    const openAt = closedUntil === null ? 0 : clock.now() + closedUntil - clock.wall();
    return { kind: 'down', retryAt: Math.max(state.retryAt, this.#heldUntil ?? 0, openAt) as Millis };
  }

  /** Until when the day's calls are used up; null: they are not. */
  get closedUntil(): WallTime | null {
    const { link, clock } = this.#options;
    return link.budget?.closedUntil(clock.wall()) ?? null;
  }

  /** The line of the call, once it is open. */
  get transport(): Transport | null {
    return this.#transport;
  }

  dial(): void {
    this.#running = this.#run();
  }

  /** Ends the call, or calls the attempt off. */
  drop(why: 'done' | 'replaced' | 'shutdown'): void {
    if (this.#call !== null) this.#call.close(why);
    else this.#attempt?.abort(new TransportError('closed', `${this.name}: called off`));
  }

  /** No call before that time; null: whenever it is wanted. */
  hold(until: Millis | null): void {
    this.#heldUntil = until;
    // It was let go by somebody: no back-off then.
    if (until === null && this.#state.kind === 'down') {
      this.#state = { kind: 'down', retryAt: this.#options.clock.now() };
    }
  }

  async close(): Promise<void> {
    this.drop('shutdown');
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, meter, onChange } = this.#options;
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#heldUntil = null;
    this.#state = { kind: 'dialling' };
    meter.state = 'opening';
    let retryAt: Millis;
    try {
      const end = await this.#converse(await this.#dialCounted(attempt.signal), attempt.signal);
      retryAt = this.#restAfter(end);
      meter.state = end.established ? 'waiting' : 'failed';
      this.#options.onEnd(end);
    } catch (error) {
      if (attempt.signal.aborted) {
        retryAt = this.#backOff.afterEnd(clock.now());
        meter.state = 'waiting';
      } else {
        const retryable = !(error instanceof TransportError) || error.retryable;
        retryAt = this.#backOff.afterNoLine(clock.now(), retryable);
        meter.state = 'failed';
        this.#options.onTrouble(error as Error);
      }
    }
    this.#attempt = null;
    this.#state = { kind: 'down', retryAt };
    onChange();
  }

  /** An attempt that did not get as far as the telephone line is no call. */
  async #dialCounted(signal: AbortSignal): Promise<Transport> {
    const { link } = this.#options;
    try {
      const transport = await link.dialer.dial(signal);
      this.#countCall();
      return transport;
    } catch (error) {
      if (signal.aborted || (error instanceof TransportError && CALLED.includes(error.code)))
        this.#countCall();
      throw error;
    }
  }

  #countCall(): void {
    const { link, clock, onUsedUp } = this.#options;
    link.budget?.note(clock.wall());
    if (this.closedUntil !== null) onUsedUp();
  }

  async #converse(transport: Transport, signal: AbortSignal): Promise<CallEnd> {
    const { site, peerKey, clock, meter, onChange } = this.#options;
    if (signal.aborted) {
      await transport.close();
      throw signal.reason;
    }
    this.#patience = silenceOn(transport);
    this.#transport = transport;
    this.#state = { kind: 'calling', since: clock.now(), patience: this.#patience };
    meter.state = 'connecting';
    let disconnected: () => void = () => undefined;
    const call = makeCall({
      site,
      transport,
      peerKey,
      onMeeting: (meeting) => {
        disconnected();
        this.#state = { kind: 'up', since: clock.now() };
        disconnected = meter.connected(meeting.peer);
        this.#options.onMeeting(meeting);
        onChange();
      },
    });
    this.#call = call;
    const count = meter.watch(transport, call);
    const openedAt = clock.now();
    const unwatch = this.#watchRate(call);
    onChange();
    const end = await call.ended;
    unwatch();
    this.#options.onCharge(clock.now() - openedAt);
    this.#call = null;
    this.#transport = null;
    count();
    disconnected();
    return end;
  }

  /** Hangs up a call that is not worth its cost. The returned function stops that. */
  #watchRate(call: Call): () => void {
    const { link, clock, onTrouble } = this.#options;
    this.#isHopeless = false;
    if (link.floor === null) return () => undefined;
    const { minBytesPerSecond } = link.floor;
    const floor = new RateFloor(link.floor);
    let cancel: () => void = () => undefined;
    const look = (): void => {
      if (floor.look(clock.now(), call.moved, call.isBusy)) {
        this.#isHopeless = true;
        const text = `${this.name}: slower than minRate, ${minBytesPerSecond} bytes a second; hung up`;
        onTrouble(new TransportError('lost', text));
        call.close('done');
      } else {
        cancel = clock.after(RATE_LOOK_MS, look);
      }
    };
    look();
    return () => cancel();
  }

  #restAfter(end: CallEnd): Millis {
    const now = this.#options.clock.now();
    const { kind } = this.#state;
    if (this.#isHopeless) return this.#backOff.afterFailure(now, false);
    if (end.reason === 'closed-here') return this.#backOff.afterEnd(now);
    if (!end.established || kind !== 'up') return this.#backOff.afterFailure(now, true);
    const isMeant = end.reason === 'closed-by-peer' && (end.why === 'done' || end.why === 'replaced');
    if (isMeant) return this.#backOff.afterEnd(now);
    return this.#backOff.afterLoss(now, now - this.#state.since);
  }
}
