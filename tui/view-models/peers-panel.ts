import type { ApplianceStatus, PeerStatus } from '../../src/appliance/status.js';
import { columns, type Cell, type Column } from './columns.js';
import { ago } from './quantities.js';
import type { Panel } from './row.js';
import type { Drawing } from './screen-state.js';

const COLUMNS: readonly Column[] = [
  { heading: ' PRIMARY', least: 12 },
  { heading: 'STATE', least: 14 },
  { heading: 'LAST HEARD' },
  { heading: 'COPIES', align: 'right', leaveOut: 1 },
];

/** The primaries of a backup; null where the appliance says nothing of them. */
export function primariesPanel(status: ApplianceStatus, drawing: Drawing): Panel | null {
  const { peers, role } = status;
  if (role !== 'backup' || peers === undefined || peers.length === 0) return null;
  const table = columns(
    COLUMNS,
    peers.map((peer) => cellsOf(peer, status, drawing)),
    drawing.width,
    drawing.glyphs,
  );
  return { title: 'Primaries', head: table.head, rows: table.rows };
}

function cellsOf(
  { name, link, lastHeard, isSilent }: PeerStatus,
  status: ApplianceStatus,
  { now }: Drawing,
): readonly Cell[] {
  const copies = status.volumes.filter((volume) => volume.name.startsWith(`${name}/`)).length;
  return [
    { text: ` ${name}` },
    stateOf(link, isSilent === true),
    lastHeard === null
      ? { text: 'never', tone: isSilent === true ? 'bad' : 'warning' }
      : { text: ago(now - Date.parse(lastHeard)), ...(isSilent === true && { tone: 'bad' as const }) },
    { text: String(copies) },
  ];
}

function stateOf(link: string | null, isSilent: boolean): Cell {
  if (isSilent) return { text: 'silent', tone: 'bad' };
  return link === null ? { text: 'not connected' } : { text: `connected: ${link}`, tone: 'good' };
}
