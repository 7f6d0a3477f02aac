import { pino } from 'pino';

/** What a log line says beside its text; values must be plain data. */
export type LogFacts = Readonly<Record<string, unknown>>;

/** Logging as a parameter. Texts are whole sentences for operators; facts are for machines. Never a secret in either. */
export interface Log {
  debug(text: string, facts?: LogFacts): void;
  info(text: string, facts?: LogFacts): void;
  warn(text: string, facts?: LogFacts): void;
  /** An `Error` under the key `err` is written with its code, message and stack. */
  error(text: string, facts?: LogFacts): void;
  /** A log whose lines all carry `facts`. */
  child(facts: LogFacts): Log;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** One JSON object a line: `{"level":"info","time":"<ISO 8601>","text":…, …facts}`. Written at once, never buffered. */
export function jsonLog(out: { write(line: string): void }, level: LogLevel = 'info'): Log {
  const logger = pino(
    {
      level,
      base: null,
      messageKey: 'text',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    out,
  );
  return pinoLog(logger);
}

function pinoLog(logger: pino.Logger): Log {
  return {
    debug: (text, facts = {}) => logger.debug(facts, text),
    info: (text, facts = {}) => logger.info(facts, text),
    warn: (text, facts = {}) => logger.warn(facts, text),
    error: (text, facts = {}) => logger.error(facts, text),
    child: (facts) => pinoLog(logger.child(facts)),
  };
}

/** Says nothing; for tests and for commands that have their own output. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
