import { access, constants, readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Configuration } from '../config/configuration.js';
import { hasKeyPair, keyText, loadKeyPair } from '../config/keys.js';
import { formatSize } from '../config/units.js';
import type { Clock } from '../platform/clock.js';
import type { Files } from '../platform/files.js';
import { failing, fromError, ok, warning, type Finding } from './finding.js';

/** Below it no clock that was ever set can be. */
const EARLIEST = Date.UTC(2025, 0, 1);
const DAY_MS = 24 * 3_600_000;
/** Free space below which a folder's purpose is in danger, bytes. */
const LITTLE = 256 << 20;

/** The key pair, and those of the peers. */
export async function checkKeys(configuration: Configuration, files: Files): Promise<readonly Finding[]> {
  const { state } = configuration;
  const subject = 'keys';
  if (!(await hasKeyPair(state, files))) {
    return [failing(subject, `there is no key pair in ${state}`, 'make one with `farcopy init`')];
  }
  try {
    const { publicKey } = await loadKeyPair(state, files);
    const mode = (await stat(join(state, 'secret.key'))).mode & 0o777;
    const peers = configuration.role === 'primary' ? configuration.backups : configuration.primaries;
    const own = peers.find((peer) => Buffer.compare(peer.publicKey, publicKey) === 0);
    return [
      ok(subject, `the public key of this site is ${keyText(publicKey)}`),
      ...((mode & 0o077) === 0
        ? []
        : [
            failing(
              subject,
              `the secret key can be read by others (mode ${mode.toString(8)})`,
              `chmod 600 ${state}/secret.key`,
            ),
          ]),
      ...(own === undefined
        ? []
        : [
            failing(
              subject,
              `the public key under ${own.name} is this site's own`,
              'put the key of the other site there',
            ),
          ]),
      ...(peers.length > 0
        ? []
        : [
            warning(
              subject,
              'no peer is configured',
              `add one under ${configuration.role === 'primary' ? 'backups' : 'primaries'}`,
            ),
          ]),
    ];
  } catch (error) {
    return [fromError(subject, error)];
  }
}

/** A folder that farcopy writes to, and what `wanted` bytes of room are for. */
export async function checkFolder(
  subject: string,
  path: string,
  wanted: number,
  purpose: string,
): Promise<Finding> {
  const home = await nearest(path);
  try {
    await access(home, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = await statfs(home);
    const free = bavail * bsize;
    const text = `${path}: ${formatSize(free)} free`;
    if (free < LITTLE) return failing(subject, text, 'make room, or move the folder to a larger disk');
    if (free < wanted)
      return warning(subject, `${text}, ${purpose} may take ${formatSize(wanted)}`, 'make room');
    return ok(subject, text);
  } catch (error) {
    return failing(
      subject,
      `${path} cannot be written: ${(error as Error).message}`,
      'check its owner and permissions',
    );
  }
}

/** The wall clock against what was written before. */
export async function checkClock({ state }: Configuration, clock: Clock): Promise<Finding> {
  const now = clock.wall();
  const shown = new Date(now).toISOString();
  if (now < EARLIEST)
    return failing('clock', `it says ${shown}`, 'set the clock: schedules and points go by it');
  const names = await readdir(state).catch(() => []);
  const times = await Promise.all(names.map((name) => stat(join(state, name)).catch(() => null)));
  const newest = Math.max(0, ...times.map((each) => each?.mtimeMs ?? 0));
  if (newest > now + DAY_MS) {
    return failing(
      'clock',
      `it says ${shown}, but files in ${state} were written ${new Date(newest).toISOString()}`,
      'set the clock: schedules and points go by it',
    );
  }
  return ok('clock', shown);
}

async function nearest(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  const parent = dirname(path);
  return found !== null || parent === path ? path : nearest(parent);
}
