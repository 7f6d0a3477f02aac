import { resolve } from 'node:path';
import type { z } from 'zod';
import { FileError, type Files } from '../platform/files.js';
import { ConfigError, type ConfigProblem } from './config-error.js';
import type { Configuration } from './configuration.js';
import { findConflicts, type Conflict } from './conflicts.js';
import { nearestName } from './nearest-name.js';
import { resolveConfiguration } from './resolve.js';
import { findDeviceConflicts } from './same-device.js';
import { configurationSchema } from './schema.js';
import { showPath, showValue, valueAt, YamlSource } from './yaml-source.js';

/** A configuration is written by hand: more than this is another file. */
const MAX_FILE_BYTES = 1 << 20;

/**
 * Reads and checks a configuration file. Fails with `ConfigError`, whose message names every problem of the file as
 * `FILE:LINE: key: found X, allowed Y`, FILE as given.
 */
export async function loadConfiguration(file: string, files: Files): Promise<Configuration> {
  const source = new YamlSource(await readText(file, files));
  if (source.problems.length > 0) throw ConfigError.invalid(file, source.problems);
  const value = source.value;
  const parsed = configurationSchema.safeParse(value);
  if (!parsed.success) {
    const problems = parsed.error.issues.flatMap((issue) => problemsOf(issue, value, source));
    throw ConfigError.invalid(file, byLine(problems));
  }
  const configuration = resolveConfiguration(resolve(file), parsed.data);
  const conflicts = [...findConflicts(configuration), ...(await findDeviceConflicts(configuration))];
  if (conflicts.length > 0) {
    const problems = conflicts.map((conflict) => problemOfConflict(conflict, value, source));
    throw ConfigError.invalid(file, byLine(problems));
  }
  return configuration;
}

async function readText(file: string, files: Files): Promise<string> {
  try {
    const bytes = await files.readWhole(resolve(file), MAX_FILE_BYTES);
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    if (cause instanceof FileError && cause.code === 'not-found') {
      throw new ConfigError(
        'unreadable',
        `there is no configuration ${file}`,
        [],
        'make one with `farcopy init primary` or `farcopy init backup`, or name one with --config FILE',
        { cause },
      );
    }
    const reason = cause instanceof TypeError ? 'it is not UTF-8 text' : (cause as Error).message;
    throw new ConfigError('unreadable', `cannot read the configuration ${file}: ${reason}`, [], undefined, {
      cause,
    });
  }
}

function problemsOf(issue: z.core.$ZodIssue, value: unknown, source: YamlSource): readonly ConfigProblem[] {
  if (issue.code !== 'unrecognized_keys') {
    return [
      {
        line: source.lineOf(issue.path),
        key: showPath(issue.path),
        found: showValue(valueAt(value, issue.path)),
        allowed: allowedBy(issue),
      },
    ];
  }
  return issue.keys.map((key) => {
    const path = [...issue.path, key];
    const near = nearestName(key, issue.message.split(', '));
    return {
      line: source.lineOf(path),
      key: showPath(path),
      found: 'an unknown key',
      allowed: `${issue.message}${near === undefined ? '' : ` (did you mean ${near}?)`}`,
    };
  });
}

/** A wrong discriminator is reported by zod under its own key, with the values it knows. */
function allowedBy(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_union' && 'options' in issue && Array.isArray(issue.options)) {
    return issue.options.map(String).join(' or ');
  }
  return issue.message;
}

function problemOfConflict(
  { path, found, allowed }: Conflict,
  value: unknown,
  source: YamlSource,
): ConfigProblem {
  return {
    line: source.lineOf(path),
    key: showPath(path),
    found: found ?? showValue(valueAt(value, path)),
    allowed,
  };
}

const byLine = (problems: readonly ConfigProblem[]): readonly ConfigProblem[] =>
  [...problems].sort((a, b) => a.line - b.line);
