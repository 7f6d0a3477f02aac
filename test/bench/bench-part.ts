import type { Sandbox } from '../support/sandbox.js';
import type { Table } from './table.js';

export interface BenchOptions {
  /** How often each thing is measured; the medians are told. */
  readonly rounds: number;
  /** How long one measurement with fio takes, in seconds. */
  readonly seconds: number;
  /** For everything that is to be gone afterwards. */
  readonly sandbox: Sandbox;
  /** A folder in memory. */
  readonly memory: string;
  /** Says what is being done; not a result. */
  readonly note: (text: string) => void;
}

/** A part of the bench, asked for with `--only NAME`. */
export interface BenchPart {
  readonly name: string;
  run(options: BenchOptions): Promise<Table>;
}
