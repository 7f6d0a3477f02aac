import type { LineBytes } from '../../protocol/set-account.js';
import type { PointSummary } from '../../src/control/appliance-control.js';
import { formatSize } from '../../src/config/units.js';
import { addressesOf, lineTotal } from '../../src/control/set-cost-text.js';
import { plain } from './cell.js';
import { columns, type Column } from './columns.js';
import { ago, grouped } from './quantities.js';
import { span, type Panel } from './row.js';
import type { Drawing } from './screen-state.js';

const COLUMNS: readonly Column[] = [
  { heading: ' ID' },
  { heading: 'TIME' },
  { heading: 'AGE', leaveOut: 1 },
  { heading: 'GRADE' },
  { heading: 'BLOCKS', align: 'right', leaveOut: 2 },
  { heading: 'NOTE', least: 6, leaveOut: 3 },
];
/** What a set was worth and has cost: before the note, where there is room for it. */
const COST_COLUMNS: readonly Column[] = [
  { heading: 'WRITTEN', align: 'right', leaveOut: 4 },
  { heading: 'ON THE LINE', align: 'right', leaveOut: 5 },
  { heading: 'ADDRESSES', align: 'right', leaveOut: 6 },
];
const WIDTH_WITH_COST = 96;

/** The restore points of one copy, newest first; null: they are not known. */
export function pointsPanel(
  copy: string | null,
  points: readonly PointSummary[] | null,
  { width, now, calendar, glyphs }: Drawing,
): Panel | null {
  if (copy === null || points === null) return null;
  const title = `Restore points of ${plain(copy)}`;
  if (points.length === 0) return { title, rows: [[span(' None yet.', 'faint')]] };
  const isCostShown =
    width >= WIDTH_WITH_COST &&
    points.some((point) => point.line !== undefined || point.bytesWritten !== undefined);
  const table = columns(
    isCostShown ? COLUMNS.toSpliced(-1, 0, ...COST_COLUMNS) : COLUMNS,
    points.map((point) => [
      { text: ` ${point.id.slice(0, 8)}` },
      { text: calendar.full(Date.parse(point.time)) },
      { text: ago(now - Date.parse(point.time)) },
      { text: point.grade },
      { text: grouped(point.blocks) },
      ...(isCostShown
        ? [
            { text: writtenText(point) },
            { text: lineText(point, lineTotal) },
            { text: lineText(point, addressesOf) },
          ]
        : []),
      { text: point.note ?? '' },
    ]),
    width,
    glyphs,
  );
  return { title, note: String(points.length), head: table.head, rows: table.rows };
}

const writtenText = ({ bytesWritten }: PointSummary): string =>
  bytesWritten === undefined ? '' : formatSize(bytesWritten);

function lineText({ line }: PointSummary, of: (line: LineBytes) => number | null): string {
  const counted = line?.byBackup ?? line?.byPrimary ?? null;
  const bytes = counted === null ? null : of(counted);
  return bytes === null ? '' : formatSize(bytes);
}
