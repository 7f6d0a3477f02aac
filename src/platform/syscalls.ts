import koffi from 'koffi';

/**
 * The system calls Node lacks (DESIGN section 9), all on an open descriptor. Linux only; elsewhere, and where the
 * C library is not found, each answers as if the file system did not support it.
 */

const LOCK_EX = 2;
const LOCK_NB = 4;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const ENXIO = 6;
const EWOULDBLOCK = 11;

type CFunction = (...args: number[]) => number;

const libc = ((): { flock: CFunction; lseek: CFunction; fallocate: CFunction } | null => {
  if (process.platform !== 'linux') return null;
  try {
    const library = koffi.load('libc.so.6');
    return {
      flock: library.func('int flock(int, int)') as CFunction,
      lseek: library.func('int64_t lseek(int, int64_t, int)') as CFunction,
      fallocate: library.func('int fallocate(int, int, int64_t, int64_t)') as CFunction,
    };
  } catch {
    return null;
  }
})();

/** `taken`: the lock is ours until the descriptor closes. `unsupported`: no lock can be had here. */
export function lockExclusive(fd: number): 'taken' | 'held-elsewhere' | 'unsupported' {
  if (libc === null) return 'unsupported';
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return 'taken';
  return koffi.errno() === EWOULDBLOCK ? 'held-elsewhere' : 'unsupported';
}

/** Start of the first data at or after `from`; null: only a hole follows; undefined: cannot be told. */
export function seekData(fd: number, from: number): number | null | undefined {
  if (libc === null) return undefined;
  const at = libc.lseek(fd, from, SEEK_DATA);
  if (at >= 0) return at;
  return koffi.errno() === ENXIO ? null : undefined;
}

/** Start of the first hole at or after `from` (the end of the file counts as one); undefined: cannot be told. */
export function seekHole(fd: number, from: number): number | undefined {
  if (libc === null) return undefined;
  const at = libc.lseek(fd, from, SEEK_HOLE);
  return at >= 0 ? at : undefined;
}

/** Gives back the space of a range, which then reads as zeros; false if that was not done. */
export function punchHole(fd: number, position: number, length: number): boolean {
  if (libc === null) return false;
  return libc.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, position, length) === 0;
}
