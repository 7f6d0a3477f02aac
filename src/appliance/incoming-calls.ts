import { Link } from '../../protocol/link/link.js';
import { decodeHello } from '../../protocol/messages/codec.js';
import type { Hello } from '../../protocol/messages/message.js';
import type { BackupConfiguration, PrimaryPeer } from '../config/configuration.js';
import type { KeyPair } from '../config/keys.js';
import { Call, type CallEnd, type Session, type SessionLink } from '../replication/call.js';
import { summarizeCopy } from '../replication/copy-summary.js';
import { TargetSession } from '../replication/target-session.js';
import type { Store } from '../store/store.js';
import type { Listener, Transport } from '../transport/transport.js';
import { SOFTWARE, type ApplianceOptions } from './appliance.js';
import type { EventLog } from './event-log.js';
import { patienceOn } from './line-patience.js';
import { lineCrc } from './link-crc.js';
import { LinkMeter } from './link-meter.js';
import { Presence } from './presence.js';
import type { PeerStatus } from './status.js';
import { ToldCopies } from './told-copies.js';

/** How long a connection may say nothing that a peer would. */
const STRANGER_MS = 30_000;

/** The ports of a backup and the calls on them. */
export class IncomingCalls {
  readonly #configuration: BackupConfiguration;
  readonly #keys: KeyPair;
  readonly #store: Store;
  readonly #events: EventLog;
  readonly #options: ApplianceOptions;
  readonly #abort = new AbortController();
  readonly #listening: Promise<void>[] = [];
  readonly #calls = new Set<Call>();
  /** The session in use of each primary; a newer one takes its place. */
  readonly #current = new Map<string, { readonly session: TargetSession; readonly link: SessionLink }>();
  readonly #sessions = new Set<TargetSession>();
  readonly meters: LinkMeter[] = [];
  /** Told after each apply. */
  onApplied: (primary: string, volume: string) => void = () => undefined;
  readonly #presence: Presence;

  constructor(
    configuration: BackupConfiguration,
    keys: KeyPair,
    store: Store,
    events: EventLog,
    options: ApplianceOptions,
  ) {
    this.#configuration = configuration;
    this.#keys = keys;
    this.#store = store;
    this.#events = events;
    this.#options = options;
    this.#presence = new Presence(options.clock);
  }

  /** The primaries of the configuration, in its order. */
  get peers(): readonly PeerStatus[] {
    return this.#configuration.primaries.map(({ name }) => this.#presence.statusOf(name));
  }

  listen(listener: Listener): void {
    const meter = new LinkMeter(listener.name, listener.type);
    this.meters.push(meter);
    meter.state = 'opening';
    this.#listening.push(
      listener.listen(
        (transport) => this.#answer(transport, meter),
        (error) => {
          if (error !== null && meter.lastError !== error.message) {
            this.#events.add(
              'warning',
              `port ${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}`,
            );
          }
          meter.lastError = error?.message ?? null;
          meter.state = error === null ? 'waiting' : 'failed';
        },
        this.#abort.signal,
      ),
    );
  }

  async close(): Promise<void> {
    this.#abort.abort();
    for (const call of this.#calls) call.close('shutdown');
    await Promise.all([...this.#calls].map((call) => call.ended));
    await Promise.all(this.#listening);
    await Promise.all([...this.#sessions].map((session) => session.settled()));
  }

  async #answer(transport: Transport, meter: LinkMeter): Promise<void> {
    const { clock, random } = this.#options;
    if (this.#abort.signal.aborted) {
      await transport.close();
      return;
    }
    const rate = transport.bytesPerSecond;
    const told = new ToldCopies();
    const link = new Link({
      initiator: false,
      role: 'backup',
      keys: this.#keys,
      acceptPeer: (key) => this.#primaryOf(key) !== undefined,
      answer: (key) => told.answer(this.#hello(key)),
      randomBytes: (count) => random.bytes(count),
      crc32: lineCrc,
      deadAfter: patienceOn(transport),
      ...(rate !== undefined && { bytesPerSecond: rate }),
      // A cable stays as it is; a stranger's connection would be one less for those who may call.
      ...(transport.type === 'tcp' && { handshakeTimeout: STRANGER_MS }),
    });
    let peer = '';
    let leave = (): void => undefined;
    const call = new Call({
      transport,
      link,
      clock,
      onSession: (session, key, hello) => {
        peer = this.#primaryOf(key)?.name ?? '';
        meter.state = 'connected';
        meter.peer = peer;
        meter.lastError = null;
        leave = this.#presence.begin(peer, meter.name);
        const { software } = decodeHello(hello);
        this.#events.add('info', `${peer} has called over ${transport.name} (${software})`);
        return this.#open(session, key, peer, told);
      },
    });
    this.#calls.add(call);
    const count = meter.watch(transport, call);
    const end = await call.ended;
    this.#calls.delete(call);
    leave();
    count();
    meter.peer = null;
    meter.state = 'waiting';
    this.#tellEnd(peer, end, meter);
  }

  #primaryOf(key: Uint8Array): PrimaryPeer | undefined {
    return this.#configuration.primaries.find(({ publicKey }) => Buffer.compare(publicKey, key) === 0);
  }

  #hello(key: Uint8Array): Hello {
    const primary = this.#primaryOf(key)?.name;
    const copies = this.#store
      .volumes()
      .filter((status) => status.primary === primary)
      .map(summarizeCopy);
    return { name: this.#configuration.name, software: SOFTWARE, copies, complete: true };
  }

  #open(link: SessionLink, key: Uint8Array, primary: string, told: ToldCopies): Session {
    const session = new TargetSession({
      link,
      store: { volume: (name) => this.#store.volume(primary, name) },
      log: this.#options.log.child({ primary }),
      onApplied: (volume, point) => {
        this.#events.add('info', `${primary}/${volume}: now at state ${point.state.id.slice(0, 8)}`);
        this.#current.get(primary)?.session.sayApplied(volume, point.state.id);
        this.onApplied(primary, volume);
      },
      onTrouble: (volume, text) => this.#events.add('error', `${primary}/${volume}: ${text}`),
    });
    this.#sessions.add(session);
    const before = this.#current.get(primary);
    this.#current.set(primary, { session, link });
    before?.link.close('replaced');
    const hello = this.#hello(key);
    told.catchUp(hello, link);
    for (const { volume, capture } of hello.copies) {
      if (capture?.durable === true) session.finish(volume, capture.to);
    }
    return {
      handleMessage: (bytes) => session.handleMessage(bytes),
      handleSegment: (parcel, offset, bytes) => session.handleSegment(parcel, offset, bytes),
      handleProgress: () => session.handleProgress(),
      handleParcelHeld: () => session.handleParcelHeld(),
      handleEnd: () => {
        session.handleEnd();
        if (this.#current.get(primary)?.session === session) this.#current.delete(primary);
        void session.settled().finally(() => this.#sessions.delete(session));
      },
    };
  }

  #tellEnd(peer: string, end: CallEnd, meter: LinkMeter): void {
    if (!end.established || end.reason === 'closed-here') return;
    const why = end.line?.message ?? end.reason.replaceAll('-', ' ');
    meter.lastError = end.reason === 'closed-by-peer' ? null : why;
    this.#events.add('info', `the call of ${peer} has ended: ${why}`);
  }
}
