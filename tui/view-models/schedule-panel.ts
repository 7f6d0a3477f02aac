import type { ApplianceStatus, ScheduleStatus } from '../../src/appliance/status.js';
import { columns, type Cell, type Column } from './columns.js';
import { ago, until } from './quantities.js';
import type { Panel } from './row.js';
import type { Drawing } from './screen-state.js';

/** When a primary takes its next snapshots, or a backup calls its primaries; null where nothing is scheduled. */
export function schedulePanel(status: ApplianceStatus, drawing: Drawing): Panel | null {
  const entries: readonly { readonly name: string; readonly plan: ScheduleStatus | null | undefined }[] =
    status.role === 'primary'
      ? status.volumes.map(({ name, schedule }) => ({ name, plan: schedule }))
      : (status.peers ?? []).map(({ name, poll }) => ({ name, plan: poll }));
  const rows = entries.flatMap(({ name, plan }) => (plan == null ? [] : [cellsOf(name, plan, drawing)]));
  if (rows.length === 0) return null;
  const heads: readonly Column[] = [
    { heading: status.role === 'primary' ? ' VOLUME' : ' CALL TO', least: 8 },
    { heading: 'SCHEDULE', least: 11 },
    { heading: 'NEXT RUN' },
    { heading: 'LAST RUN', least: 8 },
  ];
  const table = columns(heads, rows, drawing.width, drawing.glyphs);
  return { title: 'Schedule', head: table.head, rows: table.rows };
}

function cellsOf(name: string, plan: ScheduleStatus, drawing: Drawing): readonly Cell[] {
  const { cron, nextRun, lastRun, lastOutcome } = plan;
  const last = lastRun === null ? 'not yet' : ago(drawing.now - Date.parse(lastRun));
  return [
    { text: ` ${name}` },
    { text: cron },
    { text: nextText(nextRun, drawing) },
    { text: lastOutcome == null || lastRun === null ? last : `${last}: ${lastOutcome}` },
  ];
}

function nextText(nextRun: string | null, { now, calendar }: Drawing): string {
  if (nextRun === null) return 'never';
  const at = Date.parse(nextRun);
  return `${calendar.moment(at, now)}, ${until(at - now)}`;
}
