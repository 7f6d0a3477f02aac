/**
 * The table of issue 5 on the virtual clock: what the protocol alone makes of each line, in seconds. Goodput until the
 * backup says DURABLE, and until the primary has heard it. Then lines with bursts and with overruns.
 * `node dist/test/bench/link/simulated-table.js [SEEDS]`
 */
import { CELLS, goodput, mean, payloadOf } from './cells.js';
import { simulatedRun } from './simulated-run.js';

const seeds = Array.from({ length: Number(process.argv[2] ?? 5) }, (_, index) => index + 1);
for (const cell of CELLS) {
  const { baud, latency, bitErrorRate, target } = cell;
  const payload = payloadOf(cell);
  const runs = seeds.map((seed) => simulatedRun({ baud, latency, bitErrorRate }, payload, seed));
  const got = mean(runs.map(({ durableMs }) => goodput(payload, baud, durableMs)));
  const heard = mean(runs.map(({ ms }) => goodput(payload, baud, ms)));
  const sent = mean(runs.map(({ bytesOut }) => bytesOut / payload));
  const back = mean(runs.map(({ bytesBack }) => bytesBack / payload));
  console.log(
    `${baud.toString().padStart(6)} baud ${latency.toString().padStart(4)} ms ${bitErrorRate.toExponential(0).padStart(6)}` +
      `  ${got.toFixed(2)} % (at least ${target})${got < target ? '  BELOW' : ''}   heard of ${heard.toFixed(2)}   sent ${sent.toFixed(3)} back ${back.toFixed(3)}`,
  );
}

const DAMAGED = [
  ['bursts', { bursts: { every: 20_000, length: 40, bitErrorRate: 0.05 } }],
  ['overruns', { overruns: { rate: 1e-5, bytes: 16 } }],
] as const;
for (const [name, line] of DAMAGED) {
  const runs = seeds.map((seed) => simulatedRun({ baud: 57600, ...line }, 300_000, seed));
  const got = mean(runs.map(({ durableMs }) => goodput(300_000, 57600, durableMs)));
  const sent = mean(runs.map(({ bytesOut }) => bytesOut / 300_000));
  console.log(`57600 baud with ${name}  ${got.toFixed(2)} %   sent ${sent.toFixed(3)}`);
}
