import type { ApplianceStatus } from '../../src/appliance/status.js';
import { columns, type Cell, type Column } from './columns.js';
import { ago, until } from './quantities.js';
import type { Panel } from './row.js';
import type { Drawing } from './screen-state.js';

const COLUMNS: readonly Column[] = [
  { heading: ' VOLUME', least: 8 },
  { heading: 'SCHEDULE', least: 11 },
  { heading: 'NEXT RUN' },
  { heading: 'LAST RUN', least: 8 },
];

/** When the next snapshots are taken; null where nothing is scheduled. */
export function schedulePanel(status: ApplianceStatus, drawing: Drawing): Panel | null {
  const rows = status.volumes.flatMap(({ name, schedule }): (readonly Cell[])[] => {
    if (schedule == null) return [];
    const last = schedule.lastRun === null ? 'not yet' : ago(drawing.now - Date.parse(schedule.lastRun));
    return [
      [
        { text: ` ${name}` },
        { text: schedule.cron },
        { text: nextText(schedule.nextRun, drawing) },
        { text: schedule.lastOutcome == null ? last : `${last}: ${schedule.lastOutcome}` },
      ],
    ];
  });
  if (rows.length === 0) return null;
  const table = columns(COLUMNS, rows, drawing.width, drawing.glyphs);
  return { title: 'Schedule', head: table.head, rows: table.rows };
}

function nextText(nextRun: string | null, { now, calendar }: Drawing): string {
  if (nextRun === null) return 'never';
  const at = Date.parse(nextRun);
  return `${calendar.moment(at, now)}, ${until(at - now)}`;
}
