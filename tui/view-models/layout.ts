/** How many lines a part of the screen could use, and how many it cannot do without. */
export interface Want {
  readonly least: number;
  readonly most: number;
}

/**
 * Lines for each part, in their order, no more than `height` together. Each gets its least first, then the earlier ones
 * grow before the later ones; where not even the least fits, the later ones get what is left, or nothing.
 */
export function layOut(wants: readonly Want[], height: number): readonly number[] {
  let left = Math.max(0, height);
  const given = wants.map(({ least, most }) => {
    const lines = Math.min(least, most, left);
    left -= lines;
    return lines;
  });
  return wants.map(({ most }, at) => {
    const lines = given[at] ?? 0;
    const more = Math.min(left, most - lines);
    left -= more;
    return lines + more;
  });
}
