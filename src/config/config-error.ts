/** One thing wrong with a configuration file. */
export interface ConfigProblem {
  /** Line in the file, from 1. */
  readonly line: number;
  /** Such as `volumes[0].blockSize`; empty for the file as a whole. */
  readonly key: string;
  readonly found: string;
  readonly allowed: string;
}

/** `unreadable`: no such file, or not to be read. `invalid`: it was read, and `problems` says what is wrong. */
export type ConfigErrorCode = 'unreadable' | 'invalid' | 'exists';

/** A configuration that cannot be used; the message has one line for each problem. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(
    readonly code: ConfigErrorCode,
    message: string,
    readonly problems: readonly ConfigProblem[] = [],
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** `file` is named in each line as the operator named it. */
  static invalid(file: string, problems: readonly ConfigProblem[]): ConfigError {
    const lines = problems.map(
      ({ line, key, found, allowed }) =>
        `${file}:${line}: ${key === '' ? '' : `${key}: `}found ${found}, allowed ${allowed}`,
    );
    return new ConfigError('invalid', lines.join('\n'), problems);
  }
}
