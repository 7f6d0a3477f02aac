import { keysFor } from '../keymap.js';
import type { ApplianceStatus } from '../../src/appliance/status.js';
import { plain, wrap } from './cell.js';
import type { Glyphs } from './glyphs.js';
import { span, type Row } from './row.js';

/** A box in the middle of the screen, above everything else. */
export interface Dialog {
  readonly title: string;
  readonly rows: readonly Row[];
}

/** Cells of text in a dialog at most; with border and margin it fits 80 columns. */
const WIDTH = 66;

export function helpDialog(role: ApplianceStatus['role'] | undefined, owner: boolean): Dialog {
  const quit = owner ? 'stop the appliance (asks first)' : 'leave; the appliance goes on';
  return {
    title: 'Keys',
    rows: [
      ...keysFor(role).map(({ action, shown, help }): Row => [
        span(shown.padEnd(6), 'strong'),
        span(action === 'quit' ? quit : help),
      ]),
      [],
      [span('Grades of a state: application (said to be consistent),', 'faint')],
      [span('quiet (no writes for a while), crash (as after a power cut).', 'faint')],
      [],
      [span('Any key closes this page.', 'faint')],
    ],
  };
}

/** Asks for `y`. */
export function questionDialog(title: string, text: string, yes: string, glyphs: Glyphs): Dialog {
  return {
    title,
    rows: [
      ...paragraphs(text, glyphs),
      [],
      [span('y', 'strong'), span(` ${yes}     `), span('any other key', 'strong'), span(' go back')],
    ],
  };
}

/** Asks for one of the first nine. */
export function choiceDialog(title: string, options: readonly string[], glyphs: Glyphs): Dialog {
  return {
    title,
    rows: [
      ...options
        .slice(0, 9)
        .map((option, at): Row => [
          span(`${at + 1}  `, 'strong'),
          span(wrap(plain(option), WIDTH - 3, 1, glyphs)[0] ?? ''),
        ]),
      [],
      [span('any other key', 'strong'), span(' go back')],
    ],
  };
}

const paragraphs = (text: string, glyphs: Glyphs): readonly Row[] =>
  wrap(plain(text), WIDTH, 6, glyphs).map((line) => [span(line)]);
