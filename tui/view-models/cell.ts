import type { Glyphs } from './glyphs.js';

/**
 * Signs that steer a terminal, take no cell, or take two: each would put the rest of the line in the wrong place.
 * Names, notes and errors come from elsewhere.
 */
const UNRULY =
  /\p{Cc}|\p{Cf}|\p{M}|\p{Cs}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{10000}-\u{10ffff}]/gu;

/** The text with one cell for every UTF-16 unit. */
export const plain = (text: string): string => text.replace(UNRULY, '?');

/** At most `width` cells; what is cut off at the end is shown to be missing. */
export function cut(text: string, width: number, glyphs: Glyphs): string {
  if (text.length <= width) return text;
  return width < 1 ? '' : text.slice(0, width - glyphs.cut.length).trimEnd() + glyphs.cut;
}

/** Exactly `width` cells. */
export function fit(text: string, width: number, align: 'left' | 'right', glyphs: Glyphs): string {
  const shown = cut(text, width, glyphs);
  return align === 'left' ? shown.padEnd(width) : shown.padStart(width);
}

/** Lines of at most `width` cells, broken at spaces where there are any; no more than `most`, the last one cut. */
export function wrap(text: string, width: number, most: number, glyphs: Glyphs): readonly string[] {
  const lines: string[] = [];
  let rest = text.trim();
  while (rest.length > width && lines.length < most - 1) {
    const space = rest.lastIndexOf(' ', width);
    const end = space > 0 ? space : width;
    lines.push(rest.slice(0, end).trimEnd());
    rest = rest.slice(end).trimStart();
  }
  return [...lines, cut(rest, width, glyphs)];
}
