import type { Clock } from '../../src/platform/clock.js';
import { EmulatedModem, type EmulatedModemSettings } from './modem-emulator.js';

/** How long things take on the telephone, ms. */
export interface ExchangeTimes {
  /** From the last digit to the first ring or the busy tone. */
  readonly dialMs: number;
  readonly ringMs: number;
  /** From answering to CONNECT. */
  readonly trainMs: number;
  /** How long a caller waits (S7). */
  readonly noAnswerMs: number;
}

export const REAL_TIMES: ExchangeTimes = { dialMs: 1500, ringMs: 5000, trainMs: 8000, noAnswerMs: 50_000 };
/** For tests in real time. */
export const SHORT_TIMES: ExchangeTimes = { dialMs: 50, ringMs: 200, trainMs: 200, noAnswerMs: 2000 };

const BITS_PER_BYTE = 10;
/** What a modem puts on the line in one go. */
const SLICE_MS = 20;
/** What a modem takes from its computer before it says stop. */
const MODEM_BUFFER_BYTES = 1024;

/** A telephone exchange: numbers, the modems on them, and the calls between them. */
export class ModemExchange {
  readonly clock: Clock;
  readonly times: ExchangeTimes;
  /** What happened, in words such as `100 calls 200`. */
  readonly log: string[] = [];
  readonly #modems = new Map<string, EmulatedModem>();
  readonly #calls = new Set<PhoneCall>();
  #onLog: (line: string) => void = () => undefined;
  #onData: (to: EmulatedModem, bytes: number) => void = () => undefined;

  constructor(clock: Clock, times: ExchangeTimes = REAL_TIMES) {
    this.clock = clock;
    this.times = times;
  }

  install(number: string, settings: Partial<EmulatedModemSettings> = {}): EmulatedModem {
    const modem = new EmulatedModem(this, number, settings);
    this.#modems.set(number, modem);
    return modem;
  }

  onLog(tell: (line: string) => void): void {
    this.#onLog = tell;
  }

  /** Hears of the bytes that have crossed. */
  onData(tell: (to: EmulatedModem, bytes: number) => void): void {
    this.#onData = tell;
  }

  crossed(to: EmulatedModem, bytes: number): void {
    this.#onData(to, bytes);
  }

  note(line: string): void {
    this.log.push(line);
    this.#onLog(line);
  }

  /** Calls that ring, train or are up. */
  get calls(): readonly PhoneCall[] {
    return [...this.#calls];
  }

  /** A digger cuts the trunk: every call loses its carrier; bytes under way are lost. */
  dropCarriers(): void {
    for (const call of this.calls) {
      this.note(`${call.caller.number} and ${call.callee.number} lose their carrier`);
      call.end(null);
    }
  }

  dial(caller: EmulatedModem, dialled: string): void {
    const number = dialled.replace(/[^0-9]/g, '');
    this.note(`${caller.number} calls ${number}`);
    const callee = this.#modems.get(number);
    const free = callee !== undefined && callee !== caller && callee.canBeCalled;
    const call = new PhoneCall(this, caller, free ? callee : caller, (ended) => this.#calls.delete(ended));
    caller.joins(call);
    if (free) callee.joins(call);
    this.#calls.add(call);
    if (free) call.ring();
    else call.fail(callee === undefined ? 'NO CARRIER' : 'BUSY');
  }
}

/** From dialling to hanging up. A number that cannot be reached makes a call without a callee, which is the caller. */
export class PhoneCall {
  readonly #exchange: ModemExchange;
  readonly caller: EmulatedModem;
  readonly callee: EmulatedModem;
  readonly #onEnd: (call: PhoneCall) => void;
  readonly #lines = new Map<EmulatedModem, DataLine>();
  #cancelTimer: () => void = () => undefined;
  #cancelPatience: () => void = () => undefined;
  #answered = false;
  #ended = false;

  constructor(
    exchange: ModemExchange,
    caller: EmulatedModem,
    callee: EmulatedModem,
    onEnd: (call: PhoneCall) => void,
  ) {
    this.#exchange = exchange;
    this.caller = caller;
    this.callee = callee;
    this.#onEnd = onEnd;
  }

  /** The modems have agreed; bytes flow. */
  get up(): boolean {
    return this.#lines.size > 0;
  }

  other(modem: EmulatedModem): EmulatedModem {
    return modem === this.caller ? this.callee : this.caller;
  }

  ring(): void {
    const { dialMs, ringMs, noAnswerMs } = this.#exchange.times;
    const again = (): void => {
      this.callee.ring();
      if (!this.#answered && !this.#ended) this.#cancelTimer = this.#exchange.clock.after(ringMs, again);
    };
    this.#cancelTimer = this.#exchange.clock.after(dialMs, again);
    this.#cancelPatience = this.#exchange.clock.after(noAnswerMs, () => {
      if (!this.#answered) this.#endWith('NO ANSWER');
    });
  }

  fail(result: string): void {
    this.#cancelTimer = this.#exchange.clock.after(this.#exchange.times.dialMs, () => this.#endWith(result));
  }

  /** The callee picks up. */
  answer(): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#cancelTimer();
    this.#exchange.note(`${this.callee.number} answers`);
    this.#cancelTimer = this.#exchange.clock.after(this.#exchange.times.trainMs, () => {
      const speed = Math.min(this.caller.settings.bitsPerSecond, this.callee.settings.bitsPerSecond);
      for (const modem of [this.caller, this.callee]) {
        const to = this.other(modem);
        this.#lines.set(
          modem,
          new DataLine(
            this.#exchange.clock,
            speed,
            (bytes) => {
              to.hear(bytes);
              this.#exchange.crossed(to, bytes.length);
            },
            () => modem.hasRoom(),
          ),
        );
      }
      this.#exchange.note(`${this.caller.number} and ${this.callee.number} are connected at ${speed}`);
      this.callee.connected(speed);
      this.caller.connected(speed);
    });
  }

  send(from: EmulatedModem, bytes: Uint8Array): void {
    this.#lines.get(from)?.send(bytes);
  }

  full(modem: EmulatedModem): boolean {
    return this.#lines.get(modem)?.full ?? false;
  }

  /** `by` has hung up and needs not be told; null: the carrier is gone. */
  end(by: EmulatedModem | null): void {
    if (by !== null) this.#exchange.note(`${by.number} hangs up`);
    this.#endWith('NO CARRIER', by);
  }

  #endWith(result: string, untold: EmulatedModem | null = null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelTimer();
    this.#cancelPatience();
    for (const line of this.#lines.values()) line.stop();
    this.#onEnd(this);
    // A callee that only rang hears nothing more, which is how it learns.
    const told = this.#answered ? new Set([this.caller, this.callee]) : new Set([this.caller]);
    if (!this.#answered) this.callee.leaves(null);
    for (const modem of told) modem.leaves(modem === untold ? null : result);
  }
}

/** One direction of a call, at the speed the modems agreed on. */
class DataLine {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  readonly #deliver: (bytes: Uint8Array) => void;
  readonly #onRoom: () => void;
  readonly #queue: Uint8Array[] = [];
  #waiting = 0;
  #freeAt = 0;
  #cancel: (() => void) | null = null;

  constructor(clock: Clock, bitsPerSecond: number, deliver: (bytes: Uint8Array) => void, onRoom: () => void) {
    this.#clock = clock;
    this.#bytesPerMs = bitsPerSecond / BITS_PER_BYTE / 1000;
    this.#deliver = deliver;
    this.#onRoom = onRoom;
  }

  get full(): boolean {
    return this.#waiting >= MODEM_BUFFER_BYTES;
  }

  send(bytes: Uint8Array): void {
    const most = Math.max(1, Math.floor(this.#bytesPerMs * SLICE_MS));
    for (let at = 0; at < bytes.length; at += most) this.#queue.push(bytes.slice(at, at + most));
    this.#waiting += bytes.length;
    this.#next();
  }

  stop(): void {
    this.#cancel?.();
    this.#queue.length = 0;
  }

  #next(): void {
    if (this.#cancel !== null) return;
    const slice = this.#queue.shift();
    if (slice === undefined) return;
    const now = this.#clock.now();
    // A timer of the machine that fires late makes the line no slower.
    this.#freeAt = Math.max(this.#freeAt, now - SLICE_MS) + slice.length / this.#bytesPerMs;
    this.#cancel = this.#clock.after(Math.max(0, this.#freeAt - now), () => {
      this.#cancel = null;
      const before = this.#waiting;
      this.#waiting -= slice.length;
      this.#deliver(slice);
      if (before >= MODEM_BUFFER_BYTES && !this.full) this.#onRoom();
      this.#next();
    });
  }
}
