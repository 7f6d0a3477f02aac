import { FileError, type FileErrorCode } from './files.js';

const CODES: Readonly<Record<string, FileErrorCode>> = {
  ENOENT: 'not-found',
  ENXIO: 'not-found',
  ENODEV: 'not-found',
  EEXIST: 'exists',
  EACCES: 'no-permission',
  EPERM: 'no-permission',
  EROFS: 'read-only',
  ENOSPC: 'no-space',
  EDQUOT: 'no-space',
  EFBIG: 'no-space',
  EIO: 'io',
  EBUSY: 'busy',
  EOPNOTSUPP: 'unsupported',
};

/** What Node has failed with, of a named file, as a `FileError`. */
export function fileError(path: string, cause: unknown): FileError {
  if (cause instanceof FileError) return cause;
  const name = (cause as NodeJS.ErrnoException).code ?? '';
  return new FileError(CODES[name] ?? 'other', path, `${path}: ${(cause as Error).message}`, { cause });
}

/** Does it, and fails with `FileError`. */
export async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw fileError(path, cause);
  }
}

/** The same at once. */
export function attemptSync<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw fileError(path, cause);
  }
}
