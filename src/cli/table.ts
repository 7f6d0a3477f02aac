/** Rows of text as columns, the first row the headings; columns in `right` (from 0) are right-aligned. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const shown = rows.map((row) => row.map(printable));
  const widths = (shown[0] ?? []).map((_, column) =>
    Math.max(...shown.map((row) => (row[column] ?? '').length)),
  );
  return shown
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return right.includes(column) ? cell.padStart(width) : cell.padEnd(width);
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** Names, notes and errors may come from elsewhere: none of them gets to steer the terminal. */
export const printable = (text: string): string => text.replace(/\p{Cc}/gu, '?');
