import { cut, fit, plain } from './cell.js';
import type { Glyphs } from './glyphs.js';
import { span, type Row, type Span, type Tone } from './row.js';

export interface Column {
  readonly heading: string;
  readonly align?: 'left' | 'right';
  /** How narrow it may be made (cells) before a column is left out; absent: never narrower than its content. */
  readonly least?: number;
  /** Never narrower than this by its content alone (cells): columns that change all the time should not jump. */
  readonly usual?: number;
  /** Columns with the highest number are left out first; absent: never left out. */
  readonly leaveOut?: number;
}

export interface Cell {
  readonly text: string;
  readonly tone?: Tone;
}

const GAP = 2;

/**
 * Rows of cells as lines of at most `width`. Columns are as wide as their content; where that is too much the
 * expendable ones go, one by one, and then the shrinkable ones shrink.
 */
export function columns(
  all: readonly Column[],
  rows: readonly (readonly Cell[])[],
  width: number,
  glyphs: Glyphs,
): { readonly head: Row; readonly rows: readonly Row[] } {
  const texts = rows.map((row) => row.map((cell) => ({ ...cell, text: plain(cell.text) })));
  const natural = all.map(({ heading, usual = 0 }, at) =>
    Math.max(heading.length, usual, ...texts.map((row) => row[at]?.text.length ?? 0)),
  );
  const kept = keptColumns(all, natural, width);
  const widths = shrunk(all, natural, kept, width);
  const line = (cells: readonly Cell[]): Row => {
    const spans = kept.flatMap((at, order): Span[] => {
      const { text = '', tone } = cells[at] ?? {};
      const isLast = order === kept.length - 1;
      const align = all[at]?.align ?? 'left';
      const shown =
        isLast && align === 'left'
          ? cut(text, widths[at] ?? 0, glyphs)
          : fit(text, widths[at] ?? 0, align, glyphs);
      return [...(order === 0 ? [] : [span(' '.repeat(GAP))]), span(shown, tone)];
    });
    return spans;
  };
  return { head: line(all.map(({ heading }) => ({ text: heading, tone: 'faint' }))), rows: texts.map(line) };
}

const total = (widths: readonly number[], kept: readonly number[]): number =>
  kept.reduce((sum, at) => sum + (widths[at] ?? 0), GAP * Math.max(0, kept.length - 1));

function keptColumns(all: readonly Column[], natural: readonly number[], width: number): readonly number[] {
  const narrowest = natural.map((cells, at) => Math.min(cells, all[at]?.least ?? cells));
  let kept = all.map((_, at) => at);
  while (total(narrowest, kept) > width) {
    const rank = (at: number): number => all[at]?.leaveOut ?? 0;
    const victim = kept.reduce((worst, at) => (rank(at) > rank(worst) ? at : worst), kept[0] ?? 0);
    if (rank(victim) === 0) break;
    kept = kept.filter((at) => at !== victim);
  }
  return kept;
}

/** Takes what is too much from the widest of the shrinkable columns, cell by cell. */
function shrunk(
  all: readonly Column[],
  natural: readonly number[],
  kept: readonly number[],
  width: number,
): readonly number[] {
  const widths = [...natural];
  for (let excess = total(widths, kept) - width; excess > 0; excess--) {
    const least = (at: number): number => Math.min(natural[at] ?? 0, all[at]?.least ?? Infinity);
    const shrinkable = kept.filter((at) => (widths[at] ?? 0) > least(at));
    const [first, ...others] = shrinkable;
    if (first === undefined) break;
    const widest = others.reduce((best, at) => ((widths[at] ?? 0) > (widths[best] ?? 0) ? at : best), first);
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}
