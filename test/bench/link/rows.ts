import { CELLS, payloadOf } from './cells.js';
import type { PtyLine, PtyLineSettings } from './pty-line.js';

/** A kind of line on which one set, or one file, is carried. */
export interface Row {
  readonly name: string;
  readonly line: Omit<PtyLineSettings, 'seed'>;
  readonly payload: number;
  readonly asked: string;
  readonly during?: (line: PtyLine) => Promise<void>;
  /** What the disturbance itself takes, ms. */
  readonly apart?: number;
}

const passed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const plain = { baud: 57600, latency: 0 };
export const ROWS: readonly Row[] = [
  ...CELLS.map((cell) => ({
    name: `${cell.baud} baud ${cell.latency} ms ${cell.bitErrorRate.toExponential(0)}`,
    line: cell,
    payload: payloadOf(cell),
    asked: `${cell.target} %`,
  })),
  {
    name: 'bursts',
    line: { ...plain, bursts: { every: 20_000, length: 40, bitErrorRate: 0.05 } },
    payload: 300_000,
    asked: 'above lrzsz and UUCP i',
  },
  {
    name: 'overruns',
    line: { ...plain, overruns: { rate: 1e-5, bytes: 16 } },
    payload: 300_000,
    asked: 'above lrzsz and UUCP i',
  },
  {
    name: 'outage of 20 s',
    line: plain,
    payload: 300_000,
    asked: '1 s more, 1.03 times the payload',
    apart: 20_000,
    during: async (line) => {
      await passed(26_000);
      line.fail(20_000);
    },
  },
  {
    name: 'hang-up of 5 s',
    line: plain,
    payload: 300_000,
    asked: '1.5 s more, 1.02 times the payload',
    apart: 5000,
    during: async (line) => {
      await passed(26_000);
      await line.close();
      await passed(5000);
      await line.open();
    },
  },
];
