import type { Millis } from '../../protocol/units.js';
import type { Clock } from '../platform/clock.js';
import type { Log } from '../platform/log.js';
import type { Call, Session, SessionLink } from '../replication/call.js';
import type { Replicator } from '../replication/replicator.js';
import { SourceSession } from '../replication/source-session.js';
import type { Transport } from '../transport/transport.js';
import { ApplianceError } from './errors.js';
import type { EventLog } from './event-log.js';
import { silenceOn } from './line-patience.js';
import { IDLE_MS } from './link-choice.js';
import { lineBytes, type LineLedger } from './line-ledger.js';
import { add, LinkMeter, ZERO, type Totals } from './link-meter.js';
import type { PeerLink } from './outgoing-link.js';
import { PeerLinks } from './peer-links.js';
import type { Meeting, Site } from './site.js';

export interface BackupPeerOptions {
  readonly name: string;
  readonly publicKey: Uint8Array;
  /** In the order to try them; empty: the backup calls. */
  readonly links: readonly PeerLink[];
  readonly replicators: ReadonlyMap<string, Replicator>;
  /** Of what its replicators' sets cost. */
  readonly ledger?: LineLedger;
  /** This primary. */
  readonly site: Site;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventLog;
  /** The backup has called to fetch what there is: resolves when that is sealed. */
  readonly onCalled?: () => Promise<void>;
}

/** The session that is in use. */
interface Current {
  readonly link: SessionLink;
  readonly transport: Transport;
  readonly isIncoming: boolean;
  readonly since: Millis;
}

/**
 * One backup as a primary sees it: the links on which it is called, the calls that it makes itself, and the one session
 * that is in use. A newer session takes the place of an older one when the backup has told where all copies stand:
 * until then the older one goes on.
 */
export class BackupPeer {
  readonly #options: BackupPeerOptions;
  readonly #links: PeerLinks;
  /** What calls of the backup have carried. */
  readonly #incoming: LinkMeter;
  readonly #incomingCalls = new Map<Transport, Call>();
  readonly #dismissed = new AbortController();
  #current: Current | null = null;
  #heardAt: Millis | null = null;
  #demands = 0;
  #idleSince: Millis;
  #cancelLook: (() => void) | null = null;

  constructor(options: BackupPeerOptions) {
    this.#options = options;
    this.#incoming = new LinkMeter(`${options.name}: called`, 'tcp');
    this.#idleSince = options.clock.now();
    this.#links = new PeerLinks({
      ...options,
      peer: options.name,
      hasWork: () => this.hasWork,
      calledBy: () => this.#calledBy(),
    });
    options.ledger?.watch(() => lineBytes(this.totals, 'primary'));
  }

  get name(): string {
    return this.#options.name;
  }

  get publicKey(): Uint8Array {
    return this.#options.publicKey;
  }

  get meters(): readonly LinkMeter[] {
    return this.#links.meters;
  }

  get replicators(): ReadonlyMap<string, Replicator> {
    return this.#options.replicators;
  }

  /** When a session with this backup was last known to be up; null: never. */
  get heardAt(): Millis | null {
    return this.#current?.link.lastHeardAt ?? this.#heardAt;
  }

  /** The line that carries the session; null: none is up. */
  get line(): string | null {
    return this.#current?.transport.name ?? null;
  }

  /** The last thing that went wrong with a link, for the operator. */
  get lastError(): string | null {
    return this.#links.lastError;
  }

  /** A set is to be sent, or somebody needs the line. */
  get hasWork(): boolean {
    return this.#demands > 0 || [...this.replicators.values()].some(({ isActive }) => isActive);
  }

  /** Over all links; what a dropped call had sent and the backup did keep is not counted as repeated. */
  get totals(): Totals {
    const sum = [...this.meters, this.#incoming].reduce((total, meter) => add(total, meter.totals), ZERO);
    const kept = [...this.replicators.values()].reduce((total, { view }) => total + view.unreportedBytes, 0);
    return { ...sum, bytesRepeated: Math.max(0, sum.bytesRepeated - kept) };
  }

  start(): void {
    this.#links.start();
    this.#watchIdle();
  }

  /** There is work now: does not wait for the next look. */
  look(): void {
    this.#links.look();
  }

  /** A line is needed until the returned function is called; one that is dialled is dialled for it. */
  demand(): () => void {
    this.#demands++;
    this.look();
    let isOver = false;
    return () => {
      if (!isOver) this.#demands--;
      isOver = true;
    };
  }

  /** The operator wants no calls on a link for a while, or on any. True if the link is this peer's. */
  hangUp(link?: string): boolean {
    return this.#links.hangUp(link);
  }

  /** The operator wants calls now. */
  release(): void {
    this.#links.release();
  }

  /** A session with this backup, on a call of either side. */
  meet({ link, hello, transport, isIncoming }: Meeting): Session {
    const { clock, replicators, log } = this.#options;
    const current: Current = { link, transport, isIncoming, since: clock.now() };
    this.#heardAt = clock.now();
    const session = new SourceSession(link, hello, replicators, log, () => this.#use(current));
    return {
      handleMessage: (bytes) => session.handleMessage(bytes),
      handleSegment: () => session.handleSegment(),
      handleProgress: (parcel, held) => session.handleProgress(parcel, held),
      handleParcelHeld: (parcel) => session.handleParcelHeld(parcel),
      handleEnd: () => {
        session.handleEnd();
        this.#heardAt = link.lastHeardAt ?? this.#heardAt;
        if (this.#current === current) this.#current = null;
        this.#links.look();
      },
    };
  }

  account(transport: Transport, call: Call): () => void {
    this.#incomingCalls.set(transport, call);
    const count = this.#incoming.watch(transport, call);
    return () => {
      this.#incomingCalls.delete(transport);
      count();
    };
  }

  /** Aborts when the peer is closed: nobody can wait for it any more. */
  get dismissed(): AbortSignal {
    return this.#dismissed.signal;
  }

  async close(): Promise<void> {
    const { name } = this.#options;
    const hint = 'what was sealed is kept and sent; ask again';
    this.#dismissed.abort(
      new ApplianceError('stopped', `the configuration of ${name} is being changed`, hint),
    );
    this.#cancelLook?.();
    await this.#links.close();
  }

  /** The backup has told where every copy stands: from now on this session is the one. */
  #use(current: Current): void {
    const before = this.#current;
    this.#current = current;
    before?.link.close('replaced');
    if (!current.isIncoming) return;
    const sealed = this.#options.onCalled?.();
    if (sealed === undefined) return;
    const release = this.demand();
    sealed.then(release, (error: unknown) => {
      release();
      this.#options.log.error('A snapshot for a backup that has called has failed.', { err: error });
    });
  }

  #calledBy(): { readonly heardAt: Millis; readonly patience: number } | null {
    const current = this.#current;
    if (current === null || !current.isIncoming) return null;
    return {
      heardAt: current.link.lastHeardAt ?? current.since,
      patience: silenceOn(current.transport),
    };
  }

  /** A call of the backup is ended here when all is done: only this side knows that. */
  #watchIdle(): void {
    const { clock } = this.#options;
    const current = this.#current;
    if (this.hasWork) this.#idleSince = clock.now();
    if (current?.isIncoming === true) {
      const quietSince = Math.max(this.#idleSince, current.since);
      if (clock.now() - quietSince >= IDLE_MS) current.link.close('done');
    }
    this.#cancelLook = clock.after(1000, () => this.#watchIdle());
  }
}
