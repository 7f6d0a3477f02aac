import { ScrapBook } from '../../protocol/link/scraps.js';
import { encodeMessage } from '../../protocol/messages/codec.js';
import { MAX_SUSPECT_RANGES } from '../../protocol/messages/limits.js';
import type { Hello, Suspect } from '../../protocol/messages/message.js';
import { covering } from '../../protocol/ranges.js';
import type { Millis } from '../../protocol/units.js';
import type { PrimaryPeer } from '../config/configuration.js';
import type { KeyPair } from '../config/keys.js';
import type { Session, SessionLink } from '../replication/call.js';
import { summarizeCopy } from '../replication/copy-summary.js';
import { TargetSession } from '../replication/target-session.js';
import type { Store } from '../store/store.js';
import { SOFTWARE, type ApplianceOptions } from './appliance.js';
import type { EventLog } from './event-log.js';
import { PrimaryLines } from './primary-lines.js';
import type { Meeting, Site } from './site.js';

export interface BackupSiteOptions extends Pick<ApplianceOptions, 'clock' | 'random' | 'log'> {
  readonly name: string;
  readonly keys: KeyPair;
  /** Those that may call now. */
  readonly primaries: () => readonly PrimaryPeer[];
  readonly store: Store;
  readonly events: EventLog;
  /** Told after each apply. */
  readonly onApplied?: (primary: string, volume: string) => void;
}

/** A primary is not sure any more how its volume and this copy differ. */
export const distrustText = (why: string): string =>
  `the primary does not trust what it knows of this copy (${why})`;

/** The session of a primary that is in use. */
export interface PrimarySession {
  readonly session: TargetSession;
  readonly link: SessionLink;
  /** The line that carries it. */
  readonly line: string;
  readonly isIncoming: boolean;
  /** The primary knows of what is said of suspect blocks. */
  readonly heedsSuspects: boolean;
  readonly since: Millis;
  /** When the primary last said something of a set. */
  busyAt: Millis;
}

/** A backup as its primaries meet it: one session for each of them, a newer one in the place of an older one. */
export class BackupSite implements Site {
  readonly role = 'backup';
  readonly scraps = new ScrapBook();
  readonly #options: BackupSiteOptions;
  readonly #current = new Map<string, PrimarySession>();
  readonly #sessions = new Set<TargetSession>();
  readonly #heardAt = new Map<string, Millis>();
  readonly #lines = new Map<string, PrimaryLines>();

  constructor(options: BackupSiteOptions) {
    this.#options = options;
  }

  get keys(): KeyPair {
    return this.#options.keys;
  }

  get clock(): BackupSiteOptions['clock'] {
    return this.#options.clock;
  }

  get random(): BackupSiteOptions['random'] {
    return this.#options.random;
  }

  get primaries(): readonly PrimaryPeer[] {
    return this.#options.primaries();
  }

  /** The session in use with a primary; null: none. */
  session(primary: string): PrimarySession | null {
    return this.#current.get(primary) ?? null;
  }

  /** When a primary was last heard of; null: not since the start. */
  heardAt(primary: string): Millis | null {
    return this.#current.get(primary)?.link.lastHeardAt ?? this.#heardAt.get(primary) ?? null;
  }

  peerName(key: Uint8Array): string | undefined {
    return this.primaries.find(({ publicKey }) => Buffer.compare(publicKey, key) === 0)?.name;
  }

  /**
   * Where the copies stand changes by the second while another session brings parcels, and a call waits for its answer: then
   * nothing is said of them before the new session is up and the other one closed, so that nothing is sent twice. What is suspect
   * in them is to be said before where they stand, so that is said then, too.
   */
  hello(primary: string, isCall: boolean): Hello {
    const { name } = this.#options;
    if (isCall || this.#current.has(primary) || this.#suspectsOf(primary).length > 0)
      return { name, software: SOFTWARE, copies: [], complete: false };
    return this.#helloNow(primary);
  }

  /** Tells a primary that is connected which blocks of its copies are suspect. */
  tellSuspects(primary: string): void {
    const current = this.#current.get(primary);
    if (current?.heedsSuspects !== true) return;
    for (const message of this.#suspectsOf(primary)) current.link.sendMessage(encodeMessage(message));
  }

  meet({ peer, link, hello, told, transport, isIncoming }: Meeting): Session {
    const { store, log, events, clock } = this.#options;
    const lines = this.#linesOf(peer);
    const left = lines.meet(transport, link);
    const session = new TargetSession({
      link,
      store: { volume: (name) => store.volume(peer, name) },
      log: log.child({ primary: peer }),
      onApplied: (volume, point) => {
        events.add('info', `${peer}/${volume}: now at state ${point.state.id.slice(0, 8)}`);
        this.#current.get(peer)?.session.sayApplied(volume, point.state.id);
        this.tellSuspects(peer);
        this.#options.onApplied?.(peer, volume);
      },
      onTrouble: (volume, text) => events.add('error', `${peer}/${volume}: ${text}`),
      onDistrust: (volume, why) =>
        events.add('warning', `${peer}/${volume}: ${distrustText(why)}; it compares them`),
      onCompared: (volume, differing) => {
        const blocks = differing === 1 ? '1 block differs' : `${differing} blocks differ`;
        const found = differing === 0 ? 'nothing differs' : `${blocks}, sent anew`;
        const text = `${peer}/${volume}: the primary has compared its volume with this copy: ${found}`;
        events.add(differing === 0 ? 'info' : 'warning', text);
      },
      ledger: lines.ledger,
    });
    this.#sessions.add(session);
    const now = clock.now();
    const before = this.#current.get(peer);
    const current: PrimarySession = {
      session,
      link,
      line: transport.name,
      isIncoming,
      heedsSuspects: !hello.complete,
      since: now,
      busyAt: now,
    };
    this.#current.set(peer, current);
    this.#heardAt.set(peer, now);
    before?.link.close('replaced');
    this.tellSuspects(peer);
    const standing = this.#helloNow(peer);
    told.catchUp(standing, link);
    for (const { volume, capture } of standing.copies) {
      if (capture?.durable === true) session.finish(volume, capture.to);
    }
    const noteBusy = (): void => {
      current.busyAt = clock.now();
    };
    return {
      handleMessage: (bytes) => {
        noteBusy();
        session.handleMessage(bytes);
      },
      handleSegment: (parcel, offset, bytes) => {
        noteBusy();
        session.handleSegment(parcel, offset, bytes);
      },
      handleProgress: () => session.handleProgress(),
      handleParcelHeld: () => session.handleParcelHeld(),
      handleEnd: () => {
        left();
        session.handleEnd();
        this.#heardAt.set(peer, link.lastHeardAt ?? now);
        if (this.#current.get(peer) === current) this.#current.delete(peer);
        void session.settled().finally(() => this.#sessions.delete(session));
      },
    };
  }

  /** Resolves when the store has finished what sessions began; to be called when none is left. */
  async settled(): Promise<void> {
    await Promise.all([...this.#sessions].map((session) => session.settled()));
  }

  #linesOf(primary: string): PrimaryLines {
    const lines = this.#lines.get(primary) ?? new PrimaryLines();
    this.#lines.set(primary, lines);
    return lines;
  }

  #suspectsOf(primary: string): readonly Suspect[] {
    return this.#options.store.volumes().flatMap(({ primary: of, volume, state, suspects }) =>
      of !== primary || state === null || suspects == null
        ? []
        : [
            {
              kind: 'suspect',
              volume,
              state: state.id,
              blocks: covering(suspects.blocks, MAX_SUSPECT_RANGES),
            },
          ],
    );
  }

  #helloNow(primary: string): Hello {
    const { name, store } = this.#options;
    const copies = store
      .volumes()
      .filter((status) => status.primary === primary)
      .map(summarizeCopy);
    return { name, software: SOFTWARE, copies, complete: true };
  }
}
