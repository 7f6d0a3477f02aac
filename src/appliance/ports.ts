import type { CallEnd } from '../replication/call.js';
import type { Call } from '../replication/call.js';
import type { PortShare } from '../transport/modem/port-share.js';
import type { TransportError } from '../transport/errors.js';
import type { Listener, Transport } from '../transport/transport.js';
import type { EventLog } from './event-log.js';
import { LinkMeter } from './link-meter.js';
import { makeCall, type Site } from './site.js';
import { StrangerGuard } from './stranger-guard.js';

/** How long a connection may say nothing that a peer would, ms; on a modem, whose line only one can hold, with slow frames. */
const STRANGER_MS = { tcp: 5000, modem: 60_000 } as const;
/** Connections of nobody known, over all ports: one more, and the oldest is closed. */
const MAX_STRANGERS = 8;
/** At most so often an event tells of strangers, ms. */
const TELL_STRANGERS_MS = 60_000;

/** A call on a port. */
interface PortCall {
  readonly call: Call;
  readonly meter: LinkMeter;
  isKnown: boolean;
}

/** The ports on which peers may call, and the calls on them. */
export class Ports {
  readonly #site: Site;
  readonly #events: EventLog;
  readonly #abort = new AbortController();
  readonly #listening: Promise<void>[] = [];
  readonly #calls = new Set<PortCall>();
  readonly meters: LinkMeter[] = [];
  #toldStrangerAt: number | null = null;

  constructor(site: Site, events: EventLog) {
    this.#site = site;
    this.#events = events;
  }

  /** `share`: the port is also called out on; between calls it is lent to who wants it. */
  listen(listener: Listener, share: PortShare | null = null): void {
    const meter = new LinkMeter(listener.name, listener.type);
    this.meters.push(meter);
    meter.state = 'opening';
    const { signal } = this.#abort;
    this.#listening.push(
      share === null ? this.#serve(listener, meter, signal) : this.#serveShared(listener, meter, share),
    );
  }

  /** Ends the calls on the ports of this name, or on all of them. Returns how many there were. */
  hangUp(name?: string): number {
    const calls = [...this.#calls].filter(({ meter }) => name === undefined || meter.name === name);
    for (const { call } of calls) call.close('done');
    return calls.length;
  }

  async close(): Promise<void> {
    this.#abort.abort();
    for (const { call } of this.#calls) call.close('shutdown');
    await Promise.all([...this.#calls].map(({ call }) => call.ended));
    await Promise.all(this.#listening);
  }

  #serve(listener: Listener, meter: LinkMeter, signal: AbortSignal): Promise<void> {
    return listener.listen(
      (transport) => this.#answer(transport, meter, signal),
      (error) => this.#report(meter, error),
      signal,
    );
  }

  async #serveShared(listener: Listener, meter: LinkMeter, share: PortShare): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const release = await share.take(signal).catch(() => null);
      if (release === null) return;
      const yielding = new AbortController();
      const yieldPort = (): void => {
        const calls = [...this.#calls].filter((each) => each.meter === meter);
        if (!share.wanted || calls.some(({ isKnown }) => isKnown)) return;
        yielding.abort();
        for (const { call } of calls) call.close('done');
      };
      const forget = share.onWanted(yieldPort);
      const serving = this.#serve(
        { ...listener, listen: afterEachCall(listener, yieldPort) },
        meter,
        AbortSignal.any([signal, yielding.signal]),
      );
      yieldPort();
      await serving.finally(() => {
        forget();
        release();
      });
    }
  }

  #report(meter: LinkMeter, error: TransportError | null): void {
    if (error !== null && meter.lastError !== error.message) {
      const hint = error.hint === undefined ? '' : ` (${error.hint})`;
      this.#events.add('warning', `port ${error.message}${hint}`);
    }
    meter.lastError = error?.message ?? null;
    meter.state = error === null ? 'waiting' : 'failed';
  }

  async #answer(line: Transport, meter: LinkMeter, signal: AbortSignal): Promise<void> {
    if (signal.aborted) {
      await line.close();
      return;
    }
    // A cable stays as it is; a stranger's connection would be one less for those who may call.
    const guard = line.type === 'tcp' ? new StrangerGuard(line) : null;
    const transport = guard ?? line;
    let peer = '';
    let disconnected: () => void = () => undefined;
    let counted: () => void = () => undefined;
    const call = makeCall({
      site: this.#site,
      transport,
      ...((line.type === 'tcp' || line.type === 'modem') && { handshakeTimeout: STRANGER_MS[line.type] }),
      onStranger: (pause) => this.#tellStranger(line.name, pause),
      onMeeting: (meeting) => {
        disconnected();
        counted();
        guard?.trust();
        entry.isKnown = true;
        peer = meeting.peer;
        disconnected = meter.connected(peer);
        counted = this.#site.account?.(peer, transport, call) ?? counted;
        this.#events.add('info', `${peer} has called over ${transport.name} (${meeting.hello.software})`);
      },
    });
    const entry: PortCall = { call, meter, isKnown: false };
    this.#calls.add(entry);
    this.#boundStrangers();
    const count = meter.watch(transport, call);
    const end = await call.ended;
    this.#calls.delete(entry);
    count();
    counted();
    disconnected();
    this.#tellEnd(peer, end, meter);
    if (guard !== null && !end.established) this.#tellStranger(line.name, 0);
  }

  #tellStranger(port: string, pause: number): void {
    const now = this.#site.clock.now();
    if (this.#toldStrangerAt !== null && now - this.#toldStrangerAt < TELL_STRANGERS_MS) return;
    this.#toldStrangerAt = now;
    const rest = pause === 0 ? '' : `; no call is answered for ${pause / 1000} s`;
    this.#events.add(
      'warning',
      `somebody not known here has called over ${port} and was not answered${rest}`,
    );
  }

  #boundStrangers(): void {
    const strangers = [...this.#calls].filter(({ isKnown, meter }) => !isKnown && meter.type === 'tcp');
    for (const { call } of strangers.slice(0, Math.max(0, strangers.length - MAX_STRANGERS))) {
      call.close('refused');
    }
  }

  #tellEnd(peer: string, end: CallEnd, meter: LinkMeter): void {
    if (!end.established || end.reason === 'closed-here') return;
    const why = end.line?.message ?? end.why ?? end.reason.replaceAll('-', ' ');
    meter.lastError = end.reason === 'closed-by-peer' ? null : why;
    this.#events.add('info', `the call of ${peer} has ended: ${why}`);
  }
}

/** The listener, with something to be looked at after each call before it waits for the next. */
const afterEachCall =
  (listener: Listener, look: () => void): Listener['listen'] =>
  (onCall, report, signal) =>
    listener.listen((transport) => onCall(transport).finally(look), report, signal);
