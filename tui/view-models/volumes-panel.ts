import type { ApplianceStatus, VolumeStatus } from '../../src/appliance/status.js';
import { formatSize } from '../../src/config/units.js';
import { plain, wrap } from './cell.js';
import { columns, type Cell, type Column } from './columns.js';
import { ago, grouped } from './quantities.js';
import { span, type Panel, type Row } from './row.js';
import type { Drawing } from './screen-state.js';
import { isStalled } from './stalled.js';

const CHANGED: Column = { heading: 'CHANGED', align: 'right', usual: 12 };

const COLUMNS: readonly Column[] = [
  { heading: ' ' },
  { heading: 'NAME', least: 12 },
  { heading: 'SIZE', align: 'right', leaveOut: 2 },
  { heading: 'LAST SAFE STATE' },
  { heading: 'GRADE', usual: 11, leaveOut: 1 },
  { heading: 'ID', usual: 8, leaveOut: 3 },
  { heading: 'NOW', usual: 12 },
];

/** The volumes of a primary, or the copies on a backup; the chosen one is marked. */
export function volumesPanel(status: ApplianceStatus, chosen: string | null, drawing: Drawing): Panel {
  const isPrimary = status.role === 'primary';
  const { width, glyphs } = drawing;
  const withChanged = <T>(cells: readonly T[], changed: T): readonly T[] =>
    isPrimary ? [...cells.slice(0, 3), changed, ...cells.slice(3)] : cells;
  // On a backup a name begins with the primary's.
  const all = isPrimary ? COLUMNS : COLUMNS.map((it) => (it.heading === 'NAME' ? { ...it, least: 24 } : it));
  const table = columns(
    withChanged(all, CHANGED),
    status.volumes.map((volume) =>
      withChanged<Cell>(cellsOf(volume, volume.name === chosen, status, drawing), {
        text: changedText(volume),
      }),
    ),
    width,
    glyphs,
  );
  const rows: Row[] = [];
  let focus = 0;
  status.volumes.forEach((volume, at) => {
    if (volume.name === chosen) focus = rows.length;
    rows.push(table.rows[at] ?? []);
    for (const warning of volume.warnings) {
      for (const line of wrap(plain(warning), width - 5, 2, glyphs))
        rows.push([span(`   ! ${line}`, 'warning')]);
    }
  });
  const title = isPrimary ? 'Volumes' : 'Copies';
  if (rows.length > 0) return { title, head: table.head, rows, focus };
  const none = isPrimary
    ? 'No volumes are configured.'
    : 'No copies yet. The first one comes with the first sync of a primary.';
  return { title, rows: [[span(` ${none}`, 'faint')]] };
}

function cellsOf(
  volume: VolumeStatus,
  isChosen: boolean,
  status: ApplianceStatus,
  drawing: Drawing,
): readonly Cell[] {
  const { lastState, sizeBytes, name } = volume;
  return [
    { text: isChosen ? drawing.glyphs.chosen : ' ', tone: 'strong' },
    { text: name, tone: isChosen ? 'strong' : 'plain' },
    { text: formatSize(sizeBytes) },
    lastState === null
      ? { text: 'none yet', tone: 'warning' }
      : { text: ago(drawing.now - Date.parse(lastState.time)) },
    { text: lastState?.grade ?? '' },
    { text: lastState?.id.slice(0, 8) ?? '' },
    nowCell(volume, status),
  ];
}

const changedText = ({ dirtyBlocks, blockSize }: VolumeStatus): string =>
  dirtyBlocks === 0 ? 'nothing' : `${grouped(dirtyBlocks)} = ${formatSize(dirtyBlocks * blockSize)}`;

/** What is going on with it, in two or three words. */
function nowCell(volume: VolumeStatus, status: ApplianceStatus): Cell {
  const isPrimary = status.role === 'primary';
  const { transfer, lastState, paused, dirtyBlocks } = volume;
  if (paused === true) return { text: 'paused', tone: 'warning' };
  if (transfer !== null) {
    const { phase, fraction } = transfer;
    if (isStalled(status, transfer)) return { text: 'waiting', tone: 'warning' };
    const percent = Math.floor(fraction * 100);
    // Only the primary knows how much there is to come.
    if (!isPrimary) return { text: phase === 'sending' ? 'receiving' : phase, tone: 'good' };
    return { text: percent === 0 || percent === 100 ? phase : `${phase} ${percent} %`, tone: 'good' };
  }
  if (!isPrimary) return lastState === null ? { text: 'incomplete', tone: 'warning' } : { text: 'whole' };
  if (lastState === null) return { text: 'never sent', tone: 'warning' };
  return { text: dirtyBlocks === 0 ? 'up to date' : 'writing' };
}
