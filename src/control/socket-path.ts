import { lstat, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { ApplianceError } from '../appliance/errors.js';

/**
 * Makes sure that a Unix socket can be bound at `path`: removes one that nobody serves any more (its process was
 * killed), refuses one that is served (`in-use`) and anything that is no socket (`target-exists`).
 */
export async function clearStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new ApplianceError('failed', `cannot use the socket path ${path}: ${(error as Error).message}`);
  });
  if (found === null) return;
  if (!found.isSocket()) {
    throw new ApplianceError(
      'target-exists',
      `${path} is in the way: it is no socket`,
      'remove or rename it',
    );
  }
  if (await isServed(path)) {
    throw new ApplianceError(
      'in-use',
      `the socket ${path} is in use by a running process`,
      'stop that process first, or give this one another path',
    );
  }
  await rm(path, { force: true });
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      // EAGAIN: somebody listens, but the queue of connections is full.
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
