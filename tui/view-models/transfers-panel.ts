import type { ApplianceStatus, VolumeStatus } from '../../src/appliance/status.js';
import { formatSize } from '../../src/config/units.js';
import { kindsText, setCostText } from '../../src/control/set-cost-text.js';
import { cut, plain } from './cell.js';
import { secondsLeft, type Pace } from './pace.js';
import { isStalled } from './stalled.js';
import { blocksText, span as lasting } from './quantities.js';
import { span, type Panel, type Row } from './row.js';
import type { Drawing } from './screen-state.js';

/** Cells that a transfer's line needs beside its bar; the bar does not grow and shrink with the words. */
const WORDS = 53;

/** Every travelling set, two lines each: which it is and where it goes, then a bar with what is left. */
export function transfersPanel(status: ApplianceStatus, pace: Pace, drawing: Drawing): Panel {
  const rows = status.volumes.flatMap((volume) => transferRows(volume, status, pace, drawing));
  if (rows.length > 0) return { title: 'Transfer', rows };
  const last = status.volumes.flatMap((volume) => lastSetRows(volume, status, drawing));
  return { title: 'Transfer', rows: [[span(' Nothing is travelling.', 'faint')], ...last] };
}

/** What the last set was worth and has cost. */
function lastSetRows(
  { name, lastSet }: VolumeStatus,
  { role }: ApplianceStatus,
  { width, glyphs }: Drawing,
): readonly Row[] {
  if (lastSet == null) return [];
  const { peer, blocks, bytesWritten, line } = lastSet;
  const way = `${plain(name)}${role === 'primary' ? ` ${glyphs.arrow} ${plain(peer)}` : ''}`;
  const cost = setCostText(bytesWritten, line);
  return [
    [span(cut(` ${way}   last: ${blocksText(blocks)}${cost === '' ? '' : `, ${cost}`}`, width, glyphs))],
    ...(line === null ? [] : [[span(cut(`   of it ${kindsText(line)}`, width, glyphs), 'faint')]]),
  ];
}

function transferRows(
  { name, transfer, paused }: VolumeStatus,
  status: ApplianceStatus,
  pace: Pace,
  { width, glyphs }: Drawing,
): readonly Row[] {
  if (transfer === null) return [];
  const { peer, to, phase, blocks, bytesHeld, bytesTotal, fraction } = transfer;
  const isPrimary = status.role === 'primary';
  const stalled = isStalled(status, transfer);
  const size = blocks === null ? '' : `, ${blocksText(blocks)}`;
  const way = `${plain(name)}${isPrimary ? ` ${glyphs.arrow} ${plain(peer)}` : ''}`;
  const waiting = transfer.next == null ? '' : ', a newer one waits';
  const heading = cut(` ${way}   state ${to.id.slice(0, 8)} (${to.grade})${size}${waiting}`, width, glyphs);
  if (!isPrimary && phase === 'sending') {
    // A backup does not know how much is still to come.
    return [
      [span(heading)],
      [span(` ${stalled ? 'waiting    ' : 'receiving  '} ${formatSize(bytesHeld)} so far`)],
    ];
  }
  const left = transfer.secondsLeft ?? secondsLeft(pace, name, to.id);
  const facts = [
    `${String(Math.floor(fraction * 100)).padStart(3)} %`,
    ...(bytesTotal === 0 ? [] : [`${formatSize(bytesHeld)} sent`]),
    ...leftText(paused === true, stalled, phase === 'applying' ? null : left),
  ].join('   ');
  const cells = Math.max(8, Math.min(40, width - WORDS));
  const full = Math.max(0, Math.min(cells, Math.floor(cells * fraction)));
  return [
    [span(heading)],
    [
      span(` ${phase.padEnd(11)} `),
      span(glyphs.full.repeat(full), 'bar'),
      span(glyphs.open.repeat(cells - full), 'faint'),
      span(`  ${facts}`),
    ],
  ];
}

function leftText(paused: boolean, stalled: boolean, left: number | null): readonly string[] {
  if (paused) return ['paused'];
  if (stalled) return ['waits for a link'];
  return left === null ? [] : [`${lasting(left * 1000)} left`];
}
