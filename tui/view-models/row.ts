/** How a piece of text is to stand out. Never the only bearer of a meaning: terminals without colour show the text. */
export type Tone = 'plain' | 'strong' | 'faint' | 'good' | 'warning' | 'bad' | 'bar' | 'title';

export interface Span {
  readonly text: string;
  readonly tone: Tone;
}

/** One line of the screen, at most as wide as it was made for. */
export type Row = readonly Span[];

export const span = (text: string, tone: Tone = 'plain'): Span => ({ text, tone });

export const textOf = (row: Row): string => row.map(({ text }) => text).join('');

export const widthOf = (row: Row): number => row.reduce((sum, { text }) => sum + text.length, 0);

/** A part of the screen under a heading. */
export interface Panel {
  readonly title: string;
  /** Stands at the right end of the heading. */
  readonly note?: string;
  /** Stays when the rest is scrolled. */
  readonly head?: Row;
  readonly rows: readonly Row[];
  /** The row to keep in sight; absent: the first, or with `newestLast` the last. */
  readonly focus?: number;
  readonly newestLast?: boolean;
}
