/** What issue 5 asks of each kind of line: goodput in percent of baud/10. */
export interface Cell {
  readonly bitErrorRate: number;
  readonly baud: number;
  /** One way, ms. */
  readonly latency: number;
  readonly target: number;
}

const LINES = [
  { baud: 57600, latency: 0 },
  { baud: 57600, latency: 75 },
  { baud: 57600, latency: 250 },
  { baud: 115200, latency: 0 },
  { baud: 115200, latency: 75 },
  { baud: 115200, latency: 250 },
] as const;

const TARGETS: readonly (readonly [number, readonly number[]])[] = [
  [0, [99.0, 98.5, 97.3, 98.9, 98.0, 95.5]],
  [1e-6, [98.4, 98, 97, 98.5, 97.4, 95.2]],
  [1e-5, [96, 95.5, 94.5, 96, 95, 93]],
  [1e-4, [85, 83, 79, 85, 81, 73]],
];

export const CELLS: readonly Cell[] = TARGETS.flatMap(([bitErrorRate, targets]) =>
  LINES.map((line, index) => ({ ...line, bitErrorRate, target: targets[index] as number })),
);

/** Payload of a run, bytes: incompressible and already spooled. */
export const payloadOf = ({ bitErrorRate }: Pick<Cell, 'bitErrorRate'>): number =>
  bitErrorRate >= 1e-4 ? 60_000 : 300_000;

/** Payload bytes, by what the line could have carried in the time. */
export const goodput = (payload: number, baud: number, ms: number): number =>
  (payload / (baud / 10) / ms) * 100_000;

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
