import type { PointSummary } from '../../src/control/appliance-control.js';
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

/** The restore points of one copy, newest first; null: they are not known. */
export function pointsPanel(
  copy: string | null,
  points: readonly PointSummary[] | null,
  { width, now, calendar, glyphs }: Drawing,
): Panel | null {
  if (copy === null || points === null) return null;
  const title = `Restore points of ${plain(copy)}`;
  if (points.length === 0) return { title, rows: [[span(' None yet.', 'faint')]] };
  const table = columns(
    COLUMNS,
    points.map((point) => [
      { text: ` ${point.id.slice(0, 8)}` },
      { text: calendar.full(Date.parse(point.time)) },
      { text: ago(now - Date.parse(point.time)) },
      { text: point.grade },
      { text: grouped(point.blocks) },
      { text: point.note ?? '' },
    ]),
    width,
    glyphs,
  );
  return { title, note: String(points.length), head: table.head, rows: table.rows };
}
