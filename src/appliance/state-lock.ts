import { FileError, type Files } from '../platform/files.js';
import type { Closers } from './closers.js';
import { ApplianceError } from './errors.js';

/** One process for one state folder: makes it, and keeps its lock until the closers run. */
export async function lockState(state: string, files: Files, closers: Closers): Promise<void> {
  await files.makeFolder(state);
  try {
    closers.push(await files.lockFolder(state));
  } catch (cause) {
    if (!(cause instanceof FileError) || cause.code !== 'busy') throw cause;
    throw new ApplianceError(
      'in-use',
      `another farcopy process runs on the state folder ${state}`,
      'stop it first, or give this one a state folder of its own',
      { cause },
    );
  }
}
