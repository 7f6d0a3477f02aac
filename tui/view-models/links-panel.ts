import type { ApplianceStatus, LinkState, LinkStatus } from '../../src/appliance/status.js';
import { formatSize } from '../../src/config/units.js';
import { plain, wrap } from './cell.js';
import { columns, type Cell, type Column } from './columns.js';
import { linkPace, type Pace } from './pace.js';
import { grouped, rateText } from './quantities.js';
import { span, type Panel, type Row, type Tone } from './row.js';
import type { Drawing } from './screen-state.js';

/** How each state of a link reads, and whether it asks for attention. */
const STATES: Readonly<Record<LinkState, readonly [string, Tone]>> = {
  idle: ['idle', 'plain'],
  opening: ['opening', 'plain'],
  connecting: ['connecting', 'plain'],
  connected: ['connected', 'good'],
  waiting: ['waiting', 'plain'],
  failed: ['failed', 'bad'],
};

/** Every configured line: state, peer, speeds, totals, and how clean it is; under it what last went wrong. */
export function linksPanel(status: ApplianceStatus, pace: Pace, drawing: Drawing): Panel {
  const { width, glyphs } = drawing;
  if (status.links.length === 0) {
    return { title: 'Links', rows: [[span(' No links are configured.', 'faint')]] };
  }
  const isPaced = status.links.some(({ bitsPerSecond }) => bitsPerSecond != null);
  const heads: readonly Column[] = [
    { heading: ' LINK', least: 24 },
    { heading: 'STATE', least: 20, usual: 16 },
    ...(isPaced ? [{ heading: 'LINE', align: 'right', leaveOut: 2 } as const] : []),
    { heading: `${glyphs.up} RATE`, align: 'right', usual: 9 },
    { heading: `${glyphs.down} RATE`, align: 'right', usual: 9 },
    { heading: `${glyphs.up} SENT`, align: 'right', usual: 8, leaveOut: 4 },
    { heading: `${glyphs.down} RECEIVED`, align: 'right', leaveOut: 5 },
    { heading: 'REPEATED', align: 'right', leaveOut: 3 },
    { heading: 'DAMAGED', align: 'right', leaveOut: 1 },
  ];
  const table = columns(
    heads,
    status.links.map((link) => cellsOf(link, pace, isPaced)),
    width,
    glyphs,
  );
  const rows = status.links.flatMap((link, at): Row[] => [
    table.rows[at] ?? [],
    ...errorRows(link, width, drawing),
  ]);
  return { title: 'Links', head: table.head, rows };
}

function cellsOf(link: LinkStatus, pace: Pace, isPaced: boolean): readonly Cell[] {
  const { name, peer, bytesSent, bytesReceived, framesRepeated, framesDamaged } = link;
  const [words, tone] = STATES[link.state];
  const speed = linkPace(pace, name);
  const isUp = link.state === 'connected' || link.state === 'connecting';
  return [
    { text: ` ${name}` },
    { text: peer === null ? words : `${words}: ${peer}`, tone },
    ...(isPaced ? [{ text: lineText(link.bitsPerSecond) }] : []),
    { text: isUp ? rateText(speed.out) : '' },
    { text: isUp ? rateText(speed.in) : '' },
    { text: formatSize(bytesSent) },
    { text: formatSize(bytesReceived) },
    { text: grouped(framesRepeated) },
    { text: grouped(framesDamaged), tone: framesDamaged > 0 ? 'warning' : 'plain' },
  ];
}

const lineText = (bitsPerSecond: number | null | undefined): string =>
  bitsPerSecond == null ? '' : `${grouped(bitsPerSecond)} bit/s`;

/** What went wrong belongs to the past once the link is up again. */
function errorRows(link: LinkStatus, width: number, { glyphs }: Drawing): readonly Row[] {
  if (link.lastError === null || link.state === 'connected') return [];
  return wrap(plain(link.lastError), width - 5, 2, glyphs).map((line) => [span(`   ! ${line}`, 'warning')]);
}
