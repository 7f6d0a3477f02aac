/**
 * The Hayes command set as far as it is needed to call and to answer (ITU-T V.250, formerly V.25ter): commands are
 * lines of text that begin with `AT` and end with CR; the modem answers with lines of text, its result codes.
 */

export type ModemResult =
  | { readonly kind: 'connect'; readonly bitsPerSecond: number | null }
  | { readonly kind: Exclude<ResultKind, 'connect'> };

export const RESULT_KINDS = [
  'ok',
  'connect',
  'ring',
  'busy',
  'no-carrier',
  'no-dialtone',
  'no-answer',
  'error',
  'delayed',
  'blacklisted',
] as const;
export type ResultKind = (typeof RESULT_KINDS)[number];

/**
 * Each with its spellings. The two digits are what a modem without verbose results says, which is understood so that
 * it can be told to be verbose. CONNECT may be followed by a speed and by protocol names.
 */
const SPELLINGS: readonly (readonly [RegExp, ResultKind])[] = [
  [/^(?:OK|0)$/, 'ok'],
  [/^CONNECT\b/, 'connect'],
  [/^(?:RING\b|\+CRING:)/, 'ring'],
  [/^BUSY\b/, 'busy'],
  [/^NO CARRIER\b/, 'no-carrier'],
  [/^NO DIAL ?TONE\b/, 'no-dialtone'],
  [/^NO ANSWER\b/, 'no-answer'],
  [/^(?:ERROR\b|\+CM[ES] ERROR|4$)/, 'error'],
  [/^DELAYED\b/, 'delayed'],
  [/^BLACKLISTED\b/, 'blacklisted'],
];

/** What a line from the modem says; undefined for an echo, a banner or noise. */
export function parseResult(line: string): ModemResult | undefined {
  const text = line.trim().toUpperCase();
  const kind = SPELLINGS.find(([spelling]) => spelling.test(text))?.[1];
  if (kind !== 'connect') return kind === undefined ? undefined : { kind };
  const speed = /^CONNECT\s+(\d{2,8})\b/.exec(text)?.[1];
  return { kind, bitsPerSecond: speed === undefined ? null : Number(speed) };
}

/** How dialling or answering can end. */
export const CALL_RESULTS: readonly ResultKind[] = [
  'connect',
  'busy',
  'no-carrier',
  'no-dialtone',
  'no-answer',
  'error',
  'delayed',
  'blacklisted',
];

/** Ends a command. */
export const CR = '\r';

/**
 * Factory settings; then no echo, results as words, carrier detect follows the carrier, a drop of DTR hangs up, and
 * calls are answered by us, not by the modem.
 */
export const DEFAULT_INIT: readonly string[] = ['AT&F', 'ATE0V1&C1&D2S0=0'];

/** What no setting of the operator may leave out: without it the answers are not understood. */
const READABLE = 'ATE0V1';

/** The commands that set the modem up. `init` is the operator's, in place of the default. */
export const initCommands = (init: readonly string[] | null): readonly string[] =>
  init === null ? DEFAULT_INIT : [...init, READABLE];

/** Tone dialling, unless the number itself begins with T or P. */
export const dialCommand = (number: string): string =>
  /^\s*[TP]/i.test(number) ? `ATD${number.trim()}` : `ATDT${number.trim()}`;

export const ANSWER = 'ATA';
export const HANG_UP = 'ATH';
/** In a call, between two silences of the guard time: back to commands. */
export const ESCAPE = '+++';
/** Register S12 has one second in the factory settings; a little more, because our clock is not the modem's. */
export const GUARD_MS = 1100;
