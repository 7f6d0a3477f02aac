import type { ApplianceEvent, ApplianceStatus } from '../../src/appliance/status.js';
import { plain, wrap } from './cell.js';
import { span, type Panel, type Row, type Tone } from './row.js';
import type { Drawing } from './screen-state.js';

const LINES_EACH = 3;

const MARKS: Readonly<Record<ApplianceEvent['level'], readonly [string, Tone]>> = {
  info: [' ', 'plain'],
  warning: ['!', 'warning'],
  error: ['X', 'bad'],
};

/** What has happened, newest last; long texts go on under themselves. */
export function eventsPanel(status: ApplianceStatus, back: number, drawing: Drawing): Panel {
  const events = status.events.slice(0, status.events.length - back);
  const note = back === 0 ? undefined : `${back} newer`;
  const rows =
    events.length === 0
      ? [[span(' Nothing has happened yet.', 'faint')]]
      : events.flatMap((event) => eventRows(event, drawing));
  return { title: 'Events', ...(note !== undefined && { note }), rows, newestLast: true };
}

function eventRows(
  { time, level, text }: ApplianceEvent,
  { width, now, calendar, glyphs }: Drawing,
): readonly Row[] {
  const when = calendar.moment(Date.parse(time), now).padEnd(11);
  const [mark, tone] = MARKS[level];
  const lead = ` ${when} ${mark} `;
  return wrap(plain(text), width - lead.length, LINES_EACH, glyphs).map((line, at) =>
    at === 0
      ? [span(` ${when} `, 'faint'), span(`${mark} ${line}`, tone)]
      : [span(' '.repeat(lead.length) + line, tone)],
  );
}
