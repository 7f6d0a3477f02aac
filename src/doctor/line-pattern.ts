/**
 * What both ends of a line send each other to learn what it does to bytes: every value once, each between its number
 * in hexadecimal digits, which even a line of seven bits carries.
 */

const XON = 0x11;
const XOFF = 0x13;

const hex = (value: number): string => value.toString(16).padStart(2, '0');

/** XOFF and XON come last and in this order: a line that obeys them must not stop before all else was said. */
const VALUES: readonly number[] = [
  ...Array.from({ length: 256 }, (_, value) => value).filter((value) => value !== XON && value !== XOFF),
  XOFF,
  XON,
];

/** One round of the pattern: 2049 bytes. */
export const LINE_PATTERN: Uint8Array = Buffer.from(
  `${VALUES.map((value) => `<${hex(value)}:${String.fromCharCode(value)}:${hex(value)}>`).join('')}\n`,
  'latin1',
);

/** What a line did to the bytes of the rounds that were heard. */
export interface LineVerdict {
  /** Whole rounds that came, about. */
  readonly rounds: number;
  /** Bytes came at all. */
  readonly bytes: number;
  /** Values that do not come through, and what came in their place most of the time; empty: nothing. */
  readonly lost: readonly { readonly value: number; readonly became: readonly number[] }[];
  /** Of all marks that were heard, how many came as they were sent; 0 to 1. */
  readonly intact: number;
}

/** Judges what was heard of an other end that sends `LINE_PATTERN` again and again. */
export function judgeLine(heard: Uint8Array): LineVerdict {
  const text = Buffer.from(heard).toString('latin1');
  const came = new Map<number, string[]>();
  for (const [, number = '', between = ''] of text.matchAll(/<([0-9a-f]{2}):([^]{0,3}?):\1>/g)) {
    const value = Number.parseInt(number, 16);
    came.set(value, [...(came.get(value) ?? []), between]);
  }
  const marks = [...came.values()].reduce((sum, each) => sum + each.length, 0);
  const good = [...came].reduce(
    (sum, [value, each]) => sum + each.filter((one) => one === String.fromCharCode(value)).length,
    0,
  );
  const lost = [...came].flatMap(([value, each]) => {
    const usual = mostFrequent(each);
    if (usual === String.fromCharCode(value)) return [];
    return [{ value, became: [...Buffer.from(usual, 'latin1')] }];
  });
  return {
    rounds: marks / VALUES.length,
    bytes: heard.byteLength,
    lost: lost.sort((a, b) => a.value - b.value),
    intact: marks === 0 ? 0 : good / marks,
  };
}

function mostFrequent(texts: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? '';
}
