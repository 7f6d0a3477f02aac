import { RIVALS } from './rivals.js';
import type { Measurement } from './measurement.js';

const HEAD = [
  'workload',
  'blocks',
  'farcopy',
  'messages',
  ...RIVALS.map(({ name }) => name),
  'raw',
  'zstd 19',
  'brotli 11',
];

/** The rows as a Markdown table; bytes, and `–` for what was not measured. */
export function tableText(rows: readonly Measurement[]): string {
  const cells = rows.map(({ title, changedBlocks, ours, rivals, content }) => [
    title,
    count(changedBlocks),
    count(ours.encodedBytes),
    count(ours.messageBytes),
    ...RIVALS.map(({ name }) => count(rivals[name]?.bytes)),
    ...[content?.raw, content?.zstd, content?.brotli].map(count),
  ]);
  const widths = HEAD.map((head, i) => Math.max(head.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(HEAD), line(rule), ...cells.map(line)].join('\n');
}

function count(bytes: number | null | undefined): string {
  return bytes === null || bytes === undefined ? '–' : bytes.toLocaleString('en');
}

/** With which settings each rival did best. */
export function settingsText(rows: readonly Measurement[]): string {
  return rows
    .flatMap(({ workload, rivals }) =>
      Object.entries(rivals).map(([name, { how }]) => `${workload}: ${name}: ${how}`),
    )
    .join('\n');
}
