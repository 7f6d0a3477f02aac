import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../config/units.js';

/** The value of an option that takes a duration, in ms. */
export function durationArgument(text: string): number {
  const duration = parseDuration(text);
  if (duration === undefined) throw new InvalidArgumentError('a duration such as 30s, 5m or 2h is allowed');
  return duration;
}
