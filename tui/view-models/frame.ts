import type { Glyphs } from './glyphs.js';
import { span, widthOf, type Panel, type Row } from './row.js';

/** A panel as `height` lines: its heading, the head that stays, and as much of the rest as fits, with its focus in sight. */
export function framePanel(panel: Panel, width: number, height: number, glyphs: Glyphs): readonly Row[] {
  if (height <= 0) return [];
  const head = panel.head === undefined ? [] : [panel.head];
  const room = Math.max(0, height - 1 - head.length);
  const first = firstShown(panel, room);
  const shown = panel.rows.slice(first, first + room);
  const hidden = panel.rows.length - shown.length;
  const note =
    hidden > 0 && panel.newestLast !== true ? `${shown.length} of ${panel.rows.length} lines` : panel.note;
  return [rule(panel.title, note, width, glyphs), ...head, ...shown].slice(0, height);
}

function firstShown({ rows, focus, newestLast }: Panel, room: number): number {
  const last = Math.max(0, rows.length - room);
  if (newestLast === true) return last;
  // The chosen row stays in the middle while there is something on both sides.
  return Math.max(0, Math.min(last, (focus ?? 0) - Math.floor(room / 2)));
}

/** `── Title ───────── note ──` */
function rule(title: string, note: string | undefined, width: number, glyphs: Glyphs): Row {
  const end = note === undefined ? '' : ` ${note} ${glyphs.rule.repeat(2)}`;
  const room = Math.max(0, width - 4 - end.length);
  const name = title.length > room ? title.slice(0, room) : title;
  const line = glyphs.rule.repeat(Math.max(0, width - 4 - name.length - end.length));
  return [span(`${glyphs.rule.repeat(2)} `, 'faint'), span(name, 'strong'), span(` ${line}${end}`, 'faint')];
}

/** No wider than `width`. */
export function clipRow(row: Row, width: number): Row {
  if (widthOf(row) <= width) return row;
  let left = width;
  return row.flatMap(({ text, tone }) => {
    const part = text.slice(0, left);
    left -= part.length;
    return part === '' ? [] : [span(part, tone)];
  });
}
