/** Milliseconds in the units a duration may be written in. */
const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Bytes in the units a size may be written in. */
const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

const QUANTITY = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/;

/** A year: longer waits are typing errors. */
export const MAX_DURATION_MS = 366 * 86_400_000;

/** `500ms`, `2s`, `1.5m`, `26h`, `7d` in milliseconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const ms = parseQuantity(text, DURATION_UNITS);
  return ms !== undefined && ms <= MAX_DURATION_MS ? ms : undefined;
}

/** `4096B`, `64KiB`, `2GiB` in bytes; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  return parseQuantity(text, SIZE_UNITS);
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, amount, unit] = QUANTITY.exec(text.trim()) ?? [];
  if (amount === undefined || unit === undefined || !Object.hasOwn(units, unit)) return undefined;
  const value = Math.round(Number(amount) * (units[unit] as number));
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Bytes as people read them: `512 B`, `1.5 MiB`. */
export function formatSize(bytes: number): string {
  const [unit, scale] =
    Object.entries(SIZE_UNITS).findLast(([, scale]) => bytes >= scale) ?? (['B', 1] as const);
  const value = bytes / scale;
  return `${scale === 1 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${unit}`;
}

/** `1 block`, `12 blocks`. `noun` takes an s where there are several. */
export const formatCount = (count: number, noun: string): string =>
  `${count} ${count === 1 ? noun : `${noun}s`}`;

/** A duration as people read it, two units at most: `0.4 s`, `42 s`, `3 min 5 s`, `2 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < 10_000) return `${Number((ms / 1000).toFixed(1))} s`;
  const seconds = Math.round(ms / 1000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ');
}
