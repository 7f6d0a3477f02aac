import type { ModemExchange, PhoneCall } from './modem-emulator-exchange.js';

export interface EmulatedModemSettings {
  readonly bitsPerSecond: number;
  /** Before CONNECT, as modems with extended reports say it. */
  readonly report: readonly string[];
}

/** A fault that a test switches on. */
export interface ModemFaults {
  /** Switched off: it says nothing and hears nothing. */
  off: boolean;
  /** The telephone cord is out. */
  noDialtone: boolean;
  /** Somebody else is on the line. */
  engaged: boolean;
  /** What dialling is answered with, at once. */
  refusal: string | null;
  /** Commands, after `AT`, that it does not know. */
  unknown: RegExp | null;
}

const GUARD_UNIT_MS = 20;
const FACTORY_S12 = 50;
const MAX_COMMAND = 200;
const CODES: Readonly<Record<string, number>> = {
  OK: 0,
  CONNECT: 1,
  RING: 2,
  'NO CARRIER': 3,
  ERROR: 4,
  'NO DIALTONE': 6,
  BUSY: 7,
  'NO ANSWER': 8,
};

/**
 * A Hayes modem: its computer's bytes come in by `write`, what it says goes to the function given to `attach`. It has a
 * carrier wire and DTR, which a pty leaves unused.
 */
export class EmulatedModem {
  readonly number: string;
  readonly settings: EmulatedModemSettings;
  readonly faults: ModemFaults = {
    off: false,
    noDialtone: false,
    engaged: false,
    refusal: null,
    unknown: null,
  };
  readonly #exchange: ModemExchange;
  readonly #escape: EscapeWatch;
  #say: (bytes: Uint8Array) => void = () => undefined;
  #onRoom: () => void = () => undefined;
  #call: PhoneCall | null = null;
  #inData = false;
  #line = '';
  #rings = 0;
  #echo = true;
  #verbose = true;
  #autoAnswer = 0;
  #guardMs = FACTORY_S12 * GUARD_UNIT_MS;
  #dtr = true;

  constructor(exchange: ModemExchange, number: string, settings: Partial<EmulatedModemSettings>) {
    this.#exchange = exchange;
    this.number = number;
    this.settings = { bitsPerSecond: 9600, report: [], ...settings };
    this.#escape = new EscapeWatch(exchange, () => this.#escaped());
  }

  attach(say: (bytes: Uint8Array) => void, onRoom: () => void = () => undefined): void {
    this.#say = say;
    this.#onRoom = onRoom;
  }

  /** In a call whose bytes reach the other computer. */
  get online(): boolean {
    return this.#inData;
  }

  /** The carrier wire (&C1). */
  get carrier(): boolean {
    return this.#call?.up === true;
  }

  /** The modem asks its computer to stop (CTS). */
  get full(): boolean {
    return this.#inData && this.#call?.full(this) === true;
  }

  get canBeCalled(): boolean {
    return this.#call === null && !this.faults.engaged;
  }

  write(bytes: Uint8Array): void {
    if (this.faults.off) return;
    if (this.#inData) {
      this.#escape.watch(bytes, this.#guardMs);
      this.#call?.send(this, bytes);
      return;
    }
    for (const byte of bytes) this.#type(byte);
  }

  /** The DTR wire: dropped, it hangs up (&D2). */
  setDtr(on: boolean): void {
    if (this.#dtr && !on) this.#hangUp();
    this.#dtr = on;
  }

  /** Off and on again: all settings are those of the factory. */
  reset(): void {
    this.#hangUp();
    this.#line = '';
    this.#echo = true;
    this.#verbose = true;
    this.#autoAnswer = 0;
    this.#guardMs = FACTORY_S12 * GUARD_UNIT_MS;
  }

  joins(call: PhoneCall): void {
    this.#call = call;
    this.#rings = 0;
  }

  ring(): void {
    if (this.#inData || this.faults.off) return;
    this.#rings++;
    this.#reply('RING');
    if (this.#autoAnswer > 0 && this.#rings >= this.#autoAnswer) this.#call?.answer();
  }

  connected(speed: number): void {
    for (const line of this.settings.report) this.#reply(line);
    this.#reply(`CONNECT ${speed}`);
    this.#inData = true;
  }

  hear(bytes: Uint8Array): void {
    if (this.#inData && !this.faults.off) this.#say(bytes);
  }

  hasRoom(): void {
    this.#onRoom();
  }

  /** Its call is over; null: it knows. */
  leaves(result: string | null): void {
    this.#call = null;
    this.#inData = false;
    this.#line = '';
    this.#escape.stop();
    if (result !== null) this.#reply(result);
    this.#onRoom();
  }

  #escaped(): void {
    this.#inData = false;
    this.#line = '';
    this.#reply('OK');
  }

  #type(byte: number): void {
    if (this.#call !== null && !this.#call.up && this.#rings === 0) {
      this.#call.end(this);
      this.#reply('NO CARRIER');
      return;
    }
    if (this.#echo) this.#say(Uint8Array.of(byte));
    if (byte !== 0x0d) {
      if (this.#line.length < MAX_COMMAND) this.#line += String.fromCharCode(byte);
      return;
    }
    const line = this.#line.toUpperCase();
    this.#line = '';
    const at = line.lastIndexOf('AT');
    if (at >= 0) this.#obey(line.slice(at + 2).replaceAll(' ', ''));
  }

  #obey(commands: string): void {
    if (this.faults.unknown?.test(commands) === true) {
      this.#reply('ERROR');
      return;
    }
    let rest = commands;
    while (rest !== '') {
      const match = /^(?:D.*|S\d+=\d+|&?[A-Z]\d*)/.exec(rest)?.[0];
      if (match === undefined) {
        this.#reply('ERROR');
        return;
      }
      rest = rest.slice(match.length);
      if (!this.#command(match)) return;
    }
    this.#reply('OK');
  }

  /** False: the reply, if any, is given already. */
  #command(command: string): boolean {
    const value = Number(/\d+$/.exec(command)?.[0] ?? 0);
    switch (/^(?:S\d+|&?[A-Z])/.exec(command)?.[0]) {
      case 'E':
        this.#echo = value === 1;
        return true;
      case 'V':
        this.#verbose = value === 1;
        return true;
      case 'Z':
      case '&F':
        this.reset();
        return true;
      case 'H':
        this.#hangUp();
        return true;
      case 'S0':
        this.#autoAnswer = value;
        return true;
      case 'S12':
        this.#guardMs = value * GUARD_UNIT_MS;
        return true;
      case 'A':
        this.#pickUp();
        return false;
      case 'D':
        this.#dial(command.slice(1));
        return false;
      case 'O':
        this.#reply(this.#call?.up === true ? 'CONNECT' : 'NO CARRIER');
        this.#inData = this.#call?.up === true;
        return false;
      default:
        return true;
    }
  }

  #pickUp(): void {
    if (this.#rings > 0 && this.#call !== null) {
      this.#rings = 0;
      this.#call.answer();
    } else this.#reply('NO CARRIER');
  }

  #dial(how: string): void {
    if (this.#rings > 0 && this.#call !== null) this.#pickUp();
    else if (this.faults.refusal !== null) this.#reply(this.faults.refusal);
    else if (this.faults.noDialtone || this.faults.engaged) this.#reply('NO DIALTONE');
    else this.#exchange.dial(this, how);
  }

  #hangUp(): void {
    const call = this.#call;
    if (call === null || (this.#rings > 0 && !call.up)) return;
    call.end(this);
  }

  #reply(text: string): void {
    if (this.faults.off) return;
    const [word = ''] = /^(?:CONNECT|[A-Z ]+)/.exec(text) ?? [];
    const said = this.#verbose ? `\r\n${text}\r\n` : `${CODES[word] ?? 4}\r`;
    this.#say(Buffer.from(said, 'latin1'));
  }
}

/** Looks for silence, `+++`, silence in what the computer sends during a call. */
class EscapeWatch {
  readonly #exchange: ModemExchange;
  readonly #escaped: () => void;
  #pluses = 0;
  #lastAt = -Infinity;
  #cancel: (() => void) | null = null;

  constructor(exchange: ModemExchange, escaped: () => void) {
    this.#exchange = exchange;
    this.#escaped = escaped;
  }

  watch(bytes: Uint8Array, guardMs: number): void {
    const now = this.#exchange.clock.now();
    this.#cancel?.();
    this.#cancel = null;
    const begins = this.#pluses > 0 || now - this.#lastAt >= guardMs;
    const isPluses = bytes.every((byte) => byte === 0x2b);
    this.#pluses = begins && isPluses ? this.#pluses + bytes.length : 0;
    this.#lastAt = now;
    if (this.#pluses !== 3) return;
    this.#cancel = this.#exchange.clock.after(guardMs, () => {
      this.stop();
      this.#escaped();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#pluses = 0;
  }
}
