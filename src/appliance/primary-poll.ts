import { sleep, type Clock } from '../platform/clock.js';
import type { Log } from '../platform/log.js';
import type { CallEnd } from '../replication/call.js';
import type { PortShare } from '../transport/modem/port-share.js';
import type { BackupSite } from './backup-site.js';
import { ApplianceError } from './errors.js';
import type { EventLog } from './event-log.js';
import { silenceOn } from './line-patience.js';
import type { LinkMeter } from './link-meter.js';
import type { PeerLink } from './outgoing-link.js';
import { PeerLinks } from './peer-links.js';

export interface PrimaryPollOptions {
  readonly primary: string;
  readonly publicKey: Uint8Array;
  readonly links: readonly PeerLink[];
  /** Ports that other polls use too: one poll at a time. */
  readonly turns: readonly PortShare[];
  readonly site: BackupSite;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventLog;
}

/** A primary that is not reached after so many attempts on each link is left until the next time. */
const ATTEMPTS = 3;
/**
 * A primary that says so long nothing of a set, ms, is not going to: it may wait for a quiet moment, but not for ever. In a
 * compare both sides read all of a volume before there is anything to say: then the limit is for a primary whose disk hangs.
 */
const IDLE_CALL_MS = 15 * 60_000;
const COMPARING_CALL_MS = 24 * 3_600_000;
const LOOK_MS = 500;

/**
 * Calls one primary to fetch what it has. The primary hangs up when all is done, and what is lost on the way is called
 * for again.
 */
export class PrimaryPoll {
  readonly #options: PrimaryPollOptions;
  readonly #links: PeerLinks;
  #isDue = false;
  #failures = 0;
  #isDone = false;

  constructor(options: PrimaryPollOptions) {
    this.#options = options;
    const { primary, site } = options;
    this.#links = new PeerLinks({
      ...options,
      peer: primary,
      links: options.links.map((link) => ({ ...link, onDemand: true })),
      hasWork: () => this.#isDue,
      calledBy: () => {
        const session = site.session(primary);
        if (session === null || !session.isIncoming) return null;
        return {
          heardAt: session.link.lastHeardAt ?? session.since,
          patience: silenceOn({ type: 'modem', bytesPerSecond: session.link.bytesPerSecond }),
        };
      },
      onEnd: (end) => this.#noteEnd(end),
    });
  }

  get meters(): readonly LinkMeter[] {
    return this.#links.meters;
  }

  start(): void {
    this.#links.start();
  }

  hangUp(link?: string): boolean {
    return this.#links.hangUp(link);
  }

  close(): Promise<void> {
    return this.#links.close();
  }

  /** One poll, to its end; how it went, in a few words. Fails with `ApplianceError`, or the signal's reason. */
  async run(signal: AbortSignal): Promise<string> {
    const { primary, site, turns } = this.#options;
    const releases: (() => void)[] = [];
    try {
      for (const turn of turns) releases.push(await turn.take(signal));
      // Its own call brings all that a poll would.
      if (site.session(primary) !== null) return 'it is connected already';
      if (!this.#links.mayCall) return 'no calls are made at this time of day';
      await this.#fetch(signal);
      return 'fetched';
    } finally {
      for (const release of releases) release();
    }
  }

  async #fetch(signal: AbortSignal): Promise<void> {
    const { clock, primary, site, links } = this.#options;
    this.#failures = 0;
    this.#isDone = false;
    this.#isDue = true;
    this.#links.release();
    try {
      for (;;) {
        if (this.#isFetched()) return;
        if (this.#failures >= ATTEMPTS * links.length) {
          throw new ApplianceError(
            'peer-unreachable',
            `${primary} is not reached: ${this.#links.lastError ?? 'no link has come up'}`,
          );
        }
        await sleep(clock, LOOK_MS, signal);
        const session = site.session(primary);
        if (session === null) continue;
        if (session.isIncoming) return;
        const limit = session.session.isComparing ? COMPARING_CALL_MS : IDLE_CALL_MS;
        if (clock.now() - session.busyAt > limit) session.link.close('done');
      }
    } finally {
      this.#isDue = false;
      this.#links.look();
    }
  }

  #isFetched(): boolean {
    return this.#isDone;
  }

  #noteEnd(end: CallEnd | null): void {
    if (end?.established !== true) {
      this.#failures++;
      return;
    }
    this.#failures = 0;
    // Ended on purpose, by the primary that has nothing more, or here by the operator or an idle call.
    if (end.reason === 'closed-by-peer' && end.why !== 'shutdown' && end.why !== 'failed')
      this.#isDone = true;
    if (end.reason === 'closed-here' && end.why === 'done') this.#isDone = true;
  }
}
