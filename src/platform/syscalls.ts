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
/** What kernels and file systems answer that have no RWF_NOWAIT: ENOSYS, EINVAL, EOPNOTSUPP. */
const NOT_SUPPORTED: readonly number[] = [38, 22, 95];
const RWF_NOWAIT = 8;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;

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

type LibcFunction = ReturnType<ReturnType<typeof koffi.load>['func']>;

/** A function that not every C library has, or one whose arguments are not all numbers; null: it is not there. */
function optional(declaration: string): LibcFunction | null {
  if (libc === null) return null;
  try {
    return koffi.load('libc.so.6').func(declaration);
  } catch {
    return null;
  }
}

/** Its vector is made by hand: an address and a length of 64 bits each. Absent where addresses are shorter. */
type PReadV = (fd: number, vector: BigUint64Array, count: 1, position: number, flags: number) => number;
const preadv2: PReadV | null =
  koffi.sizeof('void *') === 8 ? optional('int64_t preadv2(int, void *, int, int64_t, int)') : null;
const vector = new BigUint64Array(2);

/**
 * Reads what is in the kernel's memory of a file already, from `position` on, without waiting for a device.
 * @returns how many bytes, which is 0 also at the end and where reading fails; undefined: this file cannot be read so
 */
export function readCached(fd: number, into: Uint8Array, position: number): number | undefined {
  if (preadv2 === null) return undefined;
  vector[0] = koffi.address(into);
  vector[1] = BigInt(into.length);
  const count = preadv2(fd, vector, 1, position, RWF_NOWAIT);
  if (count >= 0) return count;
  return NOT_SUPPORTED.includes(koffi.errno()) ? undefined : 0;
}

type SetSockOpt = (fd: number, level: number, name: number, value: Int32Array, bytes: number) => number;
const setsockopt: SetSockOpt | null = optional('int setsockopt(int, int, int, const void *, unsigned int)');

/** How much of what is written to a socket the kernel takes before it is read; false if that was not set. */
export function setSendBuffer(fd: number, bytes: number): boolean {
  return setsockopt?.(fd, SOL_SOCKET, SO_SNDBUF, Int32Array.of(bytes), 4) === 0;
}

const MSG_DONTWAIT = 0x40;
type Recv = (fd: number, into: Uint8Array, bytes: number, flags: number) => number;
const recv: Recv | null = optional('int64_t recv(int, void *, size_t, int)');

/**
 * Takes what the kernel holds of a socket's input, without waiting for more.
 * @returns how many bytes, which is 0 also where there is nothing, at the end, after a fault, and where it cannot be done
 */
export function receiveHeld(fd: number, into: Uint8Array): number {
  return Math.max(0, recv?.(fd, into, into.length, MSG_DONTWAIT) ?? 0);
}
