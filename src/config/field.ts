import { z } from 'zod';
import { validateDetailed } from 'node-cron';
import { isBlockSize } from '../../protocol/units.js';
import type { NbdAddress, TimeWindow } from './configuration.js';
import { parseDuration, parseSize } from './units.js';

/*
 * The values of `farcopy.yaml`. Each field refuses with what is *allowed*; `load.ts` adds where it stands and what was
 * found. Nothing is coerced: an unquoted telephone number or name that YAML made a number of would have lost its
 * leading zeros.
 */

/** A field whose value `parse` understands; undefined is refused with the text `allowed`. */
function field<T>(allowed: string, parse: (value: unknown) => T | undefined): z.ZodType<T> {
  return z.unknown().transform((value, context): T => {
    const parsed = parse(value);
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: 'custom', message: allowed });
    return z.NEVER;
  });
}

function textField<T>(allowed: string, parse: (value: string) => T | undefined): z.ZodType<T> {
  return field(allowed, (value) => (typeof value === 'string' ? parse(value) : undefined));
}

const wholeNumber = (allowed: string, min: number, max: number): z.ZodType<number> =>
  field(allowed, (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined,
  );

const matching = (pattern: RegExp) => (text: string) => (pattern.test(text) ? text : undefined);

/** A mapping with exactly these keys; `?`-like ones have `.optional()` or `.default()`. */
export function mapping<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const keys = Object.keys(shape).join(', ');
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? keys : `a mapping with the keys ${keys}`),
  });
}

export function listOf<Item extends z.ZodType>(item: Item, what: string): z.ZodArray<Item> {
  return z.array(item, { error: `a list of ${what}` });
}

/** Also a folder and a file name on the other side: nothing in it may have a meaning to a shell or a path. */
export const name = textField(
  'a name of up to 63 letters, digits, ".", "_" and "-" that begins with a letter or digit (in quotes if it is a number)',
  matching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/),
);

export const path = textField('a path', (text) =>
  text.length > 0 && !text.includes('\0') ? text : undefined,
);

export const command = textField('a command line', (text) => (text.trim().length > 0 ? text : undefined));

export const host = textField('a host name or address', matching(/^[A-Za-z0-9.:_-]{1,253}$/));

export const port = wholeNumber('a port number from 1 to 65535', 1, 65_535);

export const baudRate = wholeNumber(
  'a line speed in baud from 50 to 10000000, such as 9600 or 115200',
  50,
  10_000_000,
);

export const rings = wholeNumber('a number of rings from 1 to 20', 1, 20);

export const callCount = wholeNumber('a number of calls from 1 to 10000', 1, 10_000);

export const rate = wholeNumber('a number of bytes a second from 1 to 1000000', 1, 1_000_000);

export const pointCount = wholeNumber('a whole number from 0 to 100000', 0, 100_000);

export const cost = field('a number that is not negative', (value) =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined,
);

export const dial = textField(
  'a telephone number in quotes, of digits and the dial characters * # , ; + - ( ) @ ! W T P',
  matching(/^[0-9*#,;+()@!WTPwtp -]{1,60}$/),
);

const MODEM_COMMAND = /^AT[\x20-\x7e]{0,80}$/i;

export const modemInit = field(
  'a modem command that begins with AT, or a list of up to 10 of them',
  (value): readonly string[] | undefined => {
    const commands: readonly unknown[] = Array.isArray(value) ? value : [value];
    const isCommand = (each: unknown): each is string => typeof each === 'string' && MODEM_COMMAND.test(each);
    return commands.length > 0 && commands.length <= 10 && commands.every(isCommand) ? commands : undefined;
  },
);

export const serialFlow = z.enum(['none', 'rtscts', 'xonxoff'], { error: 'none, rtscts or xonxoff' });

export const modemFlow = z.enum(['rtscts', 'none'], { error: 'rtscts or none' });

export const blockSize = field('a power of two from 512 to 1048576 (1MiB)', (value) => {
  const bytes = sizeOf(value);
  return bytes !== undefined && isBlockSize(bytes) ? bytes : undefined;
});

export const size = field('a size such as 512MiB or 2GiB', sizeOf);

function sizeOf(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  return typeof value === 'string' ? parseSize(value) : undefined;
}

export const duration = textField(
  'a duration with its unit, such as 500ms, 2s, 5m, 26h or 7d',
  parseDuration,
);

export const cron = textField('a cron expression of 5 or 6 fields in quotes, such as "0 * * * *"', (text) =>
  validateDetailed(text).valid ? text : undefined,
);

/** X25519: 32 bytes in their one canonical base64 form; not the zeros of the example that `init` writes. */
export const publicKey = textField('the base64 text of 32 bytes that `farcopy init` printed', (text) => {
  const bytes = Buffer.from(text, 'base64');
  const isKey = bytes.length === 32 && bytes.toString('base64') === text && bytes.some((byte) => byte !== 0);
  return isKey ? new Uint8Array(bytes) : undefined;
});

export const timeWindow = textField(
  'two different times of day in quotes, such as "22:00-06:00"',
  (text): TimeWindow | undefined => {
    const match = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/.exec(text);
    if (match === null) return undefined;
    const [startHour = 0, startMinute = 0, endHour = 0, endMinute = 0] = match.slice(1).map(Number);
    const window = { startMinute: startHour * 60 + startMinute, endMinute: endHour * 60 + endMinute };
    return window.startMinute === window.endMinute ? undefined : window;
  },
);

/** The path of a `unix:` address is still as written; `schema.ts` makes it absolute. */
export const nbdAddress = textField(
  'unix:PATH or tcp://127.0.0.1:PORT (loopback only)',
  (text): NbdAddress | undefined => {
    if (text.startsWith('unix:') && text.length > 5) return { kind: 'unix', path: text.slice(5) };
    const match = /^tcp:\/\/(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\]):(\d{1,5})$/.exec(text);
    if (match === null) return undefined;
    const [, where = '', digits = ''] = match;
    const number = Number(digits);
    if (number < 1 || number > 65_535) return undefined;
    return { kind: 'tcp', host: where.replace(/[[\]]/g, ''), port: number };
  },
);

export const pending = z.enum(['finish', 'newest'], { error: 'finish or newest' });

export const atDeadline = z.enum(['crash', 'skip'], { error: 'crash or skip' });
