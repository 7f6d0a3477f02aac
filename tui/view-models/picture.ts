import type { ApplianceStatus } from '../../src/appliance/status.js';
import { keysFor } from '../keymap.js';
import { cut, plain, wrap } from './cell.js';
import { eventsPanel } from './events-panel.js';
import { clipRow, framePanel } from './frame.js';
import { layOut } from './layout.js';
import { linksPanel } from './links-panel.js';
import { primariesPanel } from './peers-panel.js';
import { pointsPanel } from './points-panel.js';
import { span, type Panel, type Row } from './row.js';
import { schedulePanel } from './schedule-panel.js';
import type { Drawing, ScreenState } from './screen-state.js';
import { transfersPanel } from './transfers-panel.js';
import { volumesPanel } from './volumes-panel.js';

/** From this height on (lines) the panels stand apart. */
const AIRY = 32;
const MESSAGE_LINES = 3;

/** A panel and the lines of its content that it should not go without. */
interface Part {
  readonly panel: Panel;
  readonly least: number;
}

/** The whole screen, `height` lines from top to bottom: title, panels, message, keys. */
export function picture(state: ScreenState, drawing: Drawing, height: number): readonly Row[] {
  const { width } = drawing;
  const message = messageRows(state, drawing);
  const room = height - 2 - message.length;
  const body =
    state.status === null
      ? [[], [span(state.stale === null ? ' Asking the appliance …' : ' The appliance does not answer.')]]
      : panelRows(partsOf(state.status, state, drawing), room, drawing);
  const filled = Array.from({ length: Math.max(0, room) }, (_, at) => body[at] ?? []);
  return [titleRow(state, drawing), ...filled, ...message, keysRow(state, drawing)]
    .slice(0, height)
    .map((row) => clipRow(row, width));
}

function partsOf(status: ApplianceStatus, state: ScreenState, drawing: Drawing): readonly Part[] {
  const primaries = primariesPanel(status, drawing);
  const points = pointsPanel(state.chosen, state.points, drawing);
  const schedule = schedulePanel(status, drawing);
  return [
    { panel: volumesPanel(status, state.chosen, drawing), least: 3 },
    { panel: transfersPanel(status, state.pace, drawing), least: 2 },
    ...(points === null ? [] : [{ panel: points, least: 2 }]),
    ...(schedule === null ? [] : [{ panel: schedule, least: 1 }]),
    ...(primaries === null ? [] : [{ panel: primaries, least: 1 }]),
    { panel: linksPanel(status, state.pace, drawing), least: 1 },
    { panel: eventsPanel(status, state.eventsBack, drawing), least: 2 },
  ];
}

function panelRows(parts: readonly Part[], room: number, { width, glyphs }: Drawing): readonly Row[] {
  const gap = room >= AIRY ? 1 : 0;
  const share = Math.floor(room / 3);
  const heights = layOut(
    parts.map(({ panel, least }) => {
      const fixed = gap + 1 + (panel.head === undefined ? 0 : 1);
      const all = fixed + panel.rows.length;
      // The events take what the others leave; of those, none more than its share.
      const most = panel.newestLast === true ? room : Math.min(all, Math.max(share, fixed + least));
      return { least: Math.min(most, fixed + Math.min(least, panel.rows.length)), most };
    }),
    room,
  );
  return parts.flatMap(({ panel }, at) => {
    const height = heights[at] ?? 0;
    return height === 0
      ? []
      : [...(gap === 1 ? [[]] : []), ...framePanel(panel, width, height - gap, glyphs)];
  });
}

/** ` farcopy · primary branch-12            2026-11-22 14:36:29 ` */
function titleRow({ status, owner }: ScreenState, { width, now, glyphs, calendar }: Drawing): Row {
  const when = `${calendar.full(now).slice(0, 10)} ${calendar.time(now)} `;
  const who = status === null ? '' : ` ${glyphs.dot} ${status.role} ${plain(status.name)}`;
  const attached = owner ? '' : ` ${glyphs.dot} attached`;
  const left = cut(` farcopy${who}${attached}`, Math.max(0, width - when.length - 1), glyphs);
  return [span(left.padEnd(Math.max(0, width - when.length)) + when, 'title')];
}

function messageRows(
  { status, heardAt, message, stale }: ScreenState,
  { width, glyphs, calendar }: Drawing,
): readonly Row[] {
  const seen = status === null ? '' : ` Shown: as of ${calendar.time(heardAt)}.`;
  const shown = stale === null ? message : { text: stale + seen, tone: 'bad' as const };
  if (shown === null) return [];
  return wrap(plain(shown.text), width - 2, MESSAGE_LINES, glyphs).map((line) => [
    span(` ${line}`, shown.tone),
  ]);
}

/** The keys, as far as they fit; help and quit always. */
function keysRow({ status }: ScreenState, { width }: Drawing): Row {
  const bindings = keysFor(status?.role).filter(({ label }) => label !== undefined);
  const cells = ({ shown, label = '' }: (typeof bindings)[number]): number => shown.length + label.length + 3;
  let kept = bindings;
  while (kept.reduce((sum, binding) => sum + cells(binding), -1) > width && kept.length > 2) {
    kept = kept.filter((_, at) => at !== kept.length - 3);
  }
  return [
    span(' '),
    ...kept.flatMap(({ shown, label = '' }) => [span(shown, 'strong'), span(` ${label}  `, 'faint')]),
  ];
}
