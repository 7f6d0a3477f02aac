import { Link } from '../../protocol/link/link.js';
import { decodeHello, encodeHello } from '../../protocol/messages/codec.js';
import { MAX_CALLER_HELLO_BYTES } from '../../protocol/messages/limits.js';
import type { Millis } from '../../protocol/units.js';
import type { KeyPair } from '../config/keys.js';
import { sleep, type Clock } from '../platform/clock.js';
import type { Log } from '../platform/log.js';
import type { Random } from '../platform/random.js';
import { Call, type CallEnd } from '../replication/call.js';
import type { Replicator } from '../replication/replicator.js';
import { SourceSession } from '../replication/source-session.js';
import { TransportError } from '../transport/errors.js';
import type { Dialer, Transport } from '../transport/transport.js';
import { SOFTWARE } from './appliance.js';
import type { EventLog } from './event-log.js';
import { patienceOn } from './line-patience.js';
import { lineCrc } from './link-crc.js';
import { add, LinkMeter, ZERO, type Totals } from './link-meter.js';

export interface BackupPeerOptions {
  readonly name: string;
  readonly publicKey: Uint8Array;
  /** In the order to try them. */
  readonly dialers: readonly Dialer[];
  readonly replicators: ReadonlyMap<string, Replicator>;
  /** This primary's own. */
  readonly siteName: string;
  readonly keys: KeyPair;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly events: EventLog;
}

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 8000;

/** One backup as a primary sees it: keeps a call up over the first of its links that works. */
export class BackupPeer {
  readonly #options: BackupPeerOptions;
  readonly meters: readonly LinkMeter[];
  readonly #abort = new AbortController();
  #call: Call | null = null;
  #running: Promise<void> = Promise.resolve();
  #heardAt: Millis | null = null;
  #lastTold = '';

  constructor(options: BackupPeerOptions) {
    this.#options = options;
    this.meters = options.dialers.map(
      (dialer) => new LinkMeter(`${options.name}: ${dialer.name}`, dialer.type),
    );
  }

  get name(): string {
    return this.#options.name;
  }

  get replicators(): ReadonlyMap<string, Replicator> {
    return this.#options.replicators;
  }

  /** When a session with this backup was last known to be up; null: never. */
  get heardAt(): Millis | null {
    return this.#call?.lastHeardAt ?? this.#heardAt;
  }

  /** The last thing that went wrong with a link, for the operator. */
  get lastError(): string | null {
    return this.meters.find((meter) => meter.lastError !== null)?.lastError ?? null;
  }

  /** Over all links; what a dropped call had sent and the backup did keep is not counted as repeated. */
  get totals(): Totals {
    const sum = this.meters.reduce((total, meter) => add(total, meter.totals), ZERO);
    const kept = [...this.replicators.values()].reduce(
      (total, { unreportedBytes }) => total + unreportedBytes,
      0,
    );
    return { ...sum, bytesRepeated: Math.max(0, sum.bytesRepeated - kept) };
  }

  start(): void {
    this.#running = this.#run(this.#abort.signal);
  }

  async close(): Promise<void> {
    this.#abort.abort(new TransportError('closed', 'the appliance is stopped'));
    this.#call?.close('shutdown');
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    while (!signal.aborted && this.#options.dialers.length > 0) {
      const established = await this.#tryLinks(signal);
      pause = established ? FIRST_PAUSE_MS : Math.min(MAX_PAUSE_MS, pause * 2);
      await sleep(this.#options.clock, pause, signal).catch(() => undefined);
    }
  }

  /** Tries the links in order until one carried a session; true if one did. */
  async #tryLinks(signal: AbortSignal): Promise<boolean> {
    for (const [index, dialer] of this.#options.dialers.entries()) {
      const meter = this.meters[index];
      if (meter === undefined || signal.aborted) break;
      if (await this.#tryLink(dialer, meter, signal)) return true;
    }
    return false;
  }

  async #tryLink(dialer: Dialer, meter: LinkMeter, signal: AbortSignal): Promise<boolean> {
    meter.state = 'opening';
    try {
      const transport = await dialer.dial(signal);
      const end = await this.#converse(transport, meter, signal);
      meter.state = 'waiting';
      this.#tellEnd(end, meter);
      return end.established;
    } catch (error) {
      meter.state = 'failed';
      if (!(error instanceof TransportError)) this.#options.log.error('A call failed.', { err: error });
      this.#tellTrouble(meter, (error as Error).message);
      return false;
    }
  }

  async #converse(transport: Transport, meter: LinkMeter, signal: AbortSignal): Promise<CallEnd> {
    const { clock, random, keys, publicKey, siteName } = this.#options;
    if (signal.aborted) {
      await transport.close();
      throw signal.reason;
    }
    meter.state = 'connecting';
    const hello = { name: siteName, software: SOFTWARE, copies: [], complete: true };
    const rate = transport.bytesPerSecond;
    const link = new Link({
      initiator: true,
      role: 'primary',
      keys,
      peerKey: publicKey,
      hello: encodeHello(hello, MAX_CALLER_HELLO_BYTES),
      randomBytes: (count) => random.bytes(count),
      crc32: lineCrc,
      deadAfter: patienceOn(transport),
      ...(rate !== undefined && { bytesPerSecond: rate }),
    });
    const call = new Call({
      transport,
      link,
      clock,
      onSession: (session, _key, answer) => {
        const backup = decodeHello(answer);
        meter.state = 'connected';
        meter.peer = this.name;
        meter.lastError = null;
        this.#lastTold = '';
        this.#heardAt = clock.now();
        this.#options.events.add(
          'info',
          `connected to ${this.name} over ${transport.name} (${backup.software})`,
        );
        return new SourceSession(session, backup, this.#options.replicators, this.#options.log);
      },
    });
    const count = meter.watch(transport, call);
    this.#call = call;
    const end = await call.ended;
    this.#heardAt = call.lastHeardAt ?? this.#heardAt;
    this.#call = null;
    meter.peer = null;
    count();
    return end;
  }

  #tellEnd(end: CallEnd, meter: LinkMeter): void {
    if (end.reason === 'closed-here') return;
    const why = end.line?.message ?? END_TEXTS[end.reason];
    if (!end.established) {
      this.#tellTrouble(meter, end.reason === 'no-answer' ? `${meter.name}: ${END_TEXTS['no-answer']}` : why);
      return;
    }
    meter.lastError = why;
    this.#options.events.add('warning', `the call with ${this.name} has ended: ${why}`);
  }

  /** A line that stays dead is told of once, not with every attempt. */
  #tellTrouble(meter: LinkMeter, text: string): void {
    meter.lastError = text;
    if (this.#abort.signal.aborted || this.#lastTold === text) return;
    this.#lastTold = text;
    this.#options.events.add('warning', `no call to ${this.name}: ${text}`);
  }
}

const END_TEXTS: Readonly<Record<CallEnd['reason'], string>> = {
  'closed-here': 'closed here',
  'closed-by-peer': 'the backup hung up',
  'peer-silent': 'the backup has fallen silent',
  'no-answer':
    'the line is open, but nobody answers the handshake (is the backup running, and do both know each other’s public key?)',
  'protocol-violation': 'the backup broke the protocol',
  'line-lost': 'the line was lost',
};
