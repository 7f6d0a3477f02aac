import { LONG_WINDOW, type MatchTables } from './match-tables.js';

/** What is to be made, and what it may be made from, in one buffer. */
export interface ParseSpace {
  /** The address space of a delta (protocol/parcel/delta-layout), output included; starts at a multiple of four. */
  readonly bytes: Uint8Array;
  /** Bytes of the own blocks' base content, at the start. */
  readonly own: number;
  /** Where the output begins. */
  readonly output: number;
  readonly blockSize: number;
  /** For each own block: 1 if its base content may be copied from. */
  readonly present: Uint8Array;
}

/** What a byte and the kinds of copies are thought to cost, in bytes after brotli. */
export interface ParseCosts {
  readonly literal: number;
  /** For each block of the output instead, where that is known better. */
  readonly literals?: Float32Array;
  /** Going on at the same place of the base. */
  readonly own: number;
  /** At a distance that was used lately. */
  readonly recent: number;
  /** From anywhere. */
  readonly anywhere: number;
  /** Positions followed in a chain; 0: only long agreements are looked for. */
  readonly depth: number;
  /** New bytes after which another one is passed over at each step, and so on; what is found is drawn out backwards. */
  readonly patience: number;
}

export interface Parsed {
  readonly literals: Uint32Array;
  readonly lengths: Uint32Array;
  readonly sources: Uint32Array;
}

/** A copy of this length is taken without looking further. */
const LONG_ENOUGH = 96;
const RECENT = 3;

/** Finds how to make the output from copies and new bytes: greedily by what a copy saves, looking one byte ahead. */
export class Parser {
  readonly #space: ParseSpace;
  readonly #costs: ParseCosts;
  readonly #tables: MatchTables;
  /** For each own block: where the stretch of present ones that it is in begins and ends, in bytes. */
  readonly #floor: Float64Array | null;
  readonly #roof: Float64Array | null;
  /** Cost of a new byte where the parser is. */
  #literal: number;
  readonly #recent = new Array<number>(RECENT).fill(0);
  readonly #literals: number[] = [];
  readonly #lengths: number[] = [];
  readonly #sources: number[] = [];
  /** Output before it is in the tables. */
  #noted: number;
  /** End of the last copy. */
  #copied: number;

  // The best copy found by the last look.
  #bestAt = 0;
  #bestSource = 0;
  #bestLength = 0;
  #bestGain = 0;

  /** `tables` are over the space's bytes, and this parser's alone until it has run. */
  constructor(space: ParseSpace, costs: ParseCosts, tables: MatchTables) {
    this.#space = space;
    this.#costs = costs;
    this.#literal = costs.literal;
    this.#tables = tables;
    tables.clear();
    const { present, blockSize, own, output } = space;
    if (present.every((flag) => flag === 1)) {
      this.#floor = this.#roof = null;
      this.#tables.note(0, output);
    } else {
      this.#floor = new Float64Array(present.length);
      this.#roof = new Float64Array(present.length);
      for (let first = 0; first < present.length;) {
        let end = first + 1;
        while (end < present.length && present[end] === present[first]) end++;
        if (present[first] === 1) {
          this.#floor.fill(first * blockSize, first, end);
          this.#roof.fill(end * blockSize, first, end);
          this.#tables.note(first * blockSize, end * blockSize - LONG_WINDOW + 4);
        } else {
          this.#floor.fill(Infinity, first, end);
        }
        first = end;
      }
      this.#tables.note(own, output);
    }
    this.#noted = output;
    this.#copied = output;
  }

  run(): Parsed {
    const { bytes } = this.#space;
    const { patience } = this.#costs;
    const end = bytes.byteLength;
    for (let at = this.#space.output; at < end;) {
      this.#look(at);
      if (this.#bestGain <= 0) {
        at += 1 + Math.floor((at - this.#copied) / patience);
        continue;
      }
      while (this.#bestLength < LONG_ENOUGH) {
        const [gain, to, source, length] = [this.#bestGain, this.#bestAt, this.#bestSource, this.#bestLength];
        if (at + 1 >= end) break;
        this.#look(at + 1);
        if (this.#bestGain > gain) {
          at++;
          continue;
        }
        this.#bestGain = gain;
        this.#bestAt = to;
        this.#bestSource = source;
        this.#bestLength = length;
        break;
      }
      at = this.#take();
    }
    return {
      literals: Uint32Array.from(this.#literals),
      lengths: Uint32Array.from(this.#lengths),
      sources: Uint32Array.from(this.#sources),
    };
  }

  #take(): number {
    const { output } = this.#space;
    const [at, source, length] = [this.#bestAt, this.#bestSource, this.#bestLength];
    this.#literals.push(at - this.#copied);
    this.#lengths.push(length);
    this.#sources.push(source);
    const distance = at - source;
    if (distance !== output) {
      const place = this.#recent.indexOf(distance);
      this.#recent.copyWithin(1, 0, place < 0 ? RECENT - 1 : place);
      this.#recent[0] = distance;
    }
    this.#copied = at + length;
    const until = this.#copied - (this.#copied % 4);
    // A window that is noted must be all known: the decoder could not have what comes later, but the bytes are the same.
    if (until > this.#noted) {
      this.#tables.note(this.#noted, until);
      this.#noted = until;
    }
    return this.#copied;
  }

  #look(at: number): void {
    const { output, blockSize } = this.#space;
    const { own, recent, anywhere, depth, literal, literals } = this.#costs;
    this.#literal = literals?.[Math.floor((at - output) / blockSize)] ?? literal;
    this.#bestGain = 0;
    this.#bestLength = 0;
    const until = at - (at % 4);
    if (until > this.#noted) {
      this.#tables.note(this.#noted, until);
      this.#noted = until;
    }
    this.#try(at, at - output, own);
    for (let i = 0; i < RECENT; i++) {
      const distance = this.#recent[i] as number;
      if (distance > 0) this.#try(at, at - distance, recent);
    }
    if (this.#bestLength >= LONG_ENOUGH) return;
    const long = this.#tables.longAt(at);
    if (long >= 0 && long < at) this.#try(at, long, anywhere);
    if (depth === 0) return;
    let candidate = this.#tables.shortAt(at);
    for (let i = 0; i < depth && candidate >= 0; i++) {
      if (candidate < at) this.#try(at, candidate, anywhere);
      if (this.#bestLength >= LONG_ENOUGH) return;
      candidate = this.#tables.olderThan(candidate);
    }
  }

  /** Measures the copy to `at` from `source`, drawn out both ways, and keeps it if it is the best. */
  #try(at: number, source: number, cost: number): void {
    const { bytes, own, blockSize } = this.#space;
    if (source < 0 || bytes[source] !== bytes[at]) return;
    let roof = bytes.byteLength;
    let floor = this.#floor === null || source < own ? 0 : own;
    if (source < own) {
      if (this.#floor !== null && this.#roof !== null) {
        const block = Math.floor(source / blockSize);
        floor = this.#floor[block] as number;
        if (floor === Infinity) return;
        roof = (this.#roof[block] as number) + (at - source);
      }
    }
    const end = Math.min(roof, bytes.byteLength);
    let to = at + 1;
    let from = source + 1;
    while (to < end && bytes[to] === bytes[from]) {
      to++;
      from++;
    }
    let begin = at;
    let back = source;
    while (begin > this.#copied && back > floor && bytes[begin - 1] === bytes[back - 1]) {
      begin--;
      back--;
    }
    const length = to - begin;
    const gain = length * this.#literal - cost;
    if (gain > this.#bestGain) {
      this.#bestGain = gain;
      this.#bestLength = length;
      this.#bestAt = begin;
      this.#bestSource = back;
    }
  }
}
