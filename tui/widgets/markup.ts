import blessed from './blessed.js';
import type { Row, Tone } from '../view-models/row.js';

/** How many colours there are decides how faint something may be: on few, the darkest grey is the background. */
export interface Palette {
  readonly colours: number;
}

const TAGS: Readonly<Record<Tone, readonly string[]>> = {
  plain: [],
  strong: ['bold'],
  faint: ['light-black-fg'],
  good: ['green-fg'],
  warning: ['yellow-fg'],
  bad: ['red-fg', 'bold'],
  bar: ['cyan-fg'],
  title: ['inverse'],
};

/** A row in the language of blessed's tags. */
export function markup(row: Row, { colours }: Palette): string {
  return row
    .map(({ text, tone }) => {
      const tags = tone === 'faint' && colours < 16 ? [] : TAGS[tone];
      const open = tags.map((tag) => `{${tag}}`).join('');
      const close = [...tags]
        .reverse()
        .map((tag) => `{/${tag}}`)
        .join('');
      return `${open}${blessed.escape(text)}${close}`;
    })
    .join('');
}
