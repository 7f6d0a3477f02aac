import { ApplianceError } from './errors.js';
import type { LinkStatus } from './status.js';

/** There is no link of this name here, or no call on it. */
export function unknownLink(name: string, links: readonly LinkStatus[]): ApplianceError {
  const isThere = links.some((link) => link.name === name);
  const names = links.map((link) => link.name).join(', ');
  return isThere
    ? new ApplianceError('failed', `there is no call on ${name}`)
    : new ApplianceError('unknown-link', `there is no link ${name} here`, `the links are: ${names}`);
}
